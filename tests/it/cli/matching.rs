//! `cfs match`: the list, the word, and taking it back.

use super::Clinics;

const COUNT: &str = "SELECT cast(count(*) AS TEXT) FROM patient";

#[test]
fn two_records_are_matched_and_taken_apart() {
    let c = Clinics::new();
    let (before, other) = (c.see("north", COUNT), c.see("south", "SELECT cast(count(*) AS TEXT) FROM visit"));
    let (one, two) = (c.who("north", "Hollowell"), c.who("north", "Vexley"));
    let id = |who: &str| c.run("north", &["show", who, "--json"]).json(0)["record"].as_str().expect("id").to_owned();
    let (a, b) = (id(&one), id(&two));
    assert!(c.run("north", &["match", &one, &one]).refused(2).contains("one record already"));
    assert!(c.run("north", &["match", &one]).refused(2).contains("<B>"));
    assert!(c.run("north", &["match", &a, &b, "--undo"]).refused(2).contains("not matched"));
    assert!(c.run("north", &["match", "--made"]).ended(0).contains("Nobody was matched"));
    let mut all = c.run("north", &["match", &one, &two]).ended(0);
    c.rounds();
    let made = c.run("south", &["match", "--made"]).ended(0);
    // Which of the two names stands is a matter of chance.
    let (short_a, short_b) = (&a.clone().min(b.clone())[..8], &a.clone().max(b.clone())[..8]);
    assert!(made.contains(&format!("cfs match {short_a} {short_b} --undo")) && made.contains("said ") && made.contains(", North"), "{made}");
    assert_eq!(c.run("south", &["match", "--made", "--json"]).json(0)["matched"][0]["a"]["record"].as_str(), Some(&*a.clone().min(b.clone())));
    let less = (before.parse::<u32>().expect("a number") - 1).to_string();
    assert_eq!((c.see("north", COUNT), c.see("south", COUNT)), (less.clone(), less));
    assert_eq!(c.see("south", "SELECT cast(count(*) AS TEXT) FROM visit"), other);
    assert!(c.run("south", &["match", &a, &b]).refused(2).contains("matched already"));
    let gone = a.clone().max(b.clone());
    assert!(c.run("south", &["trash", "restore", &gone]).refused(2).contains("--undo"));
    let shown = c.run("south", &["show", &gone, "--json"]).json(0);
    assert_eq!(
        (shown["state"].as_str(), shown["same_as"][0]["says"].as_str(), shown["same_as"][0]["record"].as_str()),
        (Some("deleted"), Some("same"), Some(&*a.clone().min(b.clone())))
    );
    let verified = c.run("south", &["verify", "--json"]).json(0);
    assert_eq!(verified["differences"].as_array().map(Vec::len), Some(0), "{verified}");
    all.push_str("\n──────── undo\n");
    all.push_str(&c.run("south", &["match", &a, &b, "--undo"]).ended(0));
    all.push_str("\n──────── not\n");
    all.push_str(&c.run("south", &["match", &a, &b, "--not"]).ended(0));
    all.push_str("\n──────── then\n");
    all.push_str(&c.run("south", &["match"]).ended(0));
    c.rounds();
    assert_eq!((c.see("north", COUNT), c.see("south", COUNT)), (before.clone(), before));
    assert!(c.run("south", &["match", &a, &b, "--not"]).refused(2).contains("said already"));
    // Which of the two stays is a matter of chance, and with it what is superseded.
    let said: Vec<String> = c.plain(&all).lines().filter(|l| !l.starts_with("Synchronized") && !l.contains("superseded value")).map(str::to_owned).collect();
    insta::assert_snapshot!("match", said.join("\n"));
}

#[test]
fn a_pair_waits_for_a_word() {
    let c = Clinics::new();
    // The number is typed again for another person, at the other place.
    c.sql("north", "UPDATE patient SET national_id = '9999999' WHERE last_name = 'Hollowell'");
    c.sql("south", "UPDATE patient SET national_id = '9999999' WHERE last_name = 'Vexley'");
    c.rounds();
    let status = c.run("north", &["status", "--json"]).json(0);
    assert_eq!(status["pairs"].as_u64(), Some(1), "{status}");
    assert!(c.run("north", &["status"]).ended(0).contains("To decide   1 pair of records that may be one person: cfs match"));
    let listed = c.run("north", &["match"]).ended(0);
    for part in
        ["Hollowell, Amadou", "Vexley, Tobiah", "they match, but differ in last_name, birth_date", "To decide, for example the first:\n  cfs match ", "--not   they are two"]
    {
        assert!(listed.contains(part), "{listed}");
    }
    let pair = c.run("south", &["match", "--json"]).json(0)["pairs"][0].clone();
    let id = |side: &str| pair[side]["record"].as_str().expect("a record").to_owned();
    c.run("south", &["match", &id("a"), &id("b"), "--not", "--json"]).json(0);
    c.rounds();
    for site in ["north", "south"] {
        assert!(c.run(site, &["match"]).ended(0).starts_with("No pair"), "{site}");
    }
}

#[test]
fn erasing_a_person_erases_what_was_matched() {
    let c = Clinics::new();
    let (one, two) = (c.who("north", "Hollowell"), c.who("north", "Vexley"));
    let id = |who: &str| c.run("north", &["show", who, "--json"]).json(0)["record"].as_str().expect("id").to_owned();
    let (a, b) = (id(&one), id(&two));
    c.run("north", &["match", &a, &b]).ended(0);
    c.rounds();
    c.run("south", &["erase", &a, "--yes"]).ended(0);
    c.rounds();
    for record in [&a, &b] {
        assert_eq!(c.run("north", &["show", record, "--json"]).json(0)["state"].as_str(), Some("erased"));
    }
}
