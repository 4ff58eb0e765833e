//! The account's own keys in the log: what is there, and the next version.

use qpq_core::{DeviceCertificate, Timestamp};
use qpq_transparency_tree::value::SignedValue;
use qpq_transparency_wire::{LogPlace, LoggedVersion, read_place, read_version};

use super::{Session, length};
use crate::{
    ClientError,
    link::CALL,
    wire::{self, refused},
};

/// A page of what the log has of the account; not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldHistory {
    /// Where the next version will stand.
    pub place: LogPlace,
    /// The versions, ascending.
    pub versions: Vec<LoggedVersion>,
    /// Whether there are more.
    pub more: bool,
}

impl Session {
    /// What the log has of the account, from a version on.
    pub async fn history(&self, after: u64) -> Result<ToldHistory, ClientError> {
        let mut request = self.account.history_request();
        request.get().set_after(after);
        let response = self.link.answer(CALL, "account.history", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        let versions = results.get_versions()?.iter().map(read_version).collect::<Result<_, _>>();
        Ok(ToldHistory {
            place: read_place(results.get_place()?).map_err(ClientError::protocol)?,
            versions: versions.map_err(ClientError::protocol)?,
            more: results.get_more(),
        })
    }

    /// Logs the next version of the account's keys.
    pub async fn bind(&self, binding: &SignedValue) -> Result<LogPlace, ClientError> {
        let mut request = self.account.bind_request();
        request.get().set_binding(&binding.to_bytes());
        let response = self.link.answer(CALL, "account.bind", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        read_place(results.get_place()?).map_err(ClientError::protocol)
    }

    /// Gives the account another identity key.
    pub async fn rekey(
        &self,
        binding: &SignedValue,
        sealed: &[u8],
        certificates: &[DeviceCertificate],
    ) -> Result<LogPlace, ClientError> {
        let mut request = self.account.rekey_request();
        let mut params = request.get();
        params.set_binding(&binding.to_bytes());
        params.set_sealed_identity(sealed);
        let mut list = params.init_certificates(length(certificates.len())?);
        for (n, certificate) in (0..).zip(certificates) {
            wire::write_certificate(list.reborrow().get(n), certificate);
        }
        let response = self.link.answer(CALL, "account.rekey", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        read_place(results.get_place()?).map_err(ClientError::protocol)
    }

    /// Announces a reset; says from when on it may be made.
    pub async fn announce_reset(&self) -> Result<Timestamp, ClientError> {
        let request = self.account.announce_reset_request();
        let response = self.link.answer(CALL, "account.announceReset", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        Ok(Timestamp::from_millis(results.get_earliest()))
    }
}
