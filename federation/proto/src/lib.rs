//! The federation protocol without I/O: outbox, inbox, peer, discovery, policy, invites and their bytes.
//!
//! Values in, decisions out; time and randomness are arguments. A driver (`qpq-federation`) performs what the
//! cores ask for and tells them what came of it. What is written here is what two domains promise each other:
//!
//! * [`Outbox`], one per peer: which rows of which streams go out next, when after a failure, and when a row
//!   counts as kept. It holds heads, never payloads.
//! * [`judge`], per origin and stream: whether a batch is new, known, too early or contradicts what was applied.
//!   [`Application`] gives its answer only to a caller that says that the rows are durable.
//! * [`reconcile`] and [`judge_evidence`]: what a peer has lost or claims, compared with what we recorded.
//! * [`judge_link`] and [`Peer`]: whom a certificate and the admin's records make of the other side, and what it
//!   may claim in `hello`.
//! * [`Search`]: where a domain is, from its record and what DNS says, and which addresses DNS must not lead us to.
//! * [`Probe`]: what was seen on the way to a peer, judged step by step with cause and remedy.
//! * [`Policy`], [`Invite`], [`AcceptStatement`], [`SignedHeader`]: who may peer, how peering starts, and the signature
//!   on every batch.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)
)]

mod address;
mod answer;
mod backoff;
mod discovery;
mod header;
mod inbox;
mod invite;
mod outbox;
mod peer;
mod planted;
mod policy;
mod probe;
mod reconcile;
mod stream;

pub use address::{AddressError, FederationAddress};
pub use answer::{Refusal, RowAck, StreamAnswer};
pub use backoff::{Cause, SavedLink, StopReason, StopReasonError, retry_wait};
pub use discovery::{
    Answer, Cache, FEDERATION_PORT, Families, Forbidden, Heard, LookupFailure, PrivateTargets, Question,
    Search, Service, Step, Target, Undiscovered, Vouched,
};
pub use header::{BatchDigest, HeaderError, SignedHeader};
pub use inbox::{Application, Gap, Judgement, Position, heads_digest, judge};
pub use invite::{AcceptReceipt, AcceptStatement, Acceptance, Invite, InviteError, InviteTerms};
pub use outbox::{
    Action, Bounce, CallBudget, CallId, Cut, Failure, Kept, Outbox, OutboxLimits, Pace, PeerQueueStatus,
    QueueState, Sent, StoreId, StreamHead,
};
pub use peer::{
    Hello, HelloVerdict, Peer, Presented, TrustedClaims, TrustedLink, Untrusted, VersionRange,
    VersionUnsupported, dial_that_stays, judge_link,
};
#[cfg(feature = "planted")]
pub use planted::{Bug as PlantedBug, plant};
pub use policy::{DirectoryPolicy, DirectoryPolicyError, PeerState, Policy, PolicyError, Verdict};
pub use probe::{
    CertificateSeen, Diagnosis, DialSeen, HealthSeen, HelloSeen, OwnView, PROBE_FEATURE, PeersView, Probe,
    ProbeReport, ProbeStep, StepOutcome,
};
pub use reconcile::{Finding, LaneHead, PeerHead, Proof, judge_evidence, reconcile};
pub use stream::{BATCH_BODY_BYTES, Batch, Lane, ROW_BYTES, Row, RowKind, StreamId, StreamName, chain};
