//! Copies of the logs that this domain witnesses: fetched from the logs themselves, piece by piece, each verified against what was
//! cosigned. They are what a domain that lost its database gets its entries back from.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::{Digest, Domain, Millis, Timestamp, limits};
use qpq_storage::{Stored, WriteTx};
use qpq_transparency::mirror::{self, Grown, MirrorRefusal, Wanted};
use qpq_transparency_tree::{KeyName, entry::ENTRY_BYTES};
use tracing::debug;

use crate::{Answered, Effects, Ground, PeerCallError, Refusal, WriteJob};

/// How many logs are looked at in one page.
const PAGE: usize = 256;
/// How often it is looked for what is missing.
const EVERY: Millis = Millis::from_secs(5);
/// After a failure a log is left alone for so long.
const LATER: Millis = Millis::from_secs(60);

/// Fetches what the mirrors lack.
#[derive(Debug)]
pub(super) struct Mirroring {
    ground: Arc<Ground>,
    next: Timestamp,
    later: BTreeMap<String, Timestamp>,
}

impl Mirroring {
    pub(super) const fn new(ground: Arc<Ground>) -> Self {
        Self { ground, next: Timestamp::from_millis(0), later: BTreeMap::new() }
    }

    /// Fetches one piece of each log that lacks any, if it is time to look.
    pub(super) async fn look(&mut self, peers: &[Domain]) -> Answered<()> {
        let now = self.ground.now();
        if now < self.next {
            return Ok(());
        }
        self.next = now.after(EVERY);
        self.later.retain(|_, until| now < *until);
        for (origin, wanted) in self.wanted().await? {
            let domain = origin.parse().ok().and_then(|name: KeyName| name.domain());
            let Some(peer) = domain.filter(|domain| peers.contains(domain)) else { continue };
            match self.fetch(&peer, &origin, &wanted).await {
                Ok(Ok(grown)) if grown.size < grown.cosigned => self.next = now,
                // Another tree was cosigned meanwhile: the next look is right.
                Ok(Ok(_) | Err(MirrorRefusal::Moved { .. } | MirrorRefusal::Elsewhere { .. })) => {}
                Ok(Err(why)) => self.leave(origin, &why.to_string()),
                Err(error) => self.leave(origin, &error.to_string()),
            }
        }
        Ok(())
    }

    fn leave(&mut self, origin: String, why: &str) {
        debug!(log = %origin, %why, "a log could not be mirrored further");
        self.later.insert(origin, self.ground.now().after(LATER));
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
                if let Some(wanted) = mirror::wanted(tx.as_mut(), &log.origin).await? {
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
            if piece.is_empty() {
                return Err(PeerCallError::Refused(Refusal::malformed(
                    "the log has no entries where it was cosigned that it has",
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
