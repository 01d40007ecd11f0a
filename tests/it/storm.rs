//! A seeded storm: several sites, everything that hosts and people do, and a cloud that delays,
//! repeats, reorders, tears, rolls back, loses and copies. Then everything heals, and the laws hold.
//!
//! `STORM_WITHOUT=Fault,…` leaves faults out. `STORM_SEED=n` replays one seed and tells its story, `STORM_STEPS=n` makes it longer,
//! `STORM_SEEDS=n` runs so many, from `STORM_FROM`; with `STORM_WORD=w` a replay says who knows that word after each step,
//! with `STORM_WORD=file:1a2b3c4d` who has such files, with `STORM_WORD=known:1a2b3c4d` all that each knows of such records.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by panicking, and a storm tells its seed")]

mod acts;
mod faults;
mod laws;
mod oracle;
mod worlds;

use crate::dsl::cloud::{Cloud, Way};
use crate::dsl::orderly::Orderly;
use crate::dsl::{DAY_MS, Site, schema};
use cloud_folder_sync::folder::memory::Bytes;
use cloud_folder_sync::id::Random;
use cloud_folder_sync::sync::Options;
use cloud_folder_sync::xml::sha256_hex;
use faults::{COPIES, Swarm};
use oracle::Oracle;
use std::fmt::Write as _;

/// Dice with a seed.
pub(crate) struct Dice(pub(crate) Random);

impl Dice {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.0.bits() % n.max(1) as u64) as usize
    }

    /// True so many times of a thousand.
    pub(crate) fn chance(&mut self, thousandths: usize) -> bool {
        self.below(1000) < thousandths
    }
}

/// How often what happens, of a thousand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rates {
    pub(crate) sync: usize,
    pub(crate) cloud: usize,
    pub(crate) order: usize,
    pub(crate) odd: usize,
    pub(crate) late: usize,
    pub(crate) torn: usize,
    pub(crate) back: usize,
    pub(crate) lost: usize,
}

pub(crate) struct Storm {
    pub(crate) seed: u64,
    pub(crate) dice: Dice,
    pub(crate) rates: Rates,
    pub(crate) sites: Vec<Site>,
    pub(crate) cloud: Cloud,
    pub(crate) oracle: Oracle,
    pub(crate) tell: bool,
    pub(crate) story: String,
    /// What a file held that was taken off the server, to be put back.
    lost: Vec<(String, Bytes)>,
    /// What else goes wrong.
    pub(crate) swarm: Swarm,
}

impl Storm {
    fn new(seed: u64, merciless: bool, tell: bool) -> Storm {
        let mut dice = Dice(Random::seeded(seed));
        let mut rate = |most: usize| dice.below(most + 1);
        let rates = Rates { sync: 100 + rate(300), cloud: 100 + rate(300), order: rate(60), odd: rate(120), late: rate(600), torn: rate(150), back: rate(60), lost: rate(40) };
        let n = if merciless { 2 + dice.below(4) } else { 3 + dice.below(3) };
        let mut cloud = Cloud::default();
        cloud.copies = COPIES[dice.below(if merciless { 6 } else { 3 })];
        let mut sites = Vec::new();
        let logs = dice.below(4);
        // Every other story has days enough for the trash to be emptied.
        let short = merciless && seed % 4 < 2;
        for name in ["north", "south", "east", "west", "hill"].iter().take(n) {
            let mut s = Site::bare(name, cloud.join());
            s.settings.delete_conflicts = !dice.chance(200);
            s.settings.use_logs = logs != 0;
            s.clock.set(s.clock.get() + dice.below(10_000) as u64);
            // Every other story goes through the threads, whose order must not matter.
            s.env.many = if seed.is_multiple_of(2) { 2 } else { 128 };
            s.env.bulk = if merciless && seed.is_multiple_of(3) { 2 } else { 500 };
            // In every fifth story some find out by comparing what their hosts did.
            s.mapping.scan = merciless && seed % 5 == 3 && sites.len() % 2 == 0;
            s.set_up_keeping(if short { 1 } else { 30 });
            cloud.carry();
            sites.push(s);
        }
        let mut swarm = if merciless { Swarm::draw(&mut dice, seed) } else { Swarm::default() };
        swarm.short_days(short);
        let story = format!("seed {seed}: {n} sites, {rates:?}, {:?}, logs {},{}\n", cloud.copies, logs != 0, swarm.show());
        Storm { dice, rates, tell, story, swarm, ..Storm::calm(seed, sites, cloud) }
    }

    /// Sites and a cloud, and nothing that happens by itself.
    fn calm(seed: u64, sites: Vec<Site>, cloud: Cloud) -> Storm {
        Storm {
            seed,
            dice: Dice(Random::seeded(seed)),
            rates: Rates::default(),
            sites,
            cloud,
            oracle: Oracle::default(),
            tell: false,
            story: String::new(),
            lost: Vec::new(),
            swarm: Swarm::default(),
        }
    }

    pub(crate) fn say(&mut self, what: std::fmt::Arguments<'_>) {
        let what = what.to_string().replace("-long", "");
        let _infallible = writeln!(self.story, "{what}");
        if self.tell {
            eprintln!("{what}");
        }
    }

    fn step(&mut self) {
        let i = self.dice.below(self.sites.len());
        if self.swarm.any() && self.fault(i) {
            return;
        }
        let r = self.rates.clone();
        let roll = self.dice.below(1000);
        if roll < r.sync {
            self.sync(i);
        } else if roll < r.sync + r.cloud {
            self.carry_some(i);
        } else if roll < r.sync + r.cloud + r.back {
            self.roll_back();
        } else if roll < r.sync + r.cloud + r.back + r.lost {
            self.lose();
        } else {
            self.act(i);
        }
    }

    fn sync(&mut self, i: usize) {
        if self.dice.chance(if self.swarm.short { 250 } else { 30 }) {
            self.sites[i].pass(DAY_MS);
        }
        let full = self.dice.chance(40);
        self.about_to_delete(i);
        let name = self.sites[i].name.clone();
        let s = &mut self.sites[i];
        // A database that has never synchronized has no name that counts yet.
        let before = s.state().meta::<i64>("clock_ms").unwrap().map(|_| s.state().site().unwrap());
        let folder = Orderly::new(s.folder.clone(), s.state().folder);
        let report = s.try_sync_on(&folder, Options { full, ..Options::default() }).unwrap_or_else(|e| panic!("{name}: {e}"));
        let after = s.state().site().unwrap();
        if let Some(why) = folder.broken() {
            self.broken("L6 order", &why);
        }
        assert!(before.is_none_or(|b| b == after) || self.swarm.doubles(), "seed {}: {name} took itself for a copy: {:?}", self.seed, report.notices);
        self.say(format_args!(
            "{name}: sync{} exp {} imp {} sup {} rev {} rest {} held {} pend {}",
            if full { " full" } else { "" },
            report.exported,
            report.imported,
            report.superseded,
            report.revived,
            report.restored,
            report.held.len(),
            report.pending
        ));
        // One that waits for a person because files are missing has seen nothing.
        if report.refused().is_none() {
            self.oracle.synced(i);
        }
        self.after_a_sync(i);
        self.emptied_too_early(i);
    }

    /// One client does some of its work.
    fn carry_some(&mut self, i: usize) {
        let (late, torn) = (self.rates.late, self.rates.torn);
        let mut dice = Dice(Random::seeded(self.dice.0.bits()));
        self.cloud.send(i, &mut |_| !dice.chance(late));
        let mut said = String::new();
        self.cloud.fetch(i, &mut |p| {
            let way = if dice.chance(late) {
                Way::Later
            } else if dice.chance(torn) && p.contains('/') {
                Way::Torn(dice.below(4) * 300)
            } else {
                Way::Whole
            };
            if p.contains('/') {
                let _infallible = write!(said, " {}:{way:?}", p.rsplit('/').next().unwrap_or_default().chars().take(8).collect::<String>());
            }
            way
        });
        let name = self.sites[i].name.clone();
        self.say(format_args!("{name}: cloud{said}"));
    }

    /// A record file goes back to an older version.
    fn roll_back(&mut self) {
        let paths: Vec<String> = self.cloud.paths().into_iter().filter(|p| p.starts_with("records/")).collect();
        let Some(path) = paths.get(self.dice.below(paths.len())).cloned() else { return };
        let n = self.dice.below(4);
        let mut done = false;
        let current = self.cloud.newest(&path);
        self.cloud.roll_back(
            &mut |old| {
                let chosen = old.get(n).cloned();
                done = chosen.is_some();
                chosen.or(current.clone())
            },
            &path,
        );
        if done {
            self.say(format_args!("cloud: {path} is an older version again"));
        }
    }

    /// A record file vanishes from the server, or one that did is back.
    fn lose(&mut self) {
        let may = |p: &String| p.starts_with("records/") || p.starts_with("blobs/");
        if let Some((path, bytes)) = self.lost.pop() {
            self.cloud.set(&path, Some(bytes));
            self.say(format_args!("cloud: {path} is back"));
            return;
        }
        let paths: Vec<String> = self.cloud.paths().into_iter().filter(may).collect();
        let Some(path) = paths.get(self.dice.below(paths.len())).cloned() else { return };
        if let Some(bytes) = self.cloud.newest(&path) {
            self.lost.push((path.clone(), bytes));
        }
        self.cloud.set(&path, None);
        self.say(format_args!("cloud: {path} is gone"));
    }
}

/// Runs one seed, and gives what the sites hold in the end, in short.
fn run(seed: u64, steps: usize, long: usize, merciless: bool, tell: bool) -> String {
    let mut storm = Storm::new(seed, merciless, tell);
    storm.oracle.long = long;
    if tell {
        eprint!("{}", storm.story);
    }
    storm.sites[0].sql(schema::P1);
    storm.oracle.learn(&storm.sites[0]);
    for _ in 0..steps {
        storm.step();
        storm.where_is();
    }
    laws::check(&mut storm);
    let folder: Vec<u8> = storm.sites[0].folder.all().into_iter().flat_map(|(p, b)| [p.into_bytes(), b].concat()).collect();
    sha256_hex(&[folder, storm.story.into_bytes()].concat())
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// In the suite: seeds that are the same every time, each run twice.
fn storms(seeds: std::ops::Range<u64>, steps: usize, long: usize, merciless: bool) {
    let steps = number("STORM_STEPS").map_or(steps, |n| usize::try_from(n).unwrap());
    if let Some(seed) = number("STORM_SEED") {
        run(seed, steps, long, merciless, true);
        return;
    }
    let go = |seed| std::panic::catch_unwind(|| run(seed, steps, long, merciless, false));
    if let (Some(n), Ok(_)) = (number("STORM_SEEDS"), std::env::var("STORM_HUNT")) {
        return hunt(seeds.start.max(number("STORM_FROM").unwrap_or(0)), n, steps, long, merciless);
    }
    if let Some(n) = number("STORM_SEEDS") {
        // A survey: which seeds fail.
        let from = number("STORM_FROM").unwrap_or(seeds.start);
        let failed: Vec<u64> = (from..from + n).filter(|seed| go(*seed).is_err()).collect();
        assert!(failed.is_empty(), "{} of {n} seeds fail at {steps} steps: {failed:?}", failed.len());
        return;
    }
    for seed in seeds {
        let twice: Vec<String> = (0..2).map(|_| go(seed).unwrap_or_else(|_| panic!("STORM_SEED={seed} STORM_STEPS={steps} fails"))).collect();
        assert_eq!(twice[0], twice[1], "seed {seed} does not behave the same twice");
    }
}

/// Looks for the first story in which a law is broken, and for the shortest of that seed. Says so in one line.
fn hunt(from: u64, n: u64, steps: usize, long: usize, merciless: bool) {
    std::panic::set_hook(Box::new(|_| {}));
    let tell = |seed, steps| {
        let why = std::panic::catch_unwind(|| run(seed, steps, long, merciless, false)).err()?;
        let why = why.downcast_ref::<String>().map(String::as_str).or(why.downcast_ref::<&str>().copied()).unwrap_or("?").to_owned();
        let law = why.lines().next().unwrap_or_default().to_owned();
        Some(law.trim_start_matches(&format!("seed {seed}: ")).to_owned())
    };
    let found = (from..from + n).find_map(|seed| Some((seed, tell(seed, steps)?)));
    let Some((seed, law)) = found else {
        return eprintln!("hunt: {} steps in {n} stories, nothing", n * steps as u64);
    };
    let least = [5, 10, 20, 40, 80, 160].into_iter().filter(|n| *n < steps).find(|n| tell(seed, *n).is_some()).unwrap_or(steps);
    eprintln!("hunt: {} steps in {} stories, seed {seed}, {least} steps: {law}", (seed - from + 1) * steps as u64, seed - from + 1);
}

#[test]
fn a_storm_of_short_stories() {
    storms(0..60, 60, 0, false);
}

#[test]
fn a_storm_of_long_words() {
    storms(3000..3020, 60, 300, false);
}

#[test]
fn a_storm_of_long_words_and_stories() {
    storms(4000..4002, 400, 200, false);
}

#[test]
fn a_storm_of_long_stories() {
    storms(1000..1012, 600, 0, false);
}

/// Every kind of fault, in each story another choice of them. In four parts, to be run side by side.
#[test]
fn a_merciless_storm() {
    storms(5000..5068, 300, 60, true);
}

#[test]
fn a_second_merciless_storm() {
    storms(5100..5168, 300, 60, true);
}

#[test]
fn a_third_merciless_storm() {
    storms(5200..5268, 300, 60, true);
}

#[test]
fn a_fourth_merciless_storm() {
    storms(5300..5368, 300, 60, true);
}
