//! What a message shows without keys: kind, group and epoch (RFC 9420, section 6.3).

use openmls::prelude::{ContentType, MlsMessageBodyIn, MlsMessageIn, tls_codec};
use qpq_core::{GroupId, limits};

/// Why bytes are not an application message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// More bytes than allowed.
    #[error("a message has at most {} bytes", limits::MESSAGE_BYTES)]
    TooLarge,
    /// Not one whole MLS message.
    #[error("the bytes are not an MLS message")]
    Malformed,
    /// An MLS message of another kind than an encrypted application message.
    #[error("only encrypted application messages are taken here")]
    WrongKind,
    /// Its group id isn't of our form.
    #[error("the message names no group of ours")]
    Group,
}

/// What an encrypted application message shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationFraming {
    /// For which group.
    pub group: GroupId,
    /// Encrypted in which epoch.
    pub epoch: u64,
}

/// Reads the framing of an encrypted application message.
pub fn application_framing(bytes: &[u8]) -> Result<ApplicationFraming, FramingError> {
    if bytes.len() > limits::MESSAGE_BYTES {
        return Err(FramingError::TooLarge);
    }
    let MlsMessageBodyIn::PrivateMessage(message) = message(bytes).ok_or(FramingError::Malformed)? else {
        return Err(FramingError::WrongKind);
    };
    if message.content_type() != ContentType::Application {
        return Err(FramingError::WrongKind);
    }
    let group = GroupId::from_bytes(message.group_id().as_slice()).map_err(|_| FramingError::Group)?;
    Ok(ApplicationFraming { group, epoch: message.epoch().as_u64() })
}

/// Parses one whole MLS message, without a byte left over.
pub(crate) fn message(bytes: &[u8]) -> Option<MlsMessageBodyIn> {
    parse::<MlsMessageIn>(bytes).map(MlsMessageIn::extract)
}

/// Parses one whole value.
///
/// By the reader-based codec on purpose: the slice-based one of `tls_codec` 0.5.0 has debug assertions that a hostile
/// length fails, so that a development build would panic.
pub(crate) fn parse<T: tls_codec::Deserialize + tls_codec::Size>(bytes: &[u8]) -> Option<T> {
    T::tls_deserialize_exact(bytes).ok()
}
