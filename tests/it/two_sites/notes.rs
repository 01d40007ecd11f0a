//! Columns whose rule is `text`: what two sites typed into one note at the same time is merged line by line.

use crate::dsl::check::known;
use crate::dsl::cloud::Cloud;
use crate::dsl::{Site, schema, settle};
use crate::storm::Dice;
use cloud_folder_sync::id::Random;
use cloud_folder_sync::state::SUPERSEDED;
use std::collections::BTreeSet;

const NOTES: &str = "SELECT notes FROM visit";

fn clinics(n: usize, note: &str) -> (Vec<Site>, Cloud) {
    let toml = schema::TOML.replace("[table.visit]", "[table.visit]\nrules.notes = \"text\"");
    let mut cloud = Cloud::default();
    let mut all: Vec<Site> = Vec::new();
    for name in ["north", "south", "east"].iter().take(n) {
        let mut s = Site::with(name, cloud.join(), schema::open(schema::SQL), &toml);
        s.set_up();
        cloud.carry();
        all.push(s);
    }
    all[0].add("p1");
    all[0].visit("p1", "d1", note);
    rest(&mut all, &mut cloud);
    (all, cloud)
}

fn rest(all: &mut [Site], cloud: &mut Cloud) {
    settle(&mut all.iter_mut().collect::<Vec<_>>(), cloud);
}

fn note(s: &mut Site, text: &str) {
    s.conn.execute("UPDATE visit SET notes = ?1", [text]).unwrap();
}

fn undecided(s: &Site) -> u64 {
    s.state().count_flagged(SUPERSEDED).unwrap()
}

#[test]
fn a_line_here_and_a_line_there_are_both_in_the_note() {
    let (mut all, mut cloud) = clinics(2, "first visit\nBP 120");
    note(&mut all[0], "first visit\nBP 130");
    note(&mut all[1], "first visit\nBP 120\ncoughs");
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!((s.get(NOTES).as_str(), undecided(s)), ("first visit\nBP 130\ncoughs", 0), "{}", s.name);
    }
    // Who types now has seen both.
    note(&mut all[1], "all well");
    rest(&mut all, &mut cloud);
    assert_eq!(all[0].get(NOTES), "all well");
}

#[test]
fn the_same_line_changed_twice_stands_there_twice_until_a_person_decides() {
    let (mut all, mut cloud) = clinics(2, "take 5 mg");
    note(&mut all[0], "take 10 mg");
    note(&mut all[1], "take 5 mg at night");
    rest(&mut all, &mut cloud);
    for s in &all {
        let shown = s.get(NOTES);
        let lines: BTreeSet<&str> = shown.lines().collect();
        assert_eq!((lines, undecided(s)), (["take 10 mg", "take 5 mg at night"].into(), 1), "{}", s.name);
    }
    note(&mut all[0], "take 10 mg at night");
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!((s.get(NOTES).as_str(), undecided(s)), ("take 10 mg at night", 0), "{}", s.name);
    }
}

#[test]
fn a_place_that_was_away_while_the_other_wrote_on() {
    let (mut all, mut cloud) = clinics(2, "one");
    note(&mut all[1], "zero\none");
    all[1].sync();
    for n in 2..6 {
        let text = format!("{}\nline {n}", all[0].get(NOTES));
        note(&mut all[0], &text);
        all[0].sync();
    }
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!((s.get(NOTES).as_str(), undecided(s)), ("zero\none\nline 2\nline 3\nline 4\nline 5", 0), "{}", s.name);
    }
}

#[test]
fn what_may_be_a_stale_form_is_for_a_person_to_decide() {
    let (mut all, mut cloud) = clinics(2, "one");
    note(&mut all[0], "one\ntwo");
    rest(&mut all, &mut cloud);
    note(&mut all[1], "one");
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!((s.get(NOTES).as_str(), undecided(s)), ("one", 1), "{}", s.name);
    }
}

/// Three sites, a story of each seed: no line is lost that nobody took out, and all end with the same note.
#[test]
fn no_line_is_lost_that_nobody_took_out() {
    for seed in 0..60 {
        let mut dice = Dice(Random::seeded(seed));
        let (mut all, mut cloud) = clinics(3, "l0");
        let (mut typed, mut out) = (BTreeSet::from(["l0".to_owned()]), BTreeSet::new());
        for n in 1..40 {
            let i = dice.below(3);
            let shown = all[i].get(NOTES);
            let mut lines: Vec<&str> = shown.lines().collect();
            match dice.below(6) {
                0 => drop(all[i].sync()),
                1 => cloud.carry(),
                2 if !lines.is_empty() => {
                    out.insert(lines.remove(dice.below(lines.len())).to_owned());
                    note(&mut all[i], &lines.join("\n"));
                }
                3 if !lines.is_empty() => {
                    let (at, line) = (dice.below(lines.len()), format!("l{n}"));
                    out.insert(lines[at].to_owned());
                    lines[at] = &line;
                    note(&mut all[i], &lines.join("\n"));
                    typed.insert(line);
                }
                _ => {
                    let line = format!("l{n}");
                    lines.insert(dice.below(lines.len() + 1), &line);
                    note(&mut all[i], &lines.join("\n"));
                    typed.insert(line);
                }
            }
        }
        rest(&mut all, &mut cloud);
        rest(&mut all, &mut cloud);
        let shown = all[0].get(NOTES);
        for s in &all {
            assert_eq!(s.get(NOTES), shown, "seed {seed}: {}", s.name);
        }
        let kept = known(&all[0]).into_values().collect::<String>();
        for line in typed.difference(&out) {
            let here = shown.lines().any(|l| l == line);
            assert!(here || undecided(&all[0]) > 0 && kept.contains(line.as_str()), "seed {seed}: {line} is gone from {shown:?}");
        }
    }
}
