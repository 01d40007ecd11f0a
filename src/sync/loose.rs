//! Loose rows: who has them, and where they went. A bed that nobody lies in belongs to the record of the patient who lay there
//! last, until the next one does (decision 0029).

use super::scan::{From, Move};
use super::{Engine, Error};
use crate::host::capture::Note;
use crate::host::key::{HostKey, encode};
use crate::host::local::Local;
use crate::host::rows::look_up;
use crate::id::RecordId;
use crate::record::{FieldKey, Record};
use crate::shared::HashMap;
use crate::state;
use crate::value::Value;

/// What this synchronization knows of rows that hang from nothing, by table and key.
#[derive(Debug, Default)]
pub(super) struct Loose {
    /// Those of before, and all other rows of their records; `None` until somebody asks.
    held: Option<HashMap<(usize, Vec<u8>), RecordId>>,
    /// Those that the host took from a root since.
    left: HashMap<(usize, Vec<u8>), HostKey>,
}

impl Engine<'_> {
    /// Whether rows that the host holds of a record hang from nothing.
    pub(super) fn has_loose(&self, known: &Record, local: &Local) -> bool {
        // Every record that is stored is asked, and rows stand by table: each table's field is looked for once.
        let mut at: (&str, Option<FieldKey>) = ("", None);
        known.rows.iter().any(|(key, row)| {
            if at.0 != &*key.table {
                at = (&key.table, self.mapping.table(&key.table).and_then(|t| self.mapping.tables.get(t)?.owner_field()));
            }
            let empty = at.1.as_ref().and_then(|f| row.fields.get(f)?.current()).is_some_and(|e| e.value.is_null());
            empty && local.rows.get(key).is_some_and(|l| l.away.is_none())
        })
    }

    /// Which rows hang from nothing is another matter now.
    pub(super) fn forget_loose(&mut self) {
        self.notes.loose.held = None;
    }

    /// The record that a row belongs to which hangs from nothing.
    fn holder(&mut self, at: &(usize, Vec<u8>)) -> Result<Option<RecordId>, Error> {
        if self.notes.loose.held.is_none() {
            let mut held = HashMap::default();
            for id in self.state.flagged(state::LOOSE)? {
                let Some(stored) = self.state.load(&id)? else { continue };
                let rows = stored.local.rows.iter().filter(|(_, l)| l.away.is_none());
                held.extend(rows.filter_map(|(key, l)| Some(((self.mapping.table(&key.table)?, encode(&l.key)), id))));
            }
            self.notes.loose.held = Some(held);
        }
        Ok(self.notes.loose.held.as_ref().and_then(|h| h.get(at)).copied())
    }

    /// The record that a row belongs to which hangs from nothing, or below such a row. `from` are its owner's values.
    fn holder_of(&mut self, at: &(usize, Vec<u8>), from: &HostKey) -> Result<Option<RecordId>, Error> {
        let mut found = self.holder(at)?;
        let (m, mut table, mut from) = (self.mapping, at.0, from.clone());
        // As deep as the mapping is, and no circle; where nothing is loose nobody climbs, and a root is nobody's.
        for _ in 0..m.tables.len() {
            if found.is_some() || self.notes.loose.held.as_ref().is_none_or(HashMap::is_empty) {
                break;
            }
            let up = m.tables.get(table).and_then(|t| t.owner_ref()?.leads(m, &from));
            let Some((parent, columns, values)) = up.filter(|(_, _, v)| !v.iter().any(Value::is_null)) else { break };
            let Some(p) = m.tables.get(parent).filter(|p| p.owner.is_some()) else { break };
            let Some(key) = look_up(self.conn, p, p.key_columns(), columns, &values)? else { break };
            found = self.holder(&(parent, encode(&key)))?;
            from = look_up(self.conn, p, p.owner_columns(), p.key_columns(), &key)?.unwrap_or_default();
            table = parent;
        }
        Ok(found)
    }

    /// What a note says of a row that hung from nothing before or does now; `old` and `new` are the roots.
    pub(super) fn look_at_loose(&mut self, n: &Note, kind: usize, old: &Option<HostKey>, new: &Option<HostKey>, moves: &mut Vec<Move>) -> Result<(), Error> {
        if self.mapping.tables.get(n.table).is_none_or(|t| t.owner.is_none()) {
            return Ok(());
        }
        let after = (n.table, encode(&n.new_key));
        let before = match n.op {
            // What REPLACE put in a row's place is that row; what was inserted where one was deleted is another.
            'I' if self.notes.deleted.contains_key(&after) => return Ok(()),
            'I' => after.clone(),
            _ => (n.table, encode(&n.old_key)),
        };
        match (old, new) {
            (Some(root), None) if n.op == 'U' => {
                self.notes.loose.left.insert(after, root.clone());
            }
            (None, new) => {
                let from = if n.op == 'I' { &n.new_owner } else { &n.old_owner };
                if let Some(id) = self.holder_of(&before, from)? {
                    self.notes.dirty.insert(id);
                    moves.extend(new.iter().map(|to| (From::Record(id), to.clone(), kind)));
                } else if let Some(root) = self.notes.loose.left.remove(&before) {
                    match new {
                        Some(to) if *to != root => moves.push((From::Root(root), to.clone(), kind)),
                        Some(_) => {}
                        None if n.op == 'U' => {
                            self.notes.loose.left.insert(after, root);
                        }
                        None => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
