//! Making an account: an OPAQUE registration, then account, first device and first session in one transaction.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use qpq_core::{AccountId, Address, Digest, ErrorCode, IdentityKey, Localpart, TokenId};
use qpq_metrics::Limit;
use qpq_storage::{Account, AccountCreated, Device, Stored, WriteTx};

use crate::{
    Answered, Challenge, DeviceClaim, DoorRates, Effects, Ground, OpaqueSetup, Opened, Refusal,
    RegistrationPolicy, Sessions, SourceNetwork, WriteJob, bans,
    sessions::NewSession,
    tokens::{Pending, UnderWay},
};

/// The longest sealed identity key that is kept: 32 bytes of key, with room for newer seals.
const SEALED_BYTES: usize = 1_024;

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
        let response = self.setup.registration_response(&address, request)?;
        let challenge = Challenge::draw(&self.ground);
        let pending = token.map(|token| UnderWay::begin(&self.under_way, token));
        let under_way = RegistrationUnderWay { address, token, challenge, _pending: pending };
        Ok((under_way, RegistrationOffer { response, challenge }))
    }

    /// Makes account, device and session, and takes one use of the token, or does none of it.
    pub async fn finish(&self, begun: RegistrationUnderWay, new: NewAccount) -> Answered<Opened> {
        let RegistrationUnderWay { address, token, challenge, _pending } = begun;
        if new.sealed_identity.len() > SEALED_BYTES {
            return Err(Refusal::malformed(format!("`sealedIdentity` has more than {SEALED_BYTES} bytes")));
        }
        new.device.check(&address, &new.identity_key, &challenge)?;
        let now = self.ground.now();
        let account = Account {
            id: self.ground.draw(AccountId::random),
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
        let session = self.sessions.prepare(account.id, &first.certificate.device, now);
        let (handle, secret, until) =
            (session.handle.clone(), session.token.clone(), session.row.resumable_until);
        let job = Register { sessions: self.sessions.clone(), account, first, token, session, done: false };
        match self.ground.write(job).await? {
            Outcome::Made => Ok(self.sessions.opened(handle, secret, until)),
            Outcome::DeviceTaken => Err(Refusal::malformed("the device id is in use, choose a random one")),
            Outcome::NameTaken => Err(name_taken(address.localpart())),
            Outcome::TokenRefused => Err(token_refused()),
        }
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Made,
    DeviceTaken,
    NameTaken,
    TokenRefused,
}

struct Register {
    sessions: Sessions,
    account: Account,
    first: Device,
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
        match tx.account_create(&self.account, &self.first, self.token.as_ref()).await? {
            AccountCreated::Created => {}
            AccountCreated::NameTaken => return Ok(Outcome::NameTaken),
            AccountCreated::TokenRefused => return Ok(Outcome::TokenRefused),
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
