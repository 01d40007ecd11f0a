//! Orders: what people decide about a record. They are writes like any other.

use super::settle::Prepared;
use super::{Engine, Error};
use crate::host::local::Away;
use crate::merge::{self, Change, Life, Seen};
use crate::planted;
use crate::record::{FieldKey, RowKey, SameAs, Tombstone};
use crate::value::Value;
use std::collections::BTreeMap;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Delete a row and all below it; the root row: the record.
    Delete {
        /// Which row.
        row: RowKey,
        /// Why.
        why: String,
        /// Who; `None` for the site's name.
        by: Option<String>,
        /// The row of `cfs_delete` that asks for it.
        request: Option<i64>,
    },
    /// Bring a deleted row back, with all that went with it.
    Restore {
        /// Which row.
        row: RowKey,
    },
    /// Decide a field: this value, and the others go.
    Decide {
        /// Which row.
        row: RowKey,
        /// Which field.
        field: FieldKey,
        /// The value that stays.
        value: Value,
        /// The stamps of the values that the person was shown, where that is known: one that came since stays.
        shown: Option<std::collections::BTreeSet<crate::stamp::Stamp>>,
    },
    /// A row that the host deleted comes back.
    TakeBack {
        /// Which row.
        row: RowKey,
    },
    /// The record's content goes for good.
    Erase {
        /// Who asked for it.
        by: String,
    },
    /// Say whether the record is the same as another, whose UUID is smaller.
    Say {
        /// The other record.
        other: crate::id::RecordId,
        /// What is said.
        says: SameAs,
        /// Whether nobody said it: the records match.
        by_itself: bool,
    },
    /// Strip what was deleted now, without waiting for the retention time.
    Purge,
    /// Strip what these tombstones deleted.
    Strip {
        /// By their stamps.
        tombstones: std::collections::BTreeSet<crate::stamp::Stamp>,
        /// Whether a person asked for it, before that time was over.
        asked: bool,
    },
}

impl Order {
    /// Whether nothing else in a report counts what a person decided with it.
    pub(super) fn is_decision(&self) -> bool {
        matches!(self, Order::Decide { .. } | Order::TakeBack { .. } | Order::Purge | Order::Strip { asked: true, .. })
    }
}

/// Carries out the orders for a record that is being settled.
pub(super) fn carry_out(engine: &mut Engine<'_>, p: &mut Prepared) -> Result<(), Error> {
    let orders = std::mem::take(&mut p.parts().2.orders);
    for order in orders {
        match order {
            Order::Delete { row, why, by, request } => {
                if p.parts().0.rows.contains_key(&row) && merge::life(p.parts().0).get(&row) == Some(&Life::Live) {
                    delete(engine, p, &row, &why, by);
                }
                if let Some(l) = p.stored_mut().local.rows.get_mut(&row) {
                    l.away = l.away.filter(|a| *a != Away::Deleted);
                }
                if let Some(rowid) = request {
                    engine.requests_done.push(rowid);
                }
            }
            Order::Restore { row } => restore(engine, p, &row),
            Order::Decide { row, field, value, shown } => {
                let stamp = engine.tick();
                // The person saw all that was listed, whatever the host has accepted; not what came
                // with this very sync.
                let mut seen = p.without_awaited(&p.stored.known);
                if let (Some(shown), Some(entries)) = (shown, seen.rows.get_mut(&row).and_then(|r| r.fields.get_mut(&field))) {
                    entries.0.retain(|e| shown.contains(&e.stamp));
                }
                let now = p.known.rows.get(&row).and_then(|r| r.current(&field)).cloned();
                engine.log_decided(p, &row, &field, now.as_ref(), &value);
                let change = Change { row, field, value, seen: Seen::All, back: None };
                merge::write_field(p.parts().0, Some(&seen), &change, stamp);
            }
            Order::TakeBack { row } => {
                for (k, l) in &mut p.stored_mut().local.rows {
                    if *k == row || l.away == Some(Away::Deleted) {
                        l.away = Some(Away::Waiting);
                    }
                }
            }
            Order::Erase { by } => {
                let stamp = engine.tick();
                let (known, _, _, _) = p.parts();
                merge::erase(known, stamp, &by);
            }
            Order::Say { other, says, by_itself } => say(engine, p, other, says, by_itself),
            Order::Purge => {
                if merge::strip(p.parts().0, |_| true) > 0 {
                    engine.log_of_record(p, "purged", None);
                }
            }
            Order::Strip { tombstones, asked } => {
                if merge::strip(p.parts().0, |t| tombstones.contains(&t.stamp)) > 0 && asked {
                    engine.log_of_record(p, "purged", None);
                }
            }
        }
    }
    Ok(())
}

fn delete(engine: &mut Engine<'_>, p: &mut Prepared, row: &RowKey, why: &str, by: Option<String>) {
    let stamp = engine.tick();
    let site = engine.site;
    let name = engine.site_name.clone();
    let seen = p.seen_below(site, row);
    let (known, applied, _, _) = p.parts();
    let t = Tombstone { stamp, by: by.unwrap_or(name), why: why.to_owned(), moved_to: None, seen, bare: false, unknown: BTreeMap::new() };
    merge::tombstone(known, row, t.clone());
    merge::tombstone(applied, row, t);
    engine.report.tombstones.sent += 1;
    let kind = p.parts().0.kind.clone();
    let id = p.parts().2.id;
    let mut line = engine.change(id, &kind, Some(row), None, "deleted", Some(site));
    line.new = Some(why.to_owned());
    p.parts().3.push(line);
}

fn say(engine: &mut Engine<'_>, p: &mut Prepared, other: crate::id::RecordId, says: SameAs, by_itself: bool) {
    let stamp = engine.tick();
    let (known, _, _, _) = p.parts();
    let fact = (if by_itself { merge::by_itself(stamp.site) } else { stamp }, says);
    if other < known.id && known.same_as.get(&other).is_none_or(|had| *had < fact) {
        known.same_as.insert(other, fact);
        known.version.add(stamp);
    }
}

pub(super) fn restore(engine: &mut Engine<'_>, p: &mut Prepared, row: &RowKey) {
    let lives = merge::life(p.parts().0);
    let rows = merge::tree(p.parts().0, row);
    // The rows above must be there for it to hang from.
    let mut wanted: Vec<RowKey> = merge::above(p.parts().0, row).into_iter().filter(|k| lives.get(k) == Some(&Life::Deleted)).collect();
    wanted.extend(rows.into_iter().filter(|k| lives.get(k) == Some(&Life::Deleted)));
    if wanted.is_empty() {
        // It is there, or there again and its content still awaited.
        return;
    }
    for key in wanted {
        let Some(content) = p.parts().0.rows.get(&key).cloned() else { continue };
        let (now, site) = (engine.env.now.ms(), engine.site);
        let mut clock = engine.clock;
        let (known, _, _, _) = p.parts();
        if content.is_bare() && !planted::bug("stripped-taken-for-empty") {
            merge::wake(known, &key, clock.tick(now, site));
        } else {
            merge::reinsert(known, &key, &content, &mut || clock.tick(now, site));
        }
        engine.clock = clock;
        engine.ticked = true;
    }
    engine.report.restored += 1;
    let (kind, id, site) = (p.parts().0.kind.clone(), p.parts().2.id, engine.site);
    let line = engine.change(id, &kind, Some(row), None, "restored", Some(site));
    p.parts().3.push(line);
}
