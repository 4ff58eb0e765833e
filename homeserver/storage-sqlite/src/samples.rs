//! Samples of the last day.

use async_trait::async_trait;
use qpq_core::Timestamp;
use qpq_storage::{Sample, SamplesRead, SamplesWrite, Stored};

use crate::{
    fields::each,
    transaction::{Transaction, int, sql, time},
};

#[async_trait]
impl SamplesRead for Transaction {
    async fn samples(&mut self) -> Stored<Vec<Sample>> {
        let query = sql("SELECT series, at, value FROM samples ORDER BY series, at");
        each("samples", &self.rows("samples", query).await?, |row| {
            Ok(Sample { series: row.text("series")?, at: row.time("at")?, value: row.number("value")? })
        })
    }
}

#[async_trait]
impl SamplesWrite for Transaction {
    async fn samples_store(&mut self, samples: &[Sample], from: Timestamp, until: Timestamp) -> Stored<()> {
        // A handful: one for each series.
        for sample in samples {
            let replace = sql("REPLACE INTO samples (series, at, value) VALUES (?, ?, ?)")
                .bind(sample.series.clone())
                .bind(time(sample.at))
                .bind(int(sample.value));
            self.run("samples_store", replace).await?;
        }
        let outside = sql("DELETE FROM samples WHERE at < ? OR at > ?").bind(time(from)).bind(time(until));
        self.run("samples_store", outside).await.map(drop)
    }
}
