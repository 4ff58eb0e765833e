//! `Contacts`: whom of other domains the account accepts, and who asks.

use qpq_core::{Address, Timestamp};

use super::{Session, length};
use crate::{
    ClientError,
    link::CALL,
    wire::{self, refused},
};

/// Somebody who asks to be accepted.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ContactRequest {
    /// Who.
    pub address: Address,
    /// Since when.
    pub since: Timestamp,
}

impl Session {
    /// Who waits for an answer, the oldest first.
    pub async fn contact_requests(&self) -> Result<Vec<ContactRequest>, ClientError> {
        let request = self.contacts.requests_request();
        let response = self.link.answer(CALL, "contacts.requests", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        let read = |row: qpq_schemas::client_capnp::contact_request::Reader<'_>| {
            Ok(ContactRequest {
                address: wire::parsed(row.get_from()?, "an address")?,
                since: Timestamp::from_millis(row.get_since()),
            })
        };
        results.get_requests()?.iter().map(read).collect()
    }

    /// Accepts users of other domains; returns those who had asked.
    pub async fn contacts_accept(&self, addresses: &[Address]) -> Result<Vec<Address>, ClientError> {
        let mut request = self.contacts.accept_request();
        let mut list = request.get().init_addresses(length(addresses.len())?);
        for (n, address) in (0..).zip(addresses) {
            list.set(n, address.to_string());
        }
        let response = self.link.answer(CALL, "contacts.accept", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        results.get_asked()?.iter().map(|address| wire::parsed(address?, "an address")).collect()
    }

    /// Declines a request, or takes an acceptance back.
    pub async fn contact_decline(&self, address: &Address) -> Result<(), ClientError> {
        let mut request = self.contacts.decline_request();
        request.get().set_address(address.to_string());
        let response = self.link.answer(CALL, "contacts.decline", request.send().promise).await?;
        refused!(response.get()?);
        Ok(())
    }
}
