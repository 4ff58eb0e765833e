//! Logging in with the password: this device again, or a new one.

use std::rc::Rc;

use qpq_core::{Address, IdentityKey, Secret};

use crate::{
    Client, ClientError,
    client::stored_trust,
    identity::{Identity, possession_by},
    link::{CALL, within},
    password,
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

impl Client {
    /// Logs in at the address's domain, enrols this home as a device if it is none, and uploads KeyPackages.
    pub async fn login(
        &self,
        address: &Address,
        server: &Server,
        password: &Secret<String>,
    ) -> Result<LoggedIn, ClientError> {
        let known = self.resident(address).await?.map(|(account, _)| account);
        self.disconnect().await;
        let link = Rc::new(self.dial(address, server).await?);
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
        let results = response.get()?;
        refused!(results);
        let challenge = wire::bytes(results.get_challenge()?, "the challenge")?;
        let published =
            IdentityKey::from_bytes(wire::bytes(results.get_identity_key()?, "the identity key")?);
        let identity = Identity::unseal(results.get_sealed_identity()?, &export_key, address)?;
        // The sealed key is ours for certain; a published one that differs would be the domain's invention.
        if identity.public() != published {
            return Err(ClientError::SealedIdentity);
        }
        let (account, outcome) = match known {
            Some(account) if account.identity.expose() == identity.expose() => {
                let account = Account {
                    server: server.address.to_string(),
                    trust: stored_trust(&server.trust),
                    ..account
                };
                (account, LoggedIn::Again)
            }
            Some(_) => return Err(ClientError::SealedIdentity),
            None => (self.new_account(address, server, &identity)?, LoggedIn::NewDevice),
        };
        self.keep_account(&account).await?;

        let mut request = results.get_enrolment()?.enrol_request();
        let possession = possession_by(&account.device(), &challenge, &account.certificate);
        write_claim(request.get().init_device(), &account.certificate, &possession);
        let response = within(CALL, "enrol", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        let grant = wire::read_grant(results.get_grant()?)?;
        self.keep_grant(&grant).await?;
        self.set_session(Session::new(Rc::clone(&link), &results.get_session()?));
        self.stock_up().await?;
        Ok(outcome)
    }
}
