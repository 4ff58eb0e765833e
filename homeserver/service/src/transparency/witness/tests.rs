//! What a witness answers to peers, and to strangers over HTTP, about a log that our code does not sequence.

use ed25519_dalek::SigningKey;
use qpq_core::Secret;
use qpq_transparency::WitnessKey;
use qpq_transparency_tree::{LogSigner, SignedCheckpoint, TreeHead, leaf_hash, proofs::ProofPlan, root};

use super::*;
use crate::fixture::Home;

/// The log of `beta.test`, of up to 255 entries; the other one begins like it and goes on otherwise.
pub(crate) struct Log {
    entries: Vec<[u8; ENTRY_BYTES]>,
    signer: LogSigner,
}

impl Log {
    pub(crate) fn of(count: u8) -> Self {
        Self::that_forks_at(count, count)
    }

    pub(crate) fn that_forks_at(count: u8, fork: u8) -> Self {
        let entry = |n: u8| if n < fork { [n; ENTRY_BYTES] } else { [n.wrapping_add(128); ENTRY_BYTES] };
        Self { entries: (0..count).map(entry).collect(), signer: signer(1) }
    }

    pub(crate) fn entries(&self) -> &[[u8; ENTRY_BYTES]] {
        &self.entries
    }

    pub(crate) fn key(&self) -> VerifierKey {
        self.signer.verifier().clone()
    }

    fn head(&self, size: usize) -> TreeHead {
        let leaves: Vec<Digest> = self.entries[..size].iter().map(|entry| leaf_hash(entry)).collect();
        TreeHead { size: u64::try_from(size).unwrap(), root: root(&leaves) }
    }

    pub(crate) fn consistency(&self, old: u64, new: u64) -> Vec<Digest> {
        let leaves: Vec<Digest> = self.entries.iter().map(|entry| leaf_hash(entry)).collect();
        let tiles = std::collections::BTreeMap::from([((0_u8, 0_u64), leaves)]);
        ProofPlan::consistency(old, new).map_or_else(Vec::new, |plan| plan.answer(&tiles).unwrap())
    }

    pub(crate) fn asks(&self, old: usize, new: usize) -> AddCheckpoint {
        let (old_size, new_size) = (u64::try_from(old).unwrap(), u64::try_from(new).unwrap());
        let proof = if old == 0 { Vec::new() } else { self.consistency(old_size, new_size) };
        let checkpoint = SignedCheckpoint::sign(&self.signer, self.head(new));
        AddCheckpoint { old_size, proof, checkpoint }
    }
}

fn signer(n: u8) -> LogSigner {
    LogSigner::new("beta.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[n; 32]))
}

pub(crate) fn beta() -> Domain {
    "beta.test".parse().unwrap()
}

pub(crate) fn witnessing() -> (Home, Witness) {
    let home = Home::open();
    home.ground.appoint_witness(WitnessKey::new(home.ground.domain(), &Secret::new([5; 32])));
    let witness = Witness::new(Arc::clone(&home.ground));
    (home, witness)
}

async fn by_peer(witness: &Witness, log: &Log, request: &AddCheckpoint) -> Answered<Cosigned> {
    let answer = witness.add_checkpoint(&beta(), &log.key(), request.to_string().as_bytes()).await;
    answer.map(|answer| answer.said)
}

async fn by_stranger(witness: &Witness, body: &str) -> Result<String, u16> {
    let answer = witness.add_checkpoint_of_anybody(body.as_bytes()).await.unwrap();
    answer.map_err(|refusal| refusal.status())
}

#[tokio::test]
async fn a_peers_log_is_cosigned_as_it_grows() {
    let (home, witness) = witnessing();
    let log = Log::of(9);
    let request = log.asks(0, 3);
    let Ok(Cosigned::Signed(lines)) = by_peer(&witness, &log, &request).await else { panic!("signed") };
    let ours = home.ground.witness_key().unwrap().signer().verifier().clone();
    assert!(ours.verify(request.checkpoint.note().text(), &lines[0]).is_some());
    assert!(matches!(by_peer(&witness, &log, &log.asks(3, 9)).await, Ok(Cosigned::Signed(_))));
    assert_eq!(by_peer(&witness, &log, &log.asks(3, 9)).await, Ok(Cosigned::Conflict(9)));
    // Its own log, and by the key that signs it.
    let other = "gamma.test".parse().unwrap();
    let body = log.asks(9, 9).to_string();
    let refused = witness.add_checkpoint(&other, &log.key(), body.as_bytes()).await.unwrap_err();
    assert!(refused.text.contains("is not the log of `gamma.test`"), "{}", refused.text);
    let refused = witness.add_checkpoint(&beta(), &log.key(), b"old 9").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Malformed);
}

#[tokio::test]
async fn a_key_is_kept_only_if_it_signed_and_then_for_good() {
    let (home, witness) = witnessing();
    let log = Log::of(3);
    let body = log.asks(0, 3).to_string();
    let stranger = signer(2).verifier().clone();
    witness.add_checkpoint(&beta(), &stranger, body.as_bytes()).await.unwrap_err();
    let known = home.ground.read().await.unwrap().kt_witnessed("beta.test/kt/v1").await.unwrap();
    assert!(known.is_none(), "whatever a caller calls the key is not kept");
    by_peer(&witness, &log, &log.asks(0, 3)).await.unwrap();
    let forged = Log { signer: signer(2), ..Log::of(3) };
    let refused = by_peer(&witness, &forged, &forged.asks(3, 3)).await.unwrap_err();
    assert!(refused.text.contains("is known by the key"), "{}", refused.text);
}

#[tokio::test]
async fn strangers_are_answered_as_tlog_witness_says() {
    let (home, witness) = witnessing();
    let log = Log::of(9);
    assert_eq!(by_stranger(&witness, &log.asks(0, 3).to_string()).await, Err(404), "nobody's peer");
    by_peer(&witness, &log, &log.asks(0, 3)).await.unwrap();
    assert_eq!(by_stranger(&witness, "old three\n\n").await, Err(400));
    let forged = Log { signer: signer(2), ..Log::of(9) };
    assert_eq!(by_stranger(&witness, &forged.asks(3, 9).to_string()).await, Err(403));
    assert_eq!(by_stranger(&witness, &log.asks(2, 9).to_string()).await, Err(409));
    let mut unproven = log.asks(3, 9);
    unproven.proof.pop();
    assert_eq!(by_stranger(&witness, &unproven.to_string()).await, Err(422));
    let line = by_stranger(&witness, &log.asks(3, 9).to_string()).await.unwrap();
    assert!(line.starts_with("\u{2014} alpha.test/kt-witness/v1 ") && line.ends_with('\n'), "{line}");
    // And what was cosigned is there under the log's hash.
    let hash = HEXLOWER.encode(Digest::of(&[b"beta.test/kt/v1"]).as_bytes());
    let note = witness.witnessed_by_hash(&hash).await.unwrap().unwrap();
    assert!(note.starts_with("beta.test/kt/v1\n9\n") && note.contains(line.trim_end()), "{note}");
    assert_eq!(witness.witnessed_by_hash("ab").await, Ok(None));
    // A witness whose own database went back has forgotten what it cosigned.
    home.ground.signing().halt("it is older");
    assert!(witness.add_checkpoint_of_anybody(log.asks(9, 9).to_string().as_bytes()).await.is_err());
}

#[tokio::test]
async fn a_second_history_is_evidence_and_begins_nothing_new() {
    let (home, witness) = witnessing();
    let log = Log::of(9);
    by_peer(&witness, &log, &log.asks(0, 6)).await.unwrap();
    let forked = Log::that_forks_at(9, 4);
    by_peer(&witness, &forked, &forked.asks(6, 6)).await.unwrap_err();
    let root = crate::Caller::uid(0, home.ground.new_request());
    let listed = home.actions.perform_value(&root, "log.evidence.list", serde_json::json!({})).await.unwrap();
    assert_eq!(listed["evidence"][0]["sizes"], serde_json::json!([6, 6]));
    let refused = super::super::believed(&home.ground, &beta()).await.unwrap_err();
    assert!(refused.text.contains("shows two histories"), "{}", refused.text);
    let one = serde_json::json!({ "id": "1" });
    let shown = home.actions.perform_value(&root, "log.evidence.show", one.clone()).await.unwrap();
    assert!(shown["text"].as_str().unwrap().contains("beta.test/kt/v1"), "{shown}");
    home.actions.perform_value(&root, "log.evidence.clear", one.clone()).await.unwrap();
    super::super::believed(&home.ground, &beta()).await.unwrap();
    let again = home.actions.perform_value(&root, "log.evidence.clear", one).await.unwrap_err();
    assert_eq!(again.code, ErrorCode::NotFound, "it was decided before");
    for id in ["0", "2", "one"] {
        let none = serde_json::json!({ "id": id });
        home.actions.perform_value(&root, "log.evidence.show", none).await.unwrap_err();
    }
}
