//! Columns that records are matched on and that hold references.

use super::tables::travelling;
use crate::config::Config;
use crate::host::mapping::{Leads, Mapping, Target, Through};
use crate::host::schema::same;
use crate::shared::Name;

/// Those of a record type, with where they lead.
pub(super) fn of(config: &Config, m: &Mapping, kind: usize) -> Vec<Through> {
    let (Some(k), Some(root)) = (m.types.get(kind), m.root(kind)) else { return Vec::new() };
    let own = config.table(&root.name).cloned().unwrap_or_default();
    let all = k.match_columns();
    // Where each column of a reference stands among them.
    let stands = |columns: &[Name]| columns.iter().map(|c| all.iter().position(|a| same(a, &travelling(&own, c)))).collect::<Option<Vec<usize>>>();
    let mut out: Vec<Through> = Vec::new();
    for (at, name) in all.iter().enumerate() {
        if let Some(e) = k.match_elsewhere.iter().find(|e| e.name == *name) {
            let refers = m.tables.get(e.table).is_some_and(|t| t.references.iter().any(|r| r.columns.iter().any(|c| same(c, &e.column))));
            out.extend(refers.then(|| Through { name: name.clone(), field: name.clone(), to: None }));
            continue;
        }
        let mut holders = root.references.iter().filter(|r| r.columns.iter().any(|c| same(&travelling(&own, c), name))).collect::<Vec<_>>();
        holders.sort_by_key(|r| r.columns.len());
        let Some(first) = holders.first() else { continue };
        let leads = holders.iter().find_map(|r| {
            let Target::Table { table, columns } = &r.target else { return None };
            let target = m.tables.get(*table).filter(|t| t.owner.is_none() && t.kind != kind && m.types.get(t.kind).is_some_and(|k| !k.match_on.is_empty()))?;
            let values = stands(&r.columns)?;
            let first = values.iter().min() == Some(&at);
            Some(Through { name: name.clone(), field: r.field.clone(), to: Some(Leads { kind: target.kind, columns: columns.clone(), values, first }) })
        });
        out.push(leads.unwrap_or_else(|| Through { name: name.clone(), field: first.field.clone(), to: None }));
    }
    out
}
