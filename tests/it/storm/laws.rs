//! Everything heals; then the laws hold.

use super::Storm;
use crate::dsl::check::{apart, misfiled, reasons, restless, show};
use crate::dsl::{DAY_MS, Site};
use cloud_folder_sync::log::{Item, Segment};
use cloud_folder_sync::merge::{Life, life};
use cloud_folder_sync::names::{blob_path, record_path};
use cloud_folder_sync::state::Place;
use cloud_folder_sync::sync::lookup::Lookup;
use cloud_folder_sync::value::{Value, hash};
use cloud_folder_sync::xml::read_record;
use std::collections::BTreeSet;

impl Storm {
    /// In a replay: who knows the word that is asked for.
    pub(super) fn where_is(&self) {
        if let (true, Ok(word)) = (self.tell, std::env::var("STORM_WORD")) {
            whereabouts(self, &word);
        }
    }

    #[track_caller]
    pub(super) fn broken(&self, law: &str, why: &str) -> ! {
        panic!("seed {}: {law}\n{}", self.seed, why.replace("-long", ""))
    }

    /// What a site stripped for good, every site that it knows of has the tombstone of: nobody is to find
    /// out from an empty row.
    pub(super) fn emptied_too_early(&self, i: usize) {
        // Who is told to strip at once, or goes on under another name, has no such promise.
        if !self.swarm.short || self.swarm.unlogged || self.swarm.doubles() || self.swarm.purges() {
            return;
        }
        let state = self.sites[i].state();
        let knows = |s: &Site| state.peer(&s.state().site().unwrap()).is_ok_and(|p| p.file.is_some());
        let others: Vec<&Site> = self.sites.iter().filter(|s| knows(s)).collect();
        for id in state.all(None).unwrap() {
            let known = self.sites[i].known(&id);
            for (key, row) in known.rows.iter().filter(|(_, r)| r.tombstone.as_ref().is_some_and(|t| t.bare)) {
                // Who deleted what it hangs below has heard of it, and who took it back since.
                let heard = |s: &&&Site| {
                    let theirs = s.known(&id);
                    theirs.rows.get(key).is_some_and(|r| r.tombstone.is_some() || r.stamp > row.stamp) || life(&theirs).get(key) == Some(&Life::Deleted)
                };
                if let Some(s) = others.iter().find(|s| !heard(s)) {
                    self.broken("L5 trash", &format!("{} emptied {} {} of {id}, whose deletion {} has not heard of", self.sites[i].name, key.table, key.id, s.name));
                }
            }
        }
    }

    fn round(&mut self) {
        self.cloud.carry();
        for i in 0..self.sites.len() {
            self.about_to_delete(i);
            let r = self.sites[i].sync();
            self.after_a_sync(i);
            self.cloud.carry();
            if self.tell {
                eprintln!("{}: healing: exp {} imp {} held {:?} {:?}", self.sites[i].name, r.exported, r.imported, r.held, r.notices);
                self.where_is();
            }
        }
    }
}

/// Heals, then checks.
pub(super) fn check(storm: &mut Storm) {
    storm.lost.clear();
    storm.put_right();
    for _ in 0..storm.rounds() {
        storm.round();
    }
    // Either way of the news alone suffices: nobody has looked at every file yet.
    let all: Vec<&Site> = storm.sites.iter().collect();
    // Large values that the folder lost are written again by the daily look.
    let awaits = |s: &&Site| !s.state().awaited().unwrap().is_empty();
    if let Some(why) = apart(&all).filter(|_| !storm.swarm.any() && !storm.swarm.partial_logs && all.iter().all(|s| s.settings.use_logs) && !all.iter().any(awaits)) {
        storm.broken("L3 convergence by logs", &why);
    }
    // What is stripped is not told of: who has not stripped it as well finds it at the next daily look.
    // Nor is what somebody saw of an erased record: of two who find that out, the first may have looked a moment before.
    let days = if storm.swarm.short { 4 } else { usize::from(!storm.swarm.erased.is_empty()) };
    for _ in 0..days {
        storm.sites.iter().for_each(|s| s.pass(DAY_MS + 1000));
        storm.round();
    }
    // The daily look at every file repairs what was put back or lost in the folder.
    for s in &storm.sites {
        s.pass(DAY_MS + 1000);
    }
    for _ in 0..storm.rounds() + 1 {
        storm.round();
    }
    let all: Vec<&Site> = storm.sites.iter().collect();
    if let Some(why) = apart(&all) {
        storm.broken("L3 convergence", &why);
    }
    folders(storm);
    let mut all: Vec<&mut Site> = storm.sites.iter_mut().collect();
    if let Some(who) = restless(&mut all, &mut storm.cloud) {
        storm.broken("L4 quiescence", &who);
    }
    for s in &storm.sites {
        if s.get("PRAGMA integrity_check") != "ok" || s.get("SELECT count(*) FROM pragma_foreign_key_check") != "0" {
            storm.broken("L6", "the database is not sound");
        }
    }
    values(storm);
    erased(storm);
    large(storm);
    joiner(storm);
}

/// L3: the folders are one, and hold what is known.
fn folders(storm: &Storm) {
    let first = storm.sites[0].folder.all();
    for s in &storm.sites[1..] {
        let other = s.folder.all();
        let differ: Vec<&String> = first.keys().chain(other.keys()).filter(|p| first.get(*p) != other.get(*p) && !storm.cloud.stays_home(p)).collect();
        if !differ.is_empty() {
            storm.broken("L3 folders", &format!("{differ:?}"));
        }
    }
    if let Some(why) = misfiled(&storm.sites[0]) {
        storm.broken("L3 folders", &why);
    }
}

/// Every large value that is known is in the folder, whole, and every site has its content.
fn large(storm: &Storm) {
    for s in &storm.sites {
        let state = s.state();
        for id in state.all(None).unwrap() {
            let n = state.number(&id).unwrap().unwrap();
            let (known, uses) = (s.known(&id), state.uses(n).unwrap());
            if known.large().into_keys().collect::<Vec<_>>() != uses.iter().map(|u| u.large).collect::<Vec<_>>() {
                storm.broken("large values", "what a record refers to is not what is noted");
            }
            for u in uses {
                let there = s.folder.get(&blob_path(&u.large.0)).is_some_and(|b| hash(&b) == u.large.0);
                let here = Lookup::new(&s.conn, state, &s.mapping).content(&u.large.0).unwrap().is_some_and(|b| hash(&b) == u.large.0);
                // What a person had stripped of its content before it had come everywhere is waited for in the trash.
                let stripped = storm.swarm.stripped && !there && !here && known.large().get(&u.large).is_some_and(|at| at.iter().all(|(r, _)| known.rows[*r].tombstone.is_some()));
                if stripped {
                    continue;
                }
                if !there || !here || u.place == Place::Awaited {
                    let places: Vec<String> = known.large().remove(&u.large).unwrap_or_default().iter().map(|(r, f)| format!("{}.{}", r.table, f.name)).collect();
                    let word = s.folder.get(&blob_path(&u.large.0)).map(|b| String::from_utf8_lossy(&b).replace("-long", ""));
                    storm.broken("large values", &format!("{}: {word:?} of {id} {places:?}: in the folder {there}, here {here}, {:?}", s.name, u.place));
                }
            }
        }
    }
}

/// L1, L2 and L5: every typed word is somewhere unless let go; no other word is; what is deleted
/// was deleted by somebody who saw it.
fn values(storm: &Storm) {
    let mut known = BTreeSet::new();
    let mut live = BTreeSet::new();
    let mut dead = BTreeSet::new();
    let state = storm.sites[0].state();
    for id in state.all(None).unwrap() {
        let r = storm.sites[0].known(&id);
        let lives = life(&r);
        for (key, row) in &r.rows {
            for (name, field) in row.fields.iter().filter(|(n, _)| n.place.is_none() && n.name != "updated_at") {
                for e in field.0.iter() {
                    known.insert(shown(&storm.sites[0], &e.value));
                }
                if let Some(v @ (Value::Text(_) | Value::Stored { text: true, .. })) = field.current().map(|e| &e.value) {
                    let w = shown(&storm.sites[0], v);
                    if lives.get(key) == Some(&Life::Deleted) {
                        dead.insert((w, name.name.to_string()))
                    } else {
                        live.insert((w, name.name.to_string()))
                    };
                }
            }
        }
    }
    known.extend(storm.kept_by_hosts());
    let stripped = |w: &String| storm.swarm.stripped && storm.oracle.deleted.contains(w);
    let lost: Vec<&String> = storm.oracle.typed.iter().filter(|(w, gone)| !**gone && !known.contains(*w) && !stripped(w)).map(|(w, _)| w).collect();
    if !lost.is_empty() {
        storm.broken("L1 lost", &format!("{lost:?}\nheld: {:?}", storm.sites.iter().map(reasons).collect::<Vec<_>>()));
    }
    let made: Vec<&(String, String)> = live.iter().chain(&dead).filter(|(w, _)| w.starts_with('w') && !storm.oracle.typed.contains_key(w)).collect();
    if !made.is_empty() {
        storm.broken("L2 invented", &format!("{made:?}"));
    }
    let live: BTreeSet<&String> = live.iter().map(|(w, _)| w).collect();
    let silent: Vec<&(String, String)> =
        dead.iter().filter(|(w, _)| storm.oracle.typed.get(w) == Some(&false) && w.starts_with('w') && !storm.oracle.deleted.contains(w) && !live.contains(w)).collect();
    if !silent.is_empty() {
        storm.broken("L5 deleted silently", &format!("{silent:?}"));
    }
}

/// What a patient had erased is nowhere: not in what is known, nor in the folder's files or own logs.
fn erased(storm: &Storm) {
    for s in &storm.sites {
        let state = s.state();
        for id in &storm.swarm.erased {
            let known = s.known(id);
            if known.erased.is_none() {
                continue;
            }
            let holds = |i: &Item| matches!(i, Item::Delta(d) if d.part.id == *id && !d.part.rows.is_empty());
            let logs = format!("logs/{}/", state.site().unwrap());
            let told = s.folder.all().iter().any(|(p, b)| p.starts_with(&logs) && Segment::read(b, &state.folder).is_ok_and(|(seg, _)| seg.items.iter().any(holds)));
            let filed = s.folder.get(&record_path(&known.kind, id)).is_some_and(|b| read_record(&b, &state.folder).is_ok_and(|r| !r.rows.is_empty()));
            if !known.rows.is_empty() || told || filed {
                storm.broken("L9 erased", &format!("{}: {id}: known {}, in its log {told}, in its file {filed}", s.name, known.rows.len()));
            }
        }
    }
}

/// A value as text; the content of a large one must be at every site that knows it.
pub(super) fn shown(s: &Site, v: &Value) -> String {
    match v.stored() {
        Some((hash, _)) => String::from_utf8(Lookup::new(&s.conn, s.state(), &s.mapping).content(&hash).unwrap().unwrap_or_default()).unwrap(),
        None => show(v),
    }
}

/// Tells which sites know a word, and which hosts show it; or which replicas have a file.
fn whereabouts(storm: &Storm, word: &str) {
    let mut said = String::new();
    for s in &storm.sites {
        // Files whose names begin so.
        if let Some(start) = word.strip_prefix("file:") {
            let of = |p: &&String| p.rsplit('/').next().is_some_and(|n| n.starts_with(start));
            let row = s.conn.query_row("SELECT hex(r.id) || ' flags ' || r.flags || ' ' || coalesce(f.hash, '-') || ' ' || coalesce(f.size, '-') || ' ' || coalesce(f.due, '-') FROM cfs_record r LEFT JOIN cfs_file f USING (n) WHERE hex(r.id) LIKE ?1 || '%'", [start.to_uppercase()], |r| r.get::<_, String>(0)).unwrap_or_default();
            said.push_str(&format!("\n      {}: {row} {:?}", s.name, s.folder.held().iter().filter(|(p, _)| of(p)).map(|(p, b)| (p, b.len())).collect::<Vec<_>>()));
        }
        if let Some(start) = word.strip_prefix("known:") {
            for r in s.state().all(None).unwrap().into_iter().filter(|r| r.to_string().starts_with(start)) {
                let bytes = cloud_folder_sync::xml::write_record(&s.known(&r), &s.state().folder);
                said.push_str(&format!("\n      {}: {}", s.name, String::from_utf8_lossy(&bytes).replace("-long", "").replace('\n', "\n        ")));
            }
        }
        // A field instead of a word: what every site knows of it.
        if let Some((id, (table, column))) = word.split_once('/').and_then(|(id, w)| Some((id, w.split_once('.')?))) {
            for r in s.state().all(None).unwrap().into_iter().filter(|r| r.to_string().starts_with(id)).map(|r| s.known(&r)) {
                for (key, row) in r.rows.iter().filter(|(k, _)| &*k.table == table) {
                    for e in row.fields.iter().filter(|(n, _)| &*n.name == column).flat_map(|(_, f)| f.0.iter()) {
                        let by = storm.sites.iter().find(|s| s.state().site().unwrap() == e.stamp.site).map_or("-", |s| s.name.as_str());
                        let gone = row.tombstone.as_ref().map_or(String::new(), |t| format!(" gone: {}", t.why));
                        said.push_str(&format!(
                            "\n      {}: {} {}@{}{gone}",
                            s.name,
                            &key.id.to_string()[..4],
                            shown(s, &e.value).replace("-long", ""),
                            format_args!("{}.{by}", e.stamp.time.ms % 100_000)
                        ));
                    }
                }
            }
        }
        for id in s.state().all(None).unwrap() {
            for (key, row) in &s.known(&id).rows {
                for (name, field) in &row.fields {
                    for e in field.0.iter().filter(|e| shown(s, &e.value).replace("-long", "") == word) {
                        said.push_str(&format!(
                            " {}:{}/{}.{} {} {}",
                            s.name,
                            &id.to_string()[..8],
                            key.table,
                            name.name,
                            e.stamp.time.ms % 100_000,
                            row.tombstone.as_ref().map_or("", |t| &t.why)
                        ));
                    }
                }
            }
        }
        if super::oracle::words(s, "1").iter().any(|w| w.replace("-long", "") == word) {
            said.push_str(&format!(" {}:host", s.name));
        }
    }
    eprintln!("    {word} is{said}");
}

/// L7: who joins now, and reads everything in another order, knows the same.
fn joiner(storm: &mut Storm) {
    // A log that was compacted is no longer all there is to know.
    let segments = |s: &Site| s.folder.all().into_keys().filter(|p| p.starts_with("logs/")).collect::<Vec<String>>();
    let dirs: BTreeSet<String> = segments(&storm.sites[0]).iter().filter_map(|p| Some(p.rsplit_once('/')?.0.to_owned())).collect();
    let whole = !storm.swarm.partial_logs && dirs.iter().all(|d| crate::dsl::has(&storm.sites[0].folder, &format!("{d}/00000001.xml")));
    let logs = whole && storm.sites.iter().all(|s| s.settings.use_logs);
    for part in ["records/", "logs/"] {
        if part == "logs/" && !logs {
            continue;
        }
        let mut late = Site::bare("late", storm.cloud.join());
        for p in late.folder.all().keys().filter(|p| p.contains('/') && !p.starts_with(part)) {
            late.folder.take(p);
        }
        late.set_up();
        late.sync();
        late.sync();
        let why = apart_known(&storm.sites[0], &late);
        storm.cloud.replicas.pop();
        storm.cloud.forget_last();
        if let Some(why) = why {
            storm.broken(&format!("L7 a joiner by {part} alone"), &why);
        }
    }
}

fn apart_known(a: &Site, b: &Site) -> Option<String> {
    let (x, y) = (crate::dsl::check::known(a), crate::dsl::check::known(b));
    (x != y).then(|| apart(&[a, b]).unwrap_or_default())
}
