//! The account of what was synchronized, for those who leaf through it or search it.

use super::find::{SiteName, moment};
use super::history::{ChangeView, Names};
use super::{Error, Synchronizer};
use crate::report::Report;
use crate::state::Search;
use serde::Serialize;

/// One synchronization in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunLine {
    /// Its number.
    pub run: i64,
    /// When it started, UTC.
    pub started: String,
    /// What it did; nothing if it did not come to its end.
    pub report: Option<Report>,
    /// How many lines its account has.
    pub lines: u64,
}

/// A line of the account with its number, by which the next ones are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its number.
    pub line: i64,
    /// What happened.
    #[serde(flatten)]
    pub change: ChangeView,
}

/// What lines can be searched by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Choices {
    /// Sites known here.
    pub sites: Vec<SiteName>,
    /// Tables that are synchronized.
    pub tables: Vec<String>,
    /// Outcomes that occur.
    pub outcomes: Vec<String>,
}

/// What was sent and received on a day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Day {
    /// Records sent.
    pub sent: u64,
    /// Records received or merged.
    pub received: u64,
    /// Synchronizations that did not come to their end.
    pub broken: u64,
}

fn report(text: Option<String>) -> Option<Report> {
    text.and_then(|t| serde_json::from_str(&t).ok())
}

impl Synchronizer {
    /// Synchronizations before one, or the last ones, the newest first.
    pub fn run_list(&self, before: Option<i64>, most: u64) -> Result<Vec<RunLine>, Error> {
        let runs = self.state()?.runs_before(before, most)?;
        Ok(runs.into_iter().map(|(r, lines)| RunLine { run: r.run, started: moment(r.started.unsigned_abs()), report: report(r.report), lines }).collect())
    }

    /// Lines of the account that are searched for.
    pub fn search(&self, search: &Search) -> Result<Vec<Line>, Error> {
        let mut names = Names::new(self)?;
        let found = self.state()?.search(search)?;
        found.into_iter().map(|(line, run, started, c)| Ok(Line { line, change: names.view(run, &moment(started.unsigned_abs()), c)? })).collect()
    }

    /// What lines can be searched by.
    pub fn choices(&self) -> Result<Choices, Error> {
        let state = self.state()?;
        let sites = self.sites()?.into_iter().map(|s| s.site).collect();
        Ok(Choices { sites, tables: self.mapping.tables.iter().map(|t| t.name.to_string()).collect(), outcomes: state.outcomes()? })
    }

    /// What was done on each of the last days, today last, by the days of a clock that is so many minutes from UTC.
    pub fn days(&self, now_ms: u64, offset_minutes: i64, days: usize) -> Result<Vec<Day>, Error> {
        let day = |ms: i64| (ms + offset_minutes * 60_000).div_euclid(86_400_000);
        let today = day(now_ms.cast_signed());
        let first = today + 1 - i64::try_from(days).unwrap_or(1);
        let mut out = vec![Day::default(); days];
        for r in self.state()?.runs_since(first * 86_400_000 - offset_minutes * 60_000)? {
            let Some(at) = usize::try_from(day(r.started) - first).ok().and_then(|i| out.get_mut(i)) else { continue };
            match report(r.report) {
                Some(r) => {
                    at.sent += r.exported;
                    at.received += r.imported + r.merged;
                }
                None => at.broken += 1,
            }
        }
        Ok(out)
    }
}
