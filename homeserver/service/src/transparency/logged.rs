//! What of our own accounts is in the log, for the use cases and jobs that change or tell their keys.
//!
//! Everything here runs in the transaction of whoever calls it. A homeserver without a log logs nothing, and its accounts are
//! shown as they are.

use std::collections::BTreeMap;

use qpq_core::{AccountId, Address, DeviceId, ErrorCode, Millis, SignatureKey, Timestamp};
use qpq_storage::{Account, Device, ReadTx, StorageError, Stored, TransparencyRead, WriteTx};
use qpq_transparency::{
    LogKeys,
    accounts::{self, NotLogged, Place, Version},
    lookup,
};
use qpq_transparency_tree::{
    commitment::Opening,
    label::Label,
    lookup::{Asker, View},
    value::{Reason, SignedValue},
};
use qpq_transparency_wire::{LogPlace, ToldLookup};

use crate::{Answered, Ground, Refusal, UserAnswer, UserKeys};

/// What the domain says about an account's keys: of one that is in the log, only what the log says, too.
pub(crate) async fn user_keys(
    ground: &Ground,
    tx: &mut dyn ReadTx,
    address: &Address,
    account: &Account,
) -> Stored<UserKeys> {
    let logged = devices(ground.log_keys(), tx, address).await?;
    let counts = |device: &Device| {
        let certificate = &device.certificate;
        let named = |logged: &BTreeMap<_, _>| {
            logged.get(&certificate.device.device) == Some(&certificate.signature_key)
        };
        device.revoked_at.is_none() && logged.as_ref().is_none_or(named)
    };
    let devices = tx.devices(&account.id).await?.into_iter().filter(counts);
    let devices = devices.map(|device| device.certificate).collect();
    Ok(UserKeys { address: address.clone(), identity_key: account.identity_key, devices, lookup: None })
}

/// The same with the proof of it, for whoever has a view; until the log's witnesses have signed what is newest, nothing is said.
pub(crate) async fn proven_keys(
    ground: &Ground,
    tx: &mut dyn ReadTx,
    (address, account): (&Address, &Account),
    view: Option<View>,
    asker: Asker,
) -> Stored<UserAnswer> {
    let keys = user_keys(ground, tx, address, account).await?;
    let (Some(view), Some(log)) = (view, ground.log_keys()) else { return Ok(Ok(keys)) };
    let label = Label::of(address);
    // Many tiles are read on the way: it would make every future around it as large.
    let answer = Box::pin(lookup::answer(tx, log, &label, view, asker, ground.now())).await?;
    Ok(match answer {
        None => Ok(keys),
        Some(lookup::Answered::Lookup(answer)) => {
            let told = ToldLookup { log_key: log.log().verifier().clone(), answer: *answer };
            Ok(UserKeys { lookup: Some(Box::new(told)), ..keys })
        }
        Some(lookup::Answered::Pending) => Err((address.clone(), pending(address))),
    })
}

/// How soon it is worth asking again for what witnesses have not signed.
const PENDING: Millis = Millis::from_secs(1);

fn pending(address: &Address) -> Refusal {
    let text = format!("the log's witnesses have not signed the newest keys of `{address}` yet");
    Refusal::retry(ErrorCode::KeysPending, text, PENDING)
}

/// How many bytes of proofs one answer has room for: half a frame, because keys and KeyPackages come with them.
const PROOF_BYTES: usize = 4 * 1024 * 1024;

/// What is left in an answer for proofs. Few accounts have long histories; a call that names many of those is answered in parts.
#[derive(Debug)]
pub(crate) struct ProofRoom(usize);

impl ProofRoom {
    pub(crate) const fn new() -> Self {
        Self(PROOF_BYTES)
    }

    /// The keys, if there is room for what proves them; otherwise the user is to be asked for again.
    pub(crate) fn takes(&mut self, keys: UserKeys) -> UserAnswer {
        let needed = keys.lookup.as_ref().map_or(0, |told| told.bytes());
        let Some(left) = self.0.checked_sub(needed) else {
            let text = format!("the proofs don't fit into one answer: ask for `{}` again", keys.address);
            let refusal = Refusal::retry(ErrorCode::Overloaded, text, Millis::from_secs(0));
            return Err((keys.address, refusal));
        };
        self.0 = left;
        Ok(keys)
    }
}

/// The devices that the log names; `None` of an account that is not in it.
async fn devices(
    keys: Option<&LogKeys>,
    tx: &mut (dyn TransparencyRead + '_),
    address: &Address,
) -> Stored<Option<BTreeMap<DeviceId, SignatureKey>>> {
    let Some((label_id, _)) = keys.and_then(|keys| keys.place(&Label::of(address))) else { return Ok(None) };
    let newest = Box::pin(accounts::newest(tx, label_id)).await?;
    // A name that was closed has no devices until somebody else's first version names some.
    Ok(newest.map(|newest| {
        let devices = newest.value().map_or(&[] as &[_], |value| value.devices());
        devices.iter().map(|device| (device.device, device.signature_key)).collect()
    }))
}

/// Where the next version of a name's keys will stand; `None` without a log.
pub(crate) async fn place(
    ground: &Ground,
    tx: &mut (dyn TransparencyRead + '_),
    address: &Address,
) -> Stored<Option<Place>> {
    match ground.log_keys().and_then(|keys| keys.place(&Label::of(address))) {
        Some((label_id, _)) => accounts::place(tx, label_id).await.map(Some),
        None => Ok(None),
    }
}

/// The same as it is told to the account.
pub(crate) fn told_place(ground: &Ground, place: &Place, account: AccountId) -> Option<LogPlace> {
    let contents = place.newest.as_ref().and_then(|newest| newest.contents.as_ref());
    Some(LogPlace {
        origin: ground.log_keys()?.origin().clone(),
        label_id: place.label_id,
        version: place.version,
        prev: place.prev,
        account,
        value: contents.map(|(_, signed)| signed.clone()),
    })
}

/// When the reset that a version announces may be made; `None` if it announces none.
pub(crate) async fn reset_from(
    ground: &Ground,
    tx: &mut (dyn TransparencyRead + '_),
    version: &Version,
) -> Stored<Option<Timestamp>> {
    let Some(keys) = ground.log_keys() else { return Ok(None) };
    let seen_by = accounts::seen_by(tx, keys, version, ground.now()).await?;
    Ok(version.reset_from(seen_by))
}

/// Whether a signed version speaks of this account, and adds only devices that it has, certified by the key that it names;
/// what may follow what, the log judges.
pub(crate) fn speaks_of(
    signed: &SignedValue,
    account: AccountId,
    devices: &[Device],
    version: u32,
) -> Answered<()> {
    let value = &signed.value;
    if value.account() != account {
        return Err(refused("it names another account"));
    }
    let has = |device: DeviceId, key: SignatureKey| {
        devices.iter().any(|known| {
            let certificate = &known.certificate;
            known.revoked_at.is_none()
                && certificate.device.device == device
                && certificate.signature_key == key
        })
    };
    let certified = |device: DeviceId| {
        devices.iter().map(|known| &known.certificate).any(|certificate| {
            certificate.device.device == device && certificate.verify(&value.identity()).is_ok()
        })
    };
    for named in value.devices().iter().filter(|device| device.added_in == version) {
        if !has(named.device, named.signature_key) {
            let text = format!("the account has no active device `{}` with that key", named.device);
            return Err(refused(&text));
        }
        // With another identity key the certificates come along, and are judged before.
        if !matches!(value.reason(), Reason::Rotation | Reason::Reset) && !certified(named.device) {
            return Err(refused(&format!(
                "the identity key that it names did not sign the certificate of the device `{}`: log in there again",
                named.device
            )));
        }
    }
    Ok(())
}

/// Entries stay for ever: a version that says that devices changed must say what.
pub(crate) fn changes_something(signed: &SignedValue, newest: Option<&Version>) -> Answered<()> {
    let before = newest.and_then(Version::value);
    let same = before.is_some_and(|before| before.devices() == signed.value.devices());
    if signed.value.reason() == Reason::Devices && same {
        return Err(refused("it names the same devices as the version before"));
    }
    Ok(())
}

/// A version that can't stand in the log.
pub(crate) fn refused(why: &str) -> Refusal {
    let text = format!("the keys' next version can't be logged: {why}; ask where it stands and sign again");
    Refusal::new(ErrorCode::LogRefused, text)
}

/// The same for whatever the log found.
pub(crate) fn not_logged(error: &NotLogged) -> Refusal {
    refused(&error.to_string())
}

/// Whether the log would take this version, which a job is about to append.
pub(crate) async fn may_bind(
    ground: &Ground,
    tx: &mut dyn WriteTx,
    address: &Address,
    signed: &SignedValue,
    now: Timestamp,
) -> Stored<Result<(), NotLogged>> {
    match ground.log_keys() {
        Some(keys) => accounts::may_bind(tx, keys, &Label::of(address), signed, now).await,
        None => Ok(Ok(())),
    }
}

/// Logs this version, which the log would take: [`may_bind`] said so in the same transaction.
pub(crate) async fn bind(
    ground: &Ground,
    tx: &mut dyn WriteTx,
    address: &Address,
    signed: &SignedValue,
    now: Timestamp,
) -> Stored<()> {
    let Some(keys) = ground.log_keys() else { return Ok(()) };
    let opening = ground.draw(Opening::random);
    ground.signing().grows();
    let logged = accounts::bind(tx, keys, &Label::of(address), signed, opening, now).await?;
    logged.map(drop).map_err(|_| StorageError::Conflict { what: "log an account's keys" })
}

/// Announces that a name gets another identity key.
pub(crate) async fn announce(
    ground: &Ground,
    tx: &mut dyn WriteTx,
    address: &Address,
    now: Timestamp,
) -> Stored<Result<(), NotLogged>> {
    let Some(keys) = ground.log_keys() else { return Ok(Ok(())) };
    let opening = ground.draw(Opening::random);
    ground.signing().grows();
    Ok(accounts::announce_reset(tx, keys, &Label::of(address), opening, now).await?.map(drop))
}

/// Closes an account in the log, and erases what the log knew of it.
pub(crate) async fn close(
    ground: &Ground,
    tx: &mut dyn WriteTx,
    address: &Address,
    now: Timestamp,
) -> Stored<()> {
    let Some(keys) = ground.log_keys() else { return Ok(()) };
    let opening = ground.draw(Opening::random);
    ground.signing().grows();
    accounts::close(tx, keys, &Label::of(address), opening, now).await.map(drop)
}
