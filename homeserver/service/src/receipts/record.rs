//! A receipt as bytes: the `Receipt` of `schemas/common.capnp`, in rows, in mailboxes and in answers to clients.
//!
//! Reading checks the signature under the key that the statement names; whose key that is, is for the reader to judge.

use std::collections::BTreeSet;

use qpq_core::{Digest, GroupId, MessageId, Pin};
use qpq_proof::{Place, SignedStatement};
use qpq_schemas::common_capnp::receipt;

use crate::{
    Answered, Refusal,
    relay::payload::{read, write},
    wire::{array, bounded, bytes, group_id, length, unreadable},
};

/// A statement has a few hundred bytes.
const STATEMENT_BYTES: usize = 1024;

/// One domain's signed word about messages of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The group.
    pub group: GroupId,
    /// What is signed.
    pub signed: SignedStatement,
    /// The messages that it is about, of those that its receiver sent.
    pub messages: Vec<Proven>,
    /// For clients: the pin of the signing domain's CA, as this domain knows it.
    pub pin: Option<Pin>,
}

/// One message of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Its id.
    pub id: MessageId,
    /// Where it is in the statement's tree.
    pub place: Place,
}

impl Receipt {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        write::<receipt::Owned>(|record| write_receipt(self, record))
    }

    pub(crate) fn from_bytes(payload: &[u8]) -> Answered<Self> {
        let message = read(payload)?;
        read_receipt(message.get_root::<receipt::Reader<'_>>().map_err(unreadable)?)
    }

    /// The same statement about some of its messages.
    pub(crate) fn about(&self, ids: &BTreeSet<MessageId>) -> Self {
        let messages = self.messages.iter().filter(|proven| ids.contains(&proven.id)).cloned().collect();
        Self { messages, ..self.clone() }
    }
}

/// Writes a receipt.
pub fn write_receipt(receipt: &Receipt, mut builder: receipt::Builder<'_>) {
    builder.set_group(&receipt.group.to_bytes());
    builder.set_statement(&receipt.signed.statement().to_bytes());
    builder.set_signature(receipt.signed.signature());
    if let Some(pin) = &receipt.pin {
        builder.set_pin(pin.digest().as_bytes());
    }
    let mut list = builder.init_messages(length(receipt.messages.len()));
    for (index, proven) in (0..).zip(&receipt.messages) {
        let mut message = list.reborrow().get(index);
        message.set_id(proven.id.as_bytes());
        message.set_index(proven.place.index);
        message.set_path(&proven.place.path_bytes());
    }
}

/// Hands a stored receipt to `copy` as it is; an empty one where the bytes can't be read.
pub fn copy_receipt(
    stored: &[u8],
    copy: impl FnOnce(receipt::Reader<'_>) -> capnp::Result<()>,
) -> capnp::Result<()> {
    let message = read(stored).ok();
    let root = message.as_ref().and_then(|message| message.get_root::<receipt::Reader<'_>>().ok());
    match root {
        Some(root) => copy(root),
        None => {
            copy(capnp::message::Builder::new_default().init_root::<receipt::Builder<'_>>().into_reader())
        }
    }
}

/// Reads a receipt whose signature holds.
pub fn read_receipt(reader: receipt::Reader<'_>) -> Answered<Receipt> {
    let statement = bytes("statement", reader.get_statement(), STATEMENT_BYTES)?;
    let signature = array("signature", reader.get_signature())?;
    let signed = SignedStatement::from_parts(&statement, signature)
        .map_err(|error| Refusal::malformed(format!("a receipt proves nothing: {error}")))?;
    let pin = if reader.has_pin() {
        Some(Pin::from_digest(Digest::from_bytes(array("pin", reader.get_pin())?)))
    } else {
        None
    };
    let messages = reader.get_messages().map_err(unreadable)?;
    bounded("messages", messages.len())?;
    let proven = |message: qpq_schemas::common_capnp::proven_message::Reader<'_>| {
        let place = Place::from_bytes(message.get_index(), message.get_path().map_err(unreadable)?);
        let place = place.ok_or_else(|| Refusal::malformed("`path` is no path of a tree"))?;
        Ok(Proven { id: MessageId::from_bytes(array("id", message.get_id())?), place })
    };
    let messages = messages.iter().map(proven).collect::<Answered<Vec<_>>>()?;
    let distinct: BTreeSet<MessageId> = messages.iter().map(|proven| proven.id).collect();
    if distinct.len() != messages.len() {
        return Err(Refusal::malformed("`messages` names one message twice"));
    }
    Ok(Receipt { group: group_id(reader.get_group())?, signed, messages, pin })
}
