//! Stamps: hybrid logical clock time and site, when and where a field was last written.

use crate::id::SiteId;
use crate::planted;
use chrono::{DateTime, Datelike, NaiveDate, TimeZone, Timelike, Utc};
use std::fmt;

/// A hybrid logical clock reading: milliseconds since 1970 and a counter
/// (Kulkarni and others, *Logical Physical Clocks*, 2014).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub ms: u64,
    /// Orders events of one millisecond.
    pub counter: u32,
}

/// The largest time a stamp can hold: 9999-12-31T23:59:59.999Z.
pub const MAX_MS: u64 = 253_402_300_799_999;

impl Time {
    /// Writes the time for people: `2026-11-21T23:17:04.123Z+0004`.
    pub fn text(&self) -> String {
        let ms = i64::try_from(self.ms.min(MAX_MS)).unwrap_or(0);
        let t: DateTime<Utc> = Utc.timestamp_millis_opt(ms).single().unwrap_or_default();
        let mut out = String::with_capacity(32);
        let parts = [
            (t.year().unsigned_abs(), 4, '-'),
            (t.month(), 2, '-'),
            (t.day(), 2, 'T'),
            (t.hour(), 2, ':'),
            (t.minute(), 2, ':'),
            (t.second(), 2, '.'),
            (t.timestamp_subsec_millis(), 3, 'Z'),
        ];
        // A record file has a stamp or two in most lines: chrono's own formatting and parsing took
        // a third of the time to read one.
        for (n, digits, then) in parts {
            (0..digits).rev().for_each(|d| out.push(char::from(b'0' + (n / 10_u32.pow(d) % 10) as u8)));
            out.push(then);
        }
        out.push('+');
        if self.counter < 1000 {
            out.push_str(["000", "00", "0"][usize::from(self.counter > 9) + usize::from(self.counter > 99)]);
        }
        out.push_str(&self.counter.to_string());
        out
    }

    /// Reads what [`Time::text`] wrote; anything that it would not write is refused.
    pub fn parse(s: &str) -> Option<Time> {
        let number = |range: std::ops::Range<usize>| {
            let digits = s.as_bytes().get(range)?;
            digits.iter().try_fold(0u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
        };
        let date = NaiveDate::from_ymd_opt(i32::try_from(number(0..4)?).ok()?, number(5..7)?, number(8..10)?)?;
        let at = date.and_hms_milli_opt(number(11..13)?, number(14..16)?, number(17..19)?, number(20..23)?)?;
        let ms = u64::try_from(at.and_utc().timestamp_millis()).ok()?;
        let time = Time { ms, counter: s.get(25..)?.parse().ok()? };
        (ms <= MAX_MS && time.text() == s).then_some(time)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// When and where a field was last written. Ordered by time, counter, site: a total order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp {
    /// When, by the site's hybrid logical clock.
    pub time: Time,
    /// Where.
    pub site: SiteId,
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.time.text(), &self.site.simple().to_string()[..4])
    }
}

/// A site's hybrid logical clock. It never goes backwards and never repeats a reading.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// The newest reading given or observed.
    pub last: Time,
}

impl Clock {
    /// Gives the next stamp at `now_ms` by the machine's clock, later than all given or observed.
    pub fn tick(&mut self, now_ms: u64, site: SiteId) -> Stamp {
        let next = Time { ms: now_ms.min(MAX_MS), counter: 0 };
        self.last = if next > self.last || planted::bug("clock-goes-back") {
            next
        } else if self.last.counter == u32::MAX {
            Time { ms: self.last.ms + 1, counter: 0 }
        } else {
            Time { ms: self.last.ms, counter: self.last.counter + 1 }
        };
        Stamp { time: self.last, site }
    }

    /// Follows a reading seen elsewhere, however far ahead it is.
    pub fn observe(&mut self, seen: Time) {
        self.last = self.last.max(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_for_people_and_round_trips() {
        let t = Time { ms: 1_795_303_024_123, counter: 4 };
        assert_eq!(t.text(), "2026-11-21T23:17:04.123Z+0004");
        assert_eq!(Time::parse(&t.text()), Some(t));
        for t in [Time::default(), Time { ms: MAX_MS, counter: u32::MAX }, Time { ms: 1, counter: 12345 }] {
            assert_eq!(Time::parse(&t.text()), Some(t));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for s in [
            "",
            "2026-11-21",
            "2026-11-21T23:17:04Z+0004",
            "2026-11-21T23:17:04.123Z+4",
            "2026-11-21T23:17:04.1234Z+0004",
            "2026-11-21T23:17:60.123Z+0004",
            "1969-12-31T23:59:59.999Z+0000",
        ] {
            assert_eq!(Time::parse(s), None, "{s}");
        }
    }

    #[test]
    fn clock_never_repeats_when_the_machine_clock_jumps_back() {
        let mut c = Clock::default();
        let a = c.tick(1000, SiteId::nil());
        let b = c.tick(10, SiteId::nil());
        c.observe(Time { ms: 5000, counter: 7 });
        let d = c.tick(2000, SiteId::nil());
        assert!(a < b && b < d);
        assert_eq!(d.time, Time { ms: 5000, counter: 8 });
    }
}
