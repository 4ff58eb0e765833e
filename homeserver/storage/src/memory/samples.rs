//! Samples of the last day. In memory.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::Timestamp;

use super::MemoryTx;
use crate::{Sample, SamplesRead, SamplesWrite, Stored};

/// The values by series and time.
#[derive(Clone, Default)]
pub(super) struct Samples(BTreeMap<(String, Timestamp), u64>);

#[async_trait]
impl SamplesRead for MemoryTx {
    async fn samples(&mut self) -> Stored<Vec<Sample>> {
        let sample = |((series, at), value): (&(String, Timestamp), &u64)| Sample {
            series: series.clone(),
            at: *at,
            value: *value,
        };
        Ok(self.state.samples.0.iter().map(sample).collect())
    }
}

#[async_trait]
impl SamplesWrite for MemoryTx {
    async fn samples_store(&mut self, samples: &[Sample], from: Timestamp, until: Timestamp) -> Stored<()> {
        let kept = Arc::make_mut(&mut self.state.samples);
        for sample in samples {
            kept.0.insert((sample.series.clone(), sample.at), sample.value);
        }
        kept.0.retain(|(_, at), _| (from..=until).contains(at));
        Ok(())
    }
}
