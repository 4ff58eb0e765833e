//! The figures of the last day that the overview draws: taken every five minutes, kept in a ring of 288 for each
//! series, in the database, so that a restart leaves no hole of a day.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{Millis, Timestamp};
use qpq_storage::{Sample, Stored, WriteTx};
use serde::Serialize;

use crate::{Answered, Checks, Ground, Peering, Sessions, WriteJob};

/// How far apart samples are.
pub const SAMPLE_INTERVAL: Millis = Millis::from_secs(300);
/// How long they are kept.
const KEPT: Millis = Millis::from_days(1);

/// Every series with its unit.
const SERIES: [(&str, &str); 4] = [
    ("queue_rows", "rows"),
    ("queue_oldest", "seconds"),
    ("sessions_live", "sessions"),
    ("database_bytes", "bytes"),
];

/// A figure over time, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeriesView {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// Unix seconds and values, oldest first.
    pub points: Vec<(u64, u64)>,
}

/// Takes every figure once.
pub(crate) async fn take(
    ground: &Arc<Ground>,
    sessions: &Sessions,
    peering: &Peering,
    checks: &Checks,
) -> Answered<()> {
    let now = ground.now();
    let waiting = peering.waiting().await?;
    let oldest = waiting.oldest_at.map_or(0, |oldest| now.since(oldest).0 / 1_000);
    let live = u64::try_from(sessions.live().count()).unwrap_or(u64::MAX);
    let bytes = checks.machine().await.database_bytes;
    let figures = [
        ("queue_rows", Some(waiting.rows)),
        ("queue_oldest", Some(oldest)),
        ("sessions_live", Some(live)),
        ("database_bytes", bytes),
    ];
    // The place in the ring: a second sample of the same five minutes takes the place of the first, so that no number of
    // restarts makes the ring longer.
    let at = Timestamp::from_millis(now.as_millis() / SAMPLE_INTERVAL.0 * SAMPLE_INTERVAL.0);
    let samples = figures
        .into_iter()
        .filter_map(|(series, value)| Some(Sample { series: series.to_owned(), at, value: value? }));
    let from = at.before(KEPT).after(SAMPLE_INTERVAL);
    ground.write(Keep { samples: samples.collect(), from, until: at }).await
}

/// All series.
pub(crate) async fn all(ground: &Ground) -> Answered<Vec<SeriesView>> {
    let samples = ground.read().await?.samples().await?;
    let series = SERIES.iter().map(|(name, unit)| SeriesView {
        name,
        unit,
        points: samples
            .iter()
            .filter(|sample| sample.series == *name)
            .map(|sample| (sample.at.as_millis() / 1_000, sample.value))
            .collect(),
    });
    Ok(series.collect())
}

struct Keep {
    samples: Vec<Sample>,
    from: Timestamp,
    until: Timestamp,
}

#[async_trait]
impl WriteJob for Keep {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        tx.samples_store(&self.samples, self.from, self.until).await
    }
}
