//! What an owner makes of versions that a homeserver tells, without one: a small log made by hand.

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use qpq_core::{DeviceId, SignatureKey};
use qpq_transparency_tree::{
    commitment::Opening,
    entry::{Entry, Kind},
    value::{LoggedDevice, Standing, signed_bytes},
};

use super::*;

const DAY: u64 = 24 * 3_600_000;

fn alice() -> Address {
    "alice@alpha.test".parse().unwrap()
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn public(n: u8) -> IdentityKey {
    IdentityKey::from_bytes(key(n).verifying_key().to_bytes())
}

/// A version that is to be told: its reason, the key that it names, the key that signs for the one before.
#[derive(Clone, Copy, Debug)]
struct Next {
    reason: Reason,
    identity: u8,
    by: Option<u8>,
    devices: u8,
}

const fn next(reason: Reason, identity: u8, by: Option<u8>) -> Next {
    Next { reason, identity, by, devices: 1 }
}

/// What a homeserver tells, and what the owner makes of it.
struct Told {
    chain: Chain,
    alarm: Option<Alarm>,
    ours: IdentityKey,
    place: LogPlace,
    time: u64,
    added: Vec<u32>,
}

impl Told {
    fn to(ours: u8) -> Self {
        let place = LogPlace {
            origin: KeyName::of_log(alice().domain()),
            label_id: LabelId::from_bytes([3; 32]),
            version: 0,
            prev: Digest::ZERO,
            account: AccountId::from_bytes([4; 16]),
            value: None,
        };
        let chain = Chain::of(alice(), Vec::new());
        Self { chain, alarm: None, ours: public(ours), place, time: 1, added: Vec::new() }
    }

    fn version(&self, next: Next) -> LoggedVersion {
        let status = next.reason.status().unwrap_or(Status::Active);
        let added = |n: u8| self.added.get(usize::from(n)).copied().unwrap_or(self.place.version);
        let devices = (0..if status == Status::Active { next.devices } else { 0 })
            .map(|n| LoggedDevice {
                device: DeviceId::from_bytes([n; 16]),
                signature_key: SignatureKey::from_bytes([n; 32]),
                added_in: added(n),
            })
            .collect();
        let value =
            AccountValue::new(self.place.account, public(next.identity), status, next.reason, devices);
        let value = value.unwrap();
        let standing = Standing {
            origin: &self.place.origin,
            label_id: self.place.label_id,
            version: self.place.version,
            prev: self.place.prev,
        };
        let message = signed_bytes(&standing, &value);
        let by = |n: u8| ed25519_dalek::Signer::sign(&key(n), &message).to_bytes();
        let silent = next.reason == Reason::ResetPending;
        let signed = SignedValue {
            by_previous: next.by.map(by),
            by_self: (!silent).then(|| by(next.identity)),
            value,
        };
        let (opening, bytes) = (Opening::from_bytes([7; 16]), signed.to_bytes());
        let label = Label::of(&alice());
        let entry = Entry {
            kind: status.kind(),
            label_id: self.place.label_id,
            version: self.place.version,
            time: Timestamp::from_millis(self.time),
            prev: self.place.prev,
            commitment: commit(&opening, label.as_bytes(), self.place.version, &bytes),
        };
        LoggedVersion { index: 0, entry, contents: Some((opening, bytes)) }
    }

    /// The homeserver tells a version.
    fn tells(&mut self, told: &LoggedVersion) {
        let now = Timestamp::from_millis(9);
        match self.chain.judge(&self.place, told) {
            Ok((own, wrong)) => {
                match wrong {
                    Some(wrong) => raise(&mut self.alarm, wrong, now),
                    None => answer(&mut self.alarm, &own, self.ours),
                }
                self.chain.take(own);
                self.place.version = told.entry.version + 1;
                self.place.prev = told.entry.leaf_hash();
            }
            Err(wrong) => raise(&mut self.alarm, wrong, now),
        }
        compare(&mut self.alarm, &self.chain, self.ours, now);
    }

    fn logs(&mut self, next: Next) -> &mut Self {
        self.time += if next.reason == Reason::Reset { DAY } else { 1 };
        let told = self.version(next);
        self.added.resize(usize::from(next.devices).max(self.added.len()), self.place.version);
        self.tells(&told);
        self
    }

    fn kind(&self) -> Option<AlarmKind> {
        self.alarm.as_ref().map(|alarm| alarm.kind)
    }
}

const FIRST: Next = next(Reason::Registration, 1, None);
const PENDING: Next = next(Reason::ResetPending, 1, None);
const CANCELLED: Next = next(Reason::ResetCancelled, 1, Some(1));

#[test]
fn what_the_identity_key_signs_raises_nothing() {
    let mut told = Told::to(1);
    told.logs(FIRST).logs(Next { devices: 2, ..next(Reason::Devices, 1, Some(1)) });
    assert_eq!((told.kind(), told.chain.next().0), (None, 2));
    let place = told.chain.place(&told.place).unwrap();
    assert_eq!(place.before.unwrap().devices().len(), 2);
    told.logs(next(Reason::Revocation, 1, Some(1)));
    assert_eq!((told.kind(), told.chain.is_revoked()), (None, true));
}

#[test]
fn a_device_that_the_identity_key_has_not_signed_is_an_alarm_and_counts_for_nothing() {
    let mut told = Told::to(1);
    told.logs(FIRST).logs(Next { devices: 2, ..next(Reason::Devices, 1, Some(8)) });
    assert_eq!(told.kind(), Some(AlarmKind::Version));
    assert_eq!(told.alarm.as_ref().unwrap().version, Some(1));
    // The next version would be signed over what was right, not over what is shown.
    let place = told.chain.place(&told.place).unwrap();
    assert_eq!((place.version, place.before.unwrap().devices().len()), (2, 1));
}

#[test]
fn the_owners_no_ends_the_announcement_before_it_and_no_other_alarm() {
    let mut told = Told::to(1);
    told.logs(FIRST).logs(PENDING);
    assert_eq!(told.kind(), Some(AlarmKind::ResetPending));
    told.logs(CANCELLED);
    assert_eq!(told.kind(), None);

    let mut told = Told::to(1);
    told.logs(FIRST).logs(Next { devices: 2, ..next(Reason::Devices, 1, Some(8)) });
    told.added.truncate(1);
    told.logs(PENDING).logs(CANCELLED);
    let alarm = told.alarm.unwrap();
    assert_eq!((alarm.kind, alarm.version), (AlarmKind::Version, Some(1)), "{}", alarm.what);
}

#[test]
fn another_identity_key_is_an_alarm_until_this_device_has_it() {
    let mut told = Told::to(1);
    told.logs(FIRST).logs(next(Reason::Rotation, 2, Some(1)));
    assert_eq!((told.kind(), told.chain.identity()), (Some(AlarmKind::OtherIdentity), Some(public(2))));
    // Versions after that are judged by the key that counts, not by the one that is here.
    told.logs(next(Reason::Devices, 2, Some(2)));
    assert_eq!(told.kind(), Some(AlarmKind::OtherIdentity));
    compare(&mut told.alarm, &told.chain, public(2), Timestamp::from_millis(9));
    assert_eq!(told.kind(), None);

    let mut told = Told::to(1);
    told.logs(FIRST).logs(next(Reason::Rotation, 2, Some(2)));
    assert_eq!((told.kind(), told.chain.identity()), (Some(AlarmKind::Version), Some(public(1))));
}

#[test]
fn a_reset_to_the_own_key_ends_what_was_before_and_one_to_another_does_not() {
    for (ours, expected) in [(2, None), (1, Some(AlarmKind::OtherIdentity))] {
        let mut told = Told::to(ours);
        told.logs(FIRST).logs(PENDING).logs(next(Reason::Reset, 2, None));
        assert_eq!(told.kind(), expected);
    }
    // It was announced for less than a day.
    let mut told = Told::to(2);
    told.logs(FIRST).logs(PENDING);
    let told_early = told.version(next(Reason::Reset, 2, None));
    told.tells(&told_early);
    assert_eq!(told.kind(), Some(AlarmKind::Version));
}

#[test]
fn nothing_is_signed_where_the_homeserver_names_another_place() {
    let mut told = Told::to(1);
    told.logs(FIRST);
    let right = told.place.clone();
    assert!(told.chain.place(&right).is_ok());
    let lies = [
        LogPlace { version: 2, ..right.clone() },
        LogPlace { version: 0, prev: Digest::ZERO, ..right.clone() },
        LogPlace { prev: Digest::of(&[b"another"]), ..right.clone() },
        LogPlace { label_id: LabelId::from_bytes([8; 32]), ..right.clone() },
        LogPlace { account: AccountId::from_bytes([8; 16]), ..right.clone() },
        LogPlace { origin: KeyName::of_log(&"beta.test".parse().unwrap()), ..right.clone() },
    ];
    for lie in lies {
        let refused = told.chain.place(&lie).unwrap_err();
        assert!(matches!(refused.kind, AlarmKind::Forgotten | AlarmKind::Shown), "{lie:?}");
    }
    // What it shows as the newest value is not what is signed over.
    let shown = Told::to(1);
    let stranger = shown.version(Next { devices: 3, ..FIRST }).contents.unwrap().1;
    let shown = LogPlace { value: Some(SignedValue::from_bytes(&stranger).unwrap()), ..right };
    assert_eq!(told.chain.place(&shown).unwrap().before.unwrap().devices().len(), 1);
}

#[test]
fn a_version_that_is_seen_once_must_stay() {
    let mut told = Told::to(1);
    told.logs(FIRST);
    let (version, leaf) = (0, told.place.prev);
    let label = KnownLabel { version, leaf, status: Status::Active, identity: Some(public(1)) };
    assert_eq!(told.chain.reaches(&label), Ok(()));
    assert!(told.chain.reaches(&KnownLabel { version: 1, ..label }).is_err());
    assert!(told.chain.reaches(&KnownLabel { leaf: Digest::ZERO, ..label }).is_err());
    // Another version 0 does not follow what is there.
    let other = Told::to(1).version(Next { devices: 2, ..FIRST });
    told.tells(&other);
    assert_eq!((told.kind(), told.chain.next()), (Some(AlarmKind::Version), (1, leaf)));
}

#[test]
fn a_graver_alarm_takes_the_place_of_a_lighter_one_only() {
    let (now, mut alarm) = (Timestamp::from_millis(1), None);
    let finding = |kind| Finding { kind, version: None, what: String::new() };
    raise(&mut alarm, finding(AlarmKind::ResetPending), now);
    raise(&mut alarm, finding(AlarmKind::Unlooked), now);
    assert_eq!(alarm.as_ref().map(|alarm| alarm.kind), Some(AlarmKind::ResetPending));
    raise(&mut alarm, finding(AlarmKind::Forgotten), now);
    raise(&mut alarm, finding(AlarmKind::Version), now);
    assert_eq!(alarm.map(|alarm| alarm.kind), Some(AlarmKind::Forgotten));
}

proptest! {
    /// However a homeserver mixes versions: a key or a device that the owner's key did not sign for never counts without an alarm.
    #[test]
    fn nothing_counts_silently_that_the_owner_did_not_sign(
        rows in prop::collection::vec((0_usize..8, 1_u8..4, prop::option::of(1_u8..4), 0_u8..4), 0..12),
    ) {
        let mut told = Told::to(1);
        told.logs(FIRST);
        for (reason, identity, by, devices) in rows {
            told.logs(Next { reason: Reason::ALL[reason], identity, by, devices });
        }
        if told.alarm.is_none() {
            prop_assert_eq!(told.chain.identity(), Some(public(1)));
            let counts = told.chain.newest().and_then(|own| own.counts.clone()).unwrap();
            // Signed by our key at the place where it stands, or by nobody else's.
            prop_assert!(counts.by_self.is_some());
        }
        prop_assert!(told.chain.place(&told.place).is_ok(), "what follows is where the log says");
    }
}

#[test]
fn a_first_version_of_a_kind_that_adds_nothing_is_wrong() {
    let mut told = Told::to(1);
    let entry = told.version(next(Reason::Devices, 1, Some(1)));
    assert_eq!(entry.entry.kind, Kind::Bind);
    told.tells(&entry);
    assert_eq!((told.kind(), told.chain.identity()), (Some(AlarmKind::Version), None));
}
