//! Readers of bytes from peers and clients that nothing outside of this crate calls, for `tests/fuzz`.
//!
//! Each takes what came and says whether it was understood; what was is written and read once more, so that a reader
//! that takes something else than it would send shows.

use qpq_core::Address;

use crate::{
    Answered, Ground, OpaqueSetup,
    groups::records::{GroupEntry, GroupSubmit, GroupWelcome, SubmitRefused},
    receipts::Receipt,
};

/// The payload of a row, as each of the kinds that have one. Says how many of them it is.
pub fn row_payload(bytes: &[u8]) -> usize {
    let read = [
        again(bytes, GroupSubmit::from_bytes, GroupSubmit::to_bytes),
        again(bytes, GroupEntry::from_bytes, GroupEntry::to_bytes),
        again(bytes, GroupWelcome::from_bytes, GroupWelcome::to_bytes),
        again(bytes, SubmitRefused::from_bytes, SubmitRefused::to_bytes),
        again(bytes, Receipt::from_bytes, Receipt::to_bytes),
    ];
    read.into_iter().filter(|read| *read).count()
}

fn again<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    read: fn(&[u8]) -> Answered<T>,
    write: fn(&T) -> Vec<u8>,
) -> bool {
    let Ok(value) = read(bytes) else { return false };
    assert_eq!(read(&write(&value)).as_ref(), Ok(&value), "it reads what it wrote");
    true
}

/// Which of OPAQUE's messages came from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpaqueMessage {
    /// The first of a registration.
    RegistrationRequest,
    /// The last of a registration.
    RegistrationRecord,
    /// The first of a login.
    Ke1,
    /// The last of a login, to a login that `ke1` began.
    Ke3,
}

/// Answers a message of a client; says whether it was understood. `ke1` is a valid first message of a login.
pub fn opaque(
    setup: &OpaqueSetup,
    ground: &Ground,
    user: &Address,
    ke1: &[u8],
    which: OpaqueMessage,
    bytes: &[u8],
) -> bool {
    match which {
        OpaqueMessage::RegistrationRequest => setup.registration_response(user, bytes).is_ok(),
        OpaqueMessage::RegistrationRecord => OpaqueSetup::record(bytes).is_ok_and(|record| {
            // What was taken as a record can be logged in to.
            setup.credential_response(ground, user, Some(&record), ke1).is_ok()
        }),
        OpaqueMessage::Ke1 => setup.credential_response(ground, user, None, bytes).is_ok(),
        OpaqueMessage::Ke3 => {
            let begun = setup.credential_response(ground, user, None, ke1);
            begun.is_ok_and(|(login, _)| login.proves(bytes))
        }
    }
}
