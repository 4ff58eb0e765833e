//! The last day of a figure as a drawing: a pure function from samples to the paths of an SVG. Samples are gathered
//! into a fixed number of slots, so that a page's weight doesn't grow with their rate; a slot keeps its highest, because
//! a peak is what an admin looks for; a slot without samples is a gap in the line, not a zero.

use serde::Deserialize;

use super::shown;

/// The drawing's width in its own units; it is stretched to its place.
pub(super) const WIDTH: u32 = SLOT * 96;
/// Its height.
pub(super) const HEIGHT: u32 = 160;
const SLOT: u32 = 10;
/// Quarters of an hour of a day.
const SLOTS: u64 = 96;
const DAY: u64 = 86_400;

/// A figure over time, as `status` tells it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Series {
    /// Its name.
    pub(super) name: String,
    /// What it counts: `bytes`, `seconds`, `milliseconds` or things.
    #[serde(default)]
    pub(super) unit: String,
    /// Unix seconds and values, oldest first.
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// A figure as it is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Drawing {
    /// The line, piece by piece.
    pub(super) lines: Vec<String>,
    /// The areas below.
    pub(super) areas: Vec<String>,
    /// The upper end of the axis.
    pub(super) top: String,
    /// Its middle.
    pub(super) middle: String,
    /// The newest value.
    pub(super) latest: String,
    /// The lowest.
    pub(super) lowest: String,
    /// The highest.
    pub(super) highest: String,
    /// How often there are no samples in between.
    pub(super) gaps: u64,
}

impl Series {
    /// Draws the day that ends at this unix second; `None`: there is no sample in it.
    pub(super) fn draw(&self, until: u64) -> Option<Drawing> {
        let slots = self.slots(until);
        let known: Vec<f64> = slots.iter().flatten().copied().collect();
        let highest = known.iter().copied().reduce(f64::max)?;
        let lowest = known.iter().copied().reduce(f64::min)?;
        let top = ceiling(highest, &self.unit);
        let pieces = pieces(&slots);
        let path = |piece: &Vec<(u32, f64)>| {
            let points = piece.iter().map(|(x, value)| format!("{x} {:.1}", height(*value, top)));
            format!("M{}", points.collect::<Vec<_>>().join("L"))
        };
        // A piece of one slot would be a line of no length: it is drawn as wide as its slot.
        let lines: Vec<String> = pieces.iter().map(|piece| format!("{}h1", path(piece))).collect();
        let areas = pieces.iter().filter_map(|piece| {
            let (first, last) = (piece.first()?.0, piece.last()?.0);
            Some(format!("{}L{last} {HEIGHT}L{first} {HEIGHT}Z", path(piece)))
        });
        Some(Drawing {
            areas: areas.collect(),
            top: self.value(top),
            middle: self.value(top / 2.0),
            latest: self.value(*known.last()?),
            lowest: self.value(lowest),
            highest: self.value(highest),
            gaps: u64::try_from(lines.len()).unwrap_or(u64::MAX).saturating_sub(1),
            lines,
        })
    }

    /// The highest value of each quarter of an hour.
    fn slots(&self, until: u64) -> Vec<Option<f64>> {
        let from = until.saturating_sub(DAY);
        let mut slots: Vec<Option<f64>> = vec![None; usize::try_from(SLOTS).unwrap_or_default()];
        for (at, value) in &self.points {
            let since = whole(*at).saturating_sub(from);
            let place = usize::try_from(since.saturating_mul(SLOTS) / DAY).unwrap_or(usize::MAX);
            let Some(value) = value.filter(|value| value.is_finite() && whole(*at) >= from) else { continue };
            // The newest sample may be of this very second, which ends the day.
            let place = if since == DAY { place.saturating_sub(1) } else { place };
            if let Some(slot) = slots.get_mut(place) {
                *slot = Some(slot.map_or(value, |before| before.max(value)));
            }
        }
        slots
    }

    /// A value in its unit.
    fn value(&self, value: f64) -> String {
        match self.unit.as_str() {
            "bytes" => shown::bytes(whole(value)),
            "seconds" | "s" => shown::span(whole(value * 1_000.0)),
            "milliseconds" | "ms" => shown::span(whole(value)),
            _ if value.fract() == 0.0 => shown::number(whole(value)),
            _ => format!("{value:.1}"),
        }
    }
}

/// Slots that follow each other without a gap: places from the left, and values.
fn pieces(slots: &[Option<f64>]) -> Vec<Vec<(u32, f64)>> {
    let mut pieces: Vec<Vec<(u32, f64)>> = Vec::new();
    let mut open = false;
    for (x, slot) in (0..).step_by(10).zip(slots) {
        match (slot, open) {
            (Some(value), true) => {
                if let Some(piece) = pieces.last_mut() {
                    piece.push((x + SLOT / 2, *value));
                }
            }

            (Some(value), false) => pieces.push(vec![(x + SLOT / 2, *value)]),
            (None, _) => {}
        }
        open = slot.is_some();
    }
    pieces
}

/// How far from the upper edge.
fn height(value: f64, top: f64) -> f64 {
    f64::from(HEIGHT) * (1.0 - (value / top).clamp(0.0, 1.0))
}

/// A round number that is not below the highest value, and whose half is round as well.
fn ceiling(highest: f64, unit: &str) -> f64 {
    const ROUND: [f64; 3] = [2.0, 4.0, 10.0];
    const BINARY: [f64; 10] = [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];
    const CLOCK: [f64; 12] =
        [2.0, 10.0, 20.0, 60.0, 120.0, 600.0, 1_200.0, 3_600.0, 7_200.0, 21_600.0, 43_200.0, 86_400.0];
    let (steps, factor, mut scale): (&[f64], f64, f64) = match unit {
        "bytes" => (&BINARY, 1_024.0, 1.0),
        "seconds" | "s" => (&CLOCK, 60.0, 1.0),
        "milliseconds" | "ms" if highest > 1_000.0 => (&CLOCK, 60.0, 1_000.0),
        _ => (&ROUND, 10.0, 1.0),
    };
    for _ in 0..64 {
        if let Some(top) = steps.iter().map(|step| step * scale).find(|top| *top >= highest) {
            return top;
        }
        scale *= factor;
    }
    highest
}

/// The whole part of a number that is not negative.
fn whole(value: f64) -> u64 {
    format!("{:.0}", value.max(0.0).floor()).parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(unit: &str, points: &[(u64, Option<f64>)]) -> Series {
        let points =
            points.iter().map(|(at, value)| (f64::from(u32::try_from(*at).unwrap()), *value)).collect();
        Series { name: "queue".into(), unit: unit.into(), points }
    }

    #[test]
    fn a_gap_in_the_samples_is_a_gap_in_the_line() {
        let end = 10 * DAY;
        let points = [(end - DAY, Some(1.0)), (end - DAY + 900, Some(3.0)), (end - 60, Some(2.0))];
        let drawing = series("messages", &points).draw(end).unwrap();
        assert_eq!(drawing.lines, ["M5 120.0L15 40.0h1", "M955 80.0h1"]);
        assert_eq!(drawing.areas[0], "M5 120.0L15 40.0L15 160L5 160Z");
        assert_eq!((drawing.top.as_str(), drawing.middle.as_str()), ("4", "2"));
        assert_eq!(
            (drawing.latest.as_str(), drawing.lowest.as_str(), drawing.highest.as_str()),
            ("2", "1", "3")
        );
        assert_eq!(drawing.gaps, 1);
    }

    #[test]
    fn samples_outside_the_day_and_values_that_are_none_are_not_drawn() {
        let end = 10 * DAY;
        assert_eq!(
            series("", &[(end - DAY - 1, Some(1.0)), (end - 9, None), (end + 900, Some(1.0))]).draw(end),
            None
        );
        assert_eq!(series("", &[]).draw(end), None);
        let now = series("bytes", &[(end, Some(1_536.0))]).draw(end).unwrap();
        assert_eq!(now.latest, "1.5\u{202f}KiB");
        assert_eq!(now.top, "2\u{202f}KiB");
        let mut odd = series("", &[(end - 9, Some(f64::NAN)), (end - 8, Some(f64::INFINITY))]);
        odd.points.push((f64::NAN, Some(2.0)));
        assert_eq!(odd.draw(end), None);
    }

    #[test]
    fn a_day_of_samples_each_second_stays_small() {
        let end = 10 * DAY;
        let points: Vec<_> = (end - DAY..end).map(|at| (at, Some(1.0))).collect();
        let drawing = series("messages", &points).draw(end).unwrap();
        assert_eq!(drawing.lines.len(), 1);
        assert!(drawing.lines[0].len() < 1_200, "{}", drawing.lines[0].len());
    }

    #[test]
    fn the_axis_ends_at_a_round_number() {
        for (highest, unit, top) in [
            (0.0, "", 2.0),
            (3.0, "", 4.0),
            (41.0, "", 100.0),
            (5_000.0, "ms", 10_000.0),
            (61.0, "seconds", 120.0),
        ] {
            assert!((ceiling(highest, unit) - top).abs() < 0.001, "{highest} {unit}");
        }
    }
}
