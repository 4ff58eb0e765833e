use ed25519_dalek::SigningKey;
use qpq_core::{MessageId, SeededEntropy, Timestamp};

use super::*;
use crate::{
    header::BatchDigest,
    stream::{Batch, Row, RowKind},
};

const STREAM: StreamId = StreamId::from_bytes([1; 16]);

fn life(time: u64) -> Incarnation {
    Incarnation::begin(Timestamp::from_millis(time), &mut SeededEntropy::new(time))
}

fn lane(of: u64) -> Lane {
    Lane { incarnation: life(of), stream: STREAM }
}

fn here(of: u64, accepted: u64, last: u64) -> LaneHead {
    let chain = Some(Digest::of(&[&accepted.to_be_bytes()]));
    LaneHead { lane: lane(of), accepted: Seq(accepted), chain, last: Seq(last) }
}

fn there(of: u64, applied: u64) -> PeerHead {
    let chain = Digest::of(&[&applied.to_be_bytes()]);
    let at = Position { incarnation: life(of), applied: Seq(applied), chain };
    PeerHead { stream: STREAM, at, backed_up: Seq::ZERO }
}

fn rewind(of: u64, to: u64) -> Finding {
    let chain = if to == 0 { Digest::ZERO } else { there(of, to).at.chain };
    Finding::Rewind { lane: lane(of), to: Seq(to), chain }
}

fn found(lanes: &[LaneHead], head: PeerHead) -> Vec<Finding> {
    reconcile(life(2), lanes, &[head])
}

#[test]
fn who_has_what_we_know_of_needs_nothing() {
    assert_eq!(found(&[here(2, 4, 9)], there(2, 4)), []);
    assert_eq!(reconcile(life(2), &[here(2, 0, 9)], &[]), [], "what never went out is lost nowhere");
}

#[test]
fn what_a_restored_peer_has_lost_goes_out_again_in_every_life() {
    assert_eq!(found(&[here(2, 4, 9)], there(2, 1)), [rewind(2, 1)]);
    assert_eq!(found(&[here(1, 7, 7), here(2, 4, 9)], there(1, 5)), [rewind(1, 5), rewind(2, 0)]);
    assert_eq!(reconcile(life(2), &[here(2, 4, 9)], &[]), [rewind(2, 0)]);
}

#[test]
fn in_an_older_life_what_waits_builds_on_what_the_peer_met() {
    let mut other = there(1, 3);
    other.at.chain = Digest::of(&[b"a gap"]);
    let rewind = Finding::Rewind { lane: lane(1), to: Seq(3), chain: other.at.chain };
    assert_eq!(found(&[here(1, 3, 5)], other), [rewind]);
    assert_eq!(found(&[here(1, 3, 3)], other), []);
}

#[test]
fn an_answer_that_was_lost_is_made_good() {
    let chain = there(2, 6).at.chain;
    let confirm = Finding::Confirm { lane: lane(2), through: Seq(6), chain };
    assert_eq!(found(&[here(2, 4, 9)], there(2, 6)), [confirm]);
    assert_eq!(found(&[here(1, 3, 5), here(2, 0, 1)], there(2, 0)), [Finding::Finished { lane: lane(1) }]);
    // After our own restore the peer has more of an older life than we do.
    assert_eq!(found(&[here(1, 3, 5)], there(1, 8)), [Finding::Finished { lane: lane(1) }]);
    assert_eq!(found(&[here(1, 5, 5)], there(1, 8)), []);
}

#[test]
fn what_is_in_a_backup_over_there_need_not_be_kept() {
    let head = PeerHead { backed_up: Seq(3), ..there(2, 4) };
    assert_eq!(found(&[here(2, 4, 9)], head), [Finding::BackedUp { lane: lane(2), through: Seq(3) }]);
    let lies = PeerHead { backed_up: Seq(8), ..there(2, 4) };
    assert_eq!(found(&[here(2, 4, 9)], lies), [Finding::BackedUp { lane: lane(2), through: Seq(4) }]);
}

#[test]
fn claims_about_us_are_in_doubt() {
    let doubt = [Finding::Doubt { stream: STREAM }];
    assert_eq!(found(&[here(2, 4, 9)], there(3, 1)), doubt, "a later life");
    assert_eq!(found(&[here(2, 4, 9)], there(2, 10)), doubt, "rows that were never numbered");
    assert_eq!(found(&[], there(2, 1)), doubt, "a stream that we never had");
    let mut other = there(2, 4);
    other.at.chain = Digest::ZERO;
    assert_eq!(found(&[here(2, 4, 9)], other), doubt, "other rows");
    assert_eq!(found(&[], there(1, 5)), [], "of an older life we may have forgotten all");
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

/// A header that we signed in that life, up to that row.
fn signed(by: &SigningKey, of: u64, last: u64) -> (Vec<u8>, Digest) {
    let rows = (1..=last).map(|seq| Row {
        seq: Seq(seq),
        id: MessageId::from_bytes([1; 16]),
        kind: RowKind::GroupEntry,
        ttl: None,
        payload: vec![],
        request: None,
    });
    let batch = Batch::new(STREAM, Some(Digest::ZERO), rows.collect()).unwrap();
    let (alpha, beta) = ("alpha.test".parse().unwrap(), "beta.test".parse().unwrap());
    let header = SignedHeader::sign(by, alpha, beta, life(of), vec![BatchDigest::of(&batch)]).unwrap();
    (header.to_bytes(), batch.chain_after().unwrap())
}

fn judged(evidence: &[u8], last: u64, chain: Option<Digest>) -> Option<Proof> {
    let (alpha, beta) = ("alpha.test".parse().unwrap(), "beta.test".parse().unwrap());
    let ours = FederationKey::from_bytes(key().verifying_key().to_bytes());
    judge_evidence(evidence, (&alpha, life(2), &ours), &beta, STREAM, Seq(last), |_| chain)
}

#[test]
fn only_what_we_signed_and_do_not_hold_proves_anything() {
    let (same, chain) = signed(&key(), 2, 5);
    assert_eq!(judged(&same, 5, Some(chain)), None, "we hold it");
    assert_eq!(judged(&same, 9, None), None, "we can't say any more");
    assert_eq!(judged(&same, 4, None), Some(Proof::RolledBack { signed: Seq(5) }));
    let other = Some(Digest::of(&[b"other rows"]));
    assert_eq!(judged(&same, 9, other), Some(Proof::RolledBack { signed: Seq(5) }));
    assert_eq!(judged(&signed(&key(), 3, 1).0, 9, None), Some(Proof::LaterLife(life(3))));
    assert_eq!(judged(&signed(&key(), 1, 5).0, 0, None), None, "an older life is over");
    let stranger = SigningKey::from_bytes(&[6; 32]);
    assert_eq!(judged(&signed(&stranger, 3, 5).0, 0, None), None, "somebody else's signature");
    assert_eq!(judged(b"garbage", 0, None), None);
}

#[test]
fn a_header_for_another_domain_or_stream_proves_nothing() {
    let (header, _) = signed(&key(), 3, 5);
    let (alpha, gamma) = ("alpha.test".parse().unwrap(), "gamma.test".parse().unwrap());
    let ours = FederationKey::from_bytes(key().verifying_key().to_bytes());
    let us = (&alpha, life(2), &ours);
    assert_eq!(judge_evidence(&header, us, &gamma, STREAM, Seq(0), |_| None), None);
    let beta = "beta.test".parse().unwrap();
    let elsewhere = StreamId::from_bytes([2; 16]);
    assert_eq!(judge_evidence(&header, us, &beta, elsewhere, Seq(0), |_| None), None);
}
