//! Time as an argument: who needs the time takes a [`Clock`], so that a test can play a week in a microsecond.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds ignored (POSIX).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

/// A span of time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// A span of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// A span of whole days of 24 hours.
    pub const fn from_days(days: u64) -> Self {
        Self::from_secs(days.saturating_mul(86_400))
    }

    /// As the standard library's type, for timers.
    pub const fn to_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// As milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// As seconds since the epoch, for metrics.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^52")]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// This time plus a span; stops at the end of time instead of wrapping.
    #[must_use]
    pub const fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// This time minus a span; stops at the epoch.
    #[must_use]
    pub const fn before(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0 / 86_400_000, self.0 % 86_400_000);
        // Civil date from a day count: the days of a 400-year cycle are counted from 1 March, so that the
        // leap day is the last of its year.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let (second, millis) = (rest / 1_000 % 60, rest % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a date (2026-11-23) or a time in UTC (2026-11-23T08:30:00Z)")]
pub struct TimestampError;

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// RFC 3339 in UTC, seconds and milliseconds optional; or a date, which means its first moment.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let (date, clock) = match text.split_once(['T', 't', ' ']) {
            Some((date, clock)) => (date, clock.strip_suffix(['Z', 'z']).ok_or(TimestampError)?),
            None => (text, "00:00"),
        };
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let (clock, millis) = match clock.split_once('.') {
            Some((clock, fraction)) => (clock, numbers(fraction, '.', [3])?[0]),
            None => (clock, 0),
        };
        let with_seconds = if clock.len() == 5 { format!("{clock}:00") } else { clock.to_owned() };
        let [hour, minute, second] = numbers(&with_seconds, ':', [2, 2, 2])?;
        let in_range = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
        if !in_range || hour > 23 || minute > 59 || second > 59 {
            return Err(TimestampError);
        }
        let time =
            Self((days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000 + millis);
        // 31 February would be a day in March.
        if time.to_string().starts_with(date) { Ok(time) } else { Err(TimestampError) }
    }
}

/// Numbers of exactly so many digits, divided by a separator.
fn numbers<const N: usize>(
    text: &str,
    separator: char,
    digits: [usize; N],
) -> Result<[u64; N], TimestampError> {
    let mut parts = text.split(separator);
    let mut found = [0; N];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part =
            parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()));
        *number = part.and_then(|part| part.parse().ok()).ok_or(TimestampError)?;
    }
    if parts.next().is_some() { Err(TimestampError) } else { Ok(found) }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; the inverse of what `Display` does.
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

impl serde::Serialize for Timestamp {
    /// As RFC 3339 text, for people and scripts.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a span of time: give a number and s, m, h or d, for example 7d")]
pub struct MillisError(String);

impl FromStr for Millis {
    type Err = MillisError;

    /// As people write it: a whole number and a unit, `s`, `m`, `h` or `d`; up to a hundred years.
    fn from_str(text: &str) -> Result<Self, MillisError> {
        let wrong = || MillisError(text.chars().take(64).collect());
        let unit = text.chars().last().ok_or_else(wrong)?;
        let seconds: u64 = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let count = text.strip_suffix(unit).and_then(|count| count.parse::<u64>().ok()).ok_or_else(wrong)?;
        match count.checked_mul(seconds) {
            Some(total) if total > 0 && total <= 86_400 * 36_500 => Ok(Self::from_secs(total)),
            _ => Err(wrong()),
        }
    }
}

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the operating system for the time"
    )]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that stands still until it is told: for tests and simulation.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `start`.
    pub const fn at(start: Timestamp) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves the clock on.
    pub fn advance(&self, span: Millis) {
        self.0.fetch_add(span.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        assert_eq!("90s".parse(), Ok(Millis::from_secs(90)));
        assert_eq!("7d".parse(), Ok(Millis::from_days(7)));
        for wrong in
            ["", "7", "d", "0d", "-1d", "7dd", "7 d", "1.5h", "36501d", "99999999999999999999d", "7w", "7ü"]
        {
            assert!(wrong.parse::<Millis>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn dates_read_as_people_write_them() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_102_444_800_000, "2100-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
        }
    }

    #[test]
    fn times_read_back_as_they_are_written() {
        for millis in [0, 951_782_400_000, 1_709_251_199_999, 4_102_444_800_000, 86_399_999] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        for (text, millis) in [
            ("1970-01-02", 86_400_000),
            ("1970-01-01T00:01Z", 60_000),
            ("1970-01-01 00:00:01Z", 1_000),
            ("2000-02-29", 951_782_400_000),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-02-31",
            "2026-13-01",
            "1969-12-31",
            "2026-1-1",
            "2026-01-01T00:00:00",
            "2026-01-01T25:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError), "{text}");
        }
    }

    #[test]
    fn spans_never_wrap() {
        assert_eq!(Timestamp::from_millis(u64::MAX).after(Millis(1)).as_millis(), u64::MAX);
        assert_eq!(Timestamp::from_millis(0).since(Timestamp::from_millis(5)), Millis(0));
    }
}
