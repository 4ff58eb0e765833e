//! Other domains' logs that are witnessed here, in memory.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Bound,
    sync::Arc,
};

use async_trait::async_trait;
use qpq_core::Timestamp;

use super::MemoryTx;
use crate::{
    EVIDENCE_PER_LOG, EvidenceKept, LOG_ENTRY_BYTES, LogEvidence, LogHead, Mirrored, NewEvidence, Stored,
    WitnessedLog, WitnessedRead, WitnessedWrite,
};

/// The logs by origin, and the evidence by number, counted from 1.
#[derive(Clone, Default)]
pub(super) struct Witnessed {
    logs: BTreeMap<String, Log>,
    evidence: Vec<LogEvidence>,
}

#[derive(Clone)]
struct Log {
    key: String,
    cosigned: Option<LogHead>,
    entries: Vec<[u8; LOG_ENTRY_BYTES]>,
    edge: Vec<u8>,
}

impl Log {
    fn shown(&self, origin: &str) -> WitnessedLog {
        WitnessedLog { origin: origin.to_owned(), key: self.key.clone(), cosigned: self.cosigned.clone() }
    }

    fn cosigned_size(&self) -> u64 {
        self.cosigned.as_ref().map_or(0, |head| head.size)
    }
}

fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

#[async_trait]
impl WitnessedRead for MemoryTx {
    async fn kt_witnessed(&mut self, origin: &str) -> Stored<Option<WitnessedLog>> {
        Ok(self.state.witnessed.logs.get(origin).map(|log| log.shown(origin)))
    }

    async fn kt_witnessed_after(&mut self, origin: &str, limit: usize) -> Stored<Vec<WitnessedLog>> {
        let behind = (Bound::Excluded(origin), Bound::Unbounded);
        let logs = self.state.witnessed.logs.range::<str, _>(behind);
        Ok(logs.take(limit).map(|(origin, log)| log.shown(origin)).collect())
    }

    async fn kt_mirrored(&mut self, origin: &str) -> Stored<Mirrored> {
        let log = self.state.witnessed.logs.get(origin);
        Ok(log.map_or_else(Mirrored::default, |log| Mirrored {
            size: count(&log.entries),
            edge: log.edge.clone(),
        }))
    }

    async fn kt_mirrored_entries(
        &mut self,
        origin: &str,
        from: u64,
        limit: usize,
    ) -> Stored<Vec<[u8; LOG_ENTRY_BYTES]>> {
        let skipped = usize::try_from(from).unwrap_or(usize::MAX);
        let entries = self.state.witnessed.logs.get(origin).map(|log| log.entries.iter());
        Ok(entries.into_iter().flatten().skip(skipped).take(limit).copied().collect())
    }

    async fn kt_evidence(&mut self, origin: &str) -> Stored<Vec<LogEvidence>> {
        let all = self.state.witnessed.evidence.iter();
        Ok(all.filter(|kept| kept.found.origin == origin).cloned().collect())
    }

    async fn kt_evidence_after(&mut self, id: u64, limit: usize) -> Stored<Vec<LogEvidence>> {
        let all = self.state.witnessed.evidence.iter();
        Ok(all.filter(|kept| kept.id > id).take(limit).cloned().collect())
    }
}

#[async_trait]
impl WitnessedWrite for MemoryTx {
    async fn kt_pin(&mut self, origin: &str, key: &str) -> Stored<String> {
        let replaces = self.planted.pins_replaced();
        match Arc::make_mut(&mut self.state.witnessed).logs.entry(origin.to_owned()) {
            Entry::Vacant(free) => {
                free.insert(Log { key: key.to_owned(), cosigned: None, entries: vec![], edge: vec![] });
                Ok(key.to_owned())
            }
            Entry::Occupied(mut taken) => {
                if replaces {
                    key.clone_into(&mut taken.get_mut().key);
                }
                Ok(taken.get().key.clone())
            }
        }
    }

    async fn kt_cosign(&mut self, origin: &str, cosigned: &LogHead) -> Stored<()> {
        let what = "kt_cosign";
        let back = self.planted.witnesses_go_back();
        match Arc::make_mut(&mut self.state.witnessed).logs.get_mut(origin) {
            Some(log) if back || cosigned.size >= log.cosigned_size() => {
                log.cosigned = Some(cosigned.clone());
                Ok(())
            }
            Some(_) | None => Err(self.conflict(what)),
        }
    }

    async fn kt_mirror(
        &mut self,
        origin: &str,
        from: u64,
        entries: &[[u8; LOG_ENTRY_BYTES]],
        edge: &[u8],
    ) -> Stored<()> {
        let fits = |log: &Log| {
            let end = from.saturating_add(count(entries));
            count(&log.entries) == from && end <= log.cosigned_size()
        };
        match Arc::make_mut(&mut self.state.witnessed).logs.get_mut(origin) {
            Some(log) if fits(log) => {
                log.entries.extend_from_slice(entries);
                log.edge = edge.to_vec();
                Ok(())
            }
            Some(_) | None => Err(self.conflict("kt_mirror")),
        }
    }

    async fn kt_keep_evidence(&mut self, found: &NewEvidence) -> Stored<EvidenceKept> {
        let evidence = &mut Arc::make_mut(&mut self.state.witnessed).evidence;
        let of_log = || evidence.iter().filter(|kept| kept.found.origin == found.origin);
        if let Some(known) = of_log().find(|kept| kept.found.sizes == found.sizes) {
            return Ok(EvidenceKept::Known(known.id));
        }
        if of_log().count() >= EVIDENCE_PER_LOG {
            return Ok(EvidenceKept::Enough);
        }
        let id = count(evidence).saturating_add(1);
        evidence.push(LogEvidence { id, found: found.clone(), cleared_at: None });
        Ok(EvidenceKept::New(id))
    }

    async fn kt_clear_evidence(&mut self, id: u64, at: Timestamp) -> Stored<bool> {
        let evidence = &mut Arc::make_mut(&mut self.state.witnessed).evidence;
        let kept = evidence.iter_mut().find(|kept| kept.id == id && kept.cleared_at.is_none());
        Ok(kept.map(|kept| kept.cleared_at = Some(at)).is_some())
    }
}
