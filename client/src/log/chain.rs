//! The account's own versions as this device has judged them: whether the next one follows and who signed it, and where the one
//! after it will stand. No network, no store.

use std::collections::BTreeMap;

use qpq_core::{AccountId, Address, Digest, IdentityKey, Timestamp};
use qpq_transparency_tree::{
    KeyName,
    commitment::commit,
    entry::Kind,
    label::{Label, LabelId},
    lookup::KnownLabel,
    succession::{Predecessor, judge},
    value::{AccountValue, Reason, SignedValue, Status},
};
use qpq_transparency_wire::{LogPlace, LoggedVersion};

use crate::store::{Alarm, AlarmKind, OwnVersion};

/// The versions up to the newest that follows.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    address: Address,
    newest: Option<OwnVersion>,
    leaves: BTreeMap<u32, Digest>,
}

/// What was found to be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: AlarmKind,
    pub(crate) version: Option<u32>,
    pub(crate) what: String,
}

/// Where the account's next version stands, and what counts before it: verified, so that it can be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) origin: KeyName,
    pub(super) label_id: LabelId,
    pub(super) version: u32,
    pub(super) prev: Digest,
    pub(super) account: AccountId,
    /// `None` before the first version, and of an account whose values are erased.
    pub(super) before: Option<AccountValue>,
}

impl Place {
    /// Where a name that is registered now gets its version. Nothing is known of it, and what is signed there names nothing but
    /// what this device made itself.
    pub(crate) fn of_registration(told: &LogPlace, address: &Address) -> Result<Self, Finding> {
        let LogPlace { origin, label_id, version, prev, account, value: _ } = told.clone();
        own_log(&origin, address)?;
        Ok(Self { origin, label_id, version, prev, account, before: None })
    }
}

impl Chain {
    /// Of what is stored.
    pub(crate) fn of(address: Address, versions: Vec<OwnVersion>) -> Self {
        let leaves = versions.iter().map(|own| (own.entry.version, own.entry.leaf_hash())).collect();
        Self { address, newest: versions.into_iter().next_back(), leaves }
    }

    /// The newest version.
    pub(crate) const fn newest(&self) -> Option<&OwnVersion> {
        self.newest.as_ref()
    }

    /// The identity key that counts after the newest version.
    pub(crate) fn identity(&self) -> Option<IdentityKey> {
        self.value().map(AccountValue::identity)
    }

    /// What counts after the newest version.
    pub(crate) fn value(&self) -> Option<&AccountValue> {
        self.newest.as_ref().and_then(|own| own.counts.as_ref()).map(|signed| &signed.value)
    }

    /// Whether the owner has taken the identity key back.
    pub(crate) fn is_revoked(&self) -> bool {
        self.value().is_some_and(|value| value.status() == Status::Revoked)
    }

    /// Whether a version is this one.
    pub(crate) fn has(&self, version: u32, leaf: Digest) -> bool {
        self.leaves.get(&version) == Some(&leaf)
    }

    /// The number of the next version, and the leaf before it.
    pub(crate) fn next(&self) -> (u32, Digest) {
        self.newest
            .as_ref()
            .map_or((0, Digest::ZERO), |own| (own.entry.version.saturating_add(1), own.entry.leaf_hash()))
    }

    /// Takes the next version in.
    pub(crate) fn take(&mut self, own: OwnVersion) {
        self.leaves.insert(own.entry.version, own.entry.leaf_hash());
        self.newest = Some(own);
    }

    /// Judges the next version, by the rules that the log keeps: what it is found to be, and what is wrong with it, if anything
    /// is. An error doesn't stand where the next version does.
    pub(crate) fn judge(
        &self,
        place: &LogPlace,
        told: &LoggedVersion,
    ) -> Result<(OwnVersion, Option<Finding>), Finding> {
        let entry = told.entry;
        let wrong = |what: &str| Finding {
            kind: AlarmKind::Version,
            version: Some(entry.version),
            what: format!("version {} of this account's keys {what}", entry.version),
        };
        let label_id = self.newest.as_ref().map_or(place.label_id, |own| own.entry.label_id);
        if (entry.version, entry.prev) != self.next() || entry.label_id != label_id {
            return Err(wrong("does not follow what was there before"));
        }
        let signed = told.contents.as_ref().and_then(|(_, value)| SignedValue::from_bytes(value).ok());
        let devices = signed.as_ref().map_or(0, |signed| signed.value.devices().len());
        let own = |counts| OwnVersion {
            entry,
            reason: signed.as_ref().map_or(Reason::Closure, |signed| signed.value.reason()),
            devices: u32::try_from(devices).unwrap_or(u32::MAX),
            counts,
        };
        // Of who had the name before, nothing is told any more; a reset of ours ends that.
        let before = self.newest.as_ref().and_then(|newest| newest.counts.clone());
        let (Some(signed), Some((opening, bytes))) = (&signed, &told.contents) else {
            // Only the end of an account may hide what it says; whatever else does leaves the keys as they were.
            let counts = if entry.kind == Kind::Close { None } else { before };
            return Ok((own(counts), Some(wrong("is not told by the homeserver"))));
        };
        if commit(opening, Label::of(&self.address).as_bytes(), entry.version, bytes) != entry.commitment {
            return Ok((own(before), Some(wrong("is not what the log commits to"))));
        }
        let previous = self.newest.as_ref().map(|newest| Predecessor {
            version: newest.entry.version,
            leaf: newest.entry.leaf_hash(),
            time: newest.entry.time,
            // The log itself waits longer, until its witnesses had seen an announcement for a day.
            seen_by: None,
            value: before.as_ref().map(|signed| signed.value.clone()),
        });
        let origin = KeyName::of_log(self.address.domain());
        if let Err(error) = judge(&origin, previous.as_ref(), &entry, signed) {
            return Ok((own(before), Some(wrong(&format!("can't stand where it does: {error}")))));
        }
        let finding = match signed.value.reason() {
            Reason::ResetPending => Some(Finding {
                kind: AlarmKind::ResetPending,
                ..wrong(
                    "announces another identity key, as somebody asked for who can't sign with this one: if it was not you, \
                     say no (`qpq keys cancel-reset`)",
                )
            }),
            Reason::Closure => Some(wrong("closes the account")),
            _ => None,
        };
        Ok((own(Some(signed.clone())), finding))
    }

    /// Where the next version stands, if the homeserver says the same.
    pub(crate) fn place(&self, told: &LogPlace) -> Result<Place, Finding> {
        own_log(&told.origin, &self.address)?;
        let (version, prev) = self.next();
        let before = self.value().cloned();
        let label_id = self.newest.as_ref().map_or(told.label_id, |own| own.entry.label_id);
        let account = before.as_ref().map_or(told.account, AccountValue::account);
        if (told.version, told.prev) != (version, prev) {
            return Err(forgotten());
        }
        if (told.label_id, told.account) != (label_id, account) {
            return Err(shown("the homeserver says now that this account is another one in its log"));
        }
        Ok(Place { origin: told.origin.clone(), label_id, version, prev, account, before })
    }

    /// Whether the versions reach as far as the log was once seen to.
    pub(crate) fn reaches(&self, known: &KnownLabel) -> Result<(), Finding> {
        if self.has(known.version, known.leaf) { Ok(()) } else { Err(forgotten()) }
    }
}

fn own_log(origin: &KeyName, address: &Address) -> Result<(), Finding> {
    // The name of another log, and a signature would be worth something there.
    if *origin == KeyName::of_log(address.domain()) {
        Ok(())
    } else {
        Err(shown("the homeserver names the log of another domain"))
    }
}

fn forgotten() -> Finding {
    let what = String::from("the homeserver's log has forgotten versions of this account's keys");
    Finding { kind: AlarmKind::Forgotten, version: None, what }
}

/// What is shown can't be believed.
pub(crate) fn shown(what: impl std::fmt::Display) -> Finding {
    Finding { kind: AlarmKind::Shown, version: None, what: what.to_string() }
}

/// Raises an alarm; a graver one stays.
pub(crate) fn raise(alarm: &mut Option<Alarm>, finding: Finding, now: Timestamp) {
    let Finding { kind, version, what } = finding;
    if alarm.as_ref().is_none_or(|raised| raised.kind < kind) {
        *alarm = Some(Alarm { kind, version, what, since: now });
    }
}

/// What a version that is right ends: the owner's no ends the announcement right before it, and nothing else; a reset to the key
/// that is here ends whatever versions before it were.
pub(crate) fn answer(alarm: &mut Option<Alarm>, own: &OwnVersion, ours: IdentityKey) {
    let Some(raised) = alarm.as_ref() else { return };
    let before = own.entry.version.checked_sub(1);
    let identity = own.counts.as_ref().map(|signed| signed.value.identity());
    let ends = match own.reason {
        Reason::ResetCancelled => raised.kind == AlarmKind::ResetPending && raised.version == before,
        Reason::Reset if identity == Some(ours) => {
            matches!(raised.kind, AlarmKind::ResetPending | AlarmKind::OtherIdentity | AlarmKind::Version)
        }
        _ => false,
    };
    if ends {
        *alarm = None;
    }
}

/// Whether the key that counts is the one that is here.
pub(crate) fn compare(alarm: &mut Option<Alarm>, chain: &Chain, ours: IdentityKey, now: Timestamp) {
    match chain.identity() {
        Some(identity) if identity != ours => {
            let what = "the log has another identity key of this account: log in again if you changed it";
            let (kind, version) = (AlarmKind::OtherIdentity, chain.newest().map(|own| own.entry.version));
            raise(alarm, Finding { kind, version, what: what.to_owned() }, now);
        }
        Some(_) if alarm.as_ref().is_some_and(|raised| raised.kind == AlarmKind::OtherIdentity) => {
            *alarm = None;
        }
        Some(_) | None => {}
    }
}

#[cfg(test)]
mod tests;
