//! The in-memory provider under one group: libcrux for cryptography, a map for its values.

use std::collections::HashMap;

use openmls_libcrux_crypto::CryptoProvider;
use openmls_memory_storage::MemoryStorage;
use openmls_traits::OpenMlsProvider;

use super::MlsError;

/// OpenMLS' surroundings for one group, or for one KeyPackage.
pub(super) struct Provider {
    crypto: CryptoProvider,
    storage: MemoryStorage,
}

impl Provider {
    pub(super) fn new(values: HashMap<Vec<u8>, Vec<u8>>) -> Result<Self, MlsError> {
        let crypto = crypto()?;
        Ok(Self { crypto, storage: MemoryStorage { values: values.into() } })
    }

    /// Shows the values to `look`.
    pub(super) fn with_values<T>(&self, look: impl FnOnce(&HashMap<Vec<u8>, Vec<u8>>) -> T) -> T {
        // A poisoned lock means that another thread panicked while it held it; the provider has one owner, so the
        // values are whole.
        let values = self.storage.values.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        look(&values)
    }

    /// Takes values out.
    pub(super) fn remove(&self, keys: &[&[u8]]) {
        let mut values = self.storage.values.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for key in keys {
            values.remove(*key);
        }
    }
}

/// The crypto provider alone, for checks.
pub(super) fn crypto() -> Result<CryptoProvider, MlsError> {
    CryptoProvider::new().map_err(MlsError::engine("draw random bytes"))
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = CryptoProvider;
    type RandProvider = CryptoProvider;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        &self.storage
    }

    fn crypto(&self) -> &CryptoProvider {
        &self.crypto
    }

    fn rand(&self) -> &CryptoProvider {
        &self.crypto
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").finish_non_exhaustive()
    }
}
