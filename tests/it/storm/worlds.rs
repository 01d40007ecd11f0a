//! Small worlds, all of them: two sites, two people, every history of so many operations, and after each operation
//! every way in which what was written may arrive. In the end everything heals, and the laws of the storm hold.
//!
//! In the suite: all histories of one operation, every eleventh of two, every 4001st of three. `WORLDS_EVERY=1` takes all of
//! two (10,000) or three (2,000,000), `WORLDS_FROM=n` goes on from there; `WORLD=n` replays one and tells its story.

use super::{Storm, laws, number};
use crate::dsl::Site;
use crate::dsl::cloud::{Cloud, Way};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What somebody does at a site about a person.
#[derive(Debug, Clone, Copy)]
enum Act {
    Phone,
    Name,
    NewVisit,
    Notes,
    MoveVisit,
    DeleteVisit,
    HostDeletes,
    Delete,
    Restore,
    Erase,
}

const ACTS: [Act; 10] = [Act::Phone, Act::Name, Act::NewVisit, Act::Notes, Act::MoveVisit, Act::DeleteVisit, Act::HostDeletes, Act::Delete, Act::Restore, Act::Erase];

/// What then happens.
#[derive(Debug, Clone, Copy)]
enum Then {
    Nothing,
    /// That site synchronizes, and nothing travels.
    Sync,
    /// All of it arrives at the other site, which synchronizes.
    All,
    /// Only the logs do.
    Logs,
    /// Only the record files do.
    Records,
}

const THEN: [Then; 5] = [Then::Nothing, Then::Sync, Then::All, Then::Logs, Then::Records];

/// One step: who, about whom, what, and what then happens.
type Step = (usize, usize, Act, Then);

const PEOPLE: [&str; 2] = ["n1", "n2"];

fn world(n: u64) -> Storm {
    let mut cloud = Cloud::default();
    let mut sites = Vec::new();
    for name in ["north", "south"] {
        let mut s = Site::bare(name, cloud.join());
        s.set_up();
        cloud.carry();
        sites.push(s);
    }
    let mut storm = Storm::calm(n, sites, cloud);
    for (i, p) in PEOPLE.iter().enumerate() {
        storm.sites[0].add(p);
        storm.sites[0].visit(p, &format!("day {i}"), &format!("notes {i}"));
    }
    storm.oracle.learn(&storm.sites[0]);
    for i in [0, 1] {
        storm.sites[i].sync();
        storm.oracle.synced(i);
        storm.cloud.carry();
    }
    storm
}

impl Storm {
    /// `false` where there is nothing to do it to: that history is a shorter one.
    fn do_it(&mut self, i: usize, person: usize, act: Act) -> bool {
        let s = &self.sites[i];
        let find = |sql: &str| s.conn.query_row(sql, [PEOPLE[person]], |r| r.get::<_, i64>(0)).ok();
        let p = find("SELECT patient_id FROM patient WHERE national_id = ?1");
        let visit = find("SELECT min(visit_id) FROM visit JOIN patient USING (patient_id) WHERE national_id = ?1 HAVING count(*) > 0");
        match (act, p, visit) {
            (Act::Phone, Some(p), _) => self.write_over(i, "patient", "patient_id", p, "phone"),
            (Act::Name, Some(p), _) => self.write_over(i, "patient", "patient_id", p, "first_name"),
            (Act::NewVisit, Some(p), _) => {
                let (x, y) = (self.oracle.word(i), self.oracle.word(i));
                self.host(i, &format!("INSERT INTO visit (patient_id, day, notes) VALUES ({p}, '{x}', '{y}')"));
            }
            (Act::Notes, _, Some(v)) => self.write_over(i, "visit", "visit_id", v, "notes"),
            (Act::MoveVisit, _, Some(v)) => {
                let other = PEOPLE[1 - person];
                let shown = self.shown(i, "visit", v);
                if self.sites[i].get(&format!("SELECT count(*) FROM patient WHERE national_id = '{other}'")) == "0" {
                    return false;
                }
                self.host(i, &format!("UPDATE visit SET patient_id = (SELECT patient_id FROM patient WHERE national_id = '{other}') WHERE visit_id = {v}"));
                self.oracle.ordered(&shown);
            }
            (Act::DeleteVisit, _, Some(v)) => self.ask_to_delete(i, "visit", v),
            (Act::HostDeletes, Some(p), _) => self.host_deletes(i, p),
            (Act::Delete, Some(p), _) => self.ask_to_delete(i, "patient", p),
            (Act::Restore, None, _) => {
                let deleted = self.sites[i].state().flagged(cloud_folder_sync::state::DELETED).unwrap();
                let Some(id) = deleted.first().copied() else { return false };
                self.sites[i].restore(id);
                self.say(format_args!("restore {id}"));
            }
            (Act::Erase, Some(p), _) => {
                let key = vec![cloud_folder_sync::value::Value::Integer(p)];
                let Some(id) = self.sites[i].state().by_root_key("patient", &key).unwrap() else { return false };
                self.erase_one(i, id);
            }
            _ => return false,
        }
        true
    }

    fn now_sync(&mut self, i: usize) {
        self.about_to_delete(i);
        let r = self.sites[i].sync();
        let name = self.sites[i].name.clone();
        self.say(format_args!("{name}: sync exp {} imp {} held {:?} pend {}", r.exported, r.imported, r.held, r.pending));
        self.oracle.synced(i);
        self.after_a_sync(i);
    }

    fn arrive(&mut self, i: usize, then: Then) {
        let way = |p: &str| match then {
            Then::Logs if p.starts_with("records/") => Way::Later,
            Then::Records if p.starts_with("logs/") || p.starts_with("sites/") => Way::Later,
            _ => Way::Whole,
        };
        if matches!(then, Then::Nothing) {
            return;
        }
        self.now_sync(i);
        if matches!(then, Then::Sync) {
            return;
        }
        self.cloud.send(i, &mut |_| true);
        self.cloud.fetch(1 - i, &mut |p| way(p));
        self.now_sync(1 - i);
    }
}

/// Plays one history; `false` where it is a shorter one.
fn play(n: u64, history: &[Step], tell: bool) -> bool {
    let done = catch_unwind(AssertUnwindSafe(|| {
        let mut storm = world(n);
        storm.tell = tell;
        for (i, person, act, then) in history {
            if !storm.do_it(*i, *person, *act) {
                return false;
            }
            storm.arrive(*i, *then);
        }
        laws::check(&mut storm);
        true
    }));
    done.unwrap_or_else(|e| {
        eprintln!("WORLD={n} fails: {history:?}");
        resume_unwind(e)
    })
}

/// The nth history of so many steps. The first is at the first site and about the first person: the others are alike.
fn history(mut n: u64, steps: usize) -> Vec<Step> {
    let mut one_of = |many: usize| {
        let at = n % many as u64;
        n /= many as u64;
        usize::try_from(at).unwrap()
    };
    (0..steps)
        .map(|k| {
            let (act, then) = (ACTS[one_of(ACTS.len())], THEN[one_of(THEN.len())]);
            let (i, person) = if k == 0 { (0, 0) } else { (one_of(2), one_of(2)) };
            (i, person, act, then)
        })
        .collect()
}

fn how_many(steps: usize) -> u64 {
    let one = (ACTS.len() * THEN.len()) as u64;
    one * (one * 4).pow(u32::try_from(steps).unwrap() - 1)
}

/// Plays every so-manyth history; gives how many there were that are no shorter ones.
fn worlds(steps: usize, from: u64, every: u64) -> u64 {
    if let Some(n) = number("WORLD") {
        return u64::from(play(n, &history(n, steps), true));
    }
    (from..how_many(steps)).step_by(usize::try_from(every).unwrap()).map(|n| u64::from(play(n, &history(n, steps), false))).sum()
}

#[test]
fn every_world_of_one_operation() {
    assert!(worlds(1, 0, 1) > 40);
}

#[test]
fn worlds_of_two_operations() {
    assert!(worlds(2, number("WORLDS_FROM").unwrap_or(0), number("WORLDS_EVERY").unwrap_or(11)) > 500 || number("WORLD").is_some());
}

#[test]
fn worlds_of_three_operations() {
    let every = number("WORLDS_EVERY").unwrap_or(4001);
    worlds(3, number("WORLDS_FROM").unwrap_or(0), every);
}
