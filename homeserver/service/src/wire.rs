//! How exchanged values look in `schemas/common.capnp`: shared by both edges, clients' RPC and federation.
//!
//! Reading is the door: what comes out is valid, and what can't be read is a [`Refusal`] that names the field.
//! A peer of a newer version may send an error code that we don't know; its text still travels, under `Internal`.

use capnp::{message::ReaderSegments, struct_list};
use qpq_core::{
    Address, DeviceAddress, DeviceCertificate, DeviceId, ErrorCode, GroupId, IdentityKey, MessageId, Millis,
    RequestId, Seq, SignatureKey, Timestamp, limits,
};
use qpq_schemas::{
    common_capnp::{
        claimed_user, commit_answer, commit_submit, device_certificate, failure, group_tree, user_keys,
    },
    transparency_capnp::log_view,
};
use qpq_transparency_tree::value::{SignedValue, VALUE_BYTES};
use qpq_transparency_wire::{Views, WireError, read_lookup, read_views, write_lookup};

use crate::{
    Answered, ClaimedPackage, ClaimedUser, CommitAnswer, CommitSubmit, GroupTree, Refusal, UserAnswer,
    UserKeys,
};

/// A message that can't be read as the schema says.
pub fn unreadable(_: impl std::error::Error) -> Refusal {
    Refusal::malformed("the message can't be read as the schema says")
}

/// A text field, at most 1 KiB.
pub fn text<'a>(field: &'static str, reader: capnp::Result<capnp::text::Reader<'a>>) -> Answered<&'a str> {
    let text = reader.map_err(unreadable)?.to_str().map_err(unreadable)?;
    if text.len() > 1_024 {
        return Err(Refusal::new(
            ErrorCode::TooLarge,
            format!("`{field}` has {} bytes, 1024 are allowed", text.len()),
        ));
    }
    Ok(text)
}

/// Bytes of at most `most`.
pub fn bytes(field: &'static str, reader: capnp::Result<&[u8]>, most: usize) -> Answered<Vec<u8>> {
    let bytes = reader.map_err(unreadable)?;
    if bytes.len() > most {
        return Err(Refusal::new(
            ErrorCode::TooLarge,
            format!("`{field}` has {} bytes, {most} are allowed", bytes.len()),
        ));
    }
    Ok(bytes.to_vec())
}

/// Bytes of exactly `N`.
pub fn array<const N: usize>(field: &'static str, reader: capnp::Result<&[u8]>) -> Answered<[u8; N]> {
    let bytes = reader.map_err(unreadable)?;
    bytes.try_into().map_err(|_| Refusal::malformed(format!("`{field}` has {} bytes, not {N}", bytes.len())))
}

/// A list of at most [`limits::BATCH_ITEMS`].
pub fn bounded(field: &'static str, length: u32) -> Answered<()> {
    let most = limits::BATCH_ITEMS;
    if usize::try_from(length).is_ok_and(|length| length <= most) {
        Ok(())
    } else {
        Err(Refusal::new(ErrorCode::TooLarge, format!("`{field}` has {length} items, {most} are allowed")))
    }
}

/// An address.
pub fn address(field: &'static str, reader: capnp::Result<capnp::text::Reader<'_>>) -> Answered<Address> {
    text(field, reader)?.parse().map_err(|error| Refusal::malformed(format!("`{field}`: {error}")))
}

/// A list of addresses.
pub fn addresses(
    field: &'static str,
    reader: capnp::Result<capnp::text_list::Reader<'_>>,
) -> Answered<Vec<Address>> {
    let list = reader.map_err(unreadable)?;
    bounded(field, list.len())?;
    list.iter().map(|item| address(field, item)).collect()
}

/// A device's address.
pub fn device_address(
    field: &'static str,
    reader: capnp::Result<capnp::text::Reader<'_>>,
) -> Answered<DeviceAddress> {
    text(field, reader)?.parse().map_err(|error| Refusal::malformed(format!("`{field}`: {error}")))
}

/// A group id.
pub fn group_id(reader: capnp::Result<&[u8]>) -> Answered<GroupId> {
    GroupId::from_bytes(reader.map_err(unreadable)?)
        .map_err(|error| Refusal::malformed(format!("`group`: {error}")))
}

/// A group id; empty bytes: none is named.
pub fn optional_group_id(reader: capnp::Result<&[u8]>) -> Answered<Option<GroupId>> {
    let bytes = reader.map_err(unreadable)?;
    if bytes.is_empty() { Ok(None) } else { group_id(Ok(bytes)).map(Some) }
}

/// Writes a refusal.
pub fn write_failure(refusal: &Refusal, mut builder: failure::Builder<'_>) {
    builder.set_code(refusal.code.number());
    builder.set_text(&refusal.text);
    builder.set_retry_after_ms(refusal.retry_after.map_or(0, |span| span.0));
    if let Some(request) = &refusal.request {
        builder.set_request(request.as_bytes());
    }
}

/// Reads a refusal.
pub fn read_failure(reader: failure::Reader<'_>) -> Answered<Refusal> {
    let text = text("failure.text", reader.get_text())?.to_owned();
    let retry_after = Some(Millis(reader.get_retry_after_ms())).filter(|span| span.0 > 0);
    let code = ErrorCode::from_number(reader.get_code()).unwrap_or(ErrorCode::Internal);
    // It helps people only, so one that can't be read is none.
    let request = reader.get_request().ok().and_then(RequestId::from_slice);
    Ok(Refusal { code, text, retry_after, request })
}

/// Writes a device certificate.
pub fn write_certificate(certificate: &DeviceCertificate, mut builder: device_certificate::Builder<'_>) {
    builder.set_device(certificate.device.to_string());
    builder.set_signature_key(certificate.signature_key.as_bytes());
    builder.set_certified_at(certificate.certified_at.as_millis());
    builder.set_signature(&certificate.signature);
}

/// Reads a device certificate; its signature is not checked here.
pub fn read_certificate(reader: device_certificate::Reader<'_>) -> Answered<DeviceCertificate> {
    Ok(DeviceCertificate {
        device: device_address("certificate.device", reader.get_device())?,
        signature_key: SignatureKey::from_bytes(array(
            "certificate.signatureKey",
            reader.get_signature_key(),
        )?),
        certified_at: Timestamp::from_millis(reader.get_certified_at()),
        signature: array("certificate.signature", reader.get_signature())?,
    })
}

/// Writes one user's keys, or why they could not be told.
pub fn write_user(answer: &UserAnswer, mut builder: user_keys::Builder<'_>) {
    match answer {
        Ok(keys) => write_keys(keys, builder),
        Err((address, refusal)) => {
            builder.set_address(address.to_string());
            write_failure(refusal, builder.init_failure());
        }
    }
}

/// Writes one user's keys.
pub fn write_keys(keys: &UserKeys, mut builder: user_keys::Builder<'_>) {
    builder.set_address(keys.address.to_string());
    builder.set_identity_key(keys.identity_key.as_bytes());
    let mut devices = builder.reborrow().init_devices(length(keys.devices.len()));
    for (index, certificate) in (0..).zip(&keys.devices) {
        write_certificate(certificate, devices.reborrow().get(index));
    }
    if let Some(told) = &keys.lookup {
        write_lookup(told, builder.init_lookup());
    }
}

/// Reads one user's keys; signatures are not checked here.
pub fn read_user(reader: user_keys::Reader<'_>) -> Answered<UserAnswer> {
    let address = address("address", reader.get_address())?;
    if reader.has_failure() {
        return Ok(Err((address, read_failure(reader.get_failure().map_err(unreadable)?)?)));
    }
    let devices = reader.get_devices().map_err(unreadable)?;
    bounded("devices", devices.len())?;
    let lookup = if reader.has_lookup() {
        let told = read_lookup(reader.get_lookup().map_err(unreadable)?);
        Some(Box::new(told.map_err(|error| unproven(&error))?))
    } else {
        None
    };
    Ok(Ok(UserKeys {
        address,
        lookup,
        identity_key: IdentityKey::from_bytes(array("identityKey", reader.get_identity_key())?),
        devices: devices.iter().map(read_certificate).collect::<Answered<_>>()?,
    }))
}

/// A part of the key-transparency log that can't be read.
fn unproven(error: &WireError) -> Refusal {
    Refusal::malformed(error.to_string())
}

/// Of which logs a caller wants proofs, and from where on.
pub fn views(reader: capnp::Result<struct_list::Reader<'_, log_view::Owned>>) -> Answered<Views> {
    read_views(reader.map_err(unreadable)?).map_err(|error| unproven(&error))
}

/// A signed version of an account's keys; empty: none.
pub fn binding(reader: capnp::Result<&[u8]>) -> Answered<Option<SignedValue>> {
    match bytes("binding", reader, VALUE_BYTES)?.as_slice() {
        [] => Ok(None),
        bytes => SignedValue::from_bytes(bytes)
            .map(Some)
            .map_err(|error| Refusal::malformed(format!("`binding` is no signed value: {error}"))),
    }
}

/// Writes the answers to a resolve.
pub fn write_users(answers: &[UserAnswer], mut list: struct_list::Builder<'_, user_keys::Owned>) {
    for (index, answer) in (0..).zip(answers) {
        write_user(answer, list.reborrow().get(index));
    }
}

/// Writes the answers to a claim.
pub fn write_claimed(users: &[ClaimedUser], mut list: struct_list::Builder<'_, claimed_user::Owned>) {
    for (index, user) in (0..).zip(users) {
        let mut builder = list.reborrow().get(index);
        match user {
            Ok((keys, packages)) => {
                write_keys(keys, builder.reborrow().init_keys());
                let mut list = builder.init_packages(length(packages.len()));
                for (index, package) in (0..).zip(packages) {
                    let mut builder = list.reborrow().get(index);
                    builder.set_device(package.device.as_bytes());
                    builder.set_key_package(&package.message);
                    builder.set_last_resort(package.last_resort);
                }
            }
            Err((address, refusal)) => {
                let mut keys = builder.init_keys();
                keys.set_address(address.to_string());
                write_failure(refusal, keys.init_failure());
            }
        }
    }
}

/// Reads the answers to a claim.
pub fn read_claimed(list: struct_list::Reader<'_, claimed_user::Owned>) -> Answered<Vec<ClaimedUser>> {
    bounded("users", list.len())?;
    list.iter()
        .map(|reader| {
            let keys = match read_user(reader.get_keys().map_err(unreadable)?)? {
                Ok(keys) => keys,
                Err(refused) => return Ok(Err(refused)),
            };
            let packages = reader.get_packages().map_err(unreadable)?;
            bounded("packages", packages.len())?;
            let packages = packages
                .iter()
                .map(|package| {
                    Ok(ClaimedPackage {
                        device: DeviceId::from_bytes(array("package.device", package.get_device())?),
                        message: bytes("keyPackage", package.get_key_package(), limits::MESSAGE_BYTES)?,
                        last_resort: package.get_last_resort(),
                    })
                })
                .collect::<Answered<_>>()?;
            Ok(Ok((keys, packages)))
        })
        .collect()
}

/// Writes a commit.
pub fn write_commit(submit: &CommitSubmit, mut builder: commit_submit::Builder<'_>) {
    builder.set_id(submit.id.as_bytes());
    builder.set_group(&submit.group.to_bytes());
    builder.set_epoch(submit.epoch);
    builder.set_commit(&submit.commit);
    builder.set_group_info(&submit.group_info);
    builder.set_welcome(&submit.welcome);
    builder.set_signature(&submit.signature);
}

/// Reads a commit.
pub fn read_commit(reader: commit_submit::Reader<'_>) -> Answered<CommitSubmit> {
    Ok(CommitSubmit {
        id: MessageId::from_bytes(array("id", reader.get_id())?),
        group: group_id(reader.get_group())?,
        epoch: reader.get_epoch(),
        commit: bytes("commit", reader.get_commit(), limits::HANDSHAKE_BYTES)?,
        group_info: bytes("groupInfo", reader.get_group_info(), limits::HANDSHAKE_BYTES)?,
        welcome: bytes("welcome", reader.get_welcome(), limits::HANDSHAKE_BYTES)?,
        signature: array("signature", reader.get_signature())?,
    })
}

/// Writes what the hub made of a commit.
pub fn write_commit_answer(answer: &CommitAnswer, builder: commit_answer::Builder<'_>) {
    match answer {
        CommitAnswer::Accepted { seq, at } => {
            let mut accepted = builder.init_accepted();
            accepted.set_seq(seq.0);
            accepted.set_at(at.as_millis());
        }
        CommitAnswer::WrongEpoch { current, seq } => {
            let mut wrong = builder.init_wrong_epoch();
            wrong.set_current(*current);
            wrong.set_seq(seq.0);
        }
        CommitAnswer::Refused(refusal) => write_failure(refusal, builder.init_failure()),
    }
}

/// Reads what the hub made of a commit.
pub fn read_commit_answer(reader: commit_answer::Reader<'_>) -> Answered<CommitAnswer> {
    let which = reader.which().map_err(unreadable)?;
    Ok(match which {
        commit_answer::Failure(failure) => CommitAnswer::Refused(read_failure(failure.map_err(unreadable)?)?),
        commit_answer::Accepted(accepted) => {
            let accepted = accepted.map_err(unreadable)?;
            CommitAnswer::Accepted {
                seq: Seq(accepted.get_seq()),
                at: Timestamp::from_millis(accepted.get_at()),
            }
        }
        commit_answer::WrongEpoch(wrong) => {
            let wrong = wrong.map_err(unreadable)?;
            CommitAnswer::WrongEpoch { current: wrong.get_current(), seq: Seq(wrong.get_seq()) }
        }
    })
}

/// Writes a tree.
pub fn write_tree(tree: &GroupTree, mut builder: group_tree::Builder<'_>) {
    builder.set_epoch(tree.epoch);
    builder.set_ratchet_tree(&tree.ratchet_tree);
}

/// Reads a tree.
pub fn read_tree(reader: group_tree::Reader<'_>) -> Answered<GroupTree> {
    Ok(GroupTree {
        epoch: reader.get_epoch(),
        ratchet_tree: bytes("ratchetTree", reader.get_ratchet_tree(), limits::HANDSHAKE_BYTES)?,
    })
}

/// The length of one of our own lists, all of which are far below `u32::MAX`.
pub fn length(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

/// A message of one of our schemas in `segments` whose bytes came from a peer or from storage.
pub fn record<S: ReaderSegments>(segments: S) -> capnp::message::Reader<S> {
    let mut options = capnp::message::ReaderOptions::new();
    options.traversal_limit_in_words(Some(4 * limits::HANDSHAKE_BYTES)).nesting_limit(16);
    capnp::message::Reader::new(segments, options)
}
