//! The account of what was synchronized, for people and programs.

use super::find::{RecordName, SiteName, SiteNames, key_text, moment, named};
use super::{Error, Synchronizer};
use crate::host::local::Local;
use crate::id::RecordId;
use crate::report::Report;
use crate::state::ChangeRow;
use serde::Serialize;
use std::collections::BTreeMap;

/// One synchronization.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunView {
    /// Its number.
    pub run: i64,
    /// When it started, UTC.
    pub started: String,
    /// Whether it came to its end.
    pub finished: bool,
    /// What it did, in numbers.
    pub report: Option<Report>,
    /// How many lines its account has.
    pub lines: usize,
    /// What it did, one by one.
    pub changes: Vec<ChangeView>,
}

/// One thing that a synchronization did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeView {
    /// In which synchronization.
    pub run: i64,
    /// When it started, UTC.
    pub time: String,
    /// The record.
    #[serde(flatten)]
    pub name: RecordName,
    /// The row's table, if it is about a row.
    pub table: Option<String>,
    /// The row's local key, or its UUID where this database does not have it.
    pub row: Option<String>,
    /// The field, if it is about a field.
    pub field: Option<String>,
    /// The value before.
    pub old: Option<String>,
    /// The value after.
    pub new: Option<String>,
    /// The site it came from.
    pub site: Option<SiteName>,
    /// What happened.
    pub what: String,
}

/// Which synchronizations are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which {
    /// How many, the newest first.
    pub last: u64,
    /// This one only.
    pub run: Option<i64>,
    /// Only what happened to this record.
    pub record: Option<RecordId>,
    /// No more than so many lines of each.
    pub most: Option<usize>,
}

/// Names of records and keys of their rows, looked up once.
pub(super) struct Names<'s> {
    s: &'s Synchronizer,
    sites: SiteNames,
    records: BTreeMap<RecordId, (RecordName, Local)>,
}

impl<'s> Names<'s> {
    pub(super) fn new(s: &'s Synchronizer) -> Result<Self, Error> {
        Ok(Names { s, sites: s.site_names()?, records: BTreeMap::new() })
    }

    pub(super) fn view(&mut self, run: i64, time: &str, c: ChangeRow) -> Result<ChangeView, Error> {
        if !self.records.contains_key(&c.id) {
            let found = match self.s.state()?.load(&c.id)? {
                Some(s) => (named(&s), s.local),
                None => (RecordName { record: c.id.to_string(), r#type: c.kind.clone(), key: None, label: String::new() }, Local::default()),
            };
            self.records.insert(c.id, found);
        }
        let (name, local) = self
            .records
            .get(&c.id)
            .cloned()
            .unwrap_or_else(|| (RecordName { record: c.id.to_string(), r#type: c.kind.clone(), key: None, label: String::new() }, Local::default()));
        let row = c.row.as_ref().map(|(table, id)| {
            let key = local.rows.get(&crate::record::RowKey::new(table.clone(), *id)).and_then(|l| key_text(&l.key));
            key.unwrap_or_else(|| id.to_string())
        });
        Ok(ChangeView {
            run,
            time: time.to_owned(),
            name,
            table: c.row.map(|(t, _)| t),
            row,
            field: c.field,
            old: c.old,
            new: c.new,
            site: c.site.map(|s| self.sites.of(&s)),
            what: c.what,
        })
    }
}

impl Synchronizer {
    /// Synchronizations, the newest first, each with what it did.
    pub fn runs(&self, which: Which) -> Result<Vec<RunView>, Error> {
        let state = self.state()?;
        let mut names = Names::new(self)?;
        let touched: Option<BTreeMap<i64, Vec<ChangeRow>>> = match which.record {
            None => None,
            Some(id) => {
                let mut by: BTreeMap<i64, Vec<ChangeRow>> = BTreeMap::new();
                for (run, c) in state.changes(None, Some(&id))? {
                    by.entry(run).or_default().push(c);
                }
                Some(by)
            }
        };
        let all = which.run.is_some() || which.record.is_some();
        let mut out = Vec::new();
        for r in state.runs(if all { i64::MAX.unsigned_abs() } else { which.last })? {
            if which.run.is_some_and(|n| n != r.run) {
                continue;
            }
            let changes: Vec<ChangeRow> = match &touched {
                Some(by) => match by.get(&r.run) {
                    Some(c) => c.clone(),
                    None => continue,
                },
                None => state.changes(Some(r.run), None)?.into_iter().map(|(_, c)| c).collect(),
            };
            let started = moment(r.started.unsigned_abs());
            let lines = changes.len();
            let changes = changes.into_iter().take(which.most.unwrap_or(usize::MAX)).map(|c| names.view(r.run, &started, c)).collect::<Result<_, _>>()?;
            out.push(RunView { run: r.run, started, finished: r.report.is_some(), report: r.report.and_then(|t| serde_json::from_str(&t).ok()), lines, changes });
            if which.record.is_some() && which.last > 0 && out.len() as u64 >= which.last {
                break;
            }
        }
        if let (Some(n), true) = (which.run, out.is_empty()) {
            return Err(Error::Usage(format!("there is no synchronization {n} in the log; `cfs log` lists the last ones")));
        }
        Ok(out)
    }

    /// Changes of a run that was not kept, for people.
    pub fn describe(&self, changes: Vec<ChangeRow>) -> Result<Vec<ChangeView>, Error> {
        let mut names = Names::new(self)?;
        changes.into_iter().map(|c| names.view(0, "", c)).collect()
    }

    /// What happened to a record, the oldest first.
    pub fn history(&self, id: RecordId) -> Result<Vec<ChangeView>, Error> {
        let mut runs = self.runs(Which { last: 0, run: None, record: Some(id), most: None })?;
        runs.reverse();
        Ok(runs.into_iter().flat_map(|r| r.changes).collect())
    }
}
