//! Copies of the logs that this domain witnesses: fetched from the logs themselves, piece by piece, each verified against what was
//! cosigned. They are what a domain that lost its database gets its entries back from.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use qpq_core::{Digest, Domain, limits};
use qpq_storage::{Stored, WriteTx};
use qpq_transparency::mirror::{self, Grown, MirrorRefusal, Wanted};
use qpq_transparency_tree::{KeyName, entry::ENTRY_BYTES};
use qpq_transparency_wire::LOG_ENTRIES;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::candidates::allowed;
use crate::{Answered, Effects, Ground, PeerCallError, Refusal, WriteJob};

/// How many logs are looked at in one page.
const PAGE: usize = 256;
/// How often it is looked for what is missing.
const EVERY: Duration = Duration::from_secs(5);
/// After a failure a log is left alone for so long.
const LATER: Duration = Duration::from_mins(1);
/// How long one piece may take.
const PIECE: Duration = Duration::from_secs(30);
/// The longest mirror, 110 MB of entries: a log costs nothing to whoever makes one up.
const LONGEST: u64 = 1_000_000;

/// Fetches what the mirrors lack.
#[derive(Debug)]
pub(super) struct Mirroring {
    ground: Arc<Ground>,
    later: BTreeMap<String, Instant>,
}

impl Mirroring {
    pub(super) const fn new(ground: Arc<Ground>) -> Self {
        Self { ground, later: BTreeMap::new() }
    }

    /// Fetches piece by piece until it is stopped.
    pub(super) async fn run(mut self, stopping: &CancellationToken) {
        while stopping.run_until_cancelled(sleep(EVERY)).await.is_some() {
            if let Some(Err(refusal)) = stopping.run_until_cancelled(Box::pin(self.look())).await {
                warn!(error = %refusal, "logs could not be mirrored, will try again");
            }
        }
    }

    /// Fetches one piece of each log that lacks any.
    async fn look(&mut self) -> Answered<()> {
        let now = Instant::now();
        self.later.retain(|_, until| now < *until);
        let wanted = self.wanted().await?;
        if wanted.is_empty() {
            return Ok(());
        }
        let peers = allowed(self.ground.read().await?.as_mut(), &self.ground, self.ground.now()).await?;
        for (origin, wanted) in wanted {
            let domain = origin.parse().ok().and_then(|name: KeyName| name.domain());
            let Some(peer) = domain.filter(|domain| peers.contains(domain)) else { continue };
            match timeout(PIECE, self.fetch(&peer, &origin, &wanted)).await {
                // Another tree was cosigned meanwhile: the next look is right.
                Ok(Ok(Ok(_) | Err(MirrorRefusal::Moved { .. } | MirrorRefusal::Elsewhere { .. }))) => {}
                Ok(Ok(Err(why))) => self.leave(origin, &why.to_string()),
                Ok(Err(error)) => self.leave(origin, &error.to_string()),
                Err(_) => self.leave(origin, "it did not give its entries in time"),
            }
        }
        Ok(())
    }

    fn leave(&mut self, origin: String, why: &str) {
        debug!(log = %origin, %why, "a log could not be mirrored further");
        self.later.insert(origin, Instant::now() + LATER);
    }

    async fn wanted(&self) -> Answered<Vec<(String, Wanted)>> {
        let mut tx = self.ground.read().await?;
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = tx.kt_witnessed_after(&after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after.clone_from(&last.origin);
            for log in page {
                if self.later.contains_key(&log.origin) {
                    continue;
                }
                if let Some(wanted) = mirror::wanted(tx.as_mut(), &log.origin).await?
                    && wanted.entries.end <= LONGEST
                {
                    found.push((log.origin, wanted));
                }
            }
        }
    }

    async fn fetch(
        &self,
        peer: &Domain,
        origin: &str,
        wanted: &Wanted,
    ) -> Result<Result<Grown, MirrorRefusal>, PeerCallError> {
        let name = KeyName::of_log(peer);
        let mut entries = Vec::new();
        let (mut next, end) = (wanted.entries.start, wanted.entries.end);
        while next < end {
            let deadline = self.ground.now().after(limits::INTERACTIVE);
            let mut piece = self.ground.peers().log_entries(peer, &name, next, deadline).await?;
            let room = usize::try_from(end.saturating_sub(next)).unwrap_or(usize::MAX);
            piece.truncate(room);
            // Whole answers only: one entry at a time would keep everybody else waiting.
            if piece.len() < room.min(LOG_ENTRIES) {
                return Err(PeerCallError::Refused(Refusal::malformed(
                    "the log gives fewer entries than it was cosigned with",
                )));
            }
            next = next.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            entries.extend(piece);
        }
        let within = wanted.within.size;
        let proof = if end == within {
            Vec::new()
        } else {
            let deadline = self.ground.now().after(limits::INTERACTIVE);
            self.ground.peers().log_consistency(peer, (end, within), deadline).await?
        };
        let job = Take { origin: origin.to_owned(), from: wanted.entries.start, entries, within, proof };
        self.ground.write(job).await.map_err(PeerCallError::Refused)
    }
}

struct Take {
    origin: String,
    from: u64,
    entries: Vec<[u8; ENTRY_BYTES]>,
    within: u64,
    proof: Vec<Digest>,
}

#[async_trait]
impl WriteJob for Take {
    type Output = Result<Grown, MirrorRefusal>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        let Self { origin, from, entries, within, proof } = self;
        mirror::take(tx, origin, *from, entries, *within, proof).await
    }

    fn effects(&mut self) -> Effects {
        Effects::default()
    }
}

#[cfg(test)]
mod tests;
