//! Making an account. A crash at any point leaves a home with which the same command, or `login`, goes on.
//!
//! The order: the keys are stored here, then the domain makes the account, then its grant is stored. After a
//! crash between the last two the name is taken, by us: the password proves it.

use std::rc::Rc;

use qpq_core::{Address, DeviceAddress, DeviceCertificate, DeviceId, ErrorCode, Secret};
use qpq_transparency_wire::read_place;

use crate::{
    Client, ClientError,
    client::{Me, stored_trust},
    identity::{Identity, possession_by},
    link::{CALL, Link, within},
    log::{Care, Place, first_version},
    mls::Device,
    password,
    server::Server,
    session::{Session, write_claim},
    store::Account,
    wire::{self, Grant, refused},
};

impl Client {
    /// Makes the account and its first device at the address's domain, and uploads KeyPackages.
    pub async fn register(
        &self,
        address: &Address,
        server: &Server,
        password: &Secret<String>,
        token: Option<&str>,
    ) -> Result<(), ClientError> {
        let begun = self.resident(address).await?;
        let again = begun.is_some();
        let account = match begun {
            Some((_, true)) => return Err(ClientError::HomeTaken { address: address.clone() }),
            Some((account, false)) => {
                Account { server: server.address.to_string(), trust: stored_trust(&server.trust), ..account }
            }
            None => {
                let identity = Identity::generate(&mut self.entropy()?);
                self.new_account(address, server, &identity)?
            }
        };
        let link = Rc::new(self.dial(address, server).await?);
        match self.register_at(&link, &account, password, token.unwrap_or_default()).await {
            Ok((session, grant)) => {
                self.keep_grant(&grant).await?;
                self.set_session(session);
                // The account is there: what can't be looked at now is looked at later.
                match self.keep_own_keys(Care::Usual).await {
                    Err(error) if error.is_transient() => {
                        tracing::info!(%error, "the own keys are looked at later");
                    }
                    other => other?,
                }
                self.stock_up().await
            }
            Err(ClientError::Refused(refusal))
                if again
                    && (refusal.is(ErrorCode::NameTaken) || refusal.is(ErrorCode::RegistrationToken)) =>
            {
                // The name and the token may be taken by us, before a crash: then the password is right.
                self.login(address, server, password).await.map(drop).map_err(|_| refusal.into())
            }
            Err(error) => Err(error),
        }
    }

    async fn register_at(
        &self,
        link: &Rc<Link>,
        account: &Account,
        password: &Secret<String>,
        token: &str,
    ) -> Result<(Session, Grant), ClientError> {
        let mut entropy = self.entropy()?;
        let (pending, message) = password::begin_registration(password, &mut entropy)?;
        let mut request = link.homeserver().register_request();
        let mut params = request.get();
        params.set_localpart(account.address.localpart().as_str());
        params.set_registration_token(token);
        params.set_request(&message);
        let response = within(CALL, "register", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        let challenge = wire::bytes(results.get_challenge()?, "the challenge")?;
        let place = results.has_place().then(|| results.get_place()).transpose()?;
        let place = place.map(read_place).transpose().map_err(ClientError::protocol)?;

        let (answer, stretch) = (results.get_response()?.to_vec(), self.inner.options.stretch.clone());
        let whom = account.address.clone();
        let (upload, export_key) =
            blocking(move || pending.finish(&answer, &whom, &stretch, &mut entropy)).await?;

        let identity = Identity::from_bytes(*account.identity.expose());
        let sealed = identity.seal(&export_key, &account.address, &mut entropy)?;
        self.keep_account(account).await?;

        let mut request = results.get_registration()?.finish_request();
        let mut params = request.get();
        params.set_upload(&upload);
        params.set_identity_key(identity.public().as_bytes());
        params.set_sealed_identity(&sealed);
        if let Some(place) = &place {
            let place = Place::of_registration(place, &account.address)
                .map_err(|wrong| ClientError::protocol(wrong.what))?;
            let binding = first_version(account, &place, std::slice::from_ref(&account.certificate))?;
            params.set_binding(&binding.to_bytes());
        }
        let possession = possession_by(&account.device(), &challenge, &account.certificate);
        write_claim(params.init_device(), &account.certificate, &possession);
        let response = within(CALL, "registration.finish", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        let grant = wire::read_grant(results.get_grant()?)?;
        Ok((Session::new(Rc::clone(link), &results.get_session()?), grant))
    }

    /// The account of this home, and whether it has a session; an error if it is somebody else's.
    ///
    /// An account that was begun and never came to anything (no session, no group) makes room.
    pub(crate) async fn resident(&self, address: &Address) -> Result<Option<(Account, bool)>, ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let Some(account) = tx.account().await? else { return Ok(None) };
        let lives = tx.session().await?.is_some();
        if account.address == *address {
            return Ok(Some((account, lives)));
        }
        if lives || !tx.groups().await?.is_empty() {
            return Err(ClientError::HomeTaken { address: account.address });
        }
        Ok(None)
    }

    /// A new device under an identity key.
    pub(crate) fn new_account(
        &self,
        address: &Address,
        server: &Server,
        identity: &Identity,
    ) -> Result<Account, ClientError> {
        let mut entropy = self.entropy()?;
        let name = DeviceAddress { user: address.clone(), device: DeviceId::random(&mut entropy) };
        let device = Device::generate(name.clone(), &mut entropy);
        Ok(Account {
            address: address.clone(),
            server: server.address.to_string(),
            trust: stored_trust(&server.trust),
            identity: Secret::new(*identity.expose()),
            signature: device.secret(),
            certificate: DeviceCertificate::issue(
                &identity.signing_key(),
                name,
                device.signature_key(),
                self.now(),
            ),
            suite: self.inner.options.suite,
        })
    }

    /// Stores the account's keys; they are in use from now on. One's own identity key is pinned like anybody's.
    pub(crate) async fn keep_account(&self, account: &Account) -> Result<(), ClientError> {
        let identity = Identity::from_bytes(*account.identity.expose()).public();
        let mut tx = self.inner.store.begin().await?;
        tx.save_account(account).await?;
        tx.see_identity(&account.address, &identity, self.now()).await?;
        tx.save_certificates(std::slice::from_ref(&account.certificate)).await?;
        tx.commit().await?;
        self.set_me(Me::of(account.clone())?);
        Ok(())
    }
}

/// Runs what takes the processor for long beside the connection, which must go on.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| ClientError::Setup { what: String::from("a computation was interrupted") })?
}
