//! Making an account: an OPAQUE registration, then account, first device and first session in one transaction.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use qpq_core::{AccountId, Address, Digest, ErrorCode, IdentityKey, Localpart, Timestamp, TokenId};
use qpq_metrics::Limit;
use qpq_storage::{Account, AccountCreated, Device, Stored, WriteTx};
use qpq_transparency::accounts::{NotLogged, Place, Version};
use qpq_transparency_tree::value::{Reason, SignedValue};
use qpq_transparency_wire::LogPlace;

use crate::{
    Answered, Challenge, DeviceClaim, DoorRates, Effects, Ground, OpaqueSetup, Opened, Refusal,
    RegistrationPolicy, Sessions, SourceNetwork, WriteJob, bans,
    sessions::NewSession,
    tokens::{Pending, UnderWay},
    transparency::logged::{self, not_logged},
};

/// The longest sealed identity key that is kept: 32 bytes of key, with room for newer seals.
const SEALED_BYTES: usize = 1_024;
/// Why a name that is in the log is not registered beside it.
const HAD_BEFORE: &str = "the name was somebody's before: sign its next version";

/// The use cases of registration.
#[derive(Clone, Debug)]
pub struct Registrations {
    ground: Arc<Ground>,
    setup: Arc<OpaqueSetup>,
    sessions: Sessions,
    rates: Arc<DoorRates>,
    under_way: Arc<UnderWay>,
}

/// An account being made; the connection holds it between begin and finish.
pub struct RegistrationUnderWay {
    account: AccountId,
    /// Whether the name was somebody's before, so that whoever gets it now needs a reset in the log.
    had_before: bool,
    address: Address,
    token: Option<TokenId>,
    challenge: Challenge,
    _pending: Option<Pending>,
}

/// What the client needs to go on.
#[derive(Clone, Debug)]
pub struct RegistrationOffer {
    /// OPAQUE's `RegistrationResponse`.
    pub response: Vec<u8>,
    /// What the device signs.
    pub challenge: Challenge,
    /// Where the account's keys will stand in the log; `None` if the domain keeps none.
    pub place: Option<LogPlace>,
}

/// What the client brings in the end.
#[derive(Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// OPAQUE's `RegistrationRecord`.
    pub upload: Vec<u8>,
    /// The account's identity key.
    pub identity_key: IdentityKey,
    /// The private identity key, encrypted by the client under OPAQUE's export key.
    pub sealed_identity: Vec<u8>,
    /// The first device.
    pub device: DeviceClaim,
    /// The first version of the account's keys in the log; without one it stays out of the log for now.
    pub binding: Option<SignedValue>,
}

impl Registrations {
    /// On this ground, with the domain's OPAQUE keys.
    pub(crate) const fn new(
        ground: Arc<Ground>,
        setup: Arc<OpaqueSetup>,
        sessions: Sessions,
        rates: Arc<DoorRates>,
        under_way: Arc<UnderWay>,
    ) -> Self {
        Self { ground, setup, sessions, rates, under_way }
    }

    /// Begins: judges the token, then the name. Nothing is kept yet.
    pub async fn begin(
        &self,
        from: &SourceNetwork,
        name: &str,
        token: &str,
        request: &[u8],
    ) -> Answered<(RegistrationUnderWay, RegistrationOffer)> {
        let admitted = self.rates.registration(from, self.ground.now());
        self.ground.limited(Limit::Registrations, admitted)?;
        let mut tx = self.ground.read().await?;
        let token = match self.ground.settings().registration {
            RegistrationPolicy::Open => None,
            RegistrationPolicy::Token => {
                let found = tx.registration_token(&Digest::of(&[token.as_bytes()])).await?;
                let usable = found.filter(|token| token.usable(self.ground.now()));
                Some(usable.ok_or_else(token_refused)?.id)
            }
        };
        let name: Localpart = name.parse().map_err(|error| Refusal::malformed(format!("{error}")))?;
        if tx.account_named(&name).await?.is_some() {
            return Err(name_taken(&name));
        }
        let address = Address::new(name, self.ground.domain().clone());
        // The account of a banned user may be deleted; their name stays theirs until the ban ends.
        if bans::of_user(tx.as_mut(), &address, self.ground.now()).await?.is_some() {
            return Err(name_taken(address.localpart()));
        }
        let account = self.ground.draw(AccountId::random);
        let place = logged::place(&self.ground, tx.as_mut(), &address).await?;
        drop(tx);
        let before = place.as_ref().and_then(|place| place.newest.as_ref());
        if let Some(before) = before {
            self.reopen(&address, before).await?;
        }
        let had_before = before.is_some();
        let place = place.and_then(|place| logged::told_place(&self.ground, &place, account));
        let response = self.setup.registration_response(&address, request)?;
        let challenge = Challenge::draw(&self.ground);
        let pending = token.map(|token| UnderWay::begin(&self.under_way, token));
        let under_way =
            RegistrationUnderWay { account, had_before, address, token, challenge, _pending: pending };
        Ok((under_way, RegistrationOffer { response, challenge, place }))
    }

    /// Lets a name through that was somebody's before and that has been announced to become somebody else's for a day; the
    /// announcement is made by the first who asks. Contacts of whoever had it must not take the next one for them.
    async fn reopen(&self, address: &Address, before: &Version) -> Answered<()> {
        let now = self.ground.now();
        let mut tx = self.ground.read().await?;
        let mut from = logged::reset_from(&self.ground, tx.as_mut(), before).await?;
        drop(tx);
        if from.is_none() {
            self.ground.signing().pass().await?;
            let job = Announce { ground: Arc::clone(&self.ground), address: address.clone(), now };
            from = self.ground.write(job).await?.map_err(|error| not_logged(&error))?;
        }
        match from {
            Some(from) if from > now => Err(Refusal::retry(
                ErrorCode::NameTaken,
                format!(
                    "`{address}` was somebody's before: that it will be somebody else's has been announced in the domain's \
                     log, and it can be registered a day after that"
                ),
                from.since(now),
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes account, device and session, and takes one use of the token, or does none of it.
    pub async fn finish(&self, begun: RegistrationUnderWay, new: NewAccount) -> Answered<Opened> {
        let RegistrationUnderWay { account: id, had_before, address, token, challenge, _pending } = begun;
        if new.sealed_identity.len() > SEALED_BYTES {
            return Err(Refusal::malformed(format!("`sealedIdentity` has more than {SEALED_BYTES} bytes")));
        }
        new.device.check(&address, &new.identity_key, &challenge)?;
        let now = self.ground.now();
        let account = Account {
            id,
            localpart: address.localpart().clone(),
            opaque_record: OpaqueSetup::record(&new.upload)?,
            identity_key: new.identity_key,
            sealed_identity: new.sealed_identity,
            created_at: now,
        };
        let first = Device {
            account: account.id,
            certificate: new.device.certificate,
            enrolled_at: now,
            last_seen_at: now,
            revoked_at: None,
        };
        let binding = self.first_version(had_before, &account, &first, new.binding)?;
        if binding.is_some() {
            self.ground.signing().pass().await?;
        }
        let session = self.sessions.prepare(account.id, &first.certificate.device, now);
        let (handle, secret, until) =
            (session.handle.clone(), session.token.clone(), session.row.resumable_until);
        let (ground, sessions) = (Arc::clone(&self.ground), self.sessions.clone());
        let job = Register { ground, sessions, account, first, binding, token, session, done: false };
        match self.ground.write(job).await? {
            Outcome::Made => Ok(self.sessions.opened(handle, secret, until)),
            Outcome::DeviceTaken => Err(Refusal::malformed("the device id is in use, choose a random one")),
            Outcome::NameTaken => Err(name_taken(address.localpart())),
            Outcome::TokenRefused => Err(token_refused()),
            Outcome::NotLogged(refusal) => Err(refusal),
        }
    }

    /// Whether the version that comes with a registration speaks of this account, and of nothing else.
    fn first_version(
        &self,
        had_before: bool,
        account: &Account,
        first: &Device,
        binding: Option<SignedValue>,
    ) -> Answered<Option<SignedValue>> {
        let Some(signed) = binding.filter(|_| self.ground.log_keys().is_some()) else {
            let needed = had_before && self.ground.log_keys().is_some();
            return if needed { Err(logged::refused(HAD_BEFORE)) } else { Ok(None) };
        };
        let (wanted, reason) =
            (if had_before { Reason::Reset } else { Reason::Registration }, signed.value.reason());
        if reason != wanted {
            return Err(logged::refused(&format!(
                "its reason is `{}`, not `{}`",
                reason.word(),
                wanted.word()
            )));
        }
        if signed.value.identity() != account.identity_key || signed.value.devices().len() != 1 {
            return Err(logged::refused("it names other keys than the account that is made"));
        }
        let version = signed.value.devices().first().map_or(0, |device| device.added_in);
        logged::speaks_of(&signed, account.id, std::slice::from_ref(first), version)?;
        Ok(Some(signed))
    }
}

impl fmt::Debug for RegistrationUnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistrationUnderWay").finish_non_exhaustive()
    }
}

impl fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount").field("device", &self.device).finish_non_exhaustive()
    }
}

fn token_refused() -> Refusal {
    Refusal::new(
        ErrorCode::RegistrationToken,
        "the registration token is missing, used up, expired or revoked: ask the homeserver's admin for one",
    )
}

fn name_taken(name: &Localpart) -> Refusal {
    Refusal::new(ErrorCode::NameTaken, format!("the name `{name}` is taken"))
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Made,
    DeviceTaken,
    NameTaken,
    TokenRefused,
    NotLogged(Refusal),
}

/// Announces that a name will be somebody else's; says from when on.
struct Announce {
    ground: Arc<Ground>,
    address: Address,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for Announce {
    type Output = Result<Option<Timestamp>, NotLogged>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        let stands = |place: Option<Place>| place.and_then(|place| place.newest);
        let newest = stands(logged::place(&self.ground, tx, &self.address).await?);
        // Somebody else may have asked meanwhile.
        let announced = match &newest {
            Some(newest) => logged::reset_from(&self.ground, tx, newest).await?,
            None => return Ok(Ok(None)),
        };
        if announced.is_some() {
            return Ok(Ok(announced));
        }
        if let Err(error) = logged::announce(&self.ground, tx, &self.address, self.now).await? {
            return Ok(Err(error));
        }
        match stands(logged::place(&self.ground, tx, &self.address).await?) {
            Some(newest) => logged::reset_from(&self.ground, tx, &newest).await.map(Ok),
            None => Ok(Ok(None)),
        }
    }

    fn effects(&mut self) -> Effects {
        Effects::default()
    }
}

struct Register {
    ground: Arc<Ground>,
    sessions: Sessions,
    account: Account,
    first: Device,
    binding: Option<SignedValue>,
    token: Option<TokenId>,
    session: NewSession,
    done: bool,
}

#[async_trait]
impl WriteJob for Register {
    type Output = Outcome;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Outcome> {
        self.done = false;
        if bans::of_user(tx, &self.first.certificate.device.user, self.account.created_at).await?.is_some() {
            return Ok(Outcome::NameTaken);
        }
        if tx.device(&self.first.certificate.device.device).await?.is_some() {
            return Ok(Outcome::DeviceTaken);
        }
        let (user, now) = (&self.first.certificate.device.user, self.account.created_at);
        match &self.binding {
            Some(signed) => {
                if let Err(error) = logged::may_bind(&self.ground, tx, user, signed, now).await? {
                    return Ok(Outcome::NotLogged(not_logged(&error)));
                }
            }
            // Somebody had the name, and left, since this began.
            None if logged::place(&self.ground, tx, user).await?.is_some_and(|place| place.version > 0) => {
                return Ok(Outcome::NotLogged(logged::refused(HAD_BEFORE)));
            }
            None => {}
        }
        match tx.account_create(&self.account, &self.first, self.token.as_ref()).await? {
            AccountCreated::Created => {}
            AccountCreated::NameTaken => return Ok(Outcome::NameTaken),
            AccountCreated::TokenRefused => return Ok(Outcome::TokenRefused),
        }
        if let Some(signed) = &self.binding {
            logged::bind(&self.ground, tx, user, signed, now).await?;
        }
        tx.session_open(&self.session.row, &self.session.token_hash).await?;
        self.done = true;
        Ok(Outcome::Made)
    }

    fn effects(&mut self) -> Effects {
        if self.done {
            self.sessions.live().hold(&self.session.handle);
        }
        Effects::default()
    }
}

#[cfg(test)]
mod tests;
