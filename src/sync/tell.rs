//! The account of a synchronization: record, field, old and new, from which site.

use super::settle::Prepared;
use super::{Engine, Error};
use crate::host::apply::Done;
use crate::host::capture::Note;
use crate::id::{RecordId, RowId, SiteId};
use crate::merge::Life;
use crate::record::{FieldKey, RowKey};
use crate::report::apart;
use crate::shared::Name;
use crate::state::{self, ChangeRow};
use crate::sync::orders::Order;
use crate::value::Value;
use std::collections::BTreeSet;

/// How much of a value the log shows, in characters.
const SHOWN: usize = 200;

/// The outcome of what a person decided here.
const DECIDED: &str = "decided";

/// A value for people, whole: who decides between two must see all of both, and who edits one must not lose its end.
pub(crate) fn display(v: &Value) -> String {
    match v {
        Value::Null => "(empty)".to_owned(),
        Value::Integer(i) => i.to_string(),
        Value::Real(r) => crate::xml::number(*r),
        Value::Text(t) => String::from_utf8_lossy(t).into_owned(),
        Value::Blob(b) => format!("({} bytes)", b.len()),
        Value::Stored { size_bytes, .. } => format!("({size_bytes} bytes)"),
        Value::Ref(r) => format!("{} {}", r.table, &r.row.to_string()[..8]),
    }
}

/// The values before and after, as the log keeps them: cut, and so that what differs is in sight.
fn before_and_after(old: Option<&Value>, new: Option<&Value>) -> (Option<String>, Option<String>) {
    match (old.map(display), new.map(display)) {
        (Some(old), Some(new)) => {
            let (old, new) = apart(&old, &new, SHOWN);
            (Some(old), Some(new))
        }
        (old, new) => (old.map(|v| apart(&v, "", SHOWN).0), new.map(|v| apart(&v, "", SHOWN).0)),
    }
}

impl Engine<'_> {
    /// How long this synchronization has taken so far.
    pub(super) fn seconds(&self) -> f64 {
        self.env.now.ms().saturating_sub(self.started_ms) as f64 / 1000.0
    }

    /// A line of the account.
    pub(super) fn change(&self, id: RecordId, kind: &str, row: Option<&RowKey>, field: Option<&Name>, what: &str, site: Option<SiteId>) -> ChangeRow {
        ChangeRow { id, kind: kind.to_owned(), row: row.map(|r| (r.table.to_string(), r.id)), field: field.map(Name::to_string), old: None, new: None, site, what: what.to_owned() }
    }

    /// Logs what the host did.
    pub(super) fn log_host(&mut self, p: &mut Prepared, host: &super::diff::HostChanges) {
        let site = Some(self.site);
        let (known, applied, work, _) = p.parts();
        let (id, kind) = (work.id, known.kind.clone());
        let fresh = known.rows.is_empty();
        let mut lines = Vec::new();
        if fresh {
            lines.push(self.change(id, &kind, None, None, "sent (new)", site));
        } else {
            for key in host.inserted.iter().chain(&host.again) {
                lines.push(self.change(id, &kind, Some(key), None, "added", site));
            }
            for c in &host.changes {
                // What whoever typed it saw, not what came from elsewhere in the same synchronization.
                let old = applied.rows.get(&c.row).or_else(|| known.rows.get(&c.row)).and_then(|r| r.current(&c.field));
                let shown = before_and_after(old, Some(&c.value));
                let mut line = self.change(id, &kind, Some(&c.row), Some(&c.field.name), "changed", site);
                (line.old, line.new) = shown;
                lines.push(line);
            }
        }
        p.parts().3.extend(lines);
    }

    /// Logs what a person decided of a field.
    pub(super) fn log_decided(&self, p: &mut Prepared, row: &RowKey, field: &FieldKey, old: Option<&Value>, new: &Value) {
        let (id, kind) = (p.work.id, p.known.kind.clone());
        let mut line = self.change(id, &kind, Some(row), Some(&field.name), DECIDED, Some(self.site));
        (line.old, line.new) = before_and_after(old, Some(new));
        p.log.push(line);
    }

    /// Logs what became of a record as a whole, here.
    pub(super) fn log_of_record(&self, p: &mut Prepared, what: &str, why: Option<&str>) {
        let mut line = self.change(p.work.id, &p.known.kind.clone(), None, None, what, Some(self.site));
        line.new = why.map(str::to_owned);
        p.log.push(line);
    }

    /// Logs that the host refuses a record, once for each reason.
    pub(super) fn log_held(&self, p: &mut Prepared, flags: i64, reason: Option<&str>) {
        let told = p.stored.flags & state::HELD != 0 && p.stored.reason.as_deref() == reason;
        if flags & state::HELD != 0 && !told {
            self.log_of_record(p, "held", reason);
        }
    }

    /// Logs values that lost and wait for a person from now on. What a newcomer reads of long ago is no news.
    pub(super) fn log_superseded(&self, p: &mut Prepared) {
        if p.new {
            return;
        }
        let mut lines = Vec::new();
        for (key, f, v) in self.undecided(&p.known, &p.lives) {
            let Some(current) = v.current() else { continue };
            let had = p.stored.known.rows.get(key).and_then(|r| r.fields.get(f)).map(crate::record::Field::superseded).unwrap_or_default();
            for e in v.superseded().into_iter().filter(|e| had.iter().all(|h| h.stamp != e.stamp)) {
                let mut line = self.change(p.work.id, &p.known.kind, Some(key), Some(&f.name), "conflict", Some(e.stamp.site));
                (line.old, line.new) = before_and_after(Some(&e.value), Some(&current.value));
                lines.push(line);
            }
        }
        p.log.extend(lines);
    }

    /// Logs what a person elsewhere decided where this host shows what was chosen already: nothing changes in it.
    pub(super) fn log_decided_elsewhere(&self, p: &mut Prepared) {
        if !p.came || p.new {
            return;
        }
        let mut lines = Vec::new();
        for (key, f, was) in self.undecided(&p.stored.known, &p.lives) {
            let Some(now) = p.known.rows.get(key).and_then(|r| r.fields.get(f)) else { continue };
            let (Some(had), Some(has)) = (was.current(), now.current()) else { continue };
            if had.value != has.value || has.stamp == had.stamp || has.stamp.site == self.site {
                continue;
            }
            for lost in was.superseded().into_iter().filter(|e| now.0.iter().all(|n| n.stamp != e.stamp)) {
                let mut line = self.change(p.work.id, &p.known.kind, Some(key), Some(&f.name), DECIDED, Some(has.stamp.site));
                (line.old, line.new) = before_and_after(Some(&lost.value), Some(&has.value));
                lines.push(line);
            }
        }
        p.log.extend(lines);
    }

    /// Logs what applying changed in the host.
    pub(super) fn log_applied(&mut self, p: &mut Prepared, done: &Done) {
        if done.changes.is_empty() {
            return;
        }
        let root = p.parts().0.root_key();
        let (id, kind) = (p.parts().2.id, p.parts().0.kind.clone());
        let whole = done.changes.iter().any(|c| c.row == root && c.field.is_none() && c.old.is_none());
        // With the root row all the others went; what they were is in the trash.
        let gone = done.changes.iter().any(|c| c.row == root && c.field.is_none() && c.old.is_some());
        let mut lines: Vec<ChangeRow> = Vec::new();
        let told: BTreeSet<RowId> = p.parts().3.iter().filter(|l| l.field.is_none()).filter_map(|l| Some(l.row.as_ref()?.1)).collect();
        let back = p.orders.iter().any(|o| matches!(o, Order::TakeBack { .. }));
        for c in &done.changes {
            let inserted = c.field.is_none() && c.old.is_none();
            let vanished = inserted && p.vanished(&c.row);
            let fetched = inserted && back && p.stored.local.rows.contains_key(&c.row);
            let decided = |l: &ChangeRow| l.what == DECIDED && l.field.as_deref() == c.field.as_deref() && l.row.as_ref().is_some_and(|(_, id)| *id == c.row.id);
            if c.field.is_some() && p.log.iter().any(decided) {
                continue;
            }
            let known = &*p.parts().0;
            let row = known.rows.get(&c.row);
            let site: Option<SiteId> = match &c.field {
                Some(f) => row.and_then(|r| r.fields.get(&FieldKey::shared(f.clone()))).and_then(|f| f.current()).map(|e| e.stamp.site),
                // What the host deleted without a word to us, it deleted here.
                None if vanished || fetched => Some(self.site),
                None if inserted => row.map(|r| r.stamp.site),
                None => row.map(|r| r.tombstone.as_ref().map_or(r.stamp.site, |t| t.stamp.site)).or(known.erased.as_ref().map(|e| e.stamp.site)),
            };
            let why = row.and_then(|r| r.tombstone.as_ref()).filter(|_| gone).map(|t| t.why.clone());
            if (whole || gone) && c.row != root {
                continue;
            }
            if c.field.is_none() && !vanished && row.is_some_and(|r| r.tombstone.is_some()) && told.contains(&c.row.id) {
                // Why it is back, or deleted, says that it is.
                continue;
            }
            let what = match (&c.field, &c.old) {
                (Some(_), _) => "received",
                (None, None) if vanished => "deleted here without `cfs delete`: it came back from the folder",
                (None, None) if fetched => "brought back",
                (None, None) if whole => "received (new)",
                (None, None) => "received (added)",
                (None, Some(_)) if p.parts().0.erased.is_some() => "erased",
                (None, Some(_)) if gone => "deleted",
                (None, Some(_)) => "removed",
            };
            let row_key = if whole || gone { None } else { Some(&c.row) };
            let mut line = self.change(id, &kind, row_key, c.field.as_ref(), what, site);
            (line.old, line.new) = before_and_after(c.old.as_ref().filter(|_| c.field.is_some()), c.new.as_ref());
            line.new = line.new.or(why);
            lines.push(line);
        }
        let deleted = done.changes.iter().any(|c| c.field.is_none() && c.old.is_some());
        if deleted && p.came_from_elsewhere() {
            self.report.tombstones.applied += 1;
        }
        p.parts().3.extend(lines);
    }

    /// Tells of deleted rows that are back: because somebody had edited them without having seen the
    /// deletion, or because somebody who had seen it restored them.
    pub(super) fn log_revived(
        &mut self,
        p: &mut Prepared,
        before: &std::collections::BTreeMap<RowKey, Life>,
        after: &std::collections::BTreeMap<RowKey, Life>,
        rescued: &[RowKey],
    ) {
        let (id, kind) = (p.parts().2.id, p.parts().0.kind.clone());
        let live: Vec<RowKey> = after.iter().filter(|(_, l)| **l == Life::Live).map(|(k, _)| k.clone()).collect();
        for key in live {
            let Some((stamp, has)) = p.parts().0.rows.get(&key).and_then(|r| Some((r.stamp, r.tombstone.clone()?))) else { continue };
            // What a newcomer reads of long ago is no news.
            let Some((was, had)) = p.stored_mut().known.rows.get(&key).map(|r| (r.stamp, r.tombstone.clone())) else { continue };
            let gone = before.get(&key) != Some(&Life::Live);
            let rescued = rescued.contains(&key);
            // A row inserted again after the tombstone was restored by somebody who knew of it.
            let restored = stamp > has.stamp && !rescued;
            // What was restored here was said where it was done, and what was restored with the row
            // above, or long ago, is said there.
            let news = if restored { gone && was != stamp && stamp.site != self.site } else { gone || had.as_ref() != Some(&has) };
            if !news {
                continue;
            }
            let (what, site) = if restored {
                self.report.restored += 1;
                ("restored there: it is back", stamp.site)
            } else {
                self.report.revived += u64::from(!rescued);
                let here = has.stamp.site == self.site;
                (if here { "deleted here while edited there: it is back" } else { "deleted there while edited here: it is back" }, has.stamp.site)
            };
            let line = self.change(id, &kind, Some(&key), None, what, Some(site));
            p.parts().3.push(line);
        }
    }

    /// Writes lines of the account.
    pub(super) fn log_all(&mut self, lines: &[ChangeRow]) -> Result<(), Error> {
        if lines.is_empty() {
            return Ok(());
        }
        let run = self.run_number()?;
        lines.iter().try_for_each(|l| self.state.add_change(run, l))?;
        Ok(())
    }

    /// The number of this run, which starts its account.
    pub(super) fn run_number(&mut self) -> Result<i64, Error> {
        if let Some(r) = self.run {
            return Ok(r);
        }
        let run = self.state.start_run(self.now())?;
        self.run = Some(run);
        Ok(run)
    }

    /// A site's name for people.
    pub(super) fn site_label(&self, id: &SiteId) -> String {
        let known = self.sites().ok().and_then(|all| all.into_iter().find(|s| s.id == *id));
        known.map_or_else(|| id.to_string(), |s| format!("\"{}\"", s.name))
    }

    /// A note that our own writes made about a record that was not being applied: a cascade or a
    /// host trigger reached it. It stays to be looked at.
    pub(super) fn keep_foreign(&mut self, n: &Note) -> Result<(), Error> {
        let Some(t) = self.mapping.tables.get(n.table) else { return Ok(()) };
        let key = if n.op == 'D' || n.op == 'R' { &n.old_key } else { &n.new_key };
        if n.op == 'D' {
            // A cascade of the host took a row that we believe to be there.
            let Some(root) = self.roots_of(n)?.0 else { return Ok(()) };
            if let Some(id) = self.lookup.record_of_root(t.kind, &root)?
                && self.state.local(&id)?.is_some_and(|l| l.find(&t.name, key).is_some())
            {
                self.again.insert(id);
            }
            return Ok(());
        }
        if n.op == 'R' {
            return Ok(());
        }
        let root = crate::host::rows::climb(self.conn, self.mapping, n.table, t.key_columns(), key, &|_, _, _| None)?;
        if let Some(id) = root.map(|r| self.lookup.record_of_root(t.kind, &r)).transpose()?.flatten()
            && !self.settled.contains(&id)
        {
            self.again.insert(id);
        }
        Ok(())
    }
}
