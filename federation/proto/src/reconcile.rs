//! Compares what a peer says it has applied with what we have recorded: which rows go out again, which went out already,
//! and which of its claims need evidence.
//!
//! A peer that was restored or rolled back names positions that lie before ours: the rows behind them are sent again, as
//! far as they were kept. A peer that has more than we know of lost its answer on the way, or claims something about *us*.
//! Such a claim counts only with a header that we signed ([`judge_evidence`]); without one that peer alone is stopped, and
//! nothing of ours changes.

use std::collections::BTreeMap;

use qpq_core::{Digest, Domain, FederationKey, Incarnation, Seq};

use crate::{
    header::SignedHeader,
    inbox::Position,
    planted::{Bug, active},
    stream::{Lane, StreamId},
};

/// Where one lane stands here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneHead {
    /// Which lane.
    pub lane: Lane,
    /// The last row that the peer has stored, as far as we have heard.
    pub accepted: Seq,
    /// The chain after it, if it was kept.
    pub chain: Option<Digest>,
    /// The last row.
    pub last: Seq,
}

/// What a peer says about one of our streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerHead {
    /// Which stream.
    pub stream: StreamId,
    /// Where it stands.
    pub at: Position,
    /// Rows up to here are inside a completed backup over there and need not be kept for it; [`Seq::ZERO`]: none.
    pub backed_up: Seq,
}

/// What follows for one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The peer has lost what came after `to`, or met an older life of ours in another way than we remember it: it goes
    /// on from there.
    Rewind {
        /// Which lane.
        lane: Lane,
        /// The last row that the peer still has.
        to: Seq,
        /// The chain that it has there: what goes out next builds on it.
        chain: Digest,
    },
    /// The peer has rows up to `through` although its answer never came. In our own life our rows up to there must make
    /// this chain before they count; if they don't, the claim is in doubt. In an older one it may differ since a restore.
    Confirm {
        /// Which lane.
        lane: Lane,
        /// The last row that it has.
        through: Seq,
        /// The chain that it has there.
        chain: Digest,
    },
    /// The peer has begun a later lane, so it has finished this one.
    Finished {
        /// Which lane.
        lane: Lane,
    },
    /// Rows up to `through` are in a backup of the peer.
    BackedUp {
        /// Which lane.
        lane: Lane,
        /// The last of them.
        through: Seq,
    },
    /// The peer claims a later life of ours, rows that we never numbered, or other rows: ask for its evidence.
    Doubt {
        /// About which stream.
        stream: StreamId,
    },
}

/// Compares all lanes to one peer with all heads that it named. `ours` is our incarnation.
pub fn reconcile(ours: Incarnation, lanes: &[LaneHead], heads: &[PeerHead]) -> Vec<Finding> {
    let mut by_stream: BTreeMap<StreamId, (Vec<&LaneHead>, Option<&PeerHead>)> = BTreeMap::new();
    for head in lanes {
        by_stream.entry(head.lane.stream).or_default().0.push(head);
    }
    for head in heads {
        by_stream.entry(head.stream).or_default().1 = Some(head);
    }
    let mut findings = Vec::new();
    for (stream, (lanes, head)) in by_stream {
        let Some(head) = head else {
            findings.extend(lanes.iter().filter_map(|lane| lost(lane, Seq::ZERO, Digest::ZERO)));
            continue;
        };
        let known = lanes.iter().any(|lane| lane.lane.incarnation == head.at.incarnation);
        if head.at.incarnation > ours || (head.at.incarnation == ours && !known) {
            findings.push(Finding::Doubt { stream });
            continue;
        }
        findings.extend(lanes.iter().flat_map(|lane| compare(ours, lane, head)));
    }
    findings
}

fn compare(ours: Incarnation, lane: &LaneHead, head: &PeerHead) -> Vec<Finding> {
    let Position { incarnation, applied, chain } = head.at;
    if lane.lane.incarnation > incarnation {
        return lost(lane, Seq::ZERO, Digest::ZERO).into_iter().collect();
    }
    if lane.lane.incarnation < incarnation {
        let waits = lane.accepted < lane.last;
        return waits.then_some(Finding::Finished { lane: lane.lane }).into_iter().collect();
    }
    let doubt = Finding::Doubt { stream: lane.lane.stream };
    let differs = applied == lane.accepted && lane.chain.is_some_and(|ours| ours != chain);
    // Of an older life a restore may have left us less, or other gaps, than the peer met.
    if incarnation == ours && (differs || applied > lane.last) {
        return vec![doubt];
    }
    let mut findings: Vec<Finding> = lost(lane, applied, chain).into_iter().collect();
    if differs && lane.last > lane.accepted {
        findings.push(Finding::Rewind { lane: lane.lane, to: applied, chain });
    }
    if applied > lane.accepted && lane.last > lane.accepted {
        // In an older life the peer may have more than a restore left us: then it has all that we have.
        let through = applied.min(lane.last);
        findings.push(if through == applied {
            Finding::Confirm { lane: lane.lane, through, chain }
        } else {
            Finding::Finished { lane: lane.lane }
        });
    }
    let backed_up = head.backed_up.min(applied);
    if backed_up > Seq::ZERO {
        findings.push(Finding::BackedUp { lane: lane.lane, through: backed_up });
    }
    findings
}

fn lost(lane: &LaneHead, has: Seq, chain: Digest) -> Option<Finding> {
    (lane.accepted > has).then_some(Finding::Rewind { lane: lane.lane, to: has, chain })
}

/// What a header proves about us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A later life of this domain's database has spoken: this one is a copy of an older state, or was restored without
    /// a new incarnation.
    LaterLife(Incarnation),
    /// This life has numbered rows that this database doesn't hold: it was rolled back, or two copies of it run.
    RolledBack {
        /// The last row that was signed.
        signed: Seq,
    },
}

/// Judges what a peer shows for its claim about `stream`: a header of ours that our database can't have forgotten.
///
/// `last` is the last row of the lane of our own incarnation, and `chain_at` our chain after one of its rows where we
/// still know it. `None`: it proves nothing, and the claim doesn't count.
pub fn judge_evidence(
    evidence: &[u8],
    (us, ours, key): (&Domain, Incarnation, &FederationKey),
    peer: &Domain,
    stream: StreamId,
    last: Seq,
    chain_at: impl FnOnce(Seq) -> Option<Digest>,
) -> Option<Proof> {
    let header = SignedHeader::from_bytes(evidence).ok()?;
    header.verify(us, peer, key, header.batches()).ok()?;
    let line = header.batches().iter().find(|line| line.stream == stream)?;
    if active(Bug::IncarnationIgnored) {
        return None;
    }
    if header.incarnation() > ours {
        return Some(Proof::LaterLife(header.incarnation()));
    }
    if header.incarnation() < ours {
        return None;
    }
    let rolled_back = Proof::RolledBack { signed: line.last };
    if line.last > last {
        return Some(rolled_back);
    }
    let (signed, known) = (line.chain?, chain_at(line.last)?);
    (signed != known).then_some(rolled_back)
}

#[cfg(test)]
mod tests;
