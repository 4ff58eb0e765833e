//! What a peer says, without a network below it, for `tests/fuzz`.

use std::sync::Arc;

use capnp::{message, struct_list};
use capnp_rpc::new_client;
use qpq_core::Domain;
use qpq_federation_proto::Hello;
use qpq_schemas::federation_capnp::{hello, link, stream_answer};
use qpq_service::{Answered, wire::length};
use qpq_transport::{CallGate, Rpc, RpcFault, RpcLimits};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::{Federation, link_server::LinkServer, wire};

/// Converses with whatever `reader` says, as with a trusted peer; `None` if `peer` is none.
pub async fn converse<R, W>(
    federation: &Federation,
    peer: &Domain,
    (reader, writer): (R, W),
) -> Option<Result<(), RpcFault>>
where
    R: AsyncRead + Unpin + 'static,
    W: AsyncWrite + Unpin + 'static,
{
    let core = Arc::clone(&federation.0);
    let slot = core.slot(peer)?;
    let (calls, hang_up) = (CallGate::new(64), CancellationToken::new());
    let server: link::Client = new_client(LinkServer::new(core, peer.clone(), calls, slot, hang_up));
    Some(Rpc::answering(reader, writer, server.client, RpcLimits::peer()).run().await)
}

/// Reads an introduction as from a trusted peer; says whether it was understood. What was is written and read once more.
pub fn hello(reader: hello::Reader<'_>) -> bool {
    let read = |reader: hello::Reader<'_>| -> Answered<Hello> {
        Ok(Hello { trusted: wire::read_claims(reader)?, ..wire::read_hello(reader)? })
    };
    let Ok(hello) = read(reader) else { return false };
    let mut written = message::Builder::new_default();
    wire::write_hello(&hello, written.init_root());
    let again = written.get_root_as_reader().map(read);
    assert_eq!(again.ok(), Some(Ok(hello)), "it reads what it wrote");
    true
}

/// Reads the answers to a relay call; says whether they were understood. What was is written and read once more.
pub fn stream_answers(list: struct_list::Reader<'_, stream_answer::Owned>) -> bool {
    let Ok(answers) = wire::read_answers(list) else { return false };
    let mut written = message::Builder::new_default();
    let list = written.initn_root::<struct_list::Builder<'_, stream_answer::Owned>>(length(answers.len()));
    wire::write_answers(&answers, list);
    let again = written.get_root_as_reader().map(wire::read_answers);
    assert_eq!(again.ok(), Some(Ok(answers)), "it reads what it wrote");
    true
}
