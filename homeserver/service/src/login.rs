//! Logging in: OPAQUE's three messages, then the device that presents itself. An unknown user is answered like a
//! known one: the same bytes in number, after the same time at least.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use qpq_core::{AccountId, Address, ErrorCode, IdentityKey, limits};
use qpq_metrics::{Limit, LoginFailure, Metrics};
use qpq_storage::{Account, Ban, Device, DeviceEnrolled, Stored, WriteTx};
use qpq_transparency_tree::value::{Reason, SignedValue};
use qpq_transparency_wire::LogPlace;
use tokio::time::{Instant, sleep_until};

use crate::{
    Answered, Challenge, DeviceClaim, DoorRates, Effects, Ground, OpaqueSetup, Opened, Refusal, Sessions,
    SourceNetwork, WriteJob, bans,
    opaque_server::OpaqueLogin,
    own_keys::Changes,
    sessions::NewSession,
    transparency::logged::{self, not_logged},
};

/// The use cases of logging in.
#[derive(Clone, Debug)]
pub struct Logins {
    ground: Arc<Ground>,
    setup: Arc<OpaqueSetup>,
    sessions: Sessions,
    rates: Arc<DoorRates>,
    changes: Arc<Changes>,
}

/// A login that waits for the client's proof.
pub struct LoginUnderWay {
    account: Option<Account>,
    state: OpaqueLogin,
    unfinished: Unfinished,
}

/// Counts a login that is dropped before its proof came: in OPAQUE it is the client that finds the password wrong, and an
/// honest one says nothing more.
struct Unfinished(Option<Metrics>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(metrics) = self.0.take() {
            metrics.login_failed(LoginFailure::Unfinished);
        }
    }
}

/// The password was right; which device is it?
pub struct EnrolmentUnderWay {
    account: AccountId,
    address: Address,
    identity_key: IdentityKey,
    challenge: Challenge,
}

/// What a client gets that proved the password.
#[derive(Clone)]
pub struct EnrolmentOffer {
    /// The account's identity key.
    pub identity_key: IdentityKey,
    /// The private identity key, as the client sealed it.
    pub sealed_identity: Vec<u8>,
    /// What the device signs.
    pub challenge: Challenge,
    /// Where the account's next version will stand in the log; `None` if the domain keeps none.
    pub place: Option<LogPlace>,
}

impl Logins {
    /// On this ground, with the domain's OPAQUE keys.
    pub(crate) const fn new(
        ground: Arc<Ground>,
        setup: Arc<OpaqueSetup>,
        sessions: Sessions,
        rates: Arc<DoorRates>,
        changes: Arc<Changes>,
    ) -> Self {
        Self { ground, setup, sessions, rates, changes }
    }

    /// Answers a KE1 with a KE2.
    pub async fn begin(
        &self,
        from: &SourceNetwork,
        address: &str,
        request: &[u8],
    ) -> Answered<(LoginUnderWay, Vec<u8>)> {
        let floor = Floor::begin();
        let answer = self.answer(from, address, request).await;
        floor.reach().await;
        self.counted(answer)
    }

    /// Counts an attempt that failed, by reason and never by name.
    fn counted<T>(&self, answer: Answered<T>) -> Answered<T> {
        answer.inspect_err(|refusal| self.ground.metrics().login_failed(LoginFailure::of(refusal.code)))
    }

    async fn answer(
        &self,
        from: &SourceNetwork,
        address: &str,
        request: &[u8],
    ) -> Answered<(LoginUnderWay, Vec<u8>)> {
        let address: Address = address.parse().map_err(|error| Refusal::malformed(format!("{error}")))?;
        let ours = self.ground.domain();
        if address.domain() != ours {
            return Err(Refusal::malformed(format!(
                "this is the homeserver of `{ours}`, not of `{}`",
                address.domain()
            )));
        }
        let admitted = self.rates.login(from, address.localpart(), self.ground.now());
        self.ground.limited(Limit::Logins, admitted)?;
        let account = self.ground.read().await?.account_named(address.localpart()).await?;
        let record = account.as_ref().map(|account| account.opaque_record.as_slice());
        let (state, response) = self.setup.credential_response(&self.ground, &address, record, request)?;
        let unfinished = Unfinished(Some(self.ground.metrics().clone()));
        Ok((LoginUnderWay { account, state, unfinished }, response))
    }

    /// Checks a KE3.
    pub async fn finish(
        &self,
        mut begun: LoginUnderWay,
        finalization: &[u8],
    ) -> Answered<(EnrolmentUnderWay, EnrolmentOffer)> {
        begun.unfinished.0 = None;
        self.counted(self.judge(begun, finalization).await)
    }

    async fn judge(
        &self,
        begun: LoginUnderWay,
        finalization: &[u8],
    ) -> Answered<(EnrolmentUnderWay, EnrolmentOffer)> {
        let floor = Floor::begin();
        let proven = begun.state.proves(finalization);
        floor.reach().await;
        let Some(account) = begun.account.filter(|_| proven) else {
            return Err(Refusal::new(ErrorCode::LoginFailed, "wrong name or password"));
        };
        let challenge = Challenge::draw(&self.ground);
        let address = Address::new(account.localpart, self.ground.domain().clone());
        // Only who proved the password learns of a ban.
        let mut tx = self.ground.read().await?;
        if let Some(ban) = bans::of_user(tx.as_mut(), &address, self.ground.now()).await? {
            return Err(bans::refusal(&ban, self.ground.domain()));
        }
        let place = logged::place(&self.ground, tx.as_mut(), &address).await?;
        let place = place.and_then(|place| logged::told_place(&self.ground, &place, account.id));
        let identity_key = account.identity_key;
        Ok((
            EnrolmentUnderWay { account: account.id, address, identity_key, challenge },
            EnrolmentOffer { identity_key, sealed_identity: account.sealed_identity, challenge, place },
        ))
    }

    /// Adds the device to the account, or finds it again, and opens a session. With `binding` the log names the device, too.
    pub async fn enrol(
        &self,
        begun: EnrolmentUnderWay,
        claim: DeviceClaim,
        binding: Option<SignedValue>,
    ) -> Answered<Opened> {
        self.counted(self.open(begun, claim, binding).await)
    }

    async fn open(
        &self,
        begun: EnrolmentUnderWay,
        claim: DeviceClaim,
        binding: Option<SignedValue>,
    ) -> Answered<Opened> {
        let binding = binding.filter(|_| self.ground.log_keys().is_some());
        if let Some(signed) = &binding {
            let reason = signed.value.reason();
            if !matches!(reason, Reason::Registration | Reason::Devices) {
                return Err(logged::refused(&format!("`{}` adds no device", reason.word())));
            }
            if signed.value.identity() != begun.identity_key {
                return Err(logged::refused("it names another identity key than the account's"));
            }
        }
        claim.check(&begun.address, &begun.identity_key, &begun.challenge)?;
        if binding.is_some() {
            self.ground.signing().pass().await?;
        }
        let now = self.ground.now();
        let device = Device {
            account: begun.account,
            certificate: claim.certificate,
            enrolled_at: now,
            last_seen_at: now,
            revoked_at: None,
        };
        let session = self.sessions.prepare(begun.account, &device.certificate.device, now);
        let (handle, secret, until) =
            (session.handle.clone(), session.token.clone(), session.row.resumable_until);
        let (ground, sessions) = (Arc::clone(&self.ground), self.sessions.clone());
        let (identity_key, changes) = (begun.identity_key, Arc::clone(&self.changes));
        let admitted = false;
        let job = Enrol {
            ground,
            sessions,
            changes,
            device,
            identity_key,
            binding,
            session,
            admitted,
            done: false,
        };
        match self.ground.write(job).await? {
            Outcome::Enrolled => Ok(self.sessions.opened(handle, secret, until)),
            Outcome::Banned(ban) => Err(bans::refusal(&ban, self.ground.domain())),
            Outcome::NotLogged(refusal) => Err(refusal),
            Outcome::OtherKey => Err(Refusal::new(
                ErrorCode::DeviceNotSigned,
                "the account got another identity key meanwhile: log in again",
            )),
            Outcome::AccountGone => Err(Refusal::new(ErrorCode::LoginFailed, "wrong name or password")),
            Outcome::Refused(DeviceEnrolled::TooMany) => {
                self.ground.metrics().limit_hit(Limit::Devices);
                Err(Refusal::new(
                    ErrorCode::TooManyDevices,
                    format!(
                        "the account has {} devices already, revoke one first",
                        limits::DEVICES_PER_ACCOUNT
                    ),
                ))
            }
            Outcome::Refused(DeviceEnrolled::Revoked) => Err(Refusal::new(
                ErrorCode::Revoked,
                "this device was revoked for good: log in as a new device",
            )),
            Outcome::Refused(_) => {
                Err(Refusal::malformed("the device id is in use with another key, choose a random one"))
            }
        }
    }
}

/// A time before which nobody hears an answer, so that it says nothing about the name.
struct Floor(Instant);

impl Floor {
    fn begin() -> Self {
        Self(Instant::now() + limits::LOGIN_FLOOR.to_duration())
    }

    async fn reach(self) {
        sleep_until(self.0).await;
    }
}

impl fmt::Debug for LoginUnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginUnderWay").finish_non_exhaustive()
    }
}

impl fmt::Debug for EnrolmentUnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentUnderWay").finish_non_exhaustive()
    }
}

impl fmt::Debug for EnrolmentOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentOffer").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Enrolled,
    AccountGone,
    OtherKey,
    Banned(Ban),
    NotLogged(Refusal),
    Refused(DeviceEnrolled),
}

struct Enrol {
    ground: Arc<Ground>,
    sessions: Sessions,
    changes: Arc<Changes>,
    device: Device,
    /// The account's key when the password was proven.
    identity_key: IdentityKey,
    binding: Option<SignedValue>,
    session: NewSession,
    /// Counted once, however often the transaction is tried.
    admitted: bool,
    done: bool,
}

impl Enrol {
    /// Whether the log would name the device with this.
    async fn may_log(&mut self, tx: &mut dyn WriteTx, signed: &SignedValue) -> Stored<Answered<()>> {
        let (user, account, now) =
            (self.device.certificate.device.user.clone(), self.device.account, self.device.enrolled_at);
        let own = &self.device.certificate;
        let mut devices = tx.devices(&account).await?;
        devices.retain(|known| known.certificate.device.device != own.device.device);
        devices.push(self.device.clone());
        let place = logged::place(&self.ground, tx, &user).await?;
        let version = place.as_ref().map_or(0, |place| place.version);
        let names = signed.value.devices().iter().any(|named| {
            (named.device, named.signature_key, named.added_in)
                == (own.device.device, own.signature_key, version)
        });
        if !names {
            return Ok(Err(logged::refused("it does not add the device that logs in")));
        }
        let newest = place.and_then(|place| place.newest);
        if let Err(refusal) = logged::speaks_of(signed, account, &devices, version)
            .and_then(|()| logged::changes_something(signed, newest.as_ref()))
        {
            return Ok(Err(refusal));
        }
        if let Err(error) = logged::may_bind(&self.ground, tx, &user, signed, now).await? {
            return Ok(Err(not_logged(&error)));
        }
        if !self.admitted {
            if let Err(refusal) = self.changes.admit(account, signed.value.reason(), now) {
                return Ok(Err(refusal));
            }
            self.admitted = true;
        }
        Ok(Ok(()))
    }
}

#[async_trait]
impl WriteJob for Enrol {
    type Output = Outcome;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Outcome> {
        self.done = false;
        // It may have been deleted since the password was asked for.
        match tx.account(&self.device.account).await? {
            None => return Ok(Outcome::AccountGone),
            // Its devices are certified by the new key now, and this one is not.
            Some(account) if account.identity_key != self.identity_key => return Ok(Outcome::OtherKey),
            Some(_) => {}
        }
        let user = &self.device.certificate.device.user;
        if let Some(ban) = bans::of_user(tx, user, self.device.enrolled_at).await? {
            return Ok(Outcome::Banned(ban));
        }
        if let Some(signed) = self.binding.clone()
            && let Err(refusal) = self.may_log(tx, &signed).await?
        {
            return Ok(Outcome::NotLogged(refusal));
        }
        let (user, now) = (&self.device.certificate.device.user, self.device.enrolled_at);
        match tx.device_enrol(&self.device, limits::DEVICES_PER_ACCOUNT).await? {
            DeviceEnrolled::New | DeviceEnrolled::Known => {}
            refused => return Ok(Outcome::Refused(refused)),
        }
        if let Some(signed) = &self.binding {
            logged::bind(&self.ground, tx, user, signed, now).await?;
        }
        tx.session_open(&self.session.row, &self.session.token_hash).await?;
        self.done = true;
        Ok(Outcome::Enrolled)
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
