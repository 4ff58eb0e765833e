//! Rows from a peer: judged, applied, acknowledged after they are durable.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{Domain, ErrorCode, FederationKey, Incarnation, Millis, RequestId, Seq, limits};
use qpq_federation_proto::{
    Batch, BatchDigest, Gap, HeaderError, Judgement, Position, Refusal as RowRefusal, Row, RowKind,
    SignedHeader, StreamAnswer, StreamId, judge,
};
use qpq_storage::{InboxHead, Lost, ParkedRow, PeerState, Stored, StreamGap, WriteTx};
use tracing::{debug, warn};

use super::{GAPS, RowOutcome};
use crate::{
    Answered, Effects, Ground, Known, Refusal, WriteJob, bans, contacts,
    groups::{self, Gaps},
    peering,
    planted::{Bug, active},
    receipts::{self, StoredMessage, Storing},
    request,
};

/// How long a peer keeps rows for which there is no room here before it asks again.
const PUT_OFF: Millis = Millis::from_secs(1_800);

/// A relay call as it came: what its header claims is not checked yet.
#[derive(Clone, Debug)]
pub struct RelayCall {
    /// Who says that it sends.
    pub origin: Domain,
    /// For whom.
    pub destination: Domain,
    /// The life of the origin's database that numbered the rows.
    pub incarnation: Incarnation,
    /// The origin's signature over all of it.
    pub signature: [u8; 64],
    /// The rows.
    pub batches: Vec<Batch>,
}

/// Applies a relay call of `origin`, whose link is trusted. The header's signature is checked under the key that is
/// pinned for it; the answers come after everything that they speak of is durable.
pub async fn accept(
    ground: &Arc<Ground>,
    origin: &Domain,
    call: RelayCall,
) -> Answered<Vec<(StreamId, StreamAnswer)>> {
    let RelayCall { origin: claimed, destination, incarnation, signature, batches } = call;
    let now = ground.now();
    let Known { peer, ban, .. } = Known::read(ground.read().await?.as_mut(), origin, now).await?;
    if let Some(ban) = ban {
        return Err(Refusal::new(ErrorCode::PolicyRefused, bans::words(&ban, ground.domain())));
    }
    let key = peer.filter(|peer| peer.state == PeerState::Allowed).map(|peer| peer.federation_key);
    let key = FederationKey::from_bytes(key.ok_or_else(|| no_peer(ground, origin))?);
    let digests: Vec<BatchDigest> = batches.iter().map(BatchDigest::of).collect();
    let header = SignedHeader::from_parts(claimed, destination, incarnation, digests.clone(), signature)
        .and_then(|header| header.verify(origin, ground.domain(), &key, &digests).map(|()| header))
        .map_err(unproven)?;
    let job = AcceptBatches {
        ground: Arc::clone(ground),
        origin: origin.clone(),
        kept_header: header.to_bytes(),
        header,
        batches,
        effects: Effects::default(),
    };
    let requests = requests(&job.batches);
    let answers = ground.write(job).await?.ok_or_else(|| no_peer(ground, origin))?;
    for (stream, seq, request) in requests {
        if answers.iter().any(|(of, answer)| *of == stream && has(answer, seq)) {
            debug!(peer.domain = %origin, %request, seq = seq.0, "a peer's row is stored");
        }
    }
    Ok(answers)
}

/// The requests that rows follow from, if anybody wants to read of them.
fn requests(batches: &[Batch]) -> Vec<(StreamId, Seq, RequestId)> {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return Vec::new();
    }
    let rows = batches.iter().flat_map(|batch| batch.rows().iter().map(|row| (batch.stream(), row)));
    rows.filter_map(|(stream, row)| Some((stream, row.seq, row.request?))).collect()
}

fn has(answer: &StreamAnswer, seq: Seq) -> bool {
    matches!(answer, StreamAnswer::Applied { through, .. } if *through >= seq)
}

pub(super) const fn position(head: &InboxHead) -> Position {
    Position { incarnation: head.incarnation, applied: head.last_applied, chain: head.chain }
}

fn no_peer(ground: &Ground, origin: &Domain) -> Refusal {
    Refusal::new(ErrorCode::PolicyRefused, format!("`{origin}` is not a peer of `{}`", ground.domain()))
}

fn unproven(error: HeaderError) -> Refusal {
    let code = match error {
        HeaderError::Batches | HeaderError::Mismatch => ErrorCode::Malformed,
        HeaderError::Origin | HeaderError::Destination | HeaderError::Signature => ErrorCode::Untrusted,
    };
    Refusal::new(code, error.to_string())
}

struct AcceptBatches {
    ground: Arc<Ground>,
    origin: Domain,
    header: SignedHeader,
    kept_header: Vec<u8>,
    batches: Vec<Batch>,
    effects: Effects,
}

#[async_trait]
impl WriteJob for AcceptBatches {
    /// `None`: the peering ended meanwhile, or the origin was blocked.
    type Output = Option<Vec<(StreamId, StreamAnswer)>>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        self.effects = Effects::default();
        let (us, now) = (self.ground.domain(), self.ground.now());
        if peering::why_not(tx, us, &self.origin, now).await?.is_some() {
            return Ok(None);
        }
        let mut answers = Vec::with_capacity(self.batches.len());
        let call = Call { ground: &self.ground, origin: &self.origin, header: &self.header };
        let mut gaps = Gaps::default();
        for batch in &self.batches {
            let answer = call.apply_batch(tx, batch, &self.kept_header, &mut self.effects, &mut gaps).await?;
            answers.push((batch.stream(), answer));
        }
        if gaps.count > 0 {
            let Gaps { count, cut_off, .. } = gaps;
            warn!(peer.domain = %self.origin, streams = count, cut_off, "rows of a peer are lost for good");
        }
        Ok(Some(answers))
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}

/// What the batches of one call have in common.
struct Call<'a> {
    ground: &'a Arc<Ground>,
    origin: &'a Domain,
    header: &'a SignedHeader,
}

impl Call<'_> {
    async fn apply_batch(
        &self,
        tx: &mut dyn WriteTx,
        batch: &Batch,
        kept_header: &[u8],
        effects: &mut Effects,
        gaps: &mut Gaps,
    ) -> Stored<StreamAnswer> {
        let Self { ground, origin, header } = *self;
        let stream = *batch.stream().as_bytes();
        let head = if active(Bug::DedupOutside) {
            ground.view().await?.inbox_head(origin, &stream).await?
        } else {
            tx.inbox_head(origin, &stream).await?
        };
        if head.is_none() && tx.inbox_streams(origin).await? >= limits::PEER_STREAMS {
            return Ok(not_now(origin, "more streams than are followed"));
        }
        match judge(head.as_ref().map(position).as_ref(), header.incarnation(), batch) {
            Judgement::AlreadyApplied(position) => Ok(position.already_applied(Vec::new())),
            Judgement::ExpectSeq(next) => Ok(StreamAnswer::ExpectSeq(next)),
            Judgement::Contradicts(_) => {
                Ok(StreamAnswer::ChainDiffers { header: head.map_or_else(Vec::new, |head| head.header) })
            }
            Judgement::Apply(application) => {
                let unknown = |row: &&Row| matches!(row.kind, RowKind::Unknown(_));
                let to_park: usize =
                    application.rows().iter().filter(unknown).map(|row| row.payload.len()).sum();
                if to_park > 0 {
                    let parked = tx.inbox_parked_bytes(origin).await?;
                    let after = parked.saturating_add(u64::try_from(to_park).unwrap_or(u64::MAX));
                    if after > limits::PARKED_BYTES {
                        return Ok(not_now(origin, "more rows of unknown kinds than are parked"));
                    }
                }
                if application.rows().iter().any(|row| row.kind == RowKind::Welcome) {
                    gaps.look_again();
                }
                let (mut refusals, mut stored) = (Vec::new(), Vec::new());
                let is_entry = |row: &Row| row.kind == RowKind::GroupEntry;
                for run in application.rows().chunk_by(|one, next| is_entry(one) && is_entry(next)) {
                    let outcomes = match run {
                        // What follows from a row (a hub's fan-out) follows from its request.
                        [row] => {
                            let applied = apply_row(ground, tx, origin, &stream, row, effects);
                            vec![request::of(row.request, applied).await?]
                        }
                        entries => groups::apply_entries(ground, tx, origin, entries, effects).await?,
                    };
                    for (row, outcome) in run.iter().zip(outcomes) {
                        match outcome {
                            RowOutcome::Stored => stored.extend(StoredMessage::of(row)),
                            RowOutcome::Known => {}
                            RowOutcome::Refused(ack) => refusals.push(RowRefusal { seq: row.seq, ack }),
                        }
                    }
                }
                let next = application.next();
                tx.inbox_advance(origin, &stream, &next_head(next, kept_header)).await?;
                if !stored.is_empty() {
                    let storing = Storing {
                        origin,
                        stream: batch.stream(),
                        incarnation: next.incarnation,
                        through: next.applied,
                    };
                    storing.receipt(ground, tx, stored, effects).await?;
                }
                Ok(application.durable(refusals))
            }
            Judgement::Skip(gap) => {
                skip(ground, tx, (origin, batch.stream()), gap, effects, gaps).await?;
                tx.inbox_advance(origin, &stream, &next_head(gap.next(), kept_header)).await?;
                Ok(gap.durable())
            }
        }
    }
}

fn next_head(next: Position, kept_header: &[u8]) -> InboxHead {
    InboxHead {
        incarnation: next.incarnation,
        last_applied: next.applied,
        chain: next.chain,
        header: kept_header.to_vec(),
        backed_up: Seq::ZERO,
    }
}

/// Rows are lost for good: who can't follow without them is cut off, and the admin sees it.
async fn skip(
    ground: &Arc<Ground>,
    tx: &mut dyn WriteTx,
    (origin, stream): (&Domain, StreamId),
    gap: Gap,
    effects: &mut Effects,
    gaps: &mut Gaps,
) -> Stored<()> {
    let now = ground.now();
    gaps.apply(tx, ground.domain(), (origin, stream), now, effects).await?;
    let (first, through) = (gap.first, gap.through());
    debug!(peer.domain = %origin, %stream, %first, %through, "rows of a stream are lost");
    let noted = StreamGap {
        lost: Lost::Theirs,
        domain: origin.clone(),
        stream: *stream.as_bytes(),
        first,
        through,
        at: now,
    };
    tx.gap_note(&noted, GAPS).await
}

/// What would let a peer fill our disk stays at the peer, until an admin or a newer version here makes room.
fn not_now(origin: &Domain, what: &'static str) -> StreamAnswer {
    warn!(peer.domain = %origin, what, "a peer's rows are put off");
    StreamAnswer::NotNow { retry_after: PUT_OFF }
}

pub(crate) async fn apply_row(
    ground: &Arc<Ground>,
    tx: &mut dyn WriteTx,
    origin: &Domain,
    stream: &[u8; 16],
    row: &Row,
    effects: &mut Effects,
) -> Stored<RowOutcome> {
    match row.kind {
        RowKind::GroupSubmit
        | RowKind::GroupEntry
        | RowKind::Welcome
        | RowKind::SubmitRefused
        | RowKind::Tombstone => groups::apply_row(ground, tx, origin, row, effects).await,
        RowKind::ContactAccepted => {
            let (us, now) = (ground.domain(), ground.now());
            Ok(contacts::apply_accepted(tx, us, origin, row, now, effects).await?.into())
        }
        RowKind::Receipt => Ok(receipts::apply(ground, tx, origin, row, effects).await?.into()),
        RowKind::Unknown(kind) => {
            let parked =
                ParkedRow { seq: row.seq, kind, id: *row.id.as_bytes(), payload: row.payload.clone() };
            tx.inbox_park(origin, stream, &[parked]).await?;
            Ok(RowOutcome::Stored)
        }
    }
}
