//! Which receipts of a peer count at a home, and what they can't do.

use ed25519_dalek::SigningKey;
use qpq_core::{Digest, Domain, GroupId, Incarnation, MessageId, OsEntropy, Seq, Timestamp};
use qpq_federation_proto::{
    Batch, BatchDigest, Row, RowAck, RowKind, SignedHeader, StreamAnswer, StreamId, StreamName,
};
use qpq_proof::{Message, Role, SignedStatement, Terms};
use qpq_storage::{Notice, OutboxLane, ParkedKind, ParkedRow, SeenSubmit, SubmitOutcome, payload_digest};

use super::{Proven, Receipt};
use crate::{
    fixture::{Home, Person, peer},
    groups::GroupEntry,
    relay::{self, RelayCall},
};

/// Anna's home, and beta, which orders her group.
struct Scene {
    home: Home,
    anna: Person,
    group: GroupId,
    beta: SigningKey,
    /// The next row of beta's receipts.
    next: u64,
    /// Beta's chain so far.
    chain: Digest,
}

/// A statement to be made, true unless a test changes it.
struct Word {
    key: SigningKey,
    domain: Domain,
    role: Role,
    stream: StreamId,
    through: u64,
    messages: Vec<(u8, Vec<u8>)>,
}

fn us() -> Domain {
    "alpha.test".parse().unwrap()
}

fn hub() -> Domain {
    "beta.test".parse().unwrap()
}

fn id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

impl Scene {
    /// Anna has sent message 1, "one", to the group.
    async fn open() -> Self {
        let home = Home::open();
        let (anna, _) = home.joins("anna").await;
        let beta = SigningKey::from_bytes(&[7; 32]);
        let group = GroupId::random(hub(), &mut OsEntropy::new().unwrap());
        let (peer, device, now) = (peer(&hub(), &beta), anna.device_address(), home.now());
        home.writes(move |tx| {
            let (peer, device) = (peer.clone(), device.clone());
            Box::pin(async move {
                tx.peer_store(&peer).await?;
                let outcome = SubmitOutcome::AtHome { at: now };
                let sent = SeenSubmit { payload: payload_digest(b"one"), outcome };
                tx.submits_remember(&device, &[(id(1), sent)], Timestamp::from_millis(u64::MAX >> 1)).await
            })
        })
        .await;
        Self { home, anna, group, beta, next: 1, chain: Digest::ZERO }
    }

    fn word(&self) -> Word {
        Word {
            key: self.beta.clone(),
            domain: hub(),
            role: Role::Stored,
            stream: StreamId::of(&us(), &hub(), &StreamName::Submissions(self.group.clone())),
            through: 5,
            messages: vec![(1, b"one".to_vec()), (2, b"another's".to_vec())],
        }
    }

    fn receipt(&self, word: &Word) -> Receipt {
        let terms = Terms {
            domain: word.domain.clone(),
            role: word.role,
            incarnation: self.home.ground.incarnation(),
            stream: *word.stream.as_bytes(),
            through: Seq(word.through),
            at: self.home.now(),
        };
        let message = |(n, text): &(u8, Vec<u8>)| Message {
            id: id(*n),
            ciphertext: payload_digest(text),
            recipient: word.domain.clone(),
        };
        let messages: Vec<Message> = word.messages.iter().map(message).collect();
        let (signed, places) = SignedStatement::sign(&word.key, terms, &messages).unwrap();
        let proven = messages.iter().zip(places).map(|(message, place)| Proven { id: message.id, place });
        Receipt { group: self.group.clone(), signed, messages: proven.collect(), pin: None }
    }

    /// Beta hands a receipt over; what it is told, and how many receipts wait for anna then.
    async fn brings(&mut self, payload: Vec<u8>) -> (Vec<RowAck>, usize) {
        let seq = Seq(self.next);
        let row = Row { seq, id: id(99), kind: RowKind::Receipt, ttl: None, payload, request: None };
        let mut chain = self.chain;
        let acks = self.hands_over(StreamName::Receipts, row, &mut chain).await;
        (self.next, self.chain) = (self.next + 1, chain);
        (acks, self.waiting().await.len())
    }

    /// Beta hands the next row of a stream over.
    async fn hands_over(&self, stream: StreamName, row: Row, chain: &mut Digest) -> Vec<RowAck> {
        let through = row.seq;
        let stream = StreamId::of(&hub(), &us(), &stream);
        let batch = Batch::new(stream, Some(*chain), vec![row]).unwrap();
        let incarnation = Incarnation::from_slice(&[1; 16]).unwrap();
        let digests = vec![BatchDigest::of(&batch)];
        let header = SignedHeader::sign(&self.beta, hub(), us(), incarnation, digests).unwrap();
        let call = RelayCall {
            origin: hub(),
            destination: us(),
            incarnation,
            signature: *header.signature(),
            batches: vec![batch.clone()],
        };
        let answers = relay::accept(&self.home.ground, &hub(), call).await.unwrap();
        let [(_, StreamAnswer::Applied { through: applied, refusals, .. })] = answers.as_slice() else {
            panic!("the row keeps its place: {answers:?}")
        };
        assert_eq!(*applied, through);
        *chain = batch.chain_after().unwrap();
        refusals.iter().map(|refusal| refusal.ack).collect()
    }

    /// The receipts in anna's mailbox.
    async fn waiting(&self) -> Vec<Receipt> {
        let mut tx = self.home.ground.read().await.unwrap();
        let device = self.anna.device_address().device;
        let rows = tx.mailbox_after(&device, Seq::ZERO, 100).await.unwrap();
        let receipts = rows.into_iter().filter_map(|row| match row.notice {
            Notice::Receipt { receipt } => Some(Receipt::from_bytes(&receipt).unwrap()),
            _ => None,
        });
        receipts.collect()
    }
}

#[tokio::test]
async fn a_true_receipt_reaches_the_senders_device_once() {
    let mut scene = Scene::open().await;
    let receipt = scene.receipt(&scene.word());
    assert_eq!(scene.brings(receipt.to_bytes()).await, (vec![], 1));
    let waiting = scene.waiting().await;
    assert_eq!(waiting[0].messages, receipt.messages[..1], "of what others sent it hears nothing");
    assert_eq!(waiting[0].pin, Some(peer(&hub(), &scene.beta).pin), "as the home knows it");
    // A second time, and as if about other rows: no mailbox fills.
    assert_eq!(scene.brings(receipt.to_bytes()).await, (vec![], 1));
    for through in [4, 6, 7] {
        let other = scene.receipt(&Word { through, ..scene.word() });
        assert_eq!(scene.brings(other.to_bytes()).await, (vec![], 1));
    }
}

#[tokio::test]
async fn a_receipt_for_another_ciphertext_proves_nothing() {
    let mut scene = Scene::open().await;
    let other = scene.receipt(&Word { messages: vec![(1, b"two".to_vec())], ..scene.word() });
    assert_eq!(scene.brings(other.to_bytes()).await, (vec![], 0));
}

#[tokio::test]
async fn what_its_bringer_can_not_say_is_refused() {
    let mut scene = Scene::open().await;
    let group = GroupId::random(hub(), &mut OsEntropy::new().unwrap());
    let of_another_group = StreamId::of(&us(), &hub(), &StreamName::Submissions(group));
    let gamma: Domain = "gamma.test".parse().unwrap();
    let to_gamma = StreamId::of(&hub(), &gamma, &StreamName::FanOut(scene.group.clone()));
    let words = [
        ("what a home says", 1, Word { role: Role::Accepted, ..scene.word() }),
        ("another stream", 1, Word { stream: of_another_group, ..scene.word() }),
        ("in our name", 1, Word { domain: us(), ..scene.word() }),
        // Whom this domain knows is none of the bringer's business: these are answered like true ones.
        ("another key", 0, Word { key: SigningKey::from_bytes(&[8; 32]), ..scene.word() }),
        ("a domain that nobody here knows", 0, Word { domain: gamma, stream: to_gamma, ..scene.word() }),
    ];
    for (what, refusals, word) in words {
        let receipt = scene.receipt(&word);
        let (acks, waiting) = scene.brings(receipt.to_bytes()).await;
        assert_eq!((acks.len(), waiting), (refusals, 0), "{what}");
    }
    let mut twice = scene.receipt(&scene.word());
    twice.messages = vec![twice.messages[0].clone(); 3];
    let (acks, waiting) = scene.brings(twice.to_bytes()).await;
    assert_eq!((acks.len(), waiting), (1, 0), "one message three times");
    // Another id, place or hash beside the true signature: nothing is proven of what was sent.
    let honest = scene.receipt(&scene.word());
    let changes: [fn(&mut Proven); 3] = [
        |proven| proven.place.index ^= 1,
        |proven| proven.place.path[0] = Digest::ZERO,
        |proven| proven.id = id(2),
    ];
    for change in changes {
        let mut changed = Receipt { messages: honest.messages[..1].to_vec(), ..honest.clone() };
        change(&mut changed.messages[0]);
        let (acks, waiting) = scene.brings(changed.to_bytes()).await;
        assert_eq!((acks.len(), waiting), (0, 0), "{changed:?}");
    }
    let true_one = honest.to_bytes();
    let (acks, waiting) = scene.brings(vec![0; 40]).await;
    assert_eq!((acks.len(), waiting), (1, 0), "garbage");
    // After all of that the true one still counts.
    assert_eq!(scene.brings(true_one).await, (vec![], 1));
}

#[tokio::test]
async fn what_an_older_version_had_parked_is_taken_up_by_the_next() {
    let scene = Scene::open().await;
    let parked =
        |seq: u64, kind: u16, payload: Vec<u8>| ParkedRow { seq: Seq(seq), kind, id: [7; 16], payload };
    let receipt = scene.receipt(&scene.word()).to_bytes();
    let rows = [parked(1, RowKind::Receipt.number(), receipt), parked(2, 999, vec![1; 10])];
    let stream = StreamId::of(&hub(), &us(), &StreamName::Receipts);
    scene
        .home
        .writes(move |tx| {
            let rows = rows.clone();
            Box::pin(async move {
                let gone = "gone.test".parse().unwrap();
                tx.inbox_park(&gone, stream.as_bytes(), &rows[..1]).await?;
                tx.inbox_park(&hub(), stream.as_bytes(), &rows).await
            })
        })
        .await;
    assert_eq!(relay::take_up(&scene.home.ground).await, Ok(1));
    assert_eq!(scene.waiting().await.len(), 1);
    let left = scene.home.ground.read().await.unwrap().inbox_parked(&hub()).await.unwrap();
    assert_eq!(left, [ParkedKind { kind: 999, rows: 1, bytes: 10 }], "what nobody knows waits on");
    let gone: Domain = "gone.test".parse().unwrap();
    let theirs = scene.home.ground.read().await.unwrap().inbox_parked(&gone).await.unwrap();
    assert_eq!(theirs[0].rows, 1, "nobody speaks who is no peer any more");
    assert_eq!(relay::take_up(&scene.home.ground).await, Ok(0));
}

#[tokio::test]
async fn only_what_is_new_and_kept_is_signed() {
    let scene = Scene::open().await;
    let (group, device) = (scene.group.clone(), scene.anna.device_address());
    let now = scene.home.now();
    scene
        .home
        .writes(move |tx| {
            let (group, device) = (group.clone(), device.clone());
            Box::pin(async move { tx.members_join(&group, &[device], 1, Seq::ZERO, 2, now).await })
        })
        .await;
    let mut chain = Digest::ZERO;
    // A message; other bytes under its place in the log, which nobody will read; anna's own, which comes back to her home.
    let entries = [(1, 7, b"new".as_slice()), (1, 8, b"instead"), (2, 1, b"one")];
    for ((place, n, text), seq) in entries.into_iter().zip(1..) {
        let entry = GroupEntry {
            group: scene.group.clone(),
            seq: Seq(place),
            epoch: 1,
            at: now,
            message: text.to_vec(),
            committer: None,
            removed: vec![],
            accounts: 2,
        };
        let (row, name) = (entry_row(seq, n, &entry), StreamName::FanOut(scene.group.clone()));
        assert_eq!(scene.hands_over(name, row, &mut chain).await, []);
    }
    let mut tx = scene.home.ground.read().await.unwrap();
    let stream = *StreamId::of(&us(), &hub(), &StreamName::Receipts).as_bytes();
    let lane = OutboxLane { incarnation: scene.home.ground.incarnation(), stream };
    let rows = tx.outbox_rows(&hub(), &lane, Seq(1), 10, usize::MAX).await.unwrap();
    let receipts: Vec<Receipt> =
        rows.iter().map(|row| Receipt::from_bytes(&row.row.payload).unwrap()).collect();
    let signed: Vec<MessageId> =
        receipts.iter().flat_map(|receipt| &receipt.messages).map(|proven| proven.id).collect();
    assert_eq!(signed, [id(7)]);
    let message = Message { id: id(7), ciphertext: payload_digest(b"new"), recipient: us() };
    assert_eq!(receipts[0].signed.covers(&message, &receipts[0].messages[0].place), Ok(()));
}

fn entry_row(seq: u64, n: u8, entry: &GroupEntry) -> Row {
    let payload = entry.to_bytes();
    Row { seq: Seq(seq), id: id(n), kind: RowKind::GroupEntry, ttl: None, payload, request: None }
}
