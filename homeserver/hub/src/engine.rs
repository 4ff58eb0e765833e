//! The crypto provider that everything here runs on, and which suites it is used with.

use std::{fmt, sync::Arc};

use openmls::prelude::Ciphersuite;
use openmls_libcrux_crypto::CryptoProvider;
use qpq_core::mls::{SUITE_CLASSICAL, SUITE_POST_QUANTUM};

/// The machine gave the crypto provider no randomness to start from.
#[derive(Debug, thiserror::Error)]
#[error("the MLS crypto provider could not start")]
pub struct EngineError;

/// libcrux, which has X-Wing. Cheap to clone; used from any thread.
#[derive(Clone)]
pub struct Engine(Arc<CryptoProvider>);

impl Engine {
    /// Starts the provider.
    pub fn new() -> Result<Self, EngineError> {
        CryptoProvider::new().map(|crypto| Self(Arc::new(crypto))).map_err(|_| EngineError)
    }

    pub(crate) fn crypto(&self) -> &CryptoProvider {
        &self.0
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine(libcrux)")
    }
}

/// The number of a suite that we accept; `None` for any other.
pub(crate) fn known_suite(suite: Ciphersuite) -> Option<u16> {
    let number = u16::from(suite);
    [SUITE_POST_QUANTUM, SUITE_CLASSICAL].contains(&number).then_some(number)
}
