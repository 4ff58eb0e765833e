//! The client listener: one connection, one stream, one `Homeserver`, until the client leaves or has to.

use std::{
    net::{IpAddr, Ipv6Addr},
    rc::Rc,
    time::Duration,
};

use capnp_rpc::new_client;
use qpq_core::limits;
use qpq_schemas::client_capnp::homeserver;
use qpq_service::{SourceNetwork, UseCases};
use qpq_transport::{CloseCode, Connection, Handler, Rpc, RpcFault, RpcLimits, StreamError, WorkerContext};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{homeserver::HomeserverServer, link::Link};

/// After the last reply the client may take so long to read it and hang up by itself.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serves clients' connections; made once on each worker (`Workers::serve`).
#[derive(Debug)]
pub struct ClientListener {
    cases: UseCases,
    limits: RpcLimits,
    announced: CancellationToken,
}

impl ClientListener {
    /// Serves these use cases within these limits ([`RpcLimits::client`]).
    pub fn new(cases: UseCases, limits: RpcLimits) -> Self {
        Self { cases, limits, announced: CancellationToken::new() }
    }

    /// Says `draining` in `info` from when this fires, which may be a while before the listener drains.
    #[must_use]
    pub fn announcing(self, announced: CancellationToken) -> Self {
        Self { announced, ..self }
    }

    async fn converse(&self, connection: &Connection, context: &WorkerContext) -> (CloseCode, String) {
        let source = network(connection.remote_address().ip());
        if context.stopping().is_cancelled() {
            return draining();
        }
        let link = Link::new(self.cases.clone(), source, self.announced.clone(), context.clone());
        // Whatever ends the conversation, also a cancelled task, ends its subscriptions.
        let _ended = link.ended.clone().drop_guard();
        let (reader, writer) = tokio::select! {
            stream = connection.accept_stream(limits::LOGIN_DEADLINE.to_duration()) => match stream {
                Ok(stream) => stream,
                Err(error @ StreamError::Deadline { .. }) => return (CloseCode::Deadline, error.to_string()),
                Err(error @ StreamError::Lost { .. }) => return (CloseCode::Done, error.to_string()),
            },
            () = context.stopping().cancelled() => return draining(),
        };
        let bootstrap: homeserver::Client = new_client(HomeserverServer::new(Rc::clone(&link)));
        let rpc = Rpc::answering(reader, writer, bootstrap.client, self.limits);
        let disconnector = rpc.disconnector();
        let leave = async {
            link.calls.drained().await;
            disconnector.await.ok();
            // Closing at once would take back what is still on its way.
            timeout(LAST_WORDS, connection.closed()).await.ok();
        };
        tokio::select! {
            ended = rpc.run() => match ended {
                // After a disconnect from our side the client's part is to read what came before it.
                Ok(()) if context.stopping().is_cancelled() => {
                    timeout(LAST_WORDS, connection.closed()).await.ok();
                    draining()
                }
                Ok(()) => (CloseCode::Done, String::new()),
                Err(fault @ RpcFault::Stalled { .. }) => (CloseCode::Deadline, fault.to_string()),
                Err(fault) => (CloseCode::BadFrame, fault.to_string()),
            },
            ended = link.abandoned() => ended,
            () = leave => draining(),
        }
    }
}

impl Handler for ClientListener {
    async fn serve(self: Rc<Self>, connection: Connection, context: WorkerContext) {
        let (code, reason) = self.converse(&connection, &context).await;
        debug!(?code, reason, "a client's connection ended");
        connection.close(code, &reason);
    }
}

fn draining() -> (CloseCode, String) {
    (CloseCode::Draining, "the homeserver is stopping: reconnect in a moment".to_owned())
}

/// An IPv4 address counts alone; of IPv6, one caller easily has a whole /64.
fn network(address: IpAddr) -> SourceNetwork {
    match address.to_canonical() {
        IpAddr::V4(v4) => SourceNetwork::new(&v4.to_string()),
        IpAddr::V6(v6) => {
            let prefix = Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX));
            SourceNetwork::new(&format!("{prefix}/64"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_count_together() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::7"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::7"), of("2001:db8:1:3::7"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
    }
}
