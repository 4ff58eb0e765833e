//! What a home signs for its own devices: that it took their messages over.

use std::collections::BTreeMap;

use qpq_core::{Digest, GroupId, MessageId, Seq, Timestamp};
use qpq_federation_proto::{StreamId, StreamName};
use qpq_proof::{Message, Role, SignedStatement, Terms};

use super::{Proven, Receipt};
use crate::Ground;

/// A message that is durable here.
pub(crate) struct Taken {
    pub(crate) group: GroupId,
    pub(crate) id: MessageId,
    pub(crate) ciphertext: Digest,
    /// When it became durable, also where it is a repeat.
    pub(crate) at: Timestamp,
}

/// Proves that messages were taken over: a receipt for each group and time. A repeat of a submit is proven anew, with the
/// time of the first.
pub(crate) fn accepted(ground: &Ground, taken: Vec<Taken>) -> Vec<Receipt> {
    let Some(notary) = ground.notary() else { return Vec::new() };
    let mut batches: BTreeMap<(GroupId, Timestamp), Vec<Message>> = BTreeMap::new();
    for Taken { group, id, ciphertext, at } in taken {
        let recipient = group.hub().clone();
        batches.entry((group, at)).or_default().push(Message { id, ciphertext, recipient });
    }
    let us = ground.domain();
    let receipt = |((group, at), messages): ((GroupId, Timestamp), Vec<Message>)| {
        let stream = StreamId::of(us, group.hub(), &StreamName::Submissions(group.clone()));
        let terms = Terms {
            domain: us.clone(),
            role: Role::Accepted,
            incarnation: ground.incarnation(),
            stream: *stream.as_bytes(),
            through: Seq::ZERO,
            at,
        };
        let (signed, places) = SignedStatement::sign(&notary.key, terms, &messages)?;
        let proven = messages.iter().zip(places).map(|(message, place)| Proven { id: message.id, place });
        let (messages, pin) = (proven.collect(), Some(notary.pin));
        Some(Receipt { group, signed, messages, pin })
    };
    batches.into_iter().filter_map(receipt).collect()
}
