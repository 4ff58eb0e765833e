//! OPAQUE on the client's side (RFC 9807): the password never leaves this machine.

use opaque_ke::{
    ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters,
    CredentialResponse, RegistrationResponse, errors::ProtocolError,
};
use qpq_core::{
    Address, OsEntropy, Secret,
    opaque::{self, Parties, Stretch, Suite},
};

use crate::ClientError;

/// A secret that only the password gives, and only together with the domain: it seals the identity key.
pub(crate) type ExportKey = Secret<Vec<u8>>;

/// A registration that waits for the domain's answer.
pub(crate) struct PendingRegistration {
    state: ClientRegistration<Suite>,
    password: Secret<Vec<u8>>,
}

/// A login that waits for the domain's answer.
pub(crate) struct PendingLogin {
    state: ClientLogin<Suite>,
    password: Secret<Vec<u8>>,
}

/// Begins a registration: what to keep, and the request.
pub(crate) fn begin_registration(
    password: &Secret<String>,
    entropy: &mut OsEntropy,
) -> Result<(PendingRegistration, Vec<u8>), ClientError> {
    let password = Secret::new(password.expose().as_bytes().to_vec());
    let start = ClientRegistration::<Suite>::start(entropy, password.expose()).map_err(failed)?;
    Ok((PendingRegistration { state: start.state, password }, start.message.serialize().to_vec()))
}

impl PendingRegistration {
    /// Ends the registration: the record for the domain, and the export key. Takes Argon2's time.
    pub(crate) fn finish(
        self,
        response: &[u8],
        address: &Address,
        stretch: &Stretch,
        entropy: &mut OsEntropy,
    ) -> Result<(Vec<u8>, ExportKey), ClientError> {
        let parties = Parties::of(address);
        let response = RegistrationResponse::deserialize(response).map_err(failed)?;
        let params = ClientRegistrationFinishParameters::new(parties.identifiers(), Some(stretch));
        let end = self.state.finish(entropy, self.password.expose(), response, params).map_err(failed)?;
        Ok((end.message.serialize().to_vec(), Secret::new(end.export_key.to_vec())))
    }
}

/// Begins a login: what to keep, and the KE1.
pub(crate) fn begin_login(
    password: &Secret<String>,
    entropy: &mut OsEntropy,
) -> Result<(PendingLogin, Vec<u8>), ClientError> {
    let password = Secret::new(password.expose().as_bytes().to_vec());
    let start = ClientLogin::<Suite>::start(entropy, password.expose()).map_err(failed)?;
    Ok((PendingLogin { state: start.state, password }, start.message.serialize().to_vec()))
}

impl PendingLogin {
    /// Ends the login: the KE3 for the domain, and the export key. Takes Argon2's time.
    pub(crate) fn finish(
        self,
        response: &[u8],
        address: &Address,
        stretch: &Stretch,
        entropy: &mut OsEntropy,
    ) -> Result<(Vec<u8>, ExportKey), ClientError> {
        let parties = Parties::of(address);
        let context = opaque::context(address.domain());
        let response = CredentialResponse::deserialize(response).map_err(failed)?;
        let params = ClientLoginFinishParameters::new(Some(&context), parties.identifiers(), Some(stretch));
        let end =
            self.state.finish(entropy, self.password.expose(), response, params).map_err(
                |error| match error {
                    ProtocolError::InvalidLoginError => ClientError::WrongPassword,
                    other => failed(other),
                },
            )?;
        Ok((end.message.serialize().to_vec(), Secret::new(end.export_key.to_vec())))
    }
}

fn failed(error: ProtocolError) -> ClientError {
    ClientError::Opaque { what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use opaque_ke::{
        CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload, ServerLogin,
        ServerLoginParameters, ServerRegistration, ServerSetup,
    };

    use super::*;

    #[test]
    fn only_the_password_of_the_registration_logs_in() {
        let mut entropy = OsEntropy::new().unwrap();
        let address: Address = "alice@alpha.test".parse().unwrap();
        let right = Secret::new(String::from("correct horse"));
        let id = opaque::credential_identifier(&address);
        let setup = ServerSetup::<Suite>::new(&mut entropy);
        let (pending, request) = begin_registration(&right, &mut entropy).unwrap();
        let request = RegistrationRequest::deserialize(&request).unwrap();
        let answer = ServerRegistration::start(&setup, request, &id).unwrap().message.serialize();
        let (upload, registered) =
            pending.finish(&answer, &address, &Stretch::cheap(), &mut entropy).unwrap();
        let record = ServerRegistration::finish(RegistrationUpload::<Suite>::deserialize(&upload).unwrap());

        for (password, succeeds) in [("correct horse", true), ("battery staple", false)] {
            let password = Secret::new(String::from(password));
            let (pending, ke1) = begin_login(&password, &mut entropy).unwrap();
            let ke1 = CredentialRequest::deserialize(&ke1).unwrap();
            let context = opaque::context(address.domain());
            let parties = Parties::of(&address);
            let params =
                || ServerLoginParameters { context: Some(&context), identifiers: parties.identifiers() };
            let start =
                ServerLogin::start(&mut entropy, &setup, Some(record.clone()), ke1, &id, params()).unwrap();
            let ended = pending.finish(&start.message.serialize(), &address, &Stretch::cheap(), &mut entropy);
            match ended {
                Ok((ke3, export)) => {
                    assert!(succeeds);
                    assert_eq!(export.expose(), registered.expose());
                    let ke3 = CredentialFinalization::deserialize(&ke3).unwrap();
                    assert!(start.state.finish(ke3, params()).is_ok());
                }
                Err(error) => assert!(!succeeds && matches!(error, ClientError::WrongPassword), "{error}"),
            }
        }
    }
}
