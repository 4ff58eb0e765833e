//! Somebody who dials a domain by hand and says what he likes.

use std::net::SocketAddr;

use qpq_core::{Domain, Incarnation, Timestamp};
use qpq_federation_proto::{Batch, BatchDigest, SignedHeader};
use qpq_schemas::federation_capnp::{hello, link, peering};
use qpq_transport::{Connection, DialTls, Endpoint, Leaf, Offload, Profile, Rpc, RpcLimits};
use tokio::task::JoinHandle;

use crate::world::PATIENCE;

/// What a hello was answered.
pub(crate) struct Greeted {
    pub(crate) code: Option<u16>,
    pub(crate) text: String,
    pub(crate) told: bool,
    pub(crate) link: Option<link::Client>,
}

pub(crate) struct Stranger {
    pub(crate) connection: Connection,
    pub(crate) peering: peering::Client,
    rpc: JoinHandle<()>,
}

/// What is claimed in a hello on a trusted link.
pub(crate) struct Claims {
    pub(crate) incarnation: Incarnation,
    pub(crate) yours: Option<Incarnation>,
}

impl Stranger {
    /// Must run in a `LocalSet`.
    pub(crate) async fn dial(leaf: &Leaf, domain: &Domain, to: SocketAddr) -> Self {
        let endpoint = Endpoint::dialler("127.0.0.1:0".parse().unwrap(), Offload::On).unwrap();
        let tls = DialTls::federation(leaf, domain);
        let connection = endpoint.dial(to, &tls, Profile::Peer, PATIENCE).await.unwrap();
        let (reader, writer) = connection.open_stream().await.unwrap();
        let mut rpc = Rpc::calling(reader, writer, None, RpcLimits::peer());
        let peering = rpc.other_side();
        let rpc = tokio::task::spawn_local(async move { drop(rpc.run().await) });
        Self { connection, peering, rpc }
    }

    pub(crate) async fn hello(&self, us: &Domain, claims: Option<Claims>) -> Greeted {
        let mut request = self.peering.hello_request();
        let mut hello: hello::Builder<'_> = request.get().init_hello();
        hello.set_min_version(1);
        hello.set_max_version(1);
        hello.set_domain(us.as_str());
        if let Some(claims) = claims {
            let mut trusted = hello.init_trusted();
            trusted.set_incarnation(&claims.incarnation.to_bytes());
            if let Some(yours) = claims.yours {
                trusted.set_yours(&yours.to_bytes());
            }
            trusted.set_heads_digest(&[0; 32]);
            trusted.set_clock(Timestamp::default().as_millis());
        }
        let response = request.send().promise.await.unwrap();
        let results = response.get().unwrap();
        let failure = results.has_failure().then(|| results.get_failure().unwrap());
        Greeted {
            code: failure.map(qpq_schemas::common_capnp::failure::Reader::get_code),
            text: failure.map(|failure| failure.get_text().unwrap().to_string().unwrap()).unwrap_or_default(),
            told: results.get_hello().unwrap().has_trusted(),
            link: results.get_link().ok(),
        }
    }

    pub(crate) async fn accept_invite(&self, statement: &[u8]) -> u16 {
        let mut request = self.peering.accept_invite_request();
        request.get().set_statement(statement);
        let response = request.send().promise.await.unwrap();
        response.get().unwrap().get_failure().unwrap().get_code()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.rpc.abort();
    }
}

/// Hands over one batch under whatever header; returns the failure's code, or nothing if it was taken.
pub(crate) async fn relay(link: &link::Client, header: &SignedHeader, batch: &Batch) -> Option<u16> {
    let mut request = link.relay_enqueue_request();
    let mut params = request.get();
    let mut builder = params.reborrow().init_header();
    builder.set_origin(header.origin().as_str());
    builder.set_destination(header.destination().as_str());
    builder.set_incarnation(&header.incarnation().to_bytes());
    builder.set_signature(header.signature());
    let mut builder = params.init_batches(1).get(0);
    builder.set_stream(batch.stream().as_bytes());
    builder.set_first(batch.first().0);
    let mut rows = builder.init_rows(u32::try_from(batch.rows().len()).unwrap());
    for (index, row) in (0..).zip(batch.rows()) {
        let mut builder = rows.reborrow().get(index);
        builder.set_id(row.id.as_bytes());
        builder.set_kind(row.kind.number());
        builder.set_payload(&row.payload);
    }
    let response = request.send().promise.await.unwrap();
    let results = response.get().unwrap();
    results.has_failure().then(|| results.get_failure().unwrap().get_code())
}

pub(crate) fn digests(batch: &Batch) -> Vec<BatchDigest> {
    vec![BatchDigest::of(batch)]
}
