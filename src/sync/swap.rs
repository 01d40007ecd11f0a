//! Rows that swap UNIQUE values are refused one by one and fit together: their values are parked
//! first, by UPDATE and never by DELETE, and then all are applied in one transaction.

use super::settle::Prepared;
use super::work::Work;
use super::{Engine, Error};
use crate::host::mapping::{Affinity, Role};
use crate::host::quiet::loud;
use crate::host::rows::{Param, quote};
use crate::id::RecordId;
use crate::shared::Name;
use crate::value::Value;
use std::collections::BTreeSet;

/// How many held records are tried together.
const GROUP: usize = 64;

impl Engine<'_> {
    /// Tries the records that this sync left held by UNIQUE together.
    pub(super) fn swap_held(&mut self) -> Result<(), Error> {
        let held: BTreeSet<RecordId> = self.report.held.iter().filter(|h| h.reason.contains("UNIQUE")).filter_map(|h| RecordId::parse_str(&h.record).ok()).collect();
        if held.len() < 2 {
            return Ok(());
        }
        let mut group: Vec<Prepared> = Vec::new();
        for id in held.into_iter().take(GROUP) {
            if let Some(p) = self.prepare(Work::of(id))?
                && p.kind().is_some()
            {
                group.push(p);
            }
        }
        self.renew_token()?;
        self.lock()?;
        self.lookup.defer(true)?;
        if self.host_wrote()? {
            // The host writes: the next sync tries again.
            return self.unlock();
        }
        // Those that do not fit even so are left out, until the rest fits.
        while group.len() > 1 {
            match self.try_together(&group)? {
                None => break,
                Some(at) => {
                    group.remove(at);
                }
            }
        }
        if group.len() > 1 {
            for (n, p) in group.iter().enumerate() {
                self.keep_large(p)?;
                self.park(p, n)?;
            }
            let done: BTreeSet<String> = group.iter().map(|p| p.id().to_string()).collect();
            self.report.held.retain(|h| !done.contains(&h.record));
            for p in group {
                self.commit(p)?;
            }
        }
        self.drop_own_notes()?;
        self.unlock()
    }

    /// Applies a group and takes it back. Gives the first that does not fit.
    fn try_together(&mut self, group: &[Prepared]) -> Result<Option<usize>, Error> {
        self.conn.execute_batch("SAVEPOINT cfs_swap")?;
        let mut misfit = None;
        for (n, p) in group.iter().enumerate() {
            if self.park(p, n).is_err() {
                misfit = Some(n);
                break;
            }
        }
        if misfit.is_none() {
            for (n, p) in group.iter().enumerate() {
                let Some(kind) = p.kind() else { continue };
                match self.apply(kind, p) {
                    Ok(_) => {}
                    Err(e) if e.refusal().is_some() => {
                        misfit = Some(n);
                        break;
                    }
                    Err(e) => return Err(e.into()),
                }
            }
        }
        self.conn.execute_batch("ROLLBACK TO cfs_swap; RELEASE cfs_swap")?;
        self.lookup.forget_all();
        Ok(misfit)
    }

    /// Gives a record's changing UNIQUE values up, for values that nobody has.
    fn park(&self, p: &Prepared, n: usize) -> Result<(), Error> {
        for (key, row) in p.image_rows() {
            let Some(t) = self.mapping.tables.get(row.table) else { continue };
            let unique: BTreeSet<&Name> = t.unique.iter().flatten().collect();
            for (i, c) in t.columns.iter().enumerate().filter(|(_, c)| unique.contains(&c.name) && c.role == Role::Data) {
                let wanted = p.shown(key, &c.name);
                if wanted.is_none() || wanted == row.host.values.get(i) {
                    continue;
                }
                let mark = 9_007_199_254_740_000 + i64::try_from(n * 1000 + i).unwrap_or(0);
                let parked = match (c.not_null, c.affinity) {
                    (false, _) => Value::Null,
                    (true, Affinity::Text | Affinity::Blob) => Value::text(format!("cfs-parked-{mark}")),
                    (true, _) => Value::Integer(-mark),
                };
                let sql = format!("UPDATE {} SET {} = ?1 WHERE {}", quote(&t.name), t.sql(&c.name), t.key_is(2));
                loud(self.conn)?;
                self.conn.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(std::iter::once(&parked).chain(&row.host.key).map(Param)))?;
            }
        }
        Ok(())
    }
}
