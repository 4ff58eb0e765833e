//! A client's conversation without a network below it, for `tests/fuzz`.

use std::rc::Rc;

use capnp_rpc::new_client;
use qpq_schemas::client_capnp::homeserver;
use qpq_service::{SessionHandle, SourceNetwork, UseCases};
use qpq_transport::{Rpc, RpcFault, RpcLimits, WorkerContext};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::{homeserver::HomeserverServer, link::Link, session};

/// Converses with whatever `reader` says, as [`crate::ClientListener`] would, until it ends. With a session, that is what
/// the client begins with; without one, `Homeserver` is.
pub async fn converse<R, W>(
    cases: &UseCases,
    logged_in: Option<SessionHandle>,
    context: &WorkerContext,
    (reader, writer): (R, W),
) -> Result<(), RpcFault>
where
    R: AsyncRead + Unpin + 'static,
    W: AsyncWrite + Unpin + 'static,
{
    let source = SourceNetwork::new("192.0.2.1");
    let link = Link::new(cases.clone(), source, CancellationToken::new(), context.clone());
    let _ended = link.ended.clone().drop_guard();
    let bootstrap = if let Some(handle) = logged_in {
        session::open(&link, handle, Vec::new()).client
    } else {
        let homeserver: homeserver::Client = new_client(HomeserverServer::new(Rc::clone(&link)));
        homeserver.client
    };
    Rpc::answering(reader, writer, bootstrap, RpcLimits::client()).run().await
}
