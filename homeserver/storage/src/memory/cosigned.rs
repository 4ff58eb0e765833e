//! How our own log is cosigned, in memory.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::Timestamp;

use super::MemoryTx;
use crate::{COLLECTED_CHECKPOINTS, CosignedRead, CosignedWrite, LogHead, OurWitness, Stored};

/// Checkpoints by their sizes, witnesses by their keys.
#[derive(Clone, Default)]
pub(super) struct Cosigned {
    newest: Option<LogHead>,
    collected: BTreeMap<u64, String>,
    witnesses: BTreeMap<String, OurWitness>,
}

impl Cosigned {
    fn witness(&mut self, key: &str) -> &mut OurWitness {
        self.witnesses.entry(key.to_owned()).or_insert_with(|| OurWitness {
            key: key.to_owned(),
            size: 0,
            signed_at: None,
            failed: None,
        })
    }
}

#[async_trait]
impl CosignedRead for MemoryTx {
    async fn kt_cosigned(&mut self) -> Stored<Option<LogHead>> {
        Ok(self.state.cosigned.newest.clone())
    }

    async fn kt_collected(&mut self, size: u64) -> Stored<Option<LogHead>> {
        let note = self.state.cosigned.collected.get(&size);
        Ok(note.map(|note| LogHead { size, note: note.clone() }))
    }

    async fn kt_our_witnesses(&mut self) -> Stored<Vec<OurWitness>> {
        Ok(self.state.cosigned.witnesses.values().cloned().collect())
    }
}

#[async_trait]
impl CosignedWrite for MemoryTx {
    async fn kt_keep_cosigned(&mut self, cosigned: &LogHead) -> Stored<()> {
        let before = self.state.cosigned.newest.as_ref().map_or(0, |before| before.size);
        let back = cosigned.size < before && !self.planted.witnesses_go_back();
        if back || cosigned.size > self.state.log.size() {
            return Err(self.conflict("kt_keep_cosigned"));
        }
        let area = Arc::make_mut(&mut self.state.cosigned);
        area.newest = Some(cosigned.clone());
        area.collected.retain(|size, _| *size >= cosigned.size);
        Ok(())
    }

    async fn kt_keep_collected(&mut self, collected: &LogHead) -> Stored<()> {
        if collected.size > self.state.log.size() {
            return Err(self.conflict("kt_keep_collected"));
        }
        let area = Arc::make_mut(&mut self.state.cosigned);
        area.collected.insert(collected.size, collected.note.clone());
        while area.collected.len() > COLLECTED_CHECKPOINTS {
            area.collected.pop_first();
        }
        Ok(())
    }

    async fn kt_witness_signed(&mut self, key: &str, size: u64, at: Timestamp) -> Stored<()> {
        let witness = Arc::make_mut(&mut self.state.cosigned).witness(key);
        *witness =
            OurWitness { size: size.max(witness.size), signed_at: Some(at), failed: None, ..witness.clone() };
        Ok(())
    }

    async fn kt_witness_failed(&mut self, key: &str, why: &str, at: Timestamp) -> Stored<()> {
        Arc::make_mut(&mut self.state.cosigned).witness(key).failed = Some((why.to_owned(), at));
        Ok(())
    }
}
