//! What a person sees in the page and at the terminal, and what they can lose by it: nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::cli::Clinics;
use crate::service::{Browser, Running, now, start, wait};
use serde_json::Value;

/// A running service of North, and a browser that was let in.
fn serve(c: &Clinics) -> (Running, Browser) {
    let service = start(c, "north", &[]);
    wait("it has synchronized", || now(c, "north")["runs"].as_u64().is_some_and(|n| n > 0));
    let b = Browser::enter(c, "north");
    (service, b)
}

/// Both sites write something else into one field of a person, and hear of each other; South's stands.
fn differ(c: &Clinics, field: &str, north: &str, south: &str) {
    c.sql("north", &format!("UPDATE patient SET {field} = {north} WHERE last_name = 'Pemberwick'"));
    std::thread::sleep(std::time::Duration::from_millis(5));
    c.sql("south", &format!("UPDATE patient SET {field} = {south} WHERE last_name = 'Pemberwick'"));
    c.rounds();
}

fn address(c: &Clinics, site: &str) -> Option<String> {
    let v = c.see(site, "SELECT quote(address) FROM patient WHERE last_name = 'Pemberwick'");
    (v != "NULL").then(|| v.trim_matches('\'').to_owned())
}

/// Sends the form of the first conflict as it is, but for what is typed.
fn save(b: &Browser, text: impl Fn(&str) -> String) -> u16 {
    let page = b.get("/conflicts").body;
    let form = page.split("<main").nth(1).unwrap();
    let hidden: Vec<(&str, String)> = ["csrf", "record", "row", "field", "mark"].iter().map(|n| (*n, Browser::hidden(form, n))).collect();
    let shown = match form.split("<textarea").nth(1) {
        Some(area) => area.split_once('>').unwrap().1.split("</textarea>").next().unwrap().strip_prefix('\n').unwrap(),
        None => form.split("name=\"text\" value=\"").nth(1).unwrap().split('"').next().unwrap(),
    };
    let typed = text(shown).replace('\n', "\r\n");
    let mut fields: Vec<(&str, &str)> = hidden.iter().map(|(n, v)| (*n, v.as_str())).collect();
    fields.extend([("keep", "text"), ("text", &typed)]);
    b.post("/conflicts", &fields).status
}

#[test]
fn what_is_written_anew_keeps_its_end() {
    let c = Clinics::new();
    let long = |end: &str| format!("{}{end}", "A long note. ".repeat(60));
    differ(&c, "address", &format!("'{}'", long("the end of North")), &format!("'{}'", long("the end of South")));
    // The log shows where they differ.
    let log = c.run("north", &["log", "--record", &c.who("north", "Pemberwick"), "--json"]).json(0).to_string();
    assert!(log.contains("…") && log.contains("the end of South") && !log.contains(&long("the end of South")), "{log}");
    let whole = c.run("north", &["conflicts", "--json"]).json(0);
    assert_eq!(whole["conflicts"][0]["current"]["value"], long("the end of South"));
    let short = c.run("north", &["conflicts"]).ended(0);
    assert!(short.contains("cfs conflicts show") && !short.contains("the end of South"), "{short}");
    let one_line = |s: String| s.split_whitespace().collect::<Vec<_>>().join(" ");
    for args in [["conflicts", "show"].as_slice(), &["show"]] {
        let who = c.who("north", "Pemberwick");
        let said = one_line(c.run("north", &[args, &[who.as_str()]].concat()).ended(0));
        assert!(said.contains(&long("the end of South")) && said.contains(&long("the end of North")), "{said}");
    }
    let (_service, b) = serve(&c);
    assert_eq!(save(&b, |shown| format!("{shown}, and a line\nmore")), 303);
    assert_eq!(address(&c, "north").unwrap(), format!("{}, and a line\nmore", long("the end of South")));
}

#[test]
fn nothing_stays_nothing_and_lines_end_as_they_did() {
    let c = Clinics::new();
    differ(&c, "address", "'typed'", "NULL");
    assert_eq!(address(&c, "north"), None);
    let (service, b) = serve(&c);
    assert_eq!(save(&b, |shown| shown.to_owned()), 303);
    assert_eq!((address(&c, "north"), c.run("north", &["conflicts", "--json"]).json(0)["conflicts"][0].clone()), (None, Value::Null));
    drop(service);
    c.rounds();
    differ(&c, "address", "'one'", "'a' || char(13, 10) || 'b'");
    let (_service, b) = serve(&c);
    assert_eq!(save(&b, |shown| format!("{shown}\nc").replace('\r', "")), 303);
    assert_eq!(c.see("north", "SELECT hex(address) FROM patient WHERE last_name = 'Pemberwick'"), "610D0A620D0A63");
}

#[test]
fn a_mark_tells_apart_what_looks_alike() {
    let c = Clinics::new();
    differ(&c, "address", "'x'", "'(empty)'");
    let seen = c.run("north", &["conflicts", "--json"]).json(0)["conflicts"][0].clone();
    assert_eq!((seen["current"]["null"].clone(), seen["superseded"][0]["null"].clone()), (false.into(), false.into()));
}

/// What the page is told as soon as it listens.
fn first_event(b: &Browser) -> String {
    use std::io::{Read, Write};
    let mut s = std::net::TcpStream::connect(("127.0.0.1", b.port)).unwrap();
    s.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    write!(s, "GET /events HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nCookie: {}\r\n\r\n", b.port, b.cookie).unwrap();
    let (mut all, mut buffer) = (String::new(), [0; 4096]);
    while !all.contains("data:") {
        match s.read(&mut buffer) {
            Ok(n) if n > 0 => all.push_str(&String::from_utf8_lossy(&buffer[..n])),
            _ => break,
        }
    }
    all
}

#[test]
fn who_comes_late_hears_that_nothing_goes_on() {
    let c = Clinics::new();
    let (_service, b) = serve(&c);
    wait("it rests", || now(&c, "north")["running"].is_null());
    let said = first_event(&b);
    assert!(said.contains("data:") && said.contains("\"state\":\"idle\"") && said.contains("\"runs\":"), "{said}");
    let page = b.get("/settings").body;
    let aloud = page.split("id=\"live-said\"").nth(1).unwrap();
    assert!(aloud.starts_with(" role=\"status\"") || page.contains("<p class=\"hidden\" id=\"live-said\" role=\"status\">"), "{page}");
    assert!(!page.contains("id=\"live\" role"), "{page}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test takes the folder away")]
fn what_the_database_knows_is_told_while_the_folder_is_away() {
    let c = Clinics::new();
    c.conflict("Pemberwick");
    let (_service, b) = serve(&c);
    let (folder, away) = (c.dir().join("folder"), c.dir().join("away"));
    let who = c.who("north", "Pemberwick");
    let id = c.run("north", &["show", &who, "--json"]).json(0)["record"].as_str().unwrap().to_owned();
    c.sql("north", "UPDATE patient SET blood_group = 'AB-' WHERE last_name = 'Pemberwick'");
    c.run("north", &["sync"]).ended(0);
    std::fs::rename(&folder, &away).unwrap();
    for empty in [false, true] {
        if empty {
            // Where a drive is mounted, there is an empty directory while it is not.
            std::fs::create_dir(&folder).unwrap();
        }
        let status = c.run("north", &["status", "--json"]).json(2);
        assert!(status["folder_away"].as_str().is_some_and(|w| w.contains("Is the drive mounted")) && status["conflicts"] == 1, "{status}");
        assert_eq!(status["sites"].as_array().map(Vec::len), Some(2));
        let plain = c.run("north", &["status"]).ended(2);
        assert!(plain.contains("Folder away") && plain.contains("To decide"), "{plain}");
        for args in [["log", "--last", "3"].as_slice(), &["conflicts"], &["sites"], &["trash"], &["deletions"], &["show", &who, "--history"]] {
            let said = c.run("north", args).ended(0);
            assert!(!said.contains("no such folder") || args[0] == "show", "{said}");
        }
        for path in ["/logs", "/conflicts", "/held", "/trash", "/sites", "/matches", "/deletions", "/settings", &format!("/record/{id}")] {
            assert_eq!(b.get(path).status, 200, "{path}");
        }
        let page = b.get("/").body;
        assert!(page.contains("Conflicts") && page.contains("known in all"), "{page}");
        assert_eq!(page.matches("Is the drive mounted").count() + page.matches("cfs sync --rebuild").count(), 1, "{page}");
        assert!(c.run("north", &["sync"]).code != 0);
        if empty {
            std::fs::remove_dir(&folder).unwrap();
        } else {
            wait("the service says so", || b.get("/").body.contains("The last synchronization failed"));
            c.run("north", &["verify"]).refused(2);
            c.run("north", &["sync", "--dry-run"]).refused(2);
        }
    }
    std::fs::rename(&away, &folder).unwrap();
    c.run("north", &["sync"]).ended(0);
    assert_eq!(c.run("north", &["status", "--json"]).json(0)["folder_away"], Value::Null);
}

/// What the log says of a record, outcome by outcome.
fn outcomes(c: &Clinics, site: &str, who: &str) -> Vec<String> {
    let all = c.run(site, &["log", "--record", who, "--json"]).json(0);
    let runs = all["runs"].as_array().unwrap().iter().rev();
    runs.flat_map(|r| r["changes"].as_array().unwrap().clone()).map(|l| l["what"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_log_says_what_lost_and_what_was_decided() {
    let c = Clinics::new();
    c.conflict("Pemberwick");
    let who = c.who("north", "Pemberwick");
    assert_eq!(outcomes(&c, "north", &who).iter().filter(|w| *w == "conflict").count(), 1, "{:?}", outcomes(&c, "north", &who));
    c.run("north", &["conflicts", "keep", &who, "patient", "phone"]).ended(0);
    let said = outcomes(&c, "north", &who);
    assert_eq!((said.last().map(String::as_str), said.iter().filter(|w| *w == "decided").count()), (Some("decided"), 1), "{said:?}");
    c.rounds();
    assert_eq!(outcomes(&c, "north", &who).iter().filter(|w| *w == "decided").count(), 1);
    assert_eq!(outcomes(&c, "south", &c.who("south", "Pemberwick")).last().map(String::as_str), Some("received"));
}

#[test]
fn the_log_says_what_was_brought_back_and_purged() {
    let c = Clinics::new();
    let file = c.dir().join("north/cfs.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    crate::page::put(&file, &text.replace("local_deletes = \"restore\"", "local_deletes = \"ask\""));
    let who = c.who("north", "Brackenridge");
    let id = c.run("north", &["show", &who, "--json"]).json(0)["record"].as_str().unwrap().to_owned();
    c.sql("north", "PRAGMA foreign_keys = ON; DELETE FROM patient WHERE last_name = 'Brackenridge'");
    c.run("north", &["sync"]).ended(0);
    let said = c.run("north", &["deletions", "restore", &id]).ended(0);
    assert!(said.contains("1 decision carried out"), "{said}");
    let log = outcomes(&c, "north", &id);
    assert_eq!(log.last().map(String::as_str), Some("brought back"), "{log:?}");
    c.run("north", &["delete", &id, "--why", "twice"]).ended(0);
    let (_service, b) = serve(&c);
    let page = b.get("/trash").body;
    let hidden: Vec<(&str, String)> = ["csrf", "record", "row", "mark"].iter().map(|n| (*n, Browser::hidden(page.split("<main").nth(1).unwrap(), n))).collect();
    let mut fields: Vec<(&str, &str)> = hidden.iter().map(|(n, v)| (*n, v.as_str())).collect();
    fields.push(("do", "purge"));
    assert_eq!(b.post("/trash", &fields).header("location"), Some("/trash?said=purged"));
    assert_eq!(outcomes(&c, "north", &id).last().map(String::as_str), Some("purged"));
    assert!(c.run("north", &["log", "--last", "1"]).ended(0).contains("1 decision carried out"));
}

/// Writes a file of the configuration.
#[expect(clippy::disallowed_methods, reason = "a test changes the configuration")]
fn put(file: &std::path::Path, text: &str) {
    std::fs::write(file, text).unwrap();
}

#[test]
fn what_is_held_is_in_the_log_and_in_plain_words() {
    let c = Clinics::new();
    // One number for two people: each database takes it once.
    c.sql("north", "UPDATE patient SET national_id = '9999999' WHERE last_name = 'Hollowell'");
    c.sql("south", "UPDATE patient SET national_id = '9999999' WHERE last_name = 'Vexley'");
    c.rounds();
    let status = c.run("north", &["status", "--json"]).json(0);
    let held = &status["held"][0];
    assert_eq!(held["reason"], "UNIQUE constraint failed: patient.national_id");
    assert!(held["words"].as_str().unwrap().starts_with("another row of patient in this database has the same national_id"), "{held}");
    assert_eq!(held["other"]["label"].as_str().map(|l| l.contains("Hollowell")), Some(true), "{held}");
    let plain = c.run("north", &["status"]).ended(0);
    assert!(plain.contains("same national_id") && !plain.contains("UNIQUE"), "{plain}");
    let id = held["record"].as_str().unwrap();
    let log = outcomes(&c, "north", id);
    assert_eq!(log.iter().filter(|w| *w == "held").count(), 1, "{log:?}");
    c.run("north", &["sync", "--full"]).ended(0);
    assert_eq!(outcomes(&c, "north", id), log, "once for each reason");
    let said = c.run("north", &["log", "--record", id]).ended(0);
    assert!(said.contains("held: another row of patient"), "{said}");
    let (_service, b) = serve(&c);
    let page = b.get("/held").body;
    assert!(page.contains("the same national_id") && page.contains("The other one is <a") && !page.contains("UNIQUE"), "{page}");
}

#[test]
fn an_address_that_means_nothing_is_answered_like_a_page() {
    let c = Clinics::new();
    let (_service, b) = serve(&c);
    for (path, status) in [("/logs/abc", 404), ("/logs?run=x", 400), ("/record/%ff", 404), ("/nowhere", 404), ("/logs?beyond=x", 400)] {
        let a = b.get(path);
        assert!(a.status == status && a.body.contains("There is no such page") && a.body.contains("page.css") && a.body.contains("<nav"), "{path}: {} {}", a.status, a.body);
    }
    let a = b.get("/logs?site=junk");
    assert!(a.status == 400 && a.body.contains("There is no site of that id") && a.body.contains("name=\"record\""), "{}", a.body);
    let a = b.get("/logs?record=pateint%3A1");
    assert!(a.status == 400 && a.body.contains("value=\"pateint:1\"") && a.body.contains("did you mean"), "{}", a.body);
}

#[test]
fn settings_say_how_long_the_trash_keeps_and_take_no_third_word() {
    let c = Clinics::new();
    let (_service, b) = serve(&c);
    let page = b.get("/settings").body;
    assert!(page.contains("name=\"retention_days\"") && page.contains("value=\"30\""), "{page}");
    let (csrf, mark) = (Browser::hidden(&page, "csrf"), Browser::hidden(&page, "mark"));
    let folder = c.dir().join("folder").display().to_string();
    let file = c.dir().join("north/cfs.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    let a = b.post("/settings", &[("csrf", &csrf), ("mark", &mark), ("folder", &folder), ("use_logs", "yes"), ("auto_sync_minutes", "5"), ("local_deletes", "junk")]);
    assert_eq!((a.status, std::fs::read_to_string(&file).unwrap()), (400, before.clone()), "{}", a.body);
    // A configuration that cannot be read is called by its own name.
    put(&file, &before.replacen("use_logs", "use_log", 1));
    let a = b.get("/settings");
    assert!(a.body.contains(">cfs.toml, line") && !a.body.contains("Cfs.toml"), "{}", a.body);
    put(&file, &format!("sync_at = [5]\n{before}"));
    let said = c.run("north", &["status"]).refused(2);
    assert!(said.contains("a time in quotes") && !said.contains("column"), "{said}");
    for (at, says) in [("0 0 30 2 *", "never comes"), ("0 0 8 * * mon", "no seconds")] {
        put(&file, &format!("sync_at = \"{at}\"\n{before}"));
        let said = c.run("north", &["run", "--no-page"]).refused(2);
        assert!(said.contains(says) || said.contains("keeps this database in step"), "{said}");
    }
    put(&file, &before);
}

#[test]
fn the_services_log_says_that_it_recovered() {
    let c = Clinics::new();
    let (service, _b) = serve(&c);
    let (folder, away) = (c.dir().join("folder"), c.dir().join("away"));
    move_to(&folder, &away);
    c.run("north", &["sync"]).refused(2);
    move_to(&away, &folder);
    c.run("north", &["sync"]).ended(0);
    let said = || journal(&c);
    wait("the log is written", || said().contains("synchronized, after a failure"));
    drop(service);
    let said = said();
    assert!(said.find("ERROR").unwrap() < said.find("synchronized, after a failure").unwrap(), "{said}");
}

#[expect(clippy::disallowed_methods, reason = "a test takes the folder away")]
fn move_to(from: &std::path::Path, to: &std::path::Path) {
    std::fs::rename(from, to).unwrap();
}

#[test]
fn the_manual_has_no_nameless_section() {
    let c = Clinics::new();
    let dir = c.dir().join("man");
    crate::cli::cfs(c.dir(), &["man", dir.to_str().unwrap()]).ended(0);
    let read = |n: &str| std::fs::read_to_string(dir.join(n)).unwrap();
    assert!(read("cfs.1").contains("EXIT STATUS") && read("cfs-sync.1").contains("EXAMPLES") && !read("cfs.1").contains("EXTRA"), "{}", read("cfs.1"));
}

/// What the services of a clinic's computer wrote to their logs.
fn journal(c: &Clinics) -> String {
    let dirs: Vec<_> = std::fs::read_dir(c.dir().join("state/cloud-folder-sync")).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    let files = dirs.iter().flat_map(|d| std::fs::read_dir(d).unwrap()).map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "log"));
    files.map(|p| std::fs::read_to_string(p).unwrap()).collect()
}

#[test]
fn a_plan_that_waits_for_a_yes_is_told_in_whole_sentences() {
    let c = Clinics::new();
    c.sql("north", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) INSERT INTO patient (first_name, last_name, national_id) SELECT 'A', 'Many' || i, 'M' || i FROM n");
    let (_service, b) = serve(&c);
    c.run("north", &["sync"]).ended(0);
    std::fs::remove_dir_all(c.dir().join("folder/records/patient")).unwrap();
    assert_eq!(c.run("north", &["sync", "--full"]).code, 4);
    let page = b.get("/").body;
    assert!(page.contains("Stopped ") && page.contains(": nothing was done.") && page.contains("Yes, write them again"), "{page}");
    assert!(!page.contains("To write them again") && !page.contains("/../"), "{page}");
    let log = journal(&c);
    assert!(log.lines().any(|l| l.contains("WARN") && l.contains("a person has to say yes") && l.contains("are gone from")), "{log}");
}

#[cfg(unix)]
#[test]
fn a_service_that_dies_while_it_is_asked_is_called_a_service() {
    let c = Clinics::new();
    let (service, _b) = serve(&c);
    let state = c.dir().join("state/cloud-folder-sync");
    let note = std::fs::read_dir(state).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "door")).unwrap();
    let socket = std::fs::read_to_string(note).unwrap().trim_end().to_owned();
    drop(service);
    std::fs::remove_file(&socket).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let dies = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let said = c.run("north", &["sync"]).refused(1);
    dies.join().unwrap();
    assert!(said.contains("the service ended before it answered") && !said.contains("door"), "{said}");
}

#[test]
fn a_rule_and_a_function_of_the_application_are_named() {
    let c = Clinics::new();
    c.sql("south", "CREATE TRIGGER watched BEFORE UPDATE OF phone ON patient BEGIN SELECT app_check(NEW.phone); END");
    c.sql(
        "north",
        "PRAGMA ignore_check_constraints = ON; UPDATE patient SET sex = 'q' WHERE last_name = 'Hollowell'; UPDATE patient SET phone = '555 1' WHERE last_name = 'Pemberwick'",
    );
    c.rounds();
    let status = c.run("south", &["status", "--json"]).json(0);
    let words: Vec<&str> = status["held"].as_array().unwrap().iter().map(|h| h["words"].as_str().unwrap()).collect();
    assert!(words.iter().any(|w| w.starts_with("a value in patient.sex breaks a rule of this database (sex IN")), "{words:?}");
    assert!(words.iter().any(|w| w.contains("a function of its own, app_check")), "{words:?}");
    let said = c.run("south", &["show", "patient:6"]).ended(0);
    assert!(!said.contains("no such function"), "{said}");
}

#[test]
fn the_log_says_what_stood_there_and_what_was_decided_elsewhere() {
    let c = Clinics::new();
    let before = c.see("north", "SELECT phone FROM patient WHERE last_name = 'Pemberwick'");
    c.sql("north", "UPDATE patient SET phone = '555 7111' WHERE last_name = 'Pemberwick'");
    c.run("north", &["sync"]).ended(0);
    std::thread::sleep(std::time::Duration::from_millis(5));
    c.sql("south", "UPDATE patient SET phone = '555 7222' WHERE last_name = 'Pemberwick'");
    // South hears of North's while it sends its own.
    c.run("south", &["sync"]).ended(0);
    let lines = |site: &str| -> Vec<(String, String, String)> {
        let all = c.run(site, &["log", "--record", &c.who(site, "Pemberwick"), "--json"]).json(0);
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let runs = all["runs"].as_array().unwrap().iter().rev();
        runs.flat_map(|r| r["changes"].as_array().unwrap().clone()).filter(|l| l["field"] == "phone").map(|l| (text(&l["what"]), text(&l["old"]), text(&l["new"]))).collect()
    };
    let line = |what: &str, old: &str, new: &str| (what.to_owned(), old.to_owned(), new.to_owned());
    let said = lines("south");
    assert!(said.contains(&line("changed", &before, "555 7222")), "{said:?}");
    assert!(said.contains(&line("conflict", "555 7111", "555 7222")), "{said:?}");
    assert!(said.iter().all(|(what, old, new)| what == "conflict" || old != new), "{said:?}");
    c.rounds();
    // What South decides is what North shows already.
    c.run("south", &["conflicts", "discard", &c.who("south", "Pemberwick"), "patient", "phone"]).ended(0);
    c.rounds();
    assert_eq!(lines("north").last(), Some(&line("decided", "555 7111", "555 7222")), "{:?}", lines("north"));
    assert_eq!(lines("north").iter().filter(|(what, ..)| what == "decided").count(), 1);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test takes the folder away")]
fn a_folder_that_is_back_is_noticed() {
    let c = Clinics::new();
    let (_service, _) = serve(&c);
    let (folder, away) = (c.dir().join("folder"), c.dir().join("away"));
    std::fs::rename(&folder, &away).unwrap();
    for _ in 0..3 {
        c.run("north", &["sync"]).refused(2);
    }
    assert_eq!(now(&c, "north")["failures"], 3, "the next would be tried in two minutes");
    std::fs::rename(&away, &folder).unwrap();
    let start = std::time::Instant::now();
    wait("it notices", || now(&c, "north")["failures"] == 0);
    assert!(start.elapsed().as_secs() < 45, "{:?}", start.elapsed());
}

#[test]
fn a_port_that_is_taken_keeps_nobody_from_synchronizing() {
    let c = Clinics::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let file = c.dir().join("north/cfs.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    put(&file, &format!("page_port = {}\n{text}", taken.local_addr().unwrap().port()));
    let (_service, b) = serve(&c);
    assert_ne!(b.port, taken.local_addr().unwrap().port());
    assert_eq!(b.get("/").status, 200);
}

#[test]
fn the_page_answers_what_nobody_should_have_asked() {
    let c = Clinics::new();
    let (_service, b) = serve(&c);
    for path in ["/settings?said=a&said=b", "/sites?said=a&said=b", "/conflicts?said=a&said=b"] {
        let a = b.get(path);
        assert!(a.status == 400 && a.body.contains("Back to the overview"), "{path}: {}", a.body);
    }
    let back = b.get("/sync");
    assert_eq!((back.status, back.header("location")), (303, Some("/")));
    // An address of one use is not used up by who only looks whether it is there.
    let address = c.run("north", &["open", "--print"]).ended(0);
    let path = address.trim().split_once(&format!(":{}", b.port)).unwrap().1.to_owned();
    let host = format!("127.0.0.1:{}", b.port);
    crate::service::http(b.port, "HEAD", &path, &[("Host", &host)], "");
    assert_eq!(crate::service::http(b.port, "GET", &path, &[("Host", &host)], "").status, 303);
    // What turns the direction of writing round is seen.
    c.sql("north", "UPDATE patient SET address = 'a' || char(8238) || 'b' WHERE last_name = 'Pemberwick'");
    c.run("north", &["sync"]).ended(0);
    assert!(b.get("/logs?table=patient").body.contains("a\\u{202e}b"));
}
