//! Peers as witnesses, honest ones and ones that are away: who is named, what is signed, and when nothing is any more.

use std::sync::{Mutex, PoisonError};

use ed25519_dalek::SigningKey;
use qpq_transparency_tree::{
    TreeHead, WitnessSigner,
    lookup::{Asker, PinnedLog, Question, View, verify},
    witness::{AddCheckpoint, WitnessRefusal},
};

use super::*;
use crate::{
    NoPeers, PeerCalls, PeerHealth, Views,
    fixture::{Home, Person, peer},
    transparency::tests::{keys, opened},
};

/// Witnesses that keep the rules, as long as they are there.
#[derive(Debug)]
struct Witnesses {
    /// Whose clock is theirs, too.
    ground: Arc<Ground>,
    last: Mutex<BTreeMap<Domain, SignedCheckpoint>>,
    away: Mutex<BTreeSet<Domain>>,
}

impl Witnesses {
    fn away(&self, peer: &Domain, is_away: bool) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        if is_away {
            away.insert(peer.clone())
        } else {
            away.remove(peer)
        };
    }

    fn there(&self, peer: &Domain) -> Result<(), PeerCallError> {
        let is_away = self.away.lock().unwrap_or_else(PoisonError::into_inner).contains(peer);
        let gone = PeerCallError::Unreachable {
            domain: peer.clone(),
            why: "it is away".to_owned(),
            retry_after: Millis::from_secs(1),
        };
        if is_away { Err(gone) } else { Ok(()) }
    }

    fn signer(peer: &Domain) -> WitnessSigner {
        let seed = *qpq_core::Digest::of(&[peer.as_str().as_bytes()]).as_bytes();
        WitnessSigner::new(KeyName::of_witness(peer), SigningKey::from_bytes(&seed))
    }
}

#[async_trait]
impl PeerCalls for Witnesses {
    async fn add_checkpoint(
        &self,
        peer: &Domain,
        log: &VerifierKey,
        request: &AddCheckpoint,
        _: Timestamp,
    ) -> Result<CosignAnswer, PeerCallError> {
        self.there(peer)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let signer = Self::signer(peer);
        let known = last.get(peer).map(SignedCheckpoint::head);
        let said = match request.judge(log, known) {
            Ok(_) => {
                last.insert(peer.clone(), request.checkpoint.clone());
                Cosigned::Signed(vec![request.checkpoint.cosign(&signer, self.ground.now())])
            }
            Err(WitnessRefusal::Conflict { size }) => Cosigned::Conflict(size),
            Err(other) => {
                let refusal = Refusal::new(ErrorCode::LogRefused, other.to_string());
                return Err(PeerCallError::Refused(refusal));
            }
        };
        Ok(CosignAnswer { witness: signer.verifier().clone(), said })
    }

    async fn witnessed_checkpoint(
        &self,
        peer: &Domain,
        _: &KeyName,
        _: Timestamp,
    ) -> Result<Option<SignedCheckpoint>, PeerCallError> {
        self.there(peer)?;
        Ok(self.last.lock().unwrap_or_else(PoisonError::into_inner).get(peer).cloned())
    }

    async fn health(&self, peer: &Domain) -> PeerHealth {
        PeerHealth { reachable: self.there(peer).is_ok(), ..NoPeers.health(peer).await }
    }

    fn outbox_filled(&self, _: &[Domain]) {}

    async fn retry(&self, _: &Domain) {}

    fn peers_changed(&self) {}
}

/// A home with a log and these peers, and the witnesses that they are.
async fn world(peers: &[&str]) -> (Home, Arc<Witnesses>, Rounds) {
    let home = Home::open();
    opened(&home, 3).await;
    let ground = Arc::clone(&home.ground);
    let witnesses = Arc::new(Witnesses { ground, last: Mutex::default(), away: Mutex::default() });
    home.ground.connect_peers(Arc::<Witnesses>::clone(&witnesses));
    for name in peers {
        let record = peer(&domain(name), &SigningKey::from_bytes(&[7; 32]));
        home.writes(move |tx| {
            let record = record.clone();
            Box::pin(async move { tx.peer_store(&record).await })
        })
        .await;
    }
    let rounds = Rounds::new(Arc::clone(&home.ground));
    (home, witnesses, rounds)
}

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

/// Rounds, with time in between, until nobody has anything to say.
async fn settle(home: &Home, rounds: &mut Rounds) {
    for _ in 0..6 {
        rounds.round().await.unwrap();
        home.wait(Millis::from_secs(3));
        tokio::time::advance(Duration::from_secs(3)).await;
    }
}

async fn named(home: &Home) -> Vec<String> {
    let mut tx = home.ground.read().await.unwrap();
    let config = configuration::newest(tx.as_mut()).await.unwrap().unwrap();
    config.witnesses().iter().filter_map(|key| Some(key.name().domain()?.to_string())).collect()
}

async fn cosigned(home: &Home) -> (u64, u64) {
    let mut tx = home.ground.read().await.unwrap();
    let head = tx.kt_head().await.unwrap().unwrap().size;
    (tx.kt_cosigned().await.unwrap().map_or(0, |cosigned| cosigned.size), head)
}

#[tokio::test(start_paused = true)]
async fn of_two_peers_one_witnesses_and_the_other_takes_its_place_when_it_is_silent() {
    let (home, witnesses, mut rounds) = world(&["beta.test", "gamma.test"]).await;
    settle(&home, &mut rounds).await;
    let first = named(&home).await;
    assert_eq!(first, ["beta.test"]);
    let (cosigned_size, size) = cosigned(&home).await;
    assert_eq!((cosigned_size, size), (2, 2), "the CONFIG that names it, too");

    witnesses.away(&domain("beta.test"), true);
    home.joins("alice").await;
    settle(&home, &mut rounds).await;
    assert_eq!(named(&home).await, ["gamma.test"]);
    let (cosigned_size, size) = cosigned(&home).await;
    assert_eq!(cosigned_size, size);
    // It is not taken back for nothing.
    witnesses.away(&domain("beta.test"), false);
    home.joins("bob").await;
    settle(&home, &mut rounds).await;
    assert_eq!(named(&home).await, ["gamma.test"]);
}

#[tokio::test(start_paused = true)]
async fn of_three_a_majority_is_enough() {
    let (home, witnesses, mut rounds) = world(&["beta.test", "delta.test", "gamma.test"]).await;
    settle(&home, &mut rounds).await;
    assert_eq!(named(&home).await.len(), 3);
    witnesses.away(&domain("gamma.test"), true);
    let (alice, _) = home.joins("alice").await;
    settle(&home, &mut rounds).await;
    let (cosigned_size, size) = cosigned(&home).await;
    assert_eq!((named(&home).await.len(), cosigned_size), (3, size));
    // Somebody of another domain is answered, and verifies it.
    let asking = domain("beta.test");
    let requester = "carol@beta.test".parse().unwrap();
    let views = Views::from([(alice.address.clone(), View::default())]);
    let directory = &home.use_cases.directory;
    let whom = std::slice::from_ref(&alice.address);
    let answer = directory.resolve_for_peer(&asking, &requester, whom, None, &views).await.unwrap();
    let told = answer.into_iter().next().unwrap().unwrap().lookup.unwrap();
    let label = qpq_transparency_tree::label::Label::of(&alice.address);
    let question = Question { label: &label, asker: Asker::Foreign, known: None };
    let verified = verify(&PinnedLog::first_seen(told.log_key), &question, &told.answer, home.now()).unwrap();
    assert_eq!((verified.trust.level.word(), verified.trust.cosignatures), ("quorum", 2));

    witnesses.away(&domain("delta.test"), true);
    let (bob, _) = home.joins("bob").await;
    settle(&home, &mut rounds).await;
    let views = Views::from([(bob.address.clone(), View::default())]);
    let whom = std::slice::from_ref(&bob.address);
    let answer = directory.resolve_for_peer(&asking, &requester, whom, None, &views).await.unwrap();
    let (_, refusal) = answer.into_iter().next().unwrap().unwrap_err();
    assert_eq!(refusal.code, ErrorCode::KeysPending, "one of three is not enough");
}

#[tokio::test(start_paused = true)]
async fn a_log_is_not_signed_any_more_once_a_witness_has_seen_more_than_there_is() {
    let (home, witnesses, mut rounds) = world(&["beta.test"]).await;
    settle(&home, &mut rounds).await;
    // What our key signed over, in a database that is gone.
    let later = TreeHead { size: 9, root: qpq_core::Digest::of(&[b"later"]) };
    let signed = SignedCheckpoint::sign(keys(1, 2).log(), later);
    witnesses.last.lock().unwrap().insert(domain("beta.test"), signed);
    home.joins("alice").await;
    settle(&home, &mut rounds).await;
    let Signing::Halted(why) = home.ground.signing().state() else { panic!("it goes on") };
    assert!(why.contains("it has seen 9 entries"), "{why}");
    let (_, size) = cosigned(&home).await;
    let refused = Person::new("bob").register(&home, "").await.unwrap_err();
    assert!(refused.text.contains("not signed now"), "{}", refused.text);
    assert_eq!(cosigned(&home).await.1, size);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_signed_halts_nothing() {
    let (home, witnesses, mut rounds) = world(&["beta.test"]).await;
    settle(&home, &mut rounds).await;
    let later = TreeHead { size: 9, root: qpq_core::Digest::of(&[b"later"]) };
    let forged = SignedCheckpoint::sign(keys(9, 2).log(), later);
    witnesses.last.lock().unwrap().insert(domain("beta.test"), forged);
    home.joins("alice").await;
    settle(&home, &mut rounds).await;
    assert_eq!(home.ground.signing().state(), Signing::Open);
}
