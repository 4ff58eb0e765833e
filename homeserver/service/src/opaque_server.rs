//! The domain's role in OPAQUE (RFC 9807): its long-lived key material, and random bytes as `opaque-ke` wants them.

use std::fmt;

use opaque_ke::{
    CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload, ServerLogin,
    ServerLoginParameters, ServerRegistration, ServerSetup,
};
use qpq_core::{
    Address, Entropy, ErrorCode,
    opaque::{Parties, Suite, context, credential_identifier},
};
use rand_core::{CryptoRng, RngCore};
use tracing::error;

use crate::{Answered, Ground, Refusal};

/// The domain's OPAQUE keys. Whoever has them and the database can try passwords offline: they are a key file.
#[derive(Clone)]
pub struct OpaqueSetup(ServerSetup<Suite>);

/// The bytes are not an OPAQUE setup of this suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not an OPAQUE setup of this version")]
pub struct OpaqueSetupError;

impl OpaqueSetup {
    /// Makes new key material.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(ServerSetup::new(&mut Random(|bytes: &mut [u8]| entropy.fill(bytes))))
    }

    /// Reads the key file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpaqueSetupError> {
        ServerSetup::deserialize(bytes).map(Self).map_err(|_| OpaqueSetupError)
    }

    /// The key file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.serialize().to_vec()
    }

    /// Answers a `RegistrationRequest` with a `RegistrationResponse`.
    pub(crate) fn registration_response(&self, address: &Address, request: &[u8]) -> Answered<Vec<u8>> {
        let request =
            RegistrationRequest::deserialize(request).map_err(|_| malformed("RegistrationRequest"))?;
        ServerRegistration::start(&self.0, request, &credential_identifier(address))
            .map(|answer| answer.message.serialize().to_vec())
            .map_err(|_| malformed("RegistrationRequest"))
    }

    /// Turns the client's last message into the record that is stored.
    pub(crate) fn record(upload: &[u8]) -> Answered<Vec<u8>> {
        let upload =
            RegistrationUpload::<Suite>::deserialize(upload).map_err(|_| malformed("RegistrationRecord"))?;
        Ok(ServerRegistration::finish(upload).serialize().to_vec())
    }

    /// Answers a KE1 with a KE2; without a record, with one that no password opens and nobody can tell apart.
    pub(crate) fn credential_response(
        &self,
        ground: &Ground,
        address: &Address,
        record: Option<&[u8]>,
        request: &[u8],
    ) -> Answered<(OpaqueLogin, Vec<u8>)> {
        let request = CredentialRequest::deserialize(request).map_err(|_| malformed("KE1"))?;
        let record = match record.map(ServerRegistration::<Suite>::deserialize).transpose() {
            Ok(record) => record,
            Err(cause) => {
                error!(error = &cause as &dyn std::error::Error, "an account's OPAQUE record is damaged");
                return Err(Refusal::new(
                    ErrorCode::Internal,
                    "the account is damaged, its admin must see to it",
                ));
            }
        };
        let login = OpaqueExchange::of(address);
        let answer = ServerLogin::start(
            &mut Random(|bytes: &mut [u8]| ground.draw(|entropy| entropy.fill(bytes))),
            &self.0,
            record,
            request,
            &credential_identifier(address),
            login.parameters(),
        )
        .map_err(|_| malformed("KE1"))?;
        let response = answer.message.serialize().to_vec();
        Ok((OpaqueLogin { state: answer.state, exchange: login }, response))
    }
}

impl fmt::Debug for OpaqueSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueSetup(…)")
    }
}

/// The domain's state between KE2 and KE3.
pub(crate) struct OpaqueLogin {
    state: ServerLogin<Suite>,
    exchange: OpaqueExchange,
}

impl OpaqueLogin {
    /// Whether the KE3 proves the password.
    pub(crate) fn proves(self, finalization: &[u8]) -> bool {
        CredentialFinalization::deserialize(finalization)
            .is_ok_and(|ke3| self.state.finish(ke3, self.exchange.parameters()).is_ok())
    }
}

/// What binds a login to its parties.
struct OpaqueExchange {
    parties: Parties,
    context: Vec<u8>,
}

impl OpaqueExchange {
    fn of(address: &Address) -> Self {
        Self { parties: Parties::of(address), context: context(address.domain()) }
    }

    fn parameters(&self) -> ServerLoginParameters<'_, '_> {
        ServerLoginParameters { context: Some(&self.context), identifiers: self.parties.identifiers() }
    }
}

fn malformed(message: &str) -> Refusal {
    Refusal::malformed(format!("the OPAQUE {message} is malformed"))
}

/// Our entropy behind the traits of `rand_core`.
struct Random<F>(F);

impl<F: FnMut(&mut [u8])> RngCore for Random<F> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        (self.0)(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        (self.0)(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        (self.0)(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        (self.0)(dest);
        Ok(())
    }
}

/// What is behind it is the ground's entropy, chosen by whoever built the ground.
impl<F: FnMut(&mut [u8])> CryptoRng for Random<F> {}
