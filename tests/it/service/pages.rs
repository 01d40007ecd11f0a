//! What a person does in the page.

use super::{Browser, Running, start, wait};
use crate::cli::Clinics;

fn clinic(last_name: &str) -> (Clinics, Running, Browser) {
    let c = Clinics::new();
    c.conflict(last_name);
    let service = start(&c, "north", &[]);
    wait("it has synchronized", || super::now(&c, "north")["runs"] != 0);
    let b = Browser::enter(&c, "north");
    (c, service, b)
}

fn phone(c: &Clinics, site: &str) -> String {
    c.see(site, "SELECT phone FROM patient WHERE last_name = 'Pemberwick'")
}

/// Fills in a form of the conflicts: what it says by itself, and what a person does.
fn fill_in(b: &Browser, form: &str, hidden: &[&str], done: &[(&str, &str)]) -> super::Answer {
    let hidden: Vec<(&str, String)> = hidden.iter().map(|n| (*n, Browser::hidden(form, n))).collect();
    let mut fields: Vec<(&str, &str)> = hidden.iter().map(|(n, v)| (*n, v.as_str())).collect();
    fields.extend(done);
    b.post("/conflicts", &fields)
}

/// Fills in the form of the first conflict.
fn decide(b: &Browser, page: &str, keep: &str, text: &str) -> super::Answer {
    fill_in(b, page.split("<main").nth(1).unwrap_or(page), &["csrf", "record", "row", "field", "mark"], &[("keep", keep), ("text", text)])
}

#[test]
fn a_conflict_is_decided_by_what_the_person_saw() {
    let (c, _service, b) = clinic("Pemberwick");
    let page = b.get("/conflicts").body;
    assert!(page.contains("555 7111") && page.contains("555 7222") && page.contains("What happened to this field"), "{page}");
    // Meanwhile a third value comes: what was not seen is not decided.
    c.sql("south", "UPDATE patient SET phone = '555 7333' WHERE last_name = 'Pemberwick'");
    c.run("south", &["sync"]).ended(0);
    wait("it came", || phone(&c, "north") == "555 7333");
    let refused = decide(&b, &page, "1", "");
    assert!(refused.status == 400 && refused.body.contains("since you looked"), "{}", refused.body);
    let page = b.get("/conflicts").body;
    assert!(page.contains("555 7111") && page.contains("555 7333"), "{page}");
    // The Enter key presses the first button of a form: that of what is typed is a form of its own.
    let forms: Vec<&str> = page.split("<form").filter(|f| f.contains("name=\"mark\"")).collect();
    assert!(forms.len() == 2 && !forms[0].contains("name=\"text\"") && forms[1].matches("<button").count() == 1, "{page}");
    let typed = decide(&b, &page, "text", "555 7999 & co");
    assert_eq!((typed.status, typed.header("location")), (303, Some("/conflicts?said=kept")));
    assert!(b.get("/conflicts").body.contains("No value waits for a decision"));
    assert_eq!(phone(&c, "north"), "555 7999 & co");
    c.run("south", &["sync"]).ended(0);
    assert_eq!(phone(&c, "south"), "555 7999 & co");
    assert_eq!(c.run("south", &["conflicts", "--json"]).json(0)["conflicts"].as_array().map(Vec::len), Some(0));
}

#[test]
fn many_conflicts_of_a_column_are_decided_together() {
    let c = Clinics::new();
    c.sql("north", "UPDATE visit SET reason = 'N'");
    c.sql("south", "UPDATE visit SET reason = 'S'");
    c.rounds();
    let _service = start(&c, "north", &[]);
    wait("it has synchronized", || super::now(&c, "north")["runs"] != 0);
    let b = Browser::enter(&c, "north");
    let left = || c.run("north", &["conflicts", "--json"]).json(0)["conflicts"].as_array().map(Vec::len);
    let n = left().unwrap();
    let all = |page: &str| {
        let form = page.split("<form").find(|f| f.contains("name=\"column\"")).expect("is offered");
        fill_in(&b, form, &["csrf", "column", "mark"], &[("keep", "0")])
    };
    let page = b.get("/conflicts").body;
    assert!(page.contains(&format!("{n} fields</")) || page.contains(&format!("{n} fields of <strong>visit.reason")), "{page}");
    // One of them is another meanwhile: none is decided.
    c.sql("south", "UPDATE visit SET reason = 'T' WHERE id = 1");
    c.run("south", &["sync"]).ended(0);
    wait("it came", || c.see("north", "SELECT cast(count(*) AS TEXT) FROM visit WHERE reason = 'T'") == "1");
    let refused = all(&page);
    assert!(refused.status == 400 && refused.body.contains("since you looked"), "{}", refused.body);
    assert_eq!(left(), Some(n));
    let done = all(&b.get("/conflicts").body);
    assert_eq!((done.status, done.header("location")), (303, Some("/conflicts?said=kept")));
    assert_eq!((left(), c.see("north", "SELECT group_concat(DISTINCT reason) FROM visit ORDER BY 1").len()), (Some(0), 3));
}

#[test]
fn a_deletion_is_confirmed_and_comes_back_from_the_trash() {
    let (c, _service, b) = clinic("Starling-Vane");
    let settings = b.get("/settings").body;
    let (csrf, mark) = (Browser::hidden(&settings, "csrf"), Browser::hidden(&settings, "mark"));
    let folder = c.dir().join("folder").display().to_string();
    let form = |folder: &str, minutes: &str, mark: &str| {
        b.post(
            "/settings",
            &[("csrf", &csrf), ("mark", mark), ("folder", folder), ("use_logs", "yes"), ("delete_conflicts", "yes"), ("auto_sync_minutes", minutes), ("local_deletes", "ask")],
        )
    };
    let file = c.dir().join("north/cfs.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    for (folder, minutes, mark, says) in [
        (folder.as_str(), "soon", mark.as_str(), "a number from 0 to 10080"),
        (folder.as_str(), "-1", &mark, "a number from 0 to 10080"),
        ("", "5", &mark, "folder is needed"),
        ("/no/such/folder", "5", &mark, "no such folder"),
        (&c.dir().join("south").display().to_string(), "5", &mark, ""),
        (&folder, "5", "00", "changed meanwhile"),
    ] {
        let a = form(folder, minutes, mark);
        assert!(a.status == 400 && a.body.contains(says), "{folder} {minutes}: {} {}", a.status, a.body);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    }
    assert_eq!(form(&folder, "7", &mark).header("location"), Some("/settings?said=saved"));
    let after = std::fs::read_to_string(&file).unwrap();
    let want = before.replace("auto_sync_minutes = 5 ", "auto_sync_minutes = 7 ").replace("local_deletes = \"restore\" ", "local_deletes = \"ask\" ");
    assert_eq!(after, want, "comments stay, and nothing else changes");

    // How long deleted content is kept, for both sites.
    let settings = b.get("/settings").body;
    let (mark, seen) = (Browser::hidden(&settings, "mark"), Browser::hidden(&settings, "days_seen"));
    let days = |seen: &str, days: &str| {
        let own = [("use_logs", "yes"), ("delete_conflicts", "yes"), ("auto_sync_minutes", "7"), ("local_deletes", "ask")];
        b.post("/settings", &[&[("csrf", csrf.as_str()), ("mark", &mark), ("folder", &folder), ("days_seen", seen), ("retention_days", days)][..], &own].concat())
    };
    let manifest = || std::fs::read_to_string(c.dir().join("folder/cloud-folder-sync.xml")).unwrap();
    let was = manifest();
    for (seen, wanted, says) in [(seen.as_str(), "0", "a number from 1 to 3650"), (&seen, "many", "a number from 1"), ("29", "60", "Another site changed")] {
        let a = days(seen, wanted);
        assert!(a.status == 400 && a.body.contains(says), "{wanted}: {} {}", a.status, a.body);
        assert_eq!(manifest(), was);
    }
    assert_eq!(days(&seen, "60").header("location"), Some("/settings?said=saved"));
    assert!(manifest().contains("retention-days=\"60\"") && b.get("/settings").body.contains("value=\"60\""));
    c.run("south", &["sync"]).ended(0);
    assert!(c.run("south", &["doctor", "--json"]).ended(0).contains("60 days of trash"));

    let gone = "SELECT count(*) || '' FROM patient WHERE last_name = 'Brackenridge'";
    c.sql("north", "PRAGMA foreign_keys = ON; DELETE FROM patient WHERE last_name = 'Brackenridge'");
    wait("it waits for a word", || b.get("/deletions").body.contains("Delete at every site"));
    let page = b.get("/deletions").body;
    let (record, rows) = (Browser::hidden(&page, "record"), Browser::hidden(&page, "rows"));
    let answer = |what: &str, rows: &str| b.post("/deletions", &[("csrf", &csrf), ("record", &record), ("rows", rows), ("do", what)]);
    assert_eq!(answer("confirm", "visit:00").status, 400, "another row than was seen");
    assert_eq!(answer("restore", &rows).header("location"), Some("/deletions?said=back"));
    assert_eq!(c.see("north", gone), "1");
    c.sql("north", "PRAGMA foreign_keys = ON; DELETE FROM patient WHERE last_name = 'Brackenridge'");
    wait("it waits again", || b.get("/deletions").body.contains("Delete at every site"));
    assert_eq!(answer("confirm", &rows).header("location"), Some("/deletions?said=deleted"));
    c.run("south", &["sync"]).ended(0);
    assert_eq!(c.see("south", gone), "0");
    let page = b.get("/trash").body;
    let row = Browser::hidden(&page, "row");
    assert!(page.contains("confirmed by a person"), "{page}");
    assert_eq!(b.post("/trash", &[("csrf", &csrf), ("record", &record), ("row", &row), ("mark", "00"), ("do", "purge")]).status, 400, "what was not seen is not purged");
    assert_eq!(b.post("/trash", &[("csrf", &csrf), ("record", &record), ("row", &row), ("do", "restore")]).header("location"), Some("/trash?said=restored"));
    c.run("south", &["sync"]).ended(0);
    assert_eq!((c.see("north", gone), c.see("south", gone)), ("1".into(), "1".into()));
}

#[test]
fn a_pair_that_may_be_one_person_is_decided() {
    let c = Clinics::new();
    c.sql("north", "UPDATE patient SET national_id = '9999999' WHERE last_name = 'Hollowell'");
    c.sql("south", "UPDATE patient SET national_id = '9999999' WHERE last_name = 'Vexley'");
    c.rounds();
    let _service = start(&c, "north", &[]);
    let b = Browser::enter(&c, "north");
    let page = b.get("/matches").body;
    assert!(page.contains("Hollowell, Amadou") && page.contains("Vexley, Tobiah") && page.contains("differ in last_name, birth_date"), "{page}");
    let (csrf, one, two) = (Browser::hidden(&page, "csrf"), Browser::hidden(&page, "a"), Browser::hidden(&page, "b"));
    let answer = |what: &str| b.post("/matches", &[("csrf", &csrf), ("a", &one), ("b", &two), ("do", what)]);
    let two_people = answer("not");
    assert_eq!(two_people.header("location"), Some("/matches?said=two"), "{}", two_people.body);
    assert!(b.get("/matches").body.contains("No pair of charts waits"));
    assert_eq!(answer("not").status, 400, "said already");
}

#[test]
fn a_match_is_taken_apart_on_the_page() {
    let c = Clinics::new();
    let patients = "SELECT cast(count(*) AS TEXT) FROM patient";
    let before = c.see("north", patients);
    // Two people who look like one: a telephone and a family name in common.
    c.sql("north", "UPDATE patient SET phone = '555 0303', last_name = 'Hollowell' WHERE last_name IN ('Hollowell', 'Vexley')");
    c.rounds();
    let _service = start(&c, "north", &[]);
    let b = Browser::enter(&c, "north");
    assert!(!b.get("/matches").body.contains("Take apart"));
    let page = b.get("/matches/alike").body;
    assert!(page.contains("The same telephone and a name in common") && page.contains("One person"), "{page}");
    let main = page.split("<main").nth(1).unwrap();
    let (csrf, one, two, from) = (Browser::hidden(main, "csrf"), Browser::hidden(main, "a"), Browser::hidden(main, "b"), Browser::hidden(main, "from"));
    let say = |what: &str, from: &str| b.post("/matches", &[("csrf", &csrf), ("a", &one), ("b", &two), ("from", from), ("do", what)]);
    assert_eq!(say("undo", &from).status, 400, "nothing was matched");
    assert_eq!(say("same", &from).header("location"), Some("/matches/alike?said=same"));
    wait("they are one", || c.see("north", patients) != before);
    let page = b.get("/matches").body;
    assert!(page.contains("the same as") && page.contains("Take apart") && page.contains("said"), "{page}");
    // Who is asked for by name is found once.
    b.post("/find", &[("csrf", &csrf), ("text", "hollowell")]);
    assert_eq!(b.get("/find").body.matches("/logs?record=").count(), 1);
    assert_eq!(say("undo", "https://elsewhere.example").header("location"), Some("/matches?said=apart"));
    assert_eq!(c.see("north", patients), before);
    c.run("south", &["sync"]).ended(0);
    assert_eq!(c.see("south", patients), before);
    assert!(!b.get("/matches").body.contains("Take apart"));
}

#[test]
fn doctor_says_where_the_log_of_the_service_is() {
    let c = Clinics::new();
    let of = |c: &Clinics| {
        let all = c.run("north", &["doctor", "--json"]).json(0);
        let found = all["checks"].as_array().and_then(|l| l.iter().find(|k| k["about"] == "service").cloned()).expect("a check");
        found["found"].as_str().expect("text").to_owned()
    };
    assert!(of(&c).starts_with("none runs") && !of(&c).contains("log of the last"), "{}", of(&c));
    let service = start(&c, "north", &[]);
    let says = of(&c);
    let dir = says.split("its log is in ").nth(1).unwrap_or_else(|| panic!("{says}")).to_owned();
    assert!(std::fs::read_dir(&dir).unwrap().count() == 1, "{says}");
    assert!(Browser::enter(&c, "north").get("/").body.contains(&dir));
    drop(service);
    wait("it has ended", || of(&c).starts_with("none runs"));
    assert!(of(&c).ends_with(&dir), "{}", of(&c));
}

#[test]
fn a_chart_is_found_by_name_and_no_address_holds_one() {
    let c = Clinics::new();
    c.sql("north", "INSERT INTO patient (first_name, last_name, national_id) VALUES ('Zoë', 'ÅNGSTRÖM <b>', 'Z1')");
    c.run("north", &["sync"]).ended(0);
    let gone = c.who("north", "Vexley");
    c.run("north", &["delete", &gone]).ended(0);
    let _service = start(&c, "north", &[]);
    let b = Browser::enter(&c, "north");
    let page = b.get("/find").body;
    let csrf = Browser::hidden(&page, "csrf");
    let found = |text: &str| {
        let asked = b.post("/find", &[("csrf", &csrf), ("text", text)]);
        assert_eq!((asked.status, asked.header("location")), (303, Some("/find")), "{text}");
        b.get("/find").body
    };
    for text in ["ångström", " zoë,ÅNG ", "Ström zo"] {
        let page = found(text);
        assert!(page.contains("ÅNGSTRÖM &lt;b&gt;, Zoë") && page.matches("/logs?record=").count() == 1, "{text}: {page}");
        assert!(!page.contains("<title>Z") && !page.to_lowercase().contains("href=\"/find?"), "{page}");
    }
    let number = c.see("north", "SELECT cast(id AS TEXT) FROM patient WHERE last_name = 'Hollowell'");
    assert!(found(&number).contains("Hollowell, Amadou"));
    let deleted = found("vexley");
    assert!(deleted.contains("Vexley, Tobiah") && deleted.contains("in the trash"), "{deleted}");
    assert!(found("nobody at all").contains("No chart here has that name"));
    assert!(found("a%").contains("No chart here has that name"), "no pattern of SQL");
    // Another browser was not told.
    let other = Browser::enter(&c, "north");
    assert!(!other.get("/find").body.contains("a%"));
    // The log of one that was found.
    let page = found("hollowell");
    let at = page.find("/logs?record=").expect("a link");
    let log = b.get(page[at..].split('"').next().unwrap());
    assert_eq!(log.status, 200);
    assert_eq!(b.post("/find", &[("csrf", "00"), ("text", "x")]).status, 403);
}

#[test]
fn a_folder_that_lost_its_files_is_filled_again_after_a_yes() {
    let (c, _service, b) = clinic("Pemberwick");
    let folder = c.dir().join("folder/records/patient");
    let count = || super::files(&folder).len();
    // More than twenty, so that it is no slip of one person's hand.
    c.sql("north", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) INSERT INTO patient (first_name, last_name, national_id) SELECT 'A', 'Many' || i, 'M' || i FROM n");
    c.run("north", &["sync"]).ended(0);
    let all = count();
    assert!(all > 40);
    for (file, _) in super::files(&folder) {
        std::fs::remove_file(file).unwrap();
    }
    assert_eq!(c.run("north", &["sync", "--full"]).code, 4);
    let page = b.get("/").body;
    assert!(page.contains("are gone from") && page.contains("Yes, write them again") && !page.contains("--yes"), "{page}");
    let (csrf, mark) = (Browser::hidden(&page, "csrf"), Browser::hidden(&page, "plan"));
    assert_eq!(b.post("/sync", &[("csrf", &csrf), ("plan", "00")]).status, 303);
    assert_eq!(count(), 0, "another plan's mark does nothing");
    assert_eq!(b.post("/sync", &[("csrf", &csrf), ("plan", &mark)]).status, 303);
    assert_eq!(count(), all);
}

#[test]
fn the_logs_are_found_and_carried_away() {
    let (c, _service, b) = clinic("Pemberwick");
    let who = c.who("north", "Pemberwick");
    let page = b.get(&format!("/logs?record={}", who.replace(':', "%3A"))).body;
    assert!(page.contains("555 7111") && page.contains("555 7222") && !page.contains("Brackenridge"), "{page}");
    let south = c.run("south", &["status", "--json"]).json(0)["site"]["id"].as_str().unwrap().to_owned();
    let page = b.get(&format!("/logs?site={south}&what=received")).body;
    assert!(page.contains(">received</td>") && !page.contains(">changed</td>"), "{page}");
    let csv = b.get(&format!("/logs.csv?record={}", who.replace(':', "%3A")));
    assert!(csv.header("content-disposition").unwrap().contains("cfs-log.csv"));
    let lines: Vec<&str> = csv.body.lines().filter(|l| l.contains(',')).collect();
    assert!(lines.iter().any(|l| l.starts_with("time,run,type,key,record,")) && lines.iter().any(|l| l.contains("555 7222")), "{lines:?}");
    assert_eq!(b.get("/logs/99999").status, 400);
    assert_eq!(b.get("/logs?record=nobody:1").status, 400);
}

#[test]
fn a_site_is_retired_and_taken_back() {
    let (c, _service, b) = clinic("Pemberwick");
    let page = b.get("/sites").body;
    let csrf = Browser::hidden(&page, "csrf");
    let site = Browser::hidden(page.split("<main").nth(1).unwrap(), "site");
    assert_eq!(b.post("/sites", &[("csrf", &csrf), ("site", &site), ("do", "retire")]).header("location"), Some("/sites?said=retired"));
    assert!(b.get("/sites").body.contains("South (retired)"));
    assert_eq!(b.post("/sites", &[("csrf", &csrf), ("site", &site), ("do", "back")]).header("location"), Some("/sites?said=unretired"));
    assert!(!c.run("north", &["sites"]).ended(0).contains("retired"));
    assert_eq!(b.post("/sites", &[("csrf", &csrf), ("site", "nobody"), ("do", "retire")]).status, 400);
}
