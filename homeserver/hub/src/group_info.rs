//! Reads a GroupInfo (RFC 9420, section 12.4.3) and checks it against the commit that it came with.
//!
//! OpenMLS hands out neither the signer nor the confirmation tag of a GroupInfo, so the fields behind the extensions
//! are read here from its own serialisation, and the signature is checked with the committer's known key.

use openmls::{
    group::GroupContext,
    messages::group_info::VerifiableGroupInfo,
    prelude::{
        MlsMessageBodyIn, VLBytes,
        tls_codec::{Deserialize as _, Serialize as _, Size as _},
    },
};
use qpq_core::limits;
use qpq_delivery::view::{GroupInfoMatch, Member};

use crate::framing::message;

/// What the committed epoch's GroupInfo must be.
pub(crate) struct Expected<'a> {
    pub(crate) context: &'a GroupContext,
    pub(crate) committer: &'a Member,
    /// The commit's confirmation tag, serialised.
    pub(crate) tag: &'a [u8],
}

/// The parts of a GroupInfo that OpenMLS keeps to itself.
struct Tail {
    tag: Vec<u8>,
    signer: u32,
    signature: [u8; 64],
    /// What the signature covers.
    signed: Vec<u8>,
}

/// Parses a serialised GroupInfo message.
pub(crate) fn parse(bytes: &[u8]) -> Option<VerifiableGroupInfo> {
    if bytes.len() > limits::HANDSHAKE_BYTES {
        return None;
    }
    match message(bytes)? {
        MlsMessageBodyIn::GroupInfo(info) => Some(info),
        _ => None,
    }
}

/// Compares a GroupInfo with what the commit makes.
pub(crate) fn compare(bytes: &[u8], expected: &Expected<'_>) -> GroupInfoMatch {
    let Some(info) = parse(bytes) else { return GroupInfoMatch::Malformed };
    // With the tree inside it would be a hundred times larger; the hub has the tree.
    if info.extensions().ratchet_tree().is_some() {
        return GroupInfoMatch::Malformed;
    }
    let Some(tail) = tail(&info) else { return GroupInfoMatch::Malformed };
    if info.group_context() != expected.context {
        return GroupInfoMatch::ContextDiffers;
    }
    if tail.tag != expected.tag {
        return GroupInfoMatch::TagDiffers;
    }
    let by_committer = tail.signer == expected.committer.leaf.0
        && expected.committer.signature_key.verifies(&tail.signed, &tail.signature);
    if by_committer { GroupInfoMatch::Matches } else { GroupInfoMatch::NotByCommitter }
}

fn tail(info: &VerifiableGroupInfo) -> Option<Tail> {
    let whole = info.tls_serialize_detached().ok()?;
    let head =
        info.group_context().tls_serialized_len().checked_add(info.extensions().tls_serialized_len())?;
    let mut rest = whole.get(head..)?;
    let tag = VLBytes::tls_deserialize(&mut rest).ok()?;
    let signer = u32::tls_deserialize(&mut rest).ok()?;
    let signed = whole.get(..whole.len().checked_sub(rest.len())?)?;
    let signature = VLBytes::tls_deserialize_exact(rest).ok()?;
    Some(Tail {
        tag: tag.tls_serialize_detached().ok()?,
        signer,
        signature: signature.as_slice().try_into().ok()?,
        signed: sign_content("GroupInfoTBS", signed)?,
    })
}

/// `SignContent` of RFC 9420, section 5.1.2.
fn sign_content(label: &str, content: &[u8]) -> Option<Vec<u8>> {
    let label = VLBytes::new(format!("MLS 1.0 {label}").into_bytes()).tls_serialize_detached().ok()?;
    let content = VLBytes::new(content.to_vec()).tls_serialize_detached().ok()?;
    Some([label, content].concat())
}
