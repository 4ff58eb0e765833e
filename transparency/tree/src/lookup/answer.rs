//! What a log answers to a lookup.

use qpq_core::Digest;

use crate::{
    checkpoint::SignedCheckpoint, claim::SignedClaim, commitment::Opening, entry::Entry, vrf::VrfProof,
};

/// The most versions between the known one and the newest that an answer shows: those that changed the identity key.
pub const LOOKUP_LINKS: usize = 32;

/// An entry with the proof that it is in the tree, and what it commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The entry.
    pub entry: Entry,
    /// Its place in the log.
    pub index: u64,
    /// The hashes beside its way to the root, the lowest first (RFC 6962, section 2.1.1).
    pub inclusion: Vec<Digest>,
    /// Opening and value; missing if they were erased, which only a closed account's may be.
    pub contents: Option<(Opening, Vec<u8>)>,
}

impl Proven {
    /// The hash of the entry's leaf.
    pub fn leaf_hash(&self) -> Digest {
        self.entry.leaf_hash()
    }
}

/// What an answer shows of the log itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The head, signed.
    pub checkpoint: SignedCheckpoint,
    /// From the asker's head to this one (RFC 6962, section 2.1.2); empty if it had none.
    pub consistency: Vec<Digest>,
    /// What is newest of the label, and which CONFIG.
    pub claim: SignedClaim,
    /// The newest CONFIG, if the asker doesn't have it.
    pub config: Option<Proven>,
}

/// That a reset was announced, and witnessed, before it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetEvidence {
    /// The announcement, the version before the reset, in the answer's tree.
    pub pending: Proven,
    /// A checkpoint of that time which has it.
    pub seen: SignedCheckpoint,
    /// The announcement's way to the root of that checkpoint.
    pub seen_inclusion: Vec<Digest>,
    /// From that checkpoint to the answer's.
    pub consistency: Vec<Digest>,
    /// The CONFIG of that time with the one after it, both in the answer's tree; `None` if it is the newest one still. Whose
    /// signatures were needed then, it says.
    pub config: Option<(Proven, Proven)>,
}

/// An answer to a lookup of one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupAnswer {
    /// The log.
    pub evidence: Evidence,
    /// That the label's id is what it is.
    pub vrf_proof: VrfProof,
    /// The newest version; `None` if there is no entry of the label.
    pub latest: Option<Proven>,
    /// The version before the newest, if the newest announces a reset, which nobody signs.
    pub base: Option<Proven>,
    /// The versions between the asker's and the newest that changed the identity key, ascending.
    pub links: Vec<Proven>,
    /// For each reset among the newest version and the links.
    pub resets: Vec<ResetEvidence>,
}
