//! The login protocol's parameters, which client and domain must share: OPAQUE (RFC 9807) with Ristretto255,
//! 3DH over SHA-512 and Argon2id.
//!
//! They live here because the envelope a client makes at registration must open at each later login: a
//! parameter that differs on one side locks everybody out.

use opaque_ke::{
    Identifiers,
    errors::InternalError,
    generic_array::{ArrayLength, GenericArray},
    ksf::Ksf,
};

use crate::{Address, Domain};

/// The label of the context; it carries the version of the protocol.
const CONTEXT: &[u8] = b"qpq/opaque/v1";

/// Argon2id's memory in KiB: 64 MiB.
const MEMORY_KIB: u32 = 64 * 1024;
/// Argon2id's passes over the memory.
const PASSES: u32 = 3;
/// Argon2id's lanes.
const LANES: u32 = 4;

/// The cipher suite. Only the client runs its key stretching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite;

impl opaque_ke::CipherSuite for Suite {
    type OprfCs = opaque_ke::Ristretto255;
    type KeyExchange = opaque_ke::TripleDh<opaque_ke::Ristretto255, sha2::Sha512>;
    type Ksf = Stretch;
}

/// Argon2id (RFC 9106) as the key stretching function; the default is what everybody must use.
#[derive(Clone, Debug)]
pub struct Stretch {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Default for Stretch {
    fn default() -> Self {
        Self { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES }
    }
}

impl Stretch {
    /// Parameters that protect nothing, so that a test can make a hundred accounts. Compiled for tests only.
    #[cfg(any(test, feature = "cheap-stretching"))]
    pub const fn cheap() -> Self {
        Self { memory_kib: 8, passes: 1, lanes: 1 }
    }

    /// Stretches `input` with a salt into a key of 32 bytes: for secrets that never see a domain.
    ///
    /// `None` only if `salt` is shorter than 8 bytes.
    pub fn key(&self, input: &[u8], salt: &[u8]) -> Option<[u8; 32]> {
        let mut key = [0; 32];
        self.hash_into(input, salt, &mut key).ok()?;
        Some(key)
    }

    fn hash_into(&self, input: &[u8], salt: &[u8], output: &mut [u8]) -> Result<(), argon2::Error> {
        let params = argon2::Params::new(self.memory_kib, self.passes, self.lanes, Some(output.len()))?;
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password_into(input, salt, output)
    }
}

impl Ksf for Stretch {
    /// As `@serenity-kit/opaque` and `opaque-ke` do it: the OPRF output is already salted, so the salt is zero.
    fn hash<L: ArrayLength<u8>>(
        &self,
        input: GenericArray<u8, L>,
    ) -> Result<GenericArray<u8, L>, InternalError> {
        let mut output = GenericArray::default();
        self.hash_into(&input, &[0; argon2::RECOMMENDED_SALT_LEN], &mut output)
            .map_err(|_| InternalError::KsfError)?;
        Ok(output)
    }
}

/// The context of every login at `domain` (RFC 9807, section 6.4): `"qpq/opaque/v1" ‖ domain`.
pub fn context(domain: &Domain) -> Vec<u8> {
    [CONTEXT, domain.as_str().as_bytes()].concat()
}

/// Both identities that the envelope binds: the account's address and its domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    client: String,
    server: String,
}

impl Parties {
    /// The parties of a registration or login of `address` at its own domain.
    pub fn of(address: &Address) -> Self {
        Self { client: address.to_string(), server: address.domain().to_string() }
    }

    /// As OPAQUE takes them.
    pub const fn identifiers(&self) -> Identifiers<'_> {
        Identifiers { client: Some(self.client.as_bytes()), server: Some(self.server.as_bytes()) }
    }
}

/// Under which name a domain stores and derives an account's OPAQUE record: the address.
pub fn credential_identifier(address: &Address) -> Vec<u8> {
    address.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use opaque_ke::{
        ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters,
        ServerLogin, ServerLoginParameters, ServerRegistration, ServerSetup,
    };

    use super::*;
    use crate::OsEntropy;

    /// Registers with one password and logs in with another; the two export keys if the login succeeds.
    fn login(registered: &[u8], given: &[u8], at: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut rng = OsEntropy::new().unwrap();
        let address: Address = "alice@alpha.test".parse().unwrap();
        let parties = Parties::of(&address);
        let id = credential_identifier(&address);
        let ksf = Stretch::cheap();
        let setup = ServerSetup::<Suite>::new(&mut rng);

        let start = ClientRegistration::<Suite>::start(&mut rng, registered).unwrap();
        let answer = ServerRegistration::start(&setup, start.message, &id).unwrap();
        let params = ClientRegistrationFinishParameters::new(parties.identifiers(), Some(&ksf));
        let made = start.state.finish(&mut rng, registered, answer.message, params).unwrap();
        let record = ServerRegistration::<Suite>::finish(made.message);

        let start = ClientLogin::<Suite>::start(&mut rng, given).unwrap();
        let server_context = context(&"alpha.test".parse().unwrap());
        let client_context = context(&at.parse().unwrap());
        let params =
            ServerLoginParameters { context: Some(&server_context), identifiers: parties.identifiers() };
        let answer = ServerLogin::start(&mut rng, &setup, Some(record), start.message, &id, params).unwrap();
        let params =
            ClientLoginFinishParameters::new(Some(&client_context), parties.identifiers(), Some(&ksf));
        let end = start.state.finish(&mut rng, given, answer.message, params).ok()?;
        let params =
            ServerLoginParameters { context: Some(&server_context), identifiers: parties.identifiers() };
        answer.state.finish(end.message, params).ok()?;
        Some((made.export_key.to_vec(), end.export_key.to_vec()))
    }

    #[test]
    fn the_right_password_gives_the_same_export_key_again() {
        let (registered, logged_in) = login(b"correct horse", b"correct horse", "alpha.test").unwrap();
        assert_eq!(registered, logged_in);
    }

    #[test]
    fn another_password_or_domain_is_refused() {
        assert_eq!(login(b"correct horse", b"battery staple", "alpha.test"), None);
        assert_eq!(login(b"correct horse", b"correct horse", "beta.test"), None);
    }
}
