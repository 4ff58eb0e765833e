//! The contract spoken by hand: for what our own client would never do.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use qpq_core::{Domain, Pin, SystemClock};
use qpq_schemas::{
    client_capnp::{homeserver, session, session_grant},
    common_capnp::failure,
    federation_capnp::peering,
};
use qpq_transport::{
    CloseCode, Connection, DialError, DialTls, Endpoint, Leaf, Offload, Profile, Rpc, RpcLimits, ServerTrust,
};
use tokio::task::JoinHandle;

/// How long a dial or a call may take.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A failure as it came over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The stable number.
    pub code: u16,
    /// For people.
    pub text: String,
    /// When to try again, in milliseconds.
    pub retry_after_ms: u64,
}

/// Reads a failure.
pub fn refused(reader: failure::Reader<'_>) -> anyhow::Result<Refused> {
    Ok(Refused {
        code: reader.get_code(),
        text: reader.get_text()?.to_string()?,
        retry_after_ms: reader.get_retry_after_ms(),
    })
}

/// A connection to a client listener, without a session.
pub struct Wire {
    endpoint: Endpoint,
    connection: Connection,
    driver: JoinHandle<()>,
    homeserver: homeserver::Client,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl Wire {
    /// Dials a homeserver as `qpq` does.
    pub async fn dial(address: &str, domain: &Domain, pin: Pin) -> anyhow::Result<Self> {
        let (endpoint, connection) = connect_client(address, domain, pin).await?;
        let (reader, writer) = connection.open_stream().await?;
        let mut rpc = Rpc::calling(reader, writer, None, RpcLimits::client());
        let homeserver = rpc.other_side();
        let driver = tokio::task::spawn_local(async move {
            if let Err(fault) = rpc.run().await {
                tracing::debug!(%fault, "the conversation ended");
            }
        });
        Ok(Self { endpoint, connection, driver, homeserver })
    }

    /// The bootstrap capability.
    pub const fn homeserver(&self) -> &homeserver::Client {
        &self.homeserver
    }

    /// The connection below.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The 16 bytes of the homeserver's incarnation.
    pub async fn incarnation(&self) -> anyhow::Result<Vec<u8>> {
        let answer = within(self.homeserver.info_request().send().promise).await?;
        Ok(answer.get()?.get_info()?.get_incarnation()?.to_vec())
    }

    /// Uses up a resumption token.
    pub async fn resume(&self, token: &[u8]) -> anyhow::Result<Result<Resumed, Refused>> {
        let mut request = self.homeserver.resume_request();
        request.get().set_token(token);
        let answer = within(request.send().promise).await?;
        let answer = answer.get()?;
        if answer.has_failure() {
            return Ok(Err(refused(answer.get_failure()?)?));
        }
        Ok(Ok(Resumed::read(answer.get_session()?, answer.get_grant()?)?))
    }

    /// Says goodbye.
    pub async fn close(self) {
        self.connection.close(CloseCode::Done, "done");
        self.driver.abort();
        self.endpoint.close(CloseCode::Done, "done", Duration::from_secs(1)).await;
    }
}

/// A session that was resumed by hand.
pub struct Resumed {
    /// Its capabilities.
    pub session: session::Client,
    /// The token of the next one.
    pub token: Vec<u8>,
    /// The session's id.
    pub id: Vec<u8>,
}

impl std::fmt::Debug for Resumed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resumed").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Resumed {
    fn read(session: session::Client, grant: session_grant::Reader<'_>) -> anyhow::Result<Self> {
        Ok(Self { session, token: grant.get_resumption_token()?.to_vec(), id: grant.get_session()?.to_vec() })
    }
}

/// A link to a federation listener.
pub struct FederationLink {
    endpoint: Endpoint,
    connection: Connection,
    driver: JoinHandle<()>,
    peering: peering::Client,
}

impl std::fmt::Debug for FederationLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FederationLink").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl FederationLink {
    /// Dials the federation listener of `domain` and shows `leaf`.
    pub async fn dial(address: &str, domain: &Domain, leaf: &Leaf) -> anyhow::Result<Self> {
        let (endpoint, connection) = connect_peer(address, domain, leaf).await?;
        let (reader, writer) = connection.open_stream().await?;
        let mut rpc = Rpc::calling(reader, writer, None, RpcLimits::peer());
        let peering = rpc.other_side();
        let driver = tokio::task::spawn_local(async move {
            if let Err(fault) = rpc.run().await {
                tracing::debug!(%fault, "the link ended");
            }
        });
        Ok(Self { endpoint, connection, driver, peering })
    }

    /// The bootstrap capability.
    pub const fn peering(&self) -> &peering::Client {
        &self.peering
    }

    /// The connection below.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Says goodbye.
    pub async fn close(self) {
        self.connection.close(CloseCode::Done, "done");
        self.driver.abort();
        self.endpoint.close(CloseCode::Done, "done", Duration::from_secs(1)).await;
    }
}

/// A connection to a client listener on which nothing was said yet.
pub async fn connect_client(
    address: &str,
    domain: &Domain,
    pin: Pin,
) -> anyhow::Result<(Endpoint, Connection)> {
    let endpoint = dialler()?;
    let tls = DialTls::client(domain, &ServerTrust::Pin(pin), Arc::new(SystemClock));
    let to: SocketAddr = address.parse()?;
    let connection = endpoint.dial(to, &tls, Profile::Client, DEADLINE).await.map_err(in_words)?;
    ensure!(connection.protocol().as_deref() == Some(b"capnp"), "another ALPN was agreed on");
    Ok((endpoint, connection))
}

/// A connection to a federation listener on which nothing was said yet.
pub async fn connect_peer(
    address: &str,
    domain: &Domain,
    leaf: &Leaf,
) -> anyhow::Result<(Endpoint, Connection)> {
    let endpoint = dialler()?;
    let tls = DialTls::federation(leaf, domain);
    let to: SocketAddr = address.parse()?;
    let connection = endpoint.dial(to, &tls, Profile::Peer, DEADLINE).await.map_err(in_words)?;
    Ok((endpoint, connection))
}

/// Waits for a call's answer, with a deadline.
pub async fn within<T>(call: impl Future<Output = Result<T, capnp::Error>>) -> anyhow::Result<T> {
    Ok(tokio::time::timeout(DEADLINE, call).await.context("no answer came in time")??)
}

fn dialler() -> anyhow::Result<Endpoint> {
    Ok(Endpoint::dialler("127.0.0.1:0".parse()?, Offload::On)?)
}

fn in_words(error: DialError) -> anyhow::Error {
    anyhow::Error::new(error).context("could not dial")
}
