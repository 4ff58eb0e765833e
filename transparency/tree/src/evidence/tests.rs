use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::{LogSigner, TreeHead, growth::RightEdge, leaf_hash, proofs::ProofPlan, root};

fn signer(n: u8) -> LogSigner {
    LogSigner::new("alpha.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[n; 32]))
}

fn key() -> VerifierKey {
    signer(1).verifier().clone()
}

/// A tree whose leaves from one on are another history's.
fn leaves(size: u64, split_at: u64) -> Vec<Digest> {
    (0..size)
        .map(|n| leaf_hash(&[n.to_be_bytes(), u64::from(n >= split_at).to_be_bytes()].concat()))
        .collect()
}

fn signed(leaves: &[Digest]) -> SignedCheckpoint {
    let size = u64::try_from(leaves.len()).unwrap();
    SignedCheckpoint::sign(&signer(1), TreeHead { size, root: root(leaves) })
}

fn consistency(old: usize, leaves: &[Digest]) -> Vec<Digest> {
    let tiles: BTreeMap<(u8, u64), Vec<Digest>> = RightEdge::empty()
        .append(leaves)
        .unwrap()
        .into_iter()
        .map(|(tile, hashes)| ((tile.level(), tile.index()), hashes))
        .collect();
    let plan = ProofPlan::consistency(old as u64, leaves.len() as u64).unwrap();
    plan.answer(&tiles).unwrap()
}

/// 3 entries of one history, and 7 of another that is other from the second entry on.
fn evidence() -> SplitView {
    let (one, other) = (leaves(3, 9), leaves(7, 1));
    let found = SplitView::find(&key(), &signed(&one), &signed(&other), &consistency(3, &other)).unwrap();
    assert_eq!(found.prefix_root, root(&other[..3]));
    found
}

#[test]
fn two_histories_are_shown_to_whoever_has_the_logs_key() {
    let found = evidence();
    let read = SplitView::parse(found.to_string().as_bytes()).unwrap();
    assert_eq!((read.judge(&key()), &read), (Ok(()), &found));
    assert!(matches!(read.judge(signer(2).verifier()), Err(EvidenceError::Unsigned(_))));
    let stranger = LogSigner::new("beta.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]));
    assert!(matches!(read.judge(stranger.verifier()), Err(EvidenceError::Unsigned(_))));
}

#[test]
fn two_roots_of_one_size_need_no_proof() {
    let (one, other) = (signed(&leaves(4, 9)), signed(&leaves(4, 3)));
    let found = SplitView::find(&key(), &one, &other, &[]).unwrap();
    assert_eq!(found.judge(&key()), Ok(()));
    assert_eq!(SplitView::find(&key(), &one, &one, &[]), None);
    let empty = SignedCheckpoint::sign(&signer(1), TreeHead { size: 0, root: Digest::ZERO });
    let found = SplitView::find(&key(), &empty, &signed(&[]), &[]).unwrap();
    assert_eq!(found.judge(&key()), Ok(()), "a root of nothing that nothing has");
}

#[test]
fn what_shows_nothing_is_refused_and_says_why() {
    let good = evidence();
    let by_other = SignedCheckpoint::sign(&signer(2), good.second.head());
    let unsigned = SplitView { second: by_other, ..good.clone() };
    assert!(matches!(unsigned.judge(&key()), Err(EvidenceError::Unsigned(_))));
    let turned = SplitView { first: good.second.clone(), second: good.first.clone(), ..good.clone() };
    assert_eq!(turned.judge(&key()), Err(EvidenceError::Order { first: 7, second: 3 }));
    let made_up = SplitView { prefix_root: Digest::ZERO, ..good.clone() };
    assert_eq!(made_up.judge(&key()), Err(EvidenceError::Unproven));
    let mut short = good.clone();
    short.proof.pop();
    assert_eq!(short.judge(&key()), Err(EvidenceError::Unproven));
    let other = leaves(7, 1);
    let true_to = SplitView { first: signed(&other[..3]), ..good };
    assert_eq!(true_to.judge(&key()), Err(EvidenceError::OneHistory));
    // Nobody can make a log out to lie by a root of nothing.
    let (nothing, proof) = (signed(&[]), vec![]);
    let framed = SplitView { first: nothing, second: signed(&other), prefix_root: Digest::ZERO, proof };
    assert_eq!(framed.judge(&key()), Err(EvidenceError::Unproven));
}

#[test]
fn what_is_no_evidence_says_why() {
    let good = evidence().to_string();
    let prefix = good.lines().nth(2).unwrap();
    let hash = good.lines().nth(3).unwrap();
    let cases = [
        (good.replace("view/v1", "view/v2"), EvidenceTextError::Header),
        (HEADER.to_owned(), EvidenceTextError::Header),
        (format!("{HEADER}\n"), EvidenceTextError::First),
        (good.replace("first 1", "first 01"), EvidenceTextError::First),
        (good.replace("first 1", "first 99991"), EvidenceTextError::First),
        (good.replace(prefix, "prefix AAAA"), EvidenceTextError::Prefix),
        (good.replace(hash, "AAAA"), EvidenceTextError::Proof),
        (good.replace(hash, &vec![hash; 70].join("\n")), EvidenceTextError::Proof),
        ("x".repeat(EVIDENCE_BYTES + 1), EvidenceTextError::NotText),
    ];
    for (text, error) in cases {
        assert_eq!(SplitView::parse(text.as_bytes()), Err(error), "{text}");
    }
    let cut = good.trim_end_matches('\n');
    assert!(matches!(SplitView::parse(cut.as_bytes()), Err(EvidenceTextError::Checkpoint(_))));
}

proptest! {
    #[test]
    fn any_two_histories_are_found_and_no_honest_log_is_framed(
        size in 1..70_u64,
        more in 0..70_u64,
        split in 0..70_u64,
    ) {
        let (one, other) = (leaves(size, 1_000), leaves(size + more, split));
        let prefix = &other[..one.len()];
        let (first, second) = (signed(&one), signed(&other));
        let answer = consistency(one.len(), &other);
        let found = SplitView::find(&key(), &second, &first, &answer);
        let with_prefix = SplitView::with_prefix(&key(), &first, &second, root(prefix), &answer);
        prop_assert_eq!(with_prefix.is_some(), split < size);
        // What the answer leaves out, only somebody who read the tree can say.
        let left_out = size.is_power_of_two() && more > 0;
        prop_assert_eq!(found.is_some(), split < size && !left_out);
        if let Some(found) = with_prefix {
            prop_assert_eq!(SplitView::parse(found.to_string().as_bytes()), Ok(found));
        }
    }

    #[test]
    fn any_change_is_read_as_it_is_or_refused(at: prop::sample::Index, byte: u8) {
        let mut bytes = evidence().to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = SplitView::parse(&bytes) {
            prop_assert_eq!(read.to_string().into_bytes(), bytes);
        }
    }

    #[test]
    fn no_hashes_frame_an_honest_log(size in 1..40_u64, more in 0..40_u64, hashes in prop::collection::vec(any::<[u8; 32]>(), 0..8), cut in 0..8_usize) {
        let all = leaves(size + more, 1_000);
        let old = usize::try_from(size).unwrap();
        let (first, second) = (signed(&all[..old]), signed(&all));
        let mut answer = consistency(old, &all);
        answer.truncate(cut);
        answer.extend(hashes.iter().map(|bytes| Digest::from_bytes(*bytes)));
        prop_assert_eq!(SplitView::find(&key(), &first, &second, &answer), None);
    }
}
