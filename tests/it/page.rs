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
