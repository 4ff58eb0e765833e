//! Receipts: what a domain signs about messages of this device.

use qpq_core::{Digest, GroupId, MessageId, Pin};
use qpq_proof::{Place, SignedStatement};
use qpq_schemas::common_capnp::receipt;

use super::{bytes, group, message_id};
use crate::ClientError;

/// One domain's signed word about messages of this device. Its signature holds; what it covers is judged by
/// `proofs.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Their group.
    pub group: GroupId,
    /// What is signed.
    pub signed: SignedStatement,
    /// The messages, and where each is in the statement's tree.
    pub messages: Vec<(MessageId, Place)>,
    /// The pin of the signing domain's CA, as the homeserver knows it.
    pub pin: Option<Pin>,
}

/// Reads a receipt; one that can't be read is skipped: what a later version signs must not keep the rest away.
pub(crate) fn readable_receipt(reader: receipt::Reader<'_>) -> Option<Receipt> {
    match read_receipt(reader) {
        Ok(receipt) => Some(receipt),
        Err(error) => {
            tracing::warn!(%error, "a receipt is skipped");
            None
        }
    }
}

fn read_receipt(reader: receipt::Reader<'_>) -> Result<Receipt, ClientError> {
    let signature = bytes(reader.get_signature()?, "a signature")?;
    let signed = SignedStatement::from_parts(reader.get_statement()?, signature)
        .map_err(|error| ClientError::protocol(format_args!("a receipt proves nothing: {error}")))?;
    let pin = reader.get_pin()?;
    let pin =
        if pin.is_empty() { None } else { Some(Pin::from_digest(Digest::from_bytes(bytes(pin, "a pin")?))) };
    let mut messages = Vec::new();
    for message in reader.get_messages()? {
        let place = Place::from_bytes(message.get_index(), message.get_path()?)
            .ok_or_else(|| ClientError::protocol("a path is no path of a tree"))?;
        messages.push((message_id(message.get_id()?)?, place));
    }
    Ok(Receipt { group: group(reader.get_group()?)?, signed, messages, pin })
}
