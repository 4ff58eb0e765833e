//! A witness and logs that grow, lie, and are asked about on a disk that fails.

use std::{collections::BTreeMap, sync::Arc};

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use qpq_core::{Digest, Millis, Secret};
use qpq_storage::{Storage, memory::MemoryStorage};
use qpq_transparency_tree::{
    LogSigner, growth::RightEdge, leaf_hash, proofs::ProofPlan, root, witness::PROOF_LINES,
};

use super::*;
use crate::{
    WitnessKey,
    fickle::{Fickle, KEPT, KEPT_UNSAID, LOST},
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const ORIGIN: &str = "alpha.test/kt/v1";

fn log(n: u8) -> LogSigner {
    LogSigner::new(ORIGIN.parse().unwrap(), SigningKey::from_bytes(&[n; 32]))
}

/// A tree whose leaves from one on are another history's.
fn leaves(size: u64, split_at: u64) -> Vec<Digest> {
    (0..size)
        .map(|n| leaf_hash(&[n.to_be_bytes(), u64::from(n >= split_at).to_be_bytes()].concat()))
        .collect()
}

/// No other history.
const TRUE: u64 = u64::MAX;

/// The request of a log that continues `old` entries of its history by those up to `size`.
fn ask(old: u64, size: u64, split_at: u64) -> AddCheckpoint {
    let leaves = leaves(size, split_at);
    let tiles: BTreeMap<(u8, u64), Vec<Digest>> = RightEdge::empty()
        .append(&leaves)
        .unwrap()
        .into_iter()
        .map(|(tile, hashes)| ((tile.level(), tile.index()), hashes))
        .collect();
    let proof = ProofPlan::consistency(old, size).map_or_else(Vec::new, |plan| plan.answer(&tiles).unwrap());
    assert!(proof.len() <= PROOF_LINES);
    let head = TreeHead { size, root: root(&leaves) };
    AddCheckpoint { old_size: old, proof, checkpoint: SignedCheckpoint::sign(&log(1), head) }
}

struct World {
    storage: MemoryStorage,
    disk: Arc<Fickle>,
    key: WitnessKey,
}

impl World {
    /// A witness that knows the log.
    async fn new() -> Self {
        let (storage, disk) = Fickle::storage();
        let key = WitnessKey::new(&"beta.test".parse().unwrap(), &Secret::new([7; 32]));
        let world = Self { storage, disk, key };
        let mut tx = world.storage.write().await.unwrap();
        pin(tx.as_mut(), log(1).verifier()).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        world
    }

    /// What the witness answers; an error if the commit failed, after which no answer leaves.
    async fn asks(
        &self,
        fate: u8,
        request: &AddCheckpoint,
        now: Timestamp,
    ) -> Stored<Result<Cosigned, Refused>> {
        self.disk.will(fate);
        let mut tx = self.storage.write().await?;
        let answer = cosign(tx.as_mut(), self.key.signer(), request, now).await?;
        tx.commit().await?;
        Ok(answer)
    }

    async fn last(&self) -> Option<SignedCheckpoint> {
        witnessed(self.storage.read().await.unwrap().as_mut(), ORIGIN).await.unwrap()
    }

    async fn evidence(&self) -> Vec<(u64, u64)> {
        let mut tx = self.storage.read().await.unwrap();
        let kept = evidence::uncleared(tx.as_mut(), ORIGIN).await.unwrap();
        for kept in &kept {
            SplitView::parse(kept.found.text.as_bytes()).unwrap().judge(log(1).verifier()).unwrap();
        }
        kept.iter().map(|kept| kept.found.sizes).collect()
    }
}

#[tokio::test]
async fn the_key_that_a_log_was_first_seen_with_stays() {
    let world = World::new().await;
    let mut tx = world.storage.write().await.unwrap();
    assert_eq!(pin(tx.as_mut(), log(1).verifier()).await.unwrap(), Ok(Pinned::Known));
    let refused = pin(tx.as_mut(), log(2).verifier()).await.unwrap();
    assert_eq!(refused, Err(PinRefusal::OtherKey { pinned: log(1).verifier().clone() }));
    let witness = pin(tx.as_mut(), world.key.signer().verifier()).await.unwrap();
    assert_eq!(witness, Err(PinRefusal::NoLogKey));
    tx.commit().await.unwrap();
    let mut tx = world.storage.read().await.unwrap();
    assert_eq!(pinned_key(tx.as_mut(), ORIGIN).await.unwrap().as_ref(), Some(log(1).verifier()));
    assert_eq!(pinned_key(tx.as_mut(), "beta.test/kt/v1").await.unwrap(), None);
}

#[tokio::test]
async fn a_log_that_grows_is_cosigned_and_the_same_again_at_its_new_time() {
    let world = World::new().await;
    for (old, size, now) in [(0, 3, NOW), (3, 3, NOW.after(Millis::from_secs(900))), (3, 300, NOW)] {
        let request = ask(old, size, TRUE);
        let cosigned = world.asks(KEPT, &request, now).await.unwrap().unwrap();
        assert_eq!(cosigned.head, request.checkpoint.head());
        let verifier = world.key.signer().verifier();
        let verified = verifier.verify(request.checkpoint.note().text(), &cosigned.signature).unwrap();
        assert_eq!(verified.at_secs, Some(now.as_millis() / 1_000));
        let last = world.last().await.unwrap();
        assert_eq!(last, request.checkpoint.clone().with(cosigned.signature));
    }
}

#[tokio::test]
async fn what_others_signed_is_not_kept() {
    let world = World::new().await;
    let mut request = ask(0, 3, TRUE);
    for n in 0..15 {
        let name = format!("w{n}.test/kt-witness/v1").parse().unwrap();
        let stranger = WitnessSigner::new(name, SigningKey::from_bytes(&[n; 32]));
        let signature = request.checkpoint.cosign(&stranger, NOW);
        request.checkpoint = request.checkpoint.with(signature);
    }
    let cosigned = world.asks(KEPT, &request, NOW).await.unwrap().unwrap();
    let last = world.last().await.unwrap();
    assert_eq!(last.note().signatures().len(), 2);
    assert_eq!(last.note().signatures().last(), Some(&cosigned.signature));
}

#[tokio::test]
async fn a_checkpoint_that_our_signature_makes_too_long_is_refused() {
    let world = World::new().await;
    let short = ask(0, 3, TRUE);
    let longest = NOTE_BYTES - short.checkpoint.to_string().len() - 1;
    let text = format!("{}{}\n", short.checkpoint.note().text(), "x".repeat(longest));
    let long = format!("{text}\n{}\n", log(1).sign(&text));
    let request = AddCheckpoint { checkpoint: SignedCheckpoint::parse(long.as_bytes()).unwrap(), ..short };
    let refused = world.asks(KEPT, &request, NOW).await.unwrap().unwrap_err();
    assert!(matches!(refused.why, WitnessRefusal::Malformed(_)), "{refused}");
    assert_eq!(world.last().await, None);
}

#[tokio::test]
async fn unknown_and_untrusted_logs_are_refused() {
    let world = World::new().await;
    let stranger = LogSigner::new("gamma.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]));
    for (signer, why) in [(stranger, WitnessRefusal::UnknownOrigin), (log(2), WitnessRefusal::Untrusted)] {
        let good = ask(0, 3, TRUE);
        let checkpoint = SignedCheckpoint::sign(&signer, good.checkpoint.head());
        let refused = world.asks(KEPT, &AddCheckpoint { checkpoint, ..good }, NOW).await.unwrap();
        assert_eq!(refused, Err(why.into()));
    }
    assert_eq!(world.last().await, None);
}

/// Who stands where after each fault, and what is said to whoever asks again.
#[tokio::test]
async fn a_commit_that_fails_leaves_one_history_whatever_became_of_it() {
    let world = World::new().await;
    world.asks(KEPT, &ask(0, 3, TRUE), NOW).await.unwrap().unwrap();
    assert!(world.asks(LOST, &ask(3, 5, TRUE), NOW).await.is_err());
    assert_eq!(world.last().await.unwrap().head().size, 3);
    // What was lost was told to nobody, so another history may still be the one.
    assert!(world.asks(KEPT_UNSAID, &ask(3, 6, 4), NOW).await.is_err());
    assert_eq!(world.last().await.unwrap().head().size, 6, "kept, whatever the caller was told");
    let refused = world.asks(KEPT, &ask(3, 5, TRUE), NOW).await.unwrap().unwrap_err();
    assert_eq!(refused.why, WitnessRefusal::Conflict { size: 6 });
    world.asks(KEPT, &ask(6, 6, 4), NOW).await.unwrap().unwrap();
    let forked = world.asks(KEPT, &ask(6, 9, TRUE), NOW).await.unwrap().unwrap_err();
    assert_eq!(forked.why, WitnessRefusal::Inconsistent);
    world.asks(KEPT, &ask(6, 9, 4), NOW).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_log_with_two_histories_gives_evidence_although_it_is_refused() {
    let world = World::new().await;
    world.asks(KEPT, &ask(0, 5, TRUE), NOW).await.unwrap().unwrap();
    let fork = ask(5, 5, 2);
    assert!(world.asks(LOST, &fork, NOW).await.is_err());
    assert_eq!(world.evidence().await, [], "what was lost is found again");
    let refused = world.asks(KEPT, &fork, NOW).await.unwrap().unwrap_err();
    assert_eq!(refused.why, WitnessRefusal::Fork { size: 5 });
    let (found, kept) = refused.evidence.unwrap();
    assert_eq!((found.judge(log(1).verifier()), kept), (Ok(()), EvidenceKept::New(1)));
    let again = world.asks(KEPT, &fork, NOW).await.unwrap().unwrap_err();
    assert_eq!(again.evidence.unwrap().1, EvidenceKept::Known(1));
    // Also who lies about what was cosigned, and who continues the other history.
    let refused = world.asks(KEPT, &ask(0, 5, 3), NOW).await.unwrap().unwrap_err();
    assert_eq!(refused.why, WitnessRefusal::Conflict { size: 5 });
    assert_eq!(refused.evidence.map(|(_, kept)| kept), Some(EvidenceKept::Known(1)));
    let refused = world.asks(KEPT, &ask(5, 9, 2), NOW).await.unwrap().unwrap_err();
    assert_eq!(refused.why, WitnessRefusal::Inconsistent);
    assert_eq!(world.evidence().await, [(5, 5), (5, 9)]);
    // A mistake is none.
    let wrong = AddCheckpoint { proof: vec![Digest::ZERO], ..ask(5, 9, TRUE) };
    assert_eq!(world.asks(KEPT, &wrong, NOW).await.unwrap(), Err(WitnessRefusal::Inconsistent.into()));
    world.asks(KEPT, &ask(5, 9, TRUE), NOW).await.unwrap().unwrap();
}

#[tokio::test]
async fn evidence_is_taken_from_anybody_and_judged() {
    let world = World::new().await;
    let found = |signer: &LogSigner, split| {
        let [one, other] = [TRUE, split].map(|split| {
            let head = TreeHead { size: 4, root: root(&leaves(4, split)) };
            SignedCheckpoint::sign(signer, head)
        });
        let prefix_root = other.head().root;
        SplitView { first: one, second: other, prefix_root, proof: vec![] }
    };
    let own_seeds = crate::LogSeeds { log: Secret::new([9; 32]), vrf: Secret::new([2; 32]) };
    let own = crate::LogKeys::new(&"beta.test".parse().unwrap(), &own_seeds);
    let mut tx = world.storage.write().await.unwrap();
    let mut report = async |found: &SplitView| {
        evidence::report(tx.as_mut(), Some(&own), found, "gamma.test", NOW).await.unwrap()
    };
    assert_eq!(report(&found(&log(1), 2)).await, Ok(EvidenceKept::New(1)));
    assert_eq!(report(&found(own.log(), 2)).await, Ok(EvidenceKept::New(2)));
    let one_history = report(&found(&log(1), TRUE)).await;
    assert!(matches!(one_history, Err(evidence::EvidenceRefusal::NoEvidence(_))), "{one_history:?}");
    let forged = report(&found(&log(2), 2)).await;
    assert!(matches!(forged, Err(evidence::EvidenceRefusal::NoEvidence(_))), "{forged:?}");
    let stranger = LogSigner::new("gamma.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]));
    let unknown = report(&found(&stranger, 2)).await;
    assert_eq!(unknown, Err(evidence::EvidenceRefusal::UnknownLog("gamma.test/kt/v1".to_owned())));
    assert!(tx.kt_clear_evidence(1, NOW).await.unwrap());
    assert_eq!(evidence::uncleared(tx.as_mut(), ORIGIN).await.unwrap(), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Requests in any order, true and false, by a log of several histories, on a disk that fails: what was ever signed is one
    /// history, and only grows.
    #[test]
    fn whatever_is_asked_only_one_history_is_cosigned(
        requests in prop::collection::vec((0..3_u8, 0..4_usize, 0..12_u64, 0..30_u64, any::<bool>()), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let splits = [TRUE, 3, 8, 20];
            let mut signed: Vec<(u64, u64)> = Vec::new();
            for (fate, history, more, any_old, knows) in requests {
                let last = world.last().await.map_or(0, |last| last.head().size);
                // Mostly asked by somebody who knows where the witness stands.
                let old = if knows { last } else { any_old };
                let (size, split) = (old + more, splits[history]);
                if let Ok(Ok(cosigned)) = world.asks(fate, &ask(old, size, split), NOW).await {
                    assert_eq!(cosigned.head.size, size);
                    signed.push((size, split));
                }
            }
            for (at, (size, split)) in signed.iter().enumerate() {
                for (earlier, other) in &signed[..at] {
                    assert!(earlier <= size, "never back");
                    assert_eq!(leaves(*earlier, *split), leaves(*earlier, *other), "one history");
                }
            }
        });
    }
}
