//! Cap'n Proto readers into domain types and back: parsed once, here, and nowhere else.
//!
//! What a homeserver says is foreign input. A value that leaves this module is well-formed; whether it is
//! *true* (signatures, pins) is judged by `trust.rs`.

mod deliveries;
mod directory;
mod receipts;
mod sessions;

use qpq_core::{ErrorCode, GroupId, MessageId, Millis, RequestId};
use qpq_schemas::common_capnp;

pub use deliveries::{ContactEvent, Delivery, DeliveryBody, Position};
pub use directory::{ClaimedPackage, ClaimedUser, UserAnswer, UserKeys};
pub use receipts::Receipt;
pub use sessions::{DeviceRow, DomainInfo, Grant, Limits, Stock};

pub(crate) use deliveries::{read_delivery, read_position, write_position};
pub(crate) use directory::{read_certificate, read_claimed, read_user, write_certificate};
pub(crate) use receipts::readable_receipt;
pub(crate) use sessions::{read_device, read_grant, read_info, read_stock};

use crate::{ClientError, error::Refusal};

/// Text on the wire must be UTF-8.
pub(crate) fn text(reader: capnp::text::Reader<'_>) -> Result<String, ClientError> {
    reader.to_string().map_err(|_| ClientError::protocol("a text is not UTF-8"))
}

/// Reads anything that has a text form.
pub(crate) fn parsed<T: std::str::FromStr>(
    reader: capnp::text::Reader<'_>,
    what: &'static str,
) -> Result<T, ClientError> {
    text(reader)?.parse().map_err(|_| ClientError::protocol(format_args!("{what} is malformed")))
}

/// Reads bytes of a fixed length.
pub(crate) fn bytes<const N: usize>(data: &[u8], what: &'static str) -> Result<[u8; N], ClientError> {
    data.try_into().map_err(|_| ClientError::protocol(format_args!("{what} has not {N} bytes")))
}

/// Reads a group id.
pub(crate) fn group(data: &[u8]) -> Result<GroupId, ClientError> {
    GroupId::from_bytes(data).map_err(|_| ClientError::protocol("a group id is malformed"))
}

/// Reads a message id.
pub(crate) fn message_id(data: &[u8]) -> Result<MessageId, ClientError> {
    MessageId::from_slice(data).ok_or_else(|| ClientError::protocol("a message id has not 16 bytes"))
}

/// Reads a failure.
pub(crate) fn refusal(reader: common_capnp::failure::Reader<'_>) -> Result<Refusal, ClientError> {
    let number = reader.get_code();
    let wait = reader.get_retry_after_ms();
    Ok(Refusal {
        number,
        code: ErrorCode::from_number(number),
        text: text(reader.get_text()?)?.chars().filter(|c| !c.is_control()).take(1_000).collect(),
        retry_after: (wait > 0).then_some(Millis(wait)),
        request: reader.get_request().ok().and_then(RequestId::from_slice),
    })
}

/// Turns a failure that is set into an error. For every result that has a field `failure`.
macro_rules! refused {
    ($results:expr) => {
        if $results.has_failure() {
            return Err($crate::ClientError::Refused($crate::wire::refusal($results.get_failure()?)?));
        }
    };
}
pub(crate) use refused;
