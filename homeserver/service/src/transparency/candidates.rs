//! Who may witness our log: the peers that are spoken with now, those first that witness it already.

use qpq_core::{Domain, Timestamp};
use qpq_federation_proto::Policy;
use qpq_storage::{ReadTx, Stored};
use qpq_transparency::configuration;
use qpq_transparency_tree::{VerifierKey, note::NOTE_SIGNATURES};

use crate::{Answered, Ground, Known};

/// The most witnesses: a note has room for that many signatures beside the log's own.
const WITNESSES: usize = NOTE_SIGNATURES - 1;

/// The log and those who may sign it, as they are now.
pub(super) struct Candidates {
    /// How many entries the log has.
    pub(super) size: u64,
    /// Whom the CONFIG names.
    pub(super) witnesses: Vec<VerifierKey>,
    /// Who may witness, those that are named first.
    pub(super) peers: Vec<Domain>,
}

impl Candidates {
    pub(super) async fn read(ground: &Ground) -> Answered<Self> {
        let mut tx = ground.read().await?;
        let size = tx.kt_head().await?.map_or(0, |head| head.size);
        let config = configuration::newest(tx.as_mut()).await?;
        let witnesses = config.map_or_else(Vec::new, |config| config.witnesses().to_vec());
        let peers = allowed(tx.as_mut(), ground, ground.now()).await?;
        let mut all = Self { size, witnesses, peers };
        let mut peers = std::mem::take(&mut all.peers);
        peers.sort_by_key(|peer| all.named(peer).is_none());
        peers.truncate(WITNESSES);
        Ok(Self { peers, ..all })
    }

    /// The key of a peer that the CONFIG names.
    pub(super) fn named(&self, peer: &Domain) -> Option<&VerifierKey> {
        self.witnesses.iter().find(|key| key.name().domain().as_ref() == Some(peer))
    }
}

/// The peers that are spoken with now.
pub(super) async fn allowed(tx: &mut dyn ReadTx, ground: &Ground, now: Timestamp) -> Stored<Vec<Domain>> {
    let mut allowed = Vec::new();
    for peer in tx.peers().await? {
        let known = Known::read(tx, &peer.domain, now).await?;
        if known.kept_out(Policy::AllowListed, &peer.domain, ground.domain()).is_none() {
            allowed.push(peer.domain);
        }
    }
    Ok(allowed)
}
