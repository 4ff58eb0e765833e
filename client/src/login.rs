//! Logging in with the password: this device again, or a new one.

use std::rc::Rc;

use capnp::capability::Response;
use qpq_core::{Address, DeviceCertificate, IdentityKey, Secret};
use qpq_schemas::client_capnp::login;

use crate::{
    Client, ClientError,
    client::stored_trust,
    identity::{Identity, possession_by},
    link::{CALL, Link, within},
    log::Care,
    password::{self, ExportKey},
    register::blocking,
    server::Server,
    session::{Session, write_claim},
    store::Account,
    wire::{self, refused},
};

/// What a login was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggedIn {
    /// The device of this home is logged in again.
    Again,
    /// This home is a new device of the account. Conversations that run already don't include it yet.
    NewDevice,
}

/// Who logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Somebody who sees what comes of it.
    Person,
    /// A client that stays, with a password it was given earlier.
    Itself,
}

impl Client {
    /// Logs in at the address's domain, enrols this home as a device if it is none, and uploads KeyPackages.
    pub async fn login(
        &self,
        address: &Address,
        server: &Server,
        password: &Secret<String>,
    ) -> Result<LoggedIn, ClientError> {
        Box::pin(self.log_in(address, server, password, By::Person)).await
    }

    pub(crate) async fn log_in(
        &self,
        address: &Address,
        server: &Server,
        password: &Secret<String>,
        by: By,
    ) -> Result<LoggedIn, ClientError> {
        let known = self.resident(address).await?.map(|(account, _)| account);
        self.disconnect().await;
        let link = Rc::new(self.dial(address, server).await?);
        let (response, export_key) = self.prove_password(&link, address, password).await?;
        let results = response.get()?;
        let challenge = wire::bytes(results.get_challenge()?, "the challenge")?;
        let published =
            IdentityKey::from_bytes(wire::bytes(results.get_identity_key()?, "the identity key")?);
        let identity = Identity::unseal(results.get_sealed_identity()?, &export_key, address)?;
        // The sealed key is ours for certain; a published one that differs would be the domain's invention.
        if identity.public() != published {
            return Err(ClientError::SealedIdentity);
        }
        let outcome = if known.is_some() { LoggedIn::Again } else { LoggedIn::NewDevice };
        // Another device of the account, or this one before a crash, gave it another identity key: or an old one is put back.
        let moved = known.as_ref().is_some_and(|known| known.identity.expose() != identity.expose());
        if moved && by == By::Itself {
            return Err(ClientError::IdentityMoved { address: address.clone() });
        }
        let account = match known {
            Some(known) => Account {
                server: server.address.to_string(),
                trust: stored_trust(&server.trust),
                identity: Secret::new(*identity.expose()),
                certificate: if moved {
                    let (device, key) = (known.certificate.device.clone(), known.certificate.signature_key);
                    DeviceCertificate::issue(&identity.signing_key(), device, key, self.now())
                } else {
                    known.certificate.clone()
                },
                ..known
            },
            None => self.new_account(address, server, &identity)?,
        };
        if !moved {
            self.keep_account(&account).await?;
        }

        // The log names the device afterwards, over what was verified by then: until then it is in no directory.
        let mut request = results.get_enrolment()?.enrol_request();
        let possession = possession_by(&account.device(), &challenge, &account.certificate);
        write_claim(request.get().init_device(), &account.certificate, &possession);
        let response = within(CALL, "enrol", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        let grant = wire::read_grant(results.get_grant()?)?;
        let session = Session::new(Rc::clone(&link), &results.get_session()?);
        if moved {
            self.set_session(session);
            if let Err(error) = self.keep_moved_identity(account).await {
                self.disconnect().await;
                return Err(error);
            }
            self.keep_grant(&grant).await?;
        } else {
            self.keep_grant(&grant).await?;
            self.set_session(session);
        }
        // The account is there: what can't be looked at now is looked at later.
        match self.keep_own_keys(Care::Usual).await {
            Err(error) if error.is_transient() => tracing::info!(%error, "the own keys are looked at later"),
            other => other?,
        }
        if by == By::Person {
            self.is_the_logged_one(&identity.public()).await?;
        }
        self.stock_up().await?;
        Ok(outcome)
    }

    /// OPAQUE's three messages: what the domain answers to who knows the password, and the key that seals the identity.
    pub(crate) async fn prove_password(
        &self,
        link: &Link,
        address: &Address,
        password: &Secret<String>,
    ) -> Result<(Response<login::finish_results::Owned>, ExportKey), ClientError> {
        let mut entropy = self.entropy()?;
        let (pending, message) = password::begin_login(password, &mut entropy)?;
        let mut request = link.homeserver().log_in_request();
        let mut params = request.get();
        params.set_address(address.to_string());
        params.set_request(&message);
        let response = within(CALL, "logIn", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        let (answer, stretch) = (results.get_response()?.to_vec(), self.inner.options.stretch.clone());
        let whom = address.clone();
        let (finalization, export_key) =
            blocking(move || pending.finish(&answer, &whom, &stretch, &mut entropy)).await?;

        let mut request = results.get_login()?.finish_request();
        request.get().set_finalization(&finalization);
        let response = within(CALL, "login.finish", request.send().promise).await?;
        refused!(response.get()?);
        Ok((response, export_key))
    }
}
