//! The calls on a link about key-transparency logs, from values to values.

use std::time::Duration;

use qpq_core::Digest;
use qpq_transparency_tree::{
    KeyName, SignedCheckpoint, VerifierKey, entry::ENTRY_BYTES, witness::AddCheckpoint,
};
use qpq_transparency_wire::{
    CosignAnswer, LOG_ENTRIES, WireError, read_checkpoint, read_cosigned, read_entries, read_proof,
};

use crate::{
    calls::{Called, refused},
    link::{CallError, LinkHandle},
    wire,
};

impl LinkHandle {
    /// Asks it to cosign a checkpoint of our log.
    pub(crate) async fn add_checkpoint(
        &self,
        deadline: Duration,
        log: VerifierKey,
        offer: AddCheckpoint,
    ) -> Called<CosignAnswer> {
        self.call("addCheckpoint", deadline, move |link, carried| async move {
            let mut request = link.add_checkpoint_request();
            let mut params = request.get();
            params.set_log_key(log.to_string());
            params.set_request(offer.to_string().as_bytes());
            wire::write_call(carried, params.init_call());
            let response = request.send().promise.await?;
            let results = response.get()?;
            refused(results.has_failure(), || results.get_failure())?;
            read_cosigned(results.get_answer()?).map_err(|error| nonsense(&error))
        })
        .await
    }

    /// The last checkpoint of a log that it cosigned.
    pub(crate) async fn witnessed(
        &self,
        deadline: Duration,
        origin: KeyName,
    ) -> Called<Option<SignedCheckpoint>> {
        self.call("witnessedCheckpoint", deadline, move |link, carried| async move {
            let mut request = link.witnessed_checkpoint_request();
            let mut params = request.get();
            params.set_origin(origin.to_string());
            wire::write_call(carried, params.init_call());
            let response = request.send().promise.await?;
            let results = response.get()?;
            refused(results.has_failure(), || results.get_failure())?;
            read_checkpoint(results.get_note()).map_err(|error| nonsense(&error))
        })
        .await
    }

    /// Entries of a log that it has, from a place on.
    pub(crate) async fn log_entries(
        &self,
        deadline: Duration,
        origin: KeyName,
        first: u64,
    ) -> Called<Vec<[u8; ENTRY_BYTES]>> {
        self.call("logEntries", deadline, move |link, carried| async move {
            let mut request = link.log_entries_request();
            let mut params = request.get();
            params.set_origin(origin.to_string());
            params.set_first(first);
            params.set_count(u16::try_from(LOG_ENTRIES).unwrap_or(u16::MAX));
            wire::write_call(carried, params.init_call());
            let response = request.send().promise.await?;
            let results = response.get()?;
            refused(results.has_failure(), || results.get_failure())?;
            read_entries(results.get_entries()).map_err(|error| nonsense(&error))
        })
        .await
    }

    /// That its log at one size continues it at another.
    pub(crate) async fn log_consistency(
        &self,
        deadline: Duration,
        (old, new): (u64, u64),
    ) -> Called<Vec<Digest>> {
        self.call("logConsistency", deadline, move |link, carried| async move {
            let mut request = link.log_consistency_request();
            let mut params = request.get();
            params.set_old(old);
            params.set_new(new);
            wire::write_call(carried, params.init_call());
            let response = request.send().promise.await?;
            let results = response.get()?;
            refused(results.has_failure(), || results.get_failure())?;
            read_proof(results.get_proof()).map_err(|error| nonsense(&error))
        })
        .await
    }
}

fn nonsense(error: &WireError) -> CallError {
    CallError::Nonsense(error.to_string())
}
