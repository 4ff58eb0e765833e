//! The listener's side of a link: one stream, and ten seconds for who is not trusted.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use qpq_metrics::Limit;
use qpq_transport::{CloseCode, Connection, Handler, Rpc, RpcFault, RpcLimits, WorkerContext};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    allowance::Complaint,
    core::Core,
    peering_server::{Facts, PeeringServer},
};

/// How long a link may live without trust, and how long its first stream may take.
const STRANGER: Duration = Duration::from_secs(10);

/// Serves what peers dial, on one worker.
#[derive(Debug)]
pub struct PeerHandler {
    core: Arc<Core>,
}

impl PeerHandler {
    pub(crate) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

impl Handler for PeerHandler {
    fn admits(&self, from: SocketAddr) -> bool {
        self.core.doorstep.admits(from.ip(), self.core.ground.now())
    }

    async fn serve(self: Rc<Self>, connection: Connection, context: WorkerContext) {
        let core = Arc::clone(&self.core);
        core.tasks.track_future(answer(Arc::clone(&core), connection, context)).await;
    }
}

async fn answer(core: Arc<Core>, connection: Connection, context: WorkerContext) {
    if core.stopping.is_cancelled() {
        return connection.close(CloseCode::Draining, "stopping");
    }
    let Some(certificate) = connection.peer_certificate() else {
        return connection.close(CloseCode::Untrusted, "no certificate that could be read");
    };
    let domain = certificate.domain().clone();
    let known = core.judge(&certificate, &domain).await.is_ok();
    // Its record may be younger than the list of peers: a link without a place would not be counted.
    let slot = if known { Core::slot_of_record(&core, &domain).await.ok().flatten() } else { None };
    let known = slot.is_some();
    // Kept until the link ends.
    let place = slot.as_ref().and_then(|slot| slot.allowance.link(core.ground.now()));
    if let Some(slot) = &slot
        && place.is_none()
    {
        core.ground.metrics().limit_hit(Limit::PeerCalls);
        slot.allowance.blame(&domain, Complaint::Links, &CancellationToken::new(), core.ground.now());
        core.doorstep.disgrace(connection.remote_address().ip(), core.ground.now());
        return connection.close(CloseCode::Overloaded, "more links than are needed: come back later");
    }
    // One stream carries everything.
    connection.quinn().set_max_concurrent_bi_streams(1_u8.into());
    connection.quinn().set_max_concurrent_uni_streams(0_u8.into());
    let (reader, writer) = match connection.accept_stream(STRANGER).await {
        Ok(stream) => stream,
        Err(error) => return connection.close(CloseCode::Deadline, &error.to_string()),
    };
    let (ground, at) = (Arc::clone(&core.ground), Arc::clone(&core));
    let now = || ground.now();
    let facts = Facts::new(core, connection.clone(), certificate, context);
    let ours = PeeringServer::client(Rc::clone(&facts));
    // Who isn't trusted says little.
    let limits = if known { RpcLimits::peer() } else { RpcLimits::admin() };
    let mut rpc = Rpc::answering(reader, writer, ours.client, limits);
    if known {
        facts.expect(rpc.other_side());
    }
    tokio::select! {
        biased;
        ended = rpc.run() => match ended {
            Ok(()) => connection.close(CloseCode::Done, ""),
            Err(fault) => {
                debug!(%fault, "a link ended with a fault");
                if let Some(slot) = &slot && !matches!(fault, RpcFault::Failed(_)) {
                    slot.allowance.blame(&domain, Complaint::Frames, &CancellationToken::new(), now());
                }
                connection.close(CloseCode::BadFrame, &fault.to_string());
            }
        },
        () = stranger(&facts) => {
            connection.close(CloseCode::Deadline, "a link that is not trusted lasts for 10 s");
        }
        () = facts.offended() => {
            at.doorstep.disgrace(connection.remote_address().ip(), now());
            connection.close(CloseCode::Overloaded, "too much that no honest peer does: come back later");
        }
        () = facts.distrusted() => connection.close(CloseCode::Revoked, "the peering has ended or changed"),
        () = facts.drained() => connection.close(CloseCode::Draining, "stopping"),
    }
    facts.forget();
}

/// Returns when a link's time without trust is over.
async fn stranger(facts: &Facts) {
    sleep(STRANGER).await;
    if facts.is_trusted() {
        std::future::pending::<()>().await;
    }
}
