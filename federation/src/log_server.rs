//! What a trusted peer may ask about key-transparency logs: as the log that we witness, or as the witness of ours.

use qpq_core::limits;
use qpq_schemas::federation_capnp::link;
use qpq_service::{
    Refusal,
    wire::{unreadable, write_failure},
};
use qpq_transparency_tree::witness::REQUEST_BYTES;
use qpq_transparency_wire::{WireError, proof_bytes, read_key, read_origin, write_cosigned};
use tracing::{field, info_span};

use crate::{link_server::LinkServer, wire};

impl LinkServer {
    pub(crate) async fn cosign(
        &self,
        params: link::AddCheckpointParams,
        mut results: link::AddCheckpointResults,
    ) -> capnp::Result<()> {
        let served = self.enter("addCheckpoint")?;
        let params = params.get()?;
        let answer = async {
            self.still_allowed().await?;
            let log = read_key(params.get_log_key()).map_err(|error| malformed(&error))?;
            let request = params.get_request().map_err(unreadable)?;
            if request.len() > REQUEST_BYTES {
                return Err(Refusal::malformed(format!("`request` has more than {REQUEST_BYTES} bytes")));
            }
            self.core.witness.add_checkpoint(&self.peer, &log, request).await
        };
        let span = info_span!("fed.link.cosign", request = field::Empty, peer.domain = field::Empty);
        let carried = wire::read_call(params.get_call());
        let answer = self.answer(span, carried, limits::INTERACTIVE, Box::pin(answer)).await;
        served.answered(&answer);
        match answer {
            Ok(said) => write_cosigned(&said, results.get().init_answer()),
            Err(refusal) => write_failure(&refusal, results.get().init_failure()),
        }
        Ok(())
    }

    pub(crate) async fn witnessed(
        &self,
        params: link::WitnessedCheckpointParams,
        mut results: link::WitnessedCheckpointResults,
    ) -> capnp::Result<()> {
        let served = self.enter("witnessedCheckpoint")?;
        let params = params.get()?;
        let answer = async {
            self.still_allowed().await?;
            let origin = read_origin(params.get_origin()).map_err(|error| malformed(&error))?;
            self.core.witness.witnessed(&origin).await
        };
        let span = info_span!("fed.link.witnessed", request = field::Empty, peer.domain = field::Empty);
        let carried = wire::read_call(params.get_call());
        let answer = self.answer(span, carried, limits::INTERACTIVE, answer).await;
        served.answered(&answer);
        match answer {
            Ok(note) => results.get().set_note(note.unwrap_or_default()),
            Err(refusal) => write_failure(&refusal, results.get().init_failure()),
        }
        Ok(())
    }

    pub(crate) async fn entries(
        &self,
        params: link::LogEntriesParams,
        mut results: link::LogEntriesResults,
    ) -> capnp::Result<()> {
        let served = self.enter("logEntries")?;
        let params = params.get()?;
        let answer = async {
            self.still_allowed().await?;
            let origin = read_origin(params.get_origin()).map_err(|error| malformed(&error))?;
            let count = usize::from(params.get_count());
            self.core.witness.entries(&origin, params.get_first(), count).await
        };
        let span = info_span!("fed.link.entries", request = field::Empty, peer.domain = field::Empty);
        let carried = wire::read_call(params.get_call());
        let answer = self.slot.turn.read(answer);
        let answer = self.answer(span, carried, limits::INTERACTIVE, answer).await;
        served.answered(&answer);
        match answer {
            Ok(entries) => results.get().set_entries(entries.as_flattened()),
            Err(refusal) => write_failure(&refusal, results.get().init_failure()),
        }
        Ok(())
    }

    pub(crate) async fn consistency(
        &self,
        params: link::LogConsistencyParams,
        mut results: link::LogConsistencyResults,
    ) -> capnp::Result<()> {
        let served = self.enter("logConsistency")?;
        let params = params.get()?;
        let answer = async {
            self.still_allowed().await?;
            self.core.witness.consistency(params.get_old(), params.get_new()).await
        };
        let span = info_span!("fed.link.consistency", request = field::Empty, peer.domain = field::Empty);
        let carried = wire::read_call(params.get_call());
        let answer = self.slot.turn.read(answer);
        let answer = self.answer(span, carried, limits::INTERACTIVE, answer).await;
        served.answered(&answer);
        match answer {
            Ok(proof) => results.get().set_proof(&proof_bytes(&proof)),
            Err(refusal) => write_failure(&refusal, results.get().init_failure()),
        }
        Ok(())
    }
}

fn malformed(error: &WireError) -> Refusal {
    Refusal::malformed(error.to_string())
}
