//! What a client verifies before it believes a key, in order: from what it has pinned, an answer and the time, to what it
//! pins now and a verified binding, or a typed failure.
//!
//! No step is optional. A test takes each of them out and shows the lie that then passes.

mod answer;
mod error;
mod pinned;
mod step;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use qpq_core::{Digest, IdentityKey, Millis, Timestamp};

pub use answer::{Evidence, LOOKUP_LINKS, LookupAnswer, Proven, ResetEvidence};
pub use error::LookupError;
pub use pinned::{KnownConfig, KnownLabel, PinnedLog};
use step::{Step, passes};
pub use view::View;

use crate::{
    checkpoint::{SignedCheckpoint, TreeHead},
    commitment::commit,
    config::{Config, KeyUse},
    consistency::is_consistent,
    entry::Kind,
    inclusion::is_included,
    key::VerifierKey,
    label::{Label, LabelId},
    name::KeyName,
    policy::{Level, Policy, PolicyRefusal},
    succession::{RESET_DELAY, SuccessionError, judge_self, judge_signatures},
    value::{AccountValue, Reason, SignedValue, Status},
    vrf::VrfPublic,
};

/// Older than this, what is shown says since when.
pub const FRESH: Millis = Millis::from_secs(3_600);
/// Older than this, nothing is believed.
pub const TOO_OLD: Millis = Millis::from_secs(24 * 3_600);
/// How far a log's or a witness's clock may be ahead.
pub const AHEAD: Millis = Millis::from_secs(30);

/// What a time in whole seconds may lack, in milliseconds.
const SECOND: u64 = 999;

/// Who asks: members of the log's own domain are served on while a witness is silent, and are shown that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A user of the log's domain.
    Own,
    /// A user of another domain.
    Foreign,
}

/// What was asked, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Whose keys.
    pub label: &'a Label,
    /// Who asks.
    pub asker: Asker,
    /// What the asker knows of the label.
    pub known: Option<&'a KnownLabel>,
}

/// An answer that passed every step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What to pin of the log now, stored before anything else is done with this.
    pub log: PinnedLog,
    /// What to remember of the label; `None` if there is no entry of it.
    pub label: Option<KnownLabel>,
    /// What is bound.
    pub binding: Binding,
    /// How the identity key relates to the known one.
    pub change: KeyChange,
    /// What the log's witnesses are worth.
    pub trust: Trust,
}

/// What a label is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// There is no entry, says the log.
    Absent,
    /// The account is gone; what was known of it is erased, or about to be.
    Closed,
    /// These keys; see [`AccountValue::status`].
    Keys(AccountValue),
}

/// How the identity key relates to the one that was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// None was known, or none is bound.
    First,
    /// It is the same.
    Same,
    /// The keys in between signed for each other.
    Rotated,
    /// Somebody in between could not sign with the key before: whoever knows the account must be shown that.
    Reset,
}

/// How far the log can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// By its witnesses, as many of them as are of different domains, and others than the log's own.
    pub level: Level,
    /// How many of them signed.
    pub cosignatures: usize,
    /// The time of the newest needed signature.
    pub at: Timestamp,
    /// It is older than an hour.
    pub stale: bool,
    /// Needed witnesses have not signed; only [`Asker::Own`] gets this far.
    pub witness_silent: bool,
    /// The domain names other witnesses than it did: whoever relies on them must be shown that.
    pub witnesses_changed: bool,
}

/// Verifies an answer.
pub fn verify(
    pinned: &PinnedLog,
    question: &Question<'_>,
    answer: &LookupAnswer,
    now: Timestamp,
) -> Result<Verified, LookupError> {
    let of_the_domain = KeyName::of_log(question.label.address().domain()) == pinned.origin;
    check(Step::Origin, of_the_domain, LookupError::Origin)?;
    let log = pinned.advance(&answer.evidence)?;
    let trust = judge_trust(pinned, &log, question.asker, &answer.evidence, now)?;
    let label_id = prove_label(&log, question.label, answer)?;
    judge_claim(&log, label_id, answer)?;
    check(Step::OneChain, one_chain(question.known, answer), LookupError::TwoHistories)?;
    let head = answer.evidence.checkpoint.head();
    let place = Place { log: &log, label: question.label.as_bytes(), label_id, head };
    let (label, binding, change) = place.bind(question, answer, trust.at)?;
    let log = PinnedLog { level: log.level.max(trust.level), ..log };
    Ok(Verified { log, label, binding, change, trust })
}

/// The one form of every step: it is passed, or it fails with its reason.
fn check(step: Step, sound: bool, error: LookupError) -> Result<(), LookupError> {
    if passes(step, sound) { Ok(()) } else { Err(error) }
}

impl PinnedLog {
    /// What is pinned after an answer's evidence: steps 1 and 3 of the design, section 4, and the CONFIG.
    fn advance(&self, evidence: &Evidence) -> Result<Self, LookupError> {
        let checkpoint: &SignedCheckpoint = &evidence.checkpoint;
        if let Err(error) = checkpoint.signed_by(&self.key) {
            check(Step::LogSignature, false, LookupError::LogSignature(error))?;
        }
        let new = checkpoint.head();
        if let Some(old) = self.head {
            let shrunk = LookupError::Shrunk { pinned: old.size, shown: new.size };
            check(Step::Size, old.size <= new.size, shrunk)?;
            let continued = is_consistent(old.size, &old.root, new.size, &new.root, &evidence.consistency);
            // A shorter tree is no longer one's to be consistent with.
            check(Step::Consistency, continued || new.size < old.size, LookupError::Inconsistent)?;
        }
        let config = self.newer_config(evidence)?;
        Ok(Self { head: Some(new), config: Some(config), ..self.clone() })
    }

    fn newer_config(&self, evidence: &Evidence) -> Result<KnownConfig, LookupError> {
        let claimed = evidence.claim.claim.config;
        let Some(proven) = &evidence.config else {
            let known = self.config.clone().ok_or(LookupError::ConfigVersion)?;
            check(Step::ConfigVersion, (known.version, known.leaf) == claimed, LookupError::ConfigVersion)?;
            return Ok(known);
        };
        let is_config = proven.entry.kind == Kind::Config && proven.entry.label_id == LabelId::CONFIG;
        check(Step::ConfigLabel, is_config, LookupError::Label)?;
        let leaf = proven.leaf_hash();
        let included = proven.is_in(evidence.checkpoint.head());
        check(Step::ConfigIncluded, included, LookupError::NotIncluded)?;
        let version = proven.entry.version;
        let follows = self.config.as_ref().is_none_or(|known| {
            let next = known.version.checked_add(1) == Some(version);
            let later = known.version < version && (!next || proven.entry.prev == known.leaf);
            later || (version, leaf) == (known.version, known.leaf)
        });
        check(Step::ConfigVersion, follows && (version, leaf) == claimed, LookupError::ConfigVersion)?;
        let (opened, value) = proven.open(LabelId::CONFIG.as_bytes())?;
        check(Step::ConfigCommitment, opened, LookupError::Commitment)?;
        let config = Config::from_bytes(value).map_err(|_| LookupError::ConfigUnreadable)?;
        let same_vrf = self.config.as_ref().is_none_or(|known| known.config.vrf() == config.vrf());
        check(Step::VrfKey, same_vrf, LookupError::VrfKey)?;
        Ok(KnownConfig { version, leaf, config })
    }

    fn witnesses(&self) -> &[VerifierKey] {
        self.config.as_ref().map_or(&[], |known| known.config.witnesses())
    }
}

/// How many different operators stand behind witnesses. The log's own domain is none of them; names that are no domain's
/// count each for itself.
fn operators(origin: &KeyName, witnesses: &[VerifierKey]) -> usize {
    let own = origin.domain();
    let of = |key: &VerifierKey| match key.name().domain() {
        Some(domain) if Some(&domain) == own.as_ref() => None,
        Some(domain) => Some(domain.to_string()),
        None => Some(key.name().to_string()),
    };
    witnesses.iter().filter_map(of).collect::<BTreeSet<String>>().len()
}

/// Whether everything that is shown of the label, and what is known of it, can be of one chain: each version once, and each
/// after the one before it. What lies between, the reader of a whole log sees.
fn one_chain(known: Option<&KnownLabel>, answer: &LookupAnswer) -> bool {
    let resets = answer.resets.iter().map(|reset| &reset.pending);
    let shown = answer.latest.iter().chain(&answer.base).chain(&answer.links).chain(resets);
    let mut leaves: BTreeMap<u32, Digest> = known.iter().map(|known| (known.version, known.leaf)).collect();
    let each_once = shown.clone().all(|proven| {
        let leaf = proven.leaf_hash();
        *leaves.entry(proven.entry.version).or_insert(leaf) == leaf
    });
    let follows = |proven: &Proven| {
        let before = proven.entry.version.checked_sub(1).and_then(|version| leaves.get(&version));
        before.is_none_or(|leaf| *leaf == proven.entry.prev)
    };
    each_once && shown.clone().all(follows)
}

/// Who signed, and when: step 2 of the design, section 4.
fn judge_trust(
    pinned: &PinnedLog,
    log: &PinnedLog,
    asker: Asker,
    evidence: &Evidence,
    now: Timestamp,
) -> Result<Trust, LookupError> {
    let level = Level::of(operators(&log.origin, log.witnesses()));
    let lowered = LookupError::LevelLowered { reached: pinned.level, shown: level };
    // Members of the log's own domain are served without witnesses where these are silent, so a level protects others.
    let kept = level >= pinned.level || asker == Asker::Own;
    check(Step::Level, kept, lowered)?;
    let claimed = evidence.claim.claim.time;
    let policy = Policy::of_log(log.key.clone(), log.witnesses());
    let (at, cosignatures, witness_silent) = match policy.cosigned(&evidence.checkpoint) {
        Ok(accepted) => (accepted.witnessed_at.unwrap_or(claimed), accepted.cosignatures, false),
        Err(PolicyRefusal::TooFew(cosignatures)) if asker == Asker::Own => (claimed, cosignatures, true),
        Err(refusal) => {
            check(Step::Witnesses, false, LookupError::Witnesses(refusal))?;
            (claimed, 0, false)
        }
    };
    let newest = at.max(claimed);
    check(Step::Ahead, newest <= now.after(AHEAD), LookupError::Ahead(newest))?;
    check(Step::Frozen, now <= at.after(TOO_OLD), LookupError::Frozen(at))?;
    // A key that has ended can't sign on, whatever it signed while it counted. Cosignatures say whole seconds, keys begin within one.
    let counted = at.after(Millis(SECOND)).min(newest);
    let named =
        log.config.as_ref().is_some_and(|known| known.config.has_key(KeyUse::Log, log.key.public(), counted));
    check(Step::ConfigKey, named, LookupError::ConfigKey)?;
    let stale = at.after(FRESH) < now;
    let level = if witness_silent { Level::Logged } else { level };
    let witnesses_changed = pinned.config.is_some() && pinned.witnesses() != log.witnesses();
    Ok(Trust { level, cosignatures, at, stale, witness_silent, witnesses_changed })
}

/// Which place in the log the label has.
fn prove_label(log: &PinnedLog, label: &Label, answer: &LookupAnswer) -> Result<LabelId, LookupError> {
    let vrf: VrfPublic = log.config.as_ref().and_then(|known| known.config.vrf()).ok_or(LookupError::Vrf)?;
    let proven = vrf.verify(label.as_bytes(), &answer.vrf_proof).map(|output| LabelId::of(&output));
    check(Step::Vrf, proven.is_some(), LookupError::Vrf)?;
    Ok(proven.unwrap_or(answer.evidence.claim.claim.label_id))
}

/// Whether the log says that what it shows is the newest.
fn judge_claim(log: &PinnedLog, label_id: LabelId, answer: &LookupAnswer) -> Result<(), LookupError> {
    let signed = &answer.evidence.claim;
    let claim = &signed.claim;
    check(Step::ClaimSignature, signed.holds(&log.key), LookupError::Claim)?;
    check(Step::ClaimTree, claim.head == answer.evidence.checkpoint.head(), LookupError::Claim)?;
    check(Step::ClaimLabel, claim.label_id == label_id, LookupError::Claim)?;
    let shown = answer.latest.as_ref().map(|proven| (proven.entry.version, proven.leaf_hash()));
    check(Step::Latest, claim.latest == shown, LookupError::NotLatest)
}

/// Where entries of a label must be.
struct Place<'a> {
    log: &'a PinnedLog,
    label: &'a [u8],
    label_id: LabelId,
    head: TreeHead,
}

/// What is known before a version, as far as its signatures need it.
#[derive(Clone, Copy)]
struct Before {
    version: u32,
    status: Status,
    identity: Option<IdentityKey>,
}

/// What a label is found to be: what to remember, what is bound, and how the key changed.
type Found = (Option<KnownLabel>, Binding, KeyChange);

impl Place<'_> {
    fn bind(
        &self,
        question: &Question<'_>,
        answer: &LookupAnswer,
        at: Timestamp,
    ) -> Result<Found, LookupError> {
        let Some(latest) = &answer.latest else {
            // What was there once can't be absent: entries are never taken out.
            if let Some(known) = question.known {
                let gone = LookupError::Rollback { known: known.version, shown: 0 };
                check(Step::Absent, false, gone)?;
            }
            return Ok((None, Binding::Absent, KeyChange::First));
        };
        let leaf = self.included(latest)?;
        let version = latest.entry.version;
        if let Some(known) = question.known {
            let back = version < known.version || (version == known.version && leaf != known.leaf);
            check(Step::Rollback, !back, LookupError::Rollback { known: known.version, shown: version })?;
        }
        if latest.entry.kind == Kind::Close {
            // It takes away, so it needs no signature; what it says besides may be erased.
            let identity = question.known.and_then(|known| known.identity);
            let label = KnownLabel { version, leaf, status: Status::Closed, identity };
            return Ok((Some(label), Binding::Closed, KeyChange::First));
        }
        let signed = self.opened(latest)?;
        let (carrier, signed) = if signed.value.reason() == Reason::ResetPending {
            self.announces(answer, latest, &signed)?
        } else {
            (latest, signed)
        };
        let change = self.succeed(question.known, answer, carrier, &signed, at)?;
        let (status, identity) = (signed.value.status(), Some(signed.value.identity()));
        let label = KnownLabel { version, leaf, status, identity };
        Ok((Some(label), Binding::Keys(signed.value), change))
    }

    /// An announced reset is signed by nobody and changes nothing: what counts is the version before, which must be there.
    fn announces<'a>(
        &self,
        answer: &'a LookupAnswer,
        latest: &Proven,
        announced: &SignedValue,
    ) -> Result<(&'a Proven, SignedValue), LookupError> {
        let base = answer.base.as_ref().ok_or(LookupError::Links)?;
        let before = self.included(base)?;
        let signed = self.opened(base)?;
        let (old, new) = (&signed.value, &announced.value);
        let unchanged = old.identity() == new.identity()
            && old.devices() == new.devices()
            && old.status() == new.status()
            && old.account() == new.account();
        let next = base.entry.version.checked_add(1) == Some(latest.entry.version);
        let follows = next && before == latest.entry.prev && unchanged;
        check(Step::Announcement, follows, LookupError::Links)?;
        Ok((base, signed))
    }

    /// Whether the identity key follows from the known one, over the versions that changed it.
    fn succeed(
        &self,
        known: Option<&KnownLabel>,
        answer: &LookupAnswer,
        carrier: &Proven,
        signed: &SignedValue,
        at: Timestamp,
    ) -> Result<KeyChange, LookupError> {
        let Some(known) = known else {
            if !answer.links.is_empty() {
                return Err(LookupError::Links);
            }
            self.first(carrier, signed)?;
            self.announced(answer, carrier, signed, at)?;
            return Ok(KeyChange::First);
        };
        if carrier.entry.version <= known.version {
            // Below the known version stands only what an announcement that is known already leaves as it was.
            let same = answer.links.is_empty() && Some(signed.value.identity()) == known.identity;
            return if same { Ok(KeyChange::Same) } else { Err(LookupError::Links) };
        }
        if answer.links.len() > LOOKUP_LINKS {
            return Err(LookupError::Links);
        }
        let KnownLabel { version, status, identity, .. } = *known;
        let mut before = Before { version, status, identity };
        let mut change = KeyChange::Same;
        for link in &answer.links {
            self.included(link)?;
            let of_link = self.opened(link)?;
            let changes = matches!(of_link.value.reason(), Reason::Rotation | Reason::Reset);
            let between = before.version < link.entry.version && link.entry.version < carrier.entry.version;
            check(Step::LinkReason, changes && between, LookupError::Links)?;
            change = self.step(answer, before, link, &of_link, at, change)?;
            let (status, identity) = (of_link.value.status(), Some(of_link.value.identity()));
            before = Before { version: link.entry.version, status, identity };
        }
        self.step(answer, before, carrier, signed, at, change)
    }

    /// One version after another that may be many versions before.
    fn step(
        &self,
        answer: &LookupAnswer,
        before: Before,
        proven: &Proven,
        signed: &SignedValue,
        at: Timestamp,
        change: KeyChange,
    ) -> Result<KeyChange, LookupError> {
        let reason = signed.value.reason();
        // Keys that don't count sign nothing that would make them count again.
        let may = match before.status {
            Status::Active => true,
            Status::Revoked => {
                let stays = reason == Reason::ResetCancelled && signed.value.status() == Status::Revoked;
                stays || reason == Reason::Reset
            }
            Status::Closed => reason == Reason::Reset,
        };
        check(Step::Status, may, LookupError::Links)?;
        self.signed(before.identity, proven, signed)?;
        let same = Some(signed.value.identity()) == before.identity;
        let (fits, changed) = match reason {
            Reason::Reset => {
                self.announced(answer, proven, signed, at)?;
                (!same || before.status == Status::Closed, KeyChange::Reset)
            }
            Reason::Rotation => (!same, if change == KeyChange::Same { KeyChange::Rotated } else { change }),
            Reason::Devices | Reason::ResetCancelled | Reason::Revocation => (same, change),
            // A first version that is none, or one that nobody needs to sign.
            Reason::Registration | Reason::ResetPending | Reason::Closure => (false, change),
        };
        check(Step::KeyReason, fits, LookupError::Links)?;
        Ok(changed)
    }

    /// A version of an account of which nothing is known.
    fn first(&self, proven: &Proven, signed: &SignedValue) -> Result<(), LookupError> {
        let reason = signed.value.reason();
        let numbered = (reason == Reason::Registration) == (proven.entry.version == 0);
        check(Step::FirstVersion, numbered, LookupError::Links)?;
        match reason {
            Reason::Registration | Reason::Reset => self.signed(None, proven, signed),
            // The key stayed what it was, so it signed for itself.
            Reason::Devices | Reason::ResetCancelled | Reason::Revocation => {
                self.signed(Some(signed.value.identity()), proven, signed)
            }
            // The key before is known to nobody here: only that the new one signed can be judged.
            Reason::Rotation => judge(judge_self(&self.log.origin, &proven.entry, signed)),
            Reason::ResetPending | Reason::Closure => Err(LookupError::Links),
        }
    }

    fn signed(
        &self,
        previous: Option<IdentityKey>,
        proven: &Proven,
        signed: &SignedValue,
    ) -> Result<(), LookupError> {
        judge(judge_signatures(&self.log.origin, previous, &proven.entry, signed))
    }

    /// Whether a reset, if it is one, was announced for a day, where witnesses saw it.
    fn announced(
        &self,
        answer: &LookupAnswer,
        proven: &Proven,
        signed: &SignedValue,
        at: Timestamp,
    ) -> Result<(), LookupError> {
        if signed.value.reason() != Reason::Reset {
            return Ok(());
        }
        let error = || LookupError::ResetNotAnnounced;
        let of_this = |evidence: &&ResetEvidence| {
            evidence.pending.entry.version.checked_add(1) == Some(proven.entry.version)
        };
        let evidence = answer.resets.iter().find(of_this).ok_or_else(error)?;
        let leaf = self.included(&evidence.pending)?;
        let pending = self.opened(&evidence.pending)?;
        let announced = leaf == proven.entry.prev && pending.value.reason() == Reason::ResetPending;
        check(Step::ResetAnnounced, announced, error())?;
        let seen_at = self.witnessed(evidence)?.max(evidence.pending.entry.time);
        // The reset's own time is the log's word; that it isn't ahead of what its witnesses saw bounds the lie.
        let waited = seen_at.after(RESET_DELAY) <= proven.entry.time && proven.entry.time <= at.after(AHEAD);
        check(Step::ResetDelay, waited, error())
    }

    /// When the witnesses of the log had seen the announcement; where the log has none, its own time counts.
    fn witnessed(&self, evidence: &ResetEvidence) -> Result<Timestamp, LookupError> {
        let error = || LookupError::ResetNotAnnounced;
        let of_that_time = evidence.config.as_ref();
        let then_named =
            of_that_time.map(|of| self.witnesses_before(of, evidence.seen.head().size)).transpose()?;
        let witnesses = then_named.as_deref().unwrap_or_else(|| self.log.witnesses());
        let policy = Policy::of_log(self.log.key.clone(), witnesses);
        let accepted = policy.accepts(&evidence.seen);
        check(Step::ResetSeen, accepted.is_ok(), error())?;
        let (then, now) = (evidence.seen.head(), self.head);
        let leaf = evidence.pending.leaf_hash();
        let included =
            is_included(&leaf, evidence.pending.index, then.size, &evidence.seen_inclusion, &then.root);
        check(Step::ResetSeenIncluded, included, error())?;
        let consistent = is_consistent(then.size, &then.root, now.size, &now.root, &evidence.consistency);
        check(Step::ResetSeenConsistent, consistent, error())?;
        // The time by which a quorum had seen it: a single witness can't make it earlier.
        let witnessed = accepted.ok().and_then(|accepted| accepted.seen_by);
        Ok(witnessed.unwrap_or(evidence.pending.entry.time))
    }

    /// Whom the CONFIG named that was the newest in the tree of this size: the one after it, which names it by its hash, is not in
    /// that tree.
    fn witnesses_before(
        &self,
        (config, next): &(Proven, Proven),
        size: u64,
    ) -> Result<Vec<VerifierKey>, LookupError> {
        let is_config = |proven: &Proven| {
            let is_one = proven.entry.kind == Kind::Config && proven.entry.label_id == LabelId::CONFIG;
            is_one && proven.is_in(self.head)
        };
        let follows = next.entry.prev == config.leaf_hash()
            && config.entry.version.checked_add(1) == Some(next.entry.version);
        let apart = config.index < size && size <= next.index;
        let sound = is_config(config) && is_config(next) && follows && apart;
        let (opened, value) = config.open(LabelId::CONFIG.as_bytes())?;
        check(Step::ResetSeen, sound && opened, LookupError::ResetNotAnnounced)?;
        let config = Config::from_bytes(value).map_err(|_| LookupError::ConfigUnreadable)?;
        Ok(config.witnesses().to_vec())
    }

    fn included(&self, proven: &Proven) -> Result<Digest, LookupError> {
        check(Step::Label, proven.entry.label_id == self.label_id, LookupError::Label)?;
        check(Step::Included, proven.is_in(self.head), LookupError::NotIncluded)?;
        Ok(proven.leaf_hash())
    }

    fn opened(&self, proven: &Proven) -> Result<SignedValue, LookupError> {
        let (opened, value) = proven.open(self.label)?;
        check(Step::Commitment, opened, LookupError::Commitment)?;
        let signed = SignedValue::from_bytes(value).map_err(|_| LookupError::ValueUnreadable)?;
        let same_kind = proven.entry.kind == signed.value.status().kind();
        check(Step::Kind, same_kind, LookupError::Kind)?;
        Ok(signed)
    }
}

fn judge(result: Result<(), SuccessionError>) -> Result<(), LookupError> {
    result.or_else(|error| check(Step::Signatures, false, LookupError::Signatures(error)))
}

impl Proven {
    /// Whether the entry is in the tree.
    fn is_in(&self, head: TreeHead) -> bool {
        is_included(&self.leaf_hash(), self.index, head.size, &self.inclusion, &head.root)
    }

    /// The value, and whether it is what the entry commits to.
    fn open(&self, label: &[u8]) -> Result<(bool, &[u8]), LookupError> {
        let (opening, value) = self.contents.as_ref().ok_or(LookupError::ValueUnreadable)?;
        Ok((commit(opening, label, self.entry.version, value) == self.entry.commitment, value))
    }
}

#[cfg(test)]
mod tests;
