//! Numbers, spans, sizes and times as people read them in every language: digits in groups of three, RFC 3339 cut to
//! the minute, a dash for what is not there.

use std::fmt::Write;

/// What stands where nothing is known.
pub(super) const NOTHING: &str = "–";

/// A number that may be missing.
pub(super) trait Count {
    /// The number.
    fn count(&self) -> Option<u64>;
}

impl Count for u64 {
    fn count(&self) -> Option<u64> {
        Some(*self)
    }
}

impl Count for Option<u64> {
    fn count(&self) -> Option<u64> {
        *self
    }
}

impl<T: Count> Count for &T {
    fn count(&self) -> Option<u64> {
        T::count(self)
    }
}

/// A text that may be missing.
pub(super) trait Words {
    /// The text.
    fn words(&self) -> Option<&str>;
}

impl Words for String {
    fn words(&self) -> Option<&str> {
        Some(self)
    }
}

impl Words for Option<String> {
    fn words(&self) -> Option<&str> {
        self.as_deref()
    }
}

impl<T: Words> Words for &T {
    fn words(&self) -> Option<&str> {
        T::words(self)
    }
}

/// 12 345 with narrow spaces that don't break.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// 1.5 MiB.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = "B";
    for next in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1_024;
        unit = next;
    }
    if tenths % 10 == 0 || tenths >= 1_000 {
        return format!("{}\u{202f}{unit}", tenths / 10);
    }
    format!("{}.{}\u{202f}{unit}", tenths / 10, tenths % 10)
}

/// The two largest parts of a span: 3 d 4 h, 12 min, 850 ms. The units are the same in every language we speak.
pub(super) fn span(millis: u64) -> String {
    if millis < 1_000 {
        return format!("{millis}\u{202f}ms");
    }
    let seconds = millis / 1_000;
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let mut text = String::new();
    for (count, unit) in parts.into_iter().skip_while(|(count, _)| *count == 0).take(2) {
        if count > 0 {
            let space = if text.is_empty() { "" } else { " " };
            // Writing to a string can't fail.
            let _ = write!(text, "{space}{count}\u{202f}{unit}");
        }
    }
    text
}

/// `2026-11-23 01:11 UTC` from RFC 3339 in UTC; any other text as it is.
pub(super) fn minute(time: &str) -> String {
    match (time.get(..10), time.get(11..16), time.ends_with('Z')) {
        (Some(date), Some(minute), true) => format!("{date} {minute} UTC"),
        _ => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_spans_sizes_and_times_read_well() {
        assert_eq!(number(0), "0");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(bytes(1_023), "1023\u{202f}B");
        assert_eq!(bytes(1_536), "1.5\u{202f}KiB");
        assert_eq!(bytes(345 << 20), "345\u{202f}MiB");
        assert_eq!(span(850), "850\u{202f}ms");
        assert_eq!(span(60_000), "1\u{202f}min");
        assert_eq!(span(90_061_000), "1\u{202f}d 1\u{202f}h");
        assert_eq!(minute("2026-11-23T01:11:42.000Z"), "2026-11-23 01:11 UTC");
        assert_eq!(minute("not a time ü"), "not a time ü");
    }
}
