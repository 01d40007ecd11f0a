//! One history: sites act, messages come late, twice, out of order or never; then all arrives.

use super::oracle::{Ids, Oracle};
use super::site::{Sent, Site, below, root};
use cloud_folder_sync::id::{Random, Uuid};
use cloud_folder_sync::merge::{erase, join, life, take_delta};
use cloud_folder_sync::record::Record;
use cloud_folder_sync::xml::write_record;

/// What a history may contain besides edits, moves, deletions and restores.
#[derive(Clone, Copy)]
struct Weather {
    strips: bool,
    retires: bool,
    erases: bool,
}

#[derive(Clone)]
struct World {
    sites: Vec<Site>,
    files: Vec<(Record, Ids)>,
    deltas: Vec<Sent>,
    oracle: Oracle,
    now: u64,
}

const YEAR_MS: u64 = 365 * 86_400_000;

/// Plays the history of one seed and gives the number of checks made.
pub(super) fn history(seed: u64) -> u64 {
    let mut rng = Random::seeded(seed.wrapping_mul(0x2545_F491_4F6C_DD1D).wrapping_add(7));
    let rng = &mut rng;
    let weather = match seed % 8 {
        0 => Weather { strips: true, retires: false, erases: false },
        1 => Weather { strips: true, retires: true, erases: false },
        2 => Weather { strips: true, retires: true, erases: true },
        _ => Weather { strips: false, retires: false, erases: false },
    };
    let mut w = World { sites: Vec::new(), files: Vec::new(), deltas: Vec::new(), oracle: Oracle::default(), now: 1_000_000 };
    for n in 0..2 + below(4, rng) {
        let skew = [0, 0, 0, 5_000, 3 * YEAR_MS][below(5, rng)];
        w.sites.push(Site::new(n, skew));
    }
    w.sites[0].insert(&root(), None, &mut w.oracle, 1_000_000, rng);
    w.files.push((w.sites[0].known.clone(), w.sites[0].has));
    let first = w.files[0].clone();
    for s in &mut w.sites {
        s.take_file(&first.0, &first.1, &mut w.oracle, 1_000_000);
        s.apply();
    }
    let mut next_row = 0;
    let steps = 8 + below(28, rng);
    for _ in 0..steps {
        if w.oracle.events.len() + 80 > Ids::LIMIT {
            break;
        }
        step(&mut w, weather, &mut next_row, rng);
    }
    w.sites.iter_mut().for_each(|s| s.retired = false);
    let mut checks = 0;
    for s in &w.sites {
        w.oracle.check_content(&s.known, &s.has);
        w.oracle.check_content(&s.applied, &s.shown);
        checks += 1;
    }
    checks += laws(&w, rng);
    let (ends, settled) = shuffles(&w, rng);
    checks += ends.len() as u64;
    if settled {
        assert!(ends.iter().all(|e| *e == ends[0]), "the order of delivery shows");
    }
    if seed % 16 < 2 || seed % 16 == 7 {
        checks += observers(&w, &ends[0], weather, rng);
    }
    checks
}

fn step(w: &mut World, weather: Weather, next_row: &mut u128, rng: &mut Random) {
    w.now += [0, 1, 1, 40, 90_000][below(5, rng)];
    let at = below(w.sites.len(), rng);
    let World { sites, files, deltas, oracle, now } = w;
    match below(100, rng) {
        0..=44 => {
            let what = below(93, rng);
            deltas.extend(sites[at].act(what, next_row, oracle, *now, rng));
        }
        45..=59 => files.push((sites[at].known.clone(), sites[at].has)),
        60..=69 if !sites[at].retired => {
            let (file, ids) = files[below(files.len(), rng)].clone();
            deltas.extend(sites[at].take_file(&file, &ids, oracle, *now));
        }
        70..=84 if !sites[at].retired && !deltas.is_empty() => {
            let n = below(deltas.len(), rng);
            sites[at].waiting.push(n);
            settle_waiting(&mut sites[at], deltas, oracle, *now);
        }
        85..=90 => sites[at].apply(),
        91..=94 => {
            // A day on which all in use see each other.
            for from in 0..sites.len() * 2 {
                let from = &sites[from % sites.len()];
                let (file, ids, retired) = (from.known.clone(), from.has, from.retired);
                for to in sites.iter_mut().filter(|to| !retired && !to.retired) {
                    deltas.extend(to.take_file(&file, &ids, oracle, *now));
                }
            }
            sites[at].apply();
            if weather.strips && !sites[at].retired {
                strip(sites, at, deltas, oracle);
            }
        }
        95..=96 if weather.retires && sites.iter().filter(|s| !s.retired).count() > 1 => sites[at].retired = true,
        97 if weather.erases && below(6, rng) == 0 => {
            let site = &mut sites[at];
            let stamp = site.tick(*now);
            let before = site.known.clone();
            erase(&mut site.known, stamp, "x");
            oracle.erased = true;
            let delta = cloud_folder_sync::merge::delta_between(&before, &site.known).unwrap();
            deltas.push(Sent { delta, before: site.has, new: Ids::default() });
        }
        98..=99 if weather.strips && !sites[at].retired => strip(sites, at, deltas, oracle),
        _ => {}
    }
}

/// Strips at one site what every site in use has seen deleted.
fn strip(sites: &mut [Site], at: usize, deltas: &mut Vec<Sent>, oracle: &mut Oracle) {
    let all: Vec<_> = sites.iter().filter(|s| !s.retired).map(|s| s.known.version.clone()).collect();
    deltas.extend(sites[at].strip(|stamp| all.iter().all(|v| v.covers(stamp)), oracle));
}

/// Takes in the waiting deltas whose `before` is here by now.
fn settle_waiting(site: &mut Site, deltas: &mut Vec<Sent>, oracle: &mut Oracle, now: u64) {
    loop {
        let waiting = std::mem::take(&mut site.waiting);
        let many = waiting.len();
        for n in waiting {
            match site.take_delta(&deltas[n].clone(), oracle, now) {
                Ok(sent) => deltas.extend(sent),
                Err(()) => site.waiting.push(n),
            }
        }
        if site.waiting.len() == many || site.waiting.is_empty() {
            return;
        }
    }
}

fn bytes(r: &Record) -> Vec<u8> {
    write_record(r, &Uuid::from_u128(1))
}

/// The laws of `join` and of deltas on states this history reached.
fn laws(w: &World, rng: &mut Random) -> u64 {
    let mut pool: Vec<&Record> = w.files.iter().map(|(r, _)| r).collect();
    pool.extend(w.sites.iter().map(|s| &s.known));
    let some = |rng: &mut Random| pool[pool.len() - 1 - below(pool.len(), rng)];
    let mut checks = 0;
    for n in 0..4 {
        let (a, b, c) = (some(rng), some(rng), some(rng));
        let ab = join(a, b);
        assert_eq!(ab, join(b, a), "commutative");
        let (left, right) = (join(&ab, c), join(a, &join(b, c)));
        assert_eq!(left, right, "associative");
        assert_eq!(join(a, a), *a, "idempotent");
        assert_eq!(join(&ab, a), ab, "a join holds what it joined");
        assert!(ab.version.includes(&a.version) && ab.version.includes(&b.version));
        if n == 0 {
            assert_eq!(bytes(&left), bytes(&right), "one state, one file");
            assert_eq!(bytes(&ab), bytes(&join(b, a)), "one state, one file");
        }
        checks += 5;
    }
    for sent in &w.deltas {
        let state = some(rng);
        let mut by_delta = state.clone();
        if take_delta(&mut by_delta, &sent.delta) {
            let once = by_delta.clone();
            assert!(take_delta(&mut by_delta, &sent.delta));
            assert_eq!(once, by_delta, "a delta taken twice is taken once");
            checks += 1;
        } else {
            assert_eq!(by_delta, *state, "a delta that has to wait changes nothing");
        }
    }
    checks
}

/// Delivers all to all in three orders. Gives the end states, and whether nothing had to be
/// written again on the way (then the orders must agree).
fn shuffles(w: &World, rng: &mut Random) -> (Vec<Record>, bool) {
    let mut settled = true;
    let ends = (0..3).map(|_| {
        let mut w = w.clone();
        let written = w.deltas.len();
        deliver_all(&mut w, rng);
        settled &= written == w.deltas.len();
        let end = &w.sites[0];
        for s in &w.sites {
            assert_eq!(s.known, end.known, "all sites hold the same");
        }
        if w.oracle.erased {
            assert!(end.known.erased.is_some() && end.known.rows.is_empty());
        } else {
            assert_eq!(end.has.iter().count(), w.oracle.events.len(), "all has arrived");
        }
        w.oracle.check_content(&end.known, &end.has);
        w.oracle.check_life(&end.known, &end.has);
        end.known.clone()
    });
    let ends: Vec<Record> = ends.collect();
    (ends, settled)
}

fn deliver_all(w: &mut World, rng: &mut Random) {
    for round in 0.. {
        assert!(round < 8, "no end of writing: ping-pong");
        let before: Vec<Record> = w.sites.iter().map(|s| s.known.clone()).collect();
        let sites = w.sites.len();
        let mut work: Vec<(usize, usize)> = (0..sites).flat_map(|to| (0..sites + w.deltas.len()).map(move |what| (to, what))).collect();
        for i in (1..work.len()).rev() {
            work.swap(i, below(i + 1, rng));
        }
        for (to, what) in work {
            let World { sites: all, deltas, oracle, now, .. } = &mut *w;
            if what >= sites {
                all[to].waiting.push(what - sites);
                settle_waiting(&mut all[to], deltas, oracle, *now);
            } else if what != to {
                let (file, ids) = (all[what].known.clone(), all[what].has);
                deltas.extend(all[to].take_file(&file, &ids, oracle, *now));
            }
        }
        if w.sites.iter().map(|s| &s.known).eq(&before) && round > 0 {
            return;
        }
    }
}

/// Somebody who reads only deltas and somebody who reads only files hold the same.
fn observers(w: &World, end: &Record, weather: Weather, rng: &mut Random) -> u64 {
    let mut files = Record::new("p", root().id);
    w.sites.iter().for_each(|s| files = join(&files, &s.known));
    let mut by_delta = w.files[0].0.clone();
    let mut left: Vec<&Sent> = w.deltas.iter().collect();
    while !left.is_empty() {
        let many = left.len();
        for i in (1..many).rev() {
            left.swap(i, below(i + 1, rng));
        }
        left.retain(|s| !take_delta(&mut by_delta, &s.delta));
        assert!(left.len() < many, "every delta's turn comes");
    }
    if weather.strips {
        // What is stripped is not said in deltas; the next file says it.
        assert_eq!(join(&by_delta, &files), files);
        assert_eq!(life(&join(&files, &by_delta)), life(&files));
    } else {
        assert_eq!(by_delta, files, "deltas and files say the same");
        assert_eq!(files, *end);
    }
    1
}
