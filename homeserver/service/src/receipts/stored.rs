//! What a domain signs for its peers: that it has stored rows of their streams.

use qpq_core::{Digest, Domain, GroupId, Incarnation, MessageId, Seq};
use qpq_federation_proto::{Row, RowKind, StreamId, StreamName};
use qpq_proof::{Message, Role, SignedStatement, Terms};
use qpq_storage::{NewOutboxRow, Stored, WriteTx, payload_digest};

use super::{Proven, Receipt};
use crate::{
    Effects, Ground,
    groups::{GroupEntry, GroupSubmit},
    relay::quota::{QueueRoom, queue_answer},
    request,
};

/// A message of a batch that is stored when its transaction is.
pub(crate) struct StoredMessage {
    group: GroupId,
    id: MessageId,
    ciphertext: Digest,
}

impl StoredMessage {
    /// The message of a row that was stored; `None`: it carries none that anybody wants proven. The answer to a commit is
    /// its hub's word already.
    pub(crate) fn of(row: &Row) -> Option<Self> {
        let (group, message) = match row.kind {
            RowKind::GroupSubmit => {
                let submit = GroupSubmit::from_bytes(&row.payload).ok()?;
                (submit.group, submit.message)
            }
            RowKind::GroupEntry => {
                let entry = GroupEntry::from_bytes(&row.payload).ok()?;
                (entry.group, entry.committer.is_none().then_some(entry.message)?)
            }
            RowKind::Welcome
            | RowKind::SubmitRefused
            | RowKind::Tombstone
            | RowKind::ContactAccepted
            | RowKind::Receipt
            | RowKind::Unknown(_) => return None,
        };
        Some(Self { group, id: row.id, ciphertext: payload_digest(&message) })
    }
}

/// A batch of a peer's stream whose rows are being stored.
pub(crate) struct Storing<'a> {
    pub(crate) origin: &'a Domain,
    pub(crate) stream: StreamId,
    /// The life of the origin that numbered the rows.
    pub(crate) incarnation: Incarnation,
    /// The last row of the batch.
    pub(crate) through: Seq,
}

impl Storing<'_> {
    /// Queues the receipt for the batch's messages, in the transaction that stores them.
    pub(crate) async fn receipt(
        &self,
        ground: &Ground,
        tx: &mut dyn WriteTx,
        mut messages: Vec<StoredMessage>,
        effects: &mut Effects,
    ) -> Stored<()> {
        let (Some(notary), Some(group)) = (ground.notary(), self.group(ground, &messages)) else {
            return Ok(());
        };
        messages.retain(|message| message.group == group);
        let (us, now) = (ground.domain(), ground.now());
        // A message of our own user comes back here in the hub's log: to whom would it be proven?
        let ids: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
        let submitters = tx.submitters(&ids).await?;
        let is_ours = |message: &StoredMessage| {
            submitters.iter().any(|(id, sender, ciphertext)| {
                sender.user.domain() == us && (*id, *ciphertext) == (message.id, message.ciphertext)
            })
        };
        messages.retain(|message| !is_ours(message));
        let leaves: Vec<Message> = messages
            .iter()
            .map(|message| Message { id: message.id, ciphertext: message.ciphertext, recipient: us.clone() })
            .collect();
        let terms = Terms {
            domain: us.clone(),
            role: Role::Stored,
            incarnation: self.incarnation,
            stream: *self.stream.as_bytes(),
            through: self.through,
            at: now,
        };
        let Some((signed, places)) = SignedStatement::sign(&notary.key, terms, &leaves) else {
            return Ok(());
        };
        let proven = messages.iter().zip(places).map(|(message, place)| Proven { id: message.id, place });
        let receipt = Receipt { group, signed, messages: proven.collect(), pin: None };
        send(ground, tx, self.origin, &receipt, effects).await
    }

    /// The group that the stream carries; `None`: the origin has put a message into a stream that isn't its group's.
    fn group(&self, ground: &Ground, messages: &[StoredMessage]) -> Option<GroupId> {
        let us = ground.domain();
        let is_its_stream = |group: &GroupId| {
            let submissions = StreamName::Submissions(group.clone());
            let fan_out = StreamName::FanOut(group.clone());
            [submissions, fan_out].iter().any(|name| StreamId::of(self.origin, us, name) == self.stream)
        };
        let group = messages.first().map(|message| message.group.clone())?;
        is_its_stream(&group).then_some(group)
    }
}

/// Puts a receipt on its way to a peer. It waits as long as a message would.
pub(super) async fn send(
    ground: &Ground,
    tx: &mut dyn WriteTx,
    destination: &Domain,
    receipt: &Receipt,
    effects: &mut Effects,
) -> Stored<()> {
    let payload = receipt.to_bytes();
    let now = ground.now();
    let row = NewOutboxRow {
        destination: destination.clone(),
        stream: *StreamId::of(ground.domain(), destination, &StreamName::Receipts).as_bytes(),
        id: MessageId::from_bytes(Digest::of(&[&payload]).first_half()),
        kind: RowKind::Receipt.number(),
        expires_at: Some(now.after(ground.settings().message_ttl)),
        payload,
        at: now,
        request: request::current(),
    };
    // Nobody waits for a receipt: the reserve is for those who do.
    let room = QueueRoom::of(tx, destination, ground.settings().peer_queue_bytes).await?;
    queue_answer(tx, room, row, effects).await
}
