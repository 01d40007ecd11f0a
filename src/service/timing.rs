//! When the next synchronization is due: a pure function of what happened and when.

use chrono::{DateTime, Local};
use croner::Cron;
use serde::Serialize;
use std::str::FromStr;
use std::time::Duration;
use tokio::time::Instant;

/// News in the folder: more files of one change may follow, and somebody waits for it.
const FOLDER: Pause = Pause { quiet: Duration::from_millis(300), most: Duration::from_millis(1500) };
/// A change in the database: a person is saving a form, or a program many rows.
const DATABASE: Pause = Pause { quiet: Duration::from_secs(2), most: Duration::from_secs(10) };
/// The first wait after a failure; it doubles up to the longest.
const BACK_OFF: Duration = Duration::from_secs(30);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(15 * 60);
/// While it fails, a change makes it try again no sooner than this.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// How long to wait for more of the same.
#[derive(Debug, Clone, Copy)]
struct Pause {
    quiet: Duration,
    most: Duration,
}

/// Why a synchronization starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The service has just started.
    Start,
    /// A person or a program asked.
    Asked,
    /// Something changed in the folder.
    Folder,
    /// Something changed in the database.
    Database,
    /// It is time.
    Time,
    /// The last one failed.
    Again,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nudge {
    /// The sync folder.
    Folder,
    /// The host database.
    Database,
}

/// When to synchronize without being asked.
#[derive(Debug, Clone, Default)]
pub enum Plan {
    /// Never.
    #[default]
    Never,
    /// Again and again, and after changes.
    Every(Duration),
    /// At these times only.
    At(Vec<Cron>),
}

impl Plan {
    /// Minutes between two synchronizations (0 for never), unless times are given.
    pub fn new(minutes: u32, at: &[String]) -> Result<Plan, String> {
        if at.is_empty() {
            return Ok(if minutes == 0 { Plan::Never } else { Plan::Every(Duration::from_secs(u64::from(minutes) * 60)) });
        }
        let now = Local::now();
        let one = |pattern: &String| {
            let fail = |why: &str| {
                let why = why.trim_end_matches('.');
                format!("`sync_at`: \"{pattern}\" {why}. Write minute, hour, day, month, weekday, as in \"*/10 8-18 * * mon-fri\" for every ten minutes in office hours")
            };
            let fields = pattern.split_whitespace().count();
            if fields != 5 && !pattern.trim_start().starts_with('@') {
                return Err(fail(&format!("has {} instead of five: there are no seconds and no years", crate::report::count(fields as u64, "part"))));
            }
            let cron = Cron::from_str(pattern).map_err(|e| fail(&format!("is not a time: {e}")))?;
            if cron.find_next_occurrence(&now, false).is_err() {
                return Err(fail("never comes: there is no such day"));
            }
            Ok(cron)
        };
        Ok(Plan::At(at.iter().map(one).collect::<Result<_, _>>()?))
    }

    /// How long it is from a time to the next synchronization.
    fn wait(&self, clock: &DateTime<Local>) -> Option<Duration> {
        match self {
            Plan::Never => None,
            Plan::Every(d) => Some(*d),
            Plan::At(times) => times.iter().filter_map(|t| t.find_next_occurrence(clock, false).ok()).min().map(|t| (t - *clock).to_std().unwrap_or_default()),
        }
    }
}

/// What is waited for.
#[derive(Debug, Default)]
pub struct Timing {
    plan: Plan,
    periodic: Option<Instant>,
    /// The time of day that is waited for: the clock may be set, and a computer sleeps.
    clock: Option<DateTime<Local>>,
    folder: Option<Waiting>,
    database: Option<Waiting>,
    retry: Option<Instant>,
    failures: u32,
    last_end: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    first: Instant,
    due: Instant,
}

impl Timing {
    /// Takes a plan, which may be the one it has.
    pub fn plan(&mut self, plan: Plan, now: Instant, clock: &DateTime<Local>) {
        self.plan = plan;
        self.wait(now, clock);
    }

    fn wait(&mut self, now: Instant, clock: &DateTime<Local>) {
        let wait = self.plan.wait(clock);
        self.periodic = wait.map(|d| now + d);
        self.clock = wait.filter(|_| matches!(self.plan, Plan::At(_))).map(|d| *clock + d);
    }

    /// Looks at the clock again. A time of day that has passed meanwhile is now.
    pub fn look_at_clock(&mut self, now: Instant, clock: &DateTime<Local>) {
        if let Some(at) = self.clock {
            // Set back by more than it waits: the next time is another one.
            let next = self.plan.wait(clock).map(|d| *clock + d);
            let at = next.filter(|n| *n < at).unwrap_or(at);
            self.clock = Some(at);
            self.periodic = Some(now + (at - *clock).to_std().unwrap_or_default());
        }
    }

    /// Notes a change. Where nothing is to run by itself, changes start nothing either.
    pub fn nudge(&mut self, what: Nudge, now: Instant) {
        if !matches!(self.plan, Plan::Every(_)) {
            return;
        }
        let (at, pause) = match what {
            Nudge::Folder => (&mut self.folder, FOLDER),
            Nudge::Database => (&mut self.database, DATABASE),
        };
        let first = at.map_or(now, |w| w.first);
        let mut due = (now + pause.quiet).min(first + pause.most);
        if let Some(end) = self.last_end.filter(|_| self.failures > 0) {
            due = due.max(end + AFTER_FAILURE);
        }
        *at = Some(Waiting { first, due });
    }

    /// A synchronization starts: what changed before is in it.
    pub fn started(&mut self) {
        self.folder = None;
        self.database = None;
        self.retry = None;
    }

    /// It has ended, well or not.
    pub fn ended(&mut self, well: bool, now: Instant, clock: &DateTime<Local>) {
        self.last_end = Some(now);
        self.wait(now, clock);
        if well {
            self.failures = 0;
            self.retry = None;
            return;
        }
        let wait = BACK_OFF.saturating_mul(1 << self.failures.min(10)).min(LONGEST_BACK_OFF);
        self.failures += 1;
        self.retry = (!matches!(self.plan, Plan::Never)).then(|| now + wait);
    }

    /// How many synchronizations in a row have failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When the next one is due, and why.
    pub fn due(&self) -> Option<(Instant, Why)> {
        // While it fails, the back-off stands in for the period.
        let periodic = self.periodic.filter(|_| self.retry.is_none());
        let all = [(self.folder.map(|w| w.due), Why::Folder), (self.database.map(|w| w.due), Why::Database), (periodic, Why::Time), (self.retry, Why::Again)];
        all.into_iter().filter_map(|(at, why)| Some((at?, why))).min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    fn clock() -> DateTime<Local> {
        // A Saturday.
        Local.with_ymd_and_hms(2026, 11, 21, 17, 58, 30).unwrap()
    }

    fn every(minutes: u32) -> (Timing, Instant) {
        let (mut t, now) = (Timing::default(), Instant::now());
        t.plan(Plan::new(minutes, &[]).unwrap(), now, &clock());
        (t, now)
    }

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_burst_of_changes_is_one_synchronization_and_does_not_wait_for_ever() {
        let (mut t, now) = every(5);
        assert_eq!(t.due(), Some((now + ms(300_000), Why::Time)));
        t.nudge(Nudge::Folder, now);
        assert_eq!(t.due(), Some((now + ms(300), Why::Folder)));
        for i in 1..100 {
            t.nudge(Nudge::Folder, now + ms(i * 100));
            assert!(t.due().unwrap().0 <= now + ms(1500));
        }
        t.nudge(Nudge::Database, now);
        assert_eq!(t.due().unwrap().1, Why::Folder, "the sooner of the two");
        t.started();
        assert_eq!(t.due().unwrap().1, Why::Time);
    }

    #[test]
    fn failures_wait_longer_and_longer_and_a_success_ends_that() {
        let (mut t, now) = every(5);
        let mut waits = Vec::new();
        for _ in 0..8 {
            t.started();
            t.ended(false, now, &clock());
            let (at, why) = t.due().unwrap();
            assert_eq!(why, Why::Again);
            waits.push((at - now).as_secs());
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900, 900]);
        t.nudge(Nudge::Database, now);
        assert_eq!(t.due(), Some((now + AFTER_FAILURE, Why::Database)), "a change tries again, but not at once");
        t.started();
        t.ended(true, now, &clock());
        assert_eq!((t.due(), t.failures()), (Some((now + ms(300_000), Why::Time)), 0));
    }

    #[test]
    fn never_is_never() {
        let (mut t, now) = every(0);
        t.nudge(Nudge::Folder, now);
        t.nudge(Nudge::Database, now);
        t.ended(false, now, &clock());
        assert_eq!(t.due(), None);
    }

    #[test]
    fn times_of_the_week() {
        let (mut t, now) = (Timing::default(), Instant::now());
        t.plan(Plan::new(5, &["0 8 * * mon-fri".into(), "0 18 * * sat".into()]).unwrap(), now, &clock());
        assert_eq!(t.due(), Some((now + Duration::from_secs(90), Why::Time)));
        t.nudge(Nudge::Folder, now);
        assert_eq!(t.due().unwrap().1, Why::Time, "changes wait for the time");
        // The computer slept: what was due meanwhile is due now. Then somebody sets the clock back.
        t.look_at_clock(now + ms(1000), &(clock() + Duration::from_secs(7200)));
        assert_eq!(t.due(), Some((now + ms(1000), Why::Time)));
        t.ended(true, now, &clock());
        t.look_at_clock(now, &(clock() - Duration::from_secs(86_400)));
        assert_eq!(t.due(), Some((now + Duration::from_secs(24 * 3600 + 90), Why::Time)), "a day earlier, it waits a day longer");
        let said = Plan::new(5, &["8 o'clock".into()]).unwrap_err();
        assert!(said.contains("8 o'clock") && said.contains("mon-fri") && !said.contains(".."), "{said}");
        for (pattern, says) in [
            ("0 0 30 2 *", "never comes"),
            ("0 0 8 * * mon", "no seconds"),
            ("61 8 * * *", "is not a time"),
            ("0 8 * *", "4 parts instead of five"),
            ("", "0 parts"),
            ("0 0 12 * * mon 2027", "no years"),
        ] {
            let said = Plan::new(5, &[pattern.into()]).unwrap_err();
            assert!(said.contains(says) && !said.contains(".."), "{said}");
        }
    }
}
