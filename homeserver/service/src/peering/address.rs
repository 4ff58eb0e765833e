//! Where a peer is dialled: an admin's word, or none, and then DNS is asked.

use async_trait::async_trait;
use qpq_core::Domain;
use qpq_federation_proto::FederationAddress;
use qpq_storage::{Stored, WriteTx};
use serde::Serialize;

use super::{Peering, unknown};
use crate::{Answered, Caller, WriteJob, audit::Audited};

/// A peer and where it is dialled from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Its name.
    pub domain: Domain,
    /// Its address; `None`: what DNS says.
    pub address: Option<String>,
}

impl Peering {
    /// Gives a peer's record an address, or takes it away so that DNS is asked. A link that is up stays; the next dial
    /// goes there, at once if the peer could not be reached.
    pub async fn set_address(
        &self,
        domain: &Domain,
        address: Option<&FederationAddress>,
        caller: &Caller,
    ) -> Answered<Moved> {
        let moved = Moved { domain: domain.clone(), address: address.map(ToString::to_string) };
        let said = moved.address.clone().unwrap_or_else(|| "by DNS".to_owned());
        let entry = caller.entry(&self.ground, "peer.address", domain.to_string(), said);
        let job = Move(moved.clone());
        let known = self.ground.write(Audited { job, entry, changed: |known| *known }).await?;
        if !known {
            return Err(unknown(domain));
        }
        self.ground.peers().peers_changed();
        Ok(moved)
    }
}

struct Move(Moved);

#[async_trait]
impl WriteJob for Move {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        let Some(mut peer) = tx.peer(&self.0.domain).await? else { return Ok(false) };
        peer.address.clone_from(&self.0.address);
        tx.peer_store(&peer).await.map(|()| true)
    }
}
