//! One connection to a homeserver: QUIC with X25519MLKEM768 only, and Cap'n Proto RPC on one stream.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use qpq_core::{Clock, Domain};
use qpq_schemas::client_capnp::homeserver;
use qpq_transport::{
    CloseCode, Connection, DialError, DialTls, Endpoint, Offload, Profile, Rpc, RpcLimits, Verdict,
};

use crate::{
    ClientError,
    server::{Server, Trust},
    wire::{self, DomainInfo},
};

/// How long a name lookup may take.
const LOOKUP: Duration = Duration::from_secs(5);
/// How long a handshake may take, for each address that is tried.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a call that needs nobody but the own homeserver may take.
pub(crate) const CALL: Duration = Duration::from_secs(15);
/// How long a call may take in which the own homeserver asks another domain (it gives up after 8 s itself).
pub(crate) const FAR_CALL: Duration = Duration::from_secs(20);
/// A call without an answer for so long raises the question whether anybody is there.
const SLOW: Duration = Duration::from_secs(3);
/// How long the homeserver may take to show that it is there.
const PULSE: Duration = Duration::from_secs(3);
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A live connection; its bootstrap capability is all that an unauthenticated client may use.
///
/// Must be made and kept on a [`tokio::task::LocalSet`].
#[derive(Debug)]
pub struct Link {
    endpoint: Endpoint,
    connection: Connection,
    driver: tokio::task::JoinHandle<()>,
    homeserver: Bootstrap,
}

/// The bootstrap capability; generated types have no `Debug`.
struct Bootstrap(homeserver::Client);

impl std::fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Homeserver")
    }
}

impl Link {
    /// Dials a homeserver that serves `domain`; each address of its name is tried in turn.
    pub async fn dial(server: &Server, domain: &Domain, clock: &Arc<dyn Clock>) -> Result<Self, ClientError> {
        let tls = DialTls::client(domain, &server.anchors()?, Arc::clone(clock));
        let mut last = ClientError::Unreachable {
            server: server.address.to_string(),
            reason: String::from("its name has no address"),
        };
        for address in lookup(server).await? {
            match connect(address, &tls).await {
                Ok((endpoint, connection)) => return Self::start(endpoint, connection).await,
                Err(error) => last = in_words(error, server),
            }
        }
        Err(last)
    }

    async fn start(endpoint: Endpoint, connection: Connection) -> Result<Self, ClientError> {
        let (reader, writer) = connection
            .open_stream()
            .await
            .map_err(|error| ClientError::Disconnected { reason: error.to_string() })?;
        let mut rpc = Rpc::calling(reader, writer, None, RpcLimits::client());
        let homeserver = Bootstrap(rpc.other_side());
        let ended = connection.clone();
        let driver = tokio::task::spawn_local(async move {
            match rpc.run().await {
                Ok(()) => ended.close(CloseCode::Done, "the conversation ended"),
                Err(fault) => ended.close(CloseCode::BadFrame, &fault.to_string()),
            }
        });
        Ok(Self { endpoint, connection, driver, homeserver })
    }

    /// What the homeserver says about itself.
    pub async fn info(&self) -> Result<DomainInfo, ClientError> {
        let call = self.homeserver().info_request().send().promise;
        let response = within(CALL, "info", call).await?;
        wire::read_info(response.get()?.get_info()?)
    }

    /// Ends the connection unless the homeserver shows that it is there. One that was killed says no goodbye, and
    /// QUIC alone would wait for a minute.
    pub(crate) async fn feel_pulse(&self) -> Result<(), ClientError> {
        match tokio::time::timeout(PULSE, self.homeserver().info_request().send().promise).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                self.connection.close(CloseCode::Deadline, "no answer");
                Err(ClientError::Disconnected {
                    reason: String::from("the homeserver does not answer any more"),
                })
            }
        }
    }

    /// Waits for an answer, with a deadline; if it is slow, with a look whether the homeserver is there at all.
    pub(crate) async fn answer<T>(
        &self,
        deadline: Duration,
        what: &'static str,
        call: impl Future<Output = Result<T, capnp::Error>>,
    ) -> Result<T, ClientError> {
        let mut call = std::pin::pin!(call);
        if let Ok(answer) = tokio::time::timeout(SLOW, &mut call).await {
            return Ok(answer?);
        }
        self.feel_pulse().await?;
        within(deadline.saturating_sub(SLOW), what, call).await
    }

    pub(crate) const fn homeserver(&self) -> &homeserver::Client {
        &self.homeserver.0
    }

    /// The TLS group of this connection, always `X25519MLKEM768`.
    pub fn key_exchange(&self) -> Option<&'static str> {
        self.connection.key_exchange()
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// Waits for the end of the connection and says why.
    pub async fn closed(&self) -> String {
        self.connection.closed().await
    }

    /// Says goodbye, so that the homeserver need not wait for a timeout.
    pub async fn close(self) {
        self.connection.close(CloseCode::Done, "done");
        self.endpoint.close(CloseCode::Done, "done", GOODBYE).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.close(CloseCode::Done, "done");
        self.driver.abort();
    }
}

/// Waits for a call's answer, with a deadline.
pub(crate) async fn within<T>(
    deadline: Duration,
    what: &'static str,
    call: impl Future<Output = Result<T, capnp::Error>>,
) -> Result<T, ClientError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ClientError::Deadline { what }),
    }
}

async fn lookup(server: &Server) -> Result<Vec<SocketAddr>, ClientError> {
    let host = server.address.host().to_owned();
    let found =
        tokio::time::timeout(LOOKUP, tokio::net::lookup_host((host.clone(), server.address.port()))).await;
    match found {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(source)) => Err(ClientError::Resolve { host, source }),
        Err(_) => Err(ClientError::Resolve { host, source: std::io::ErrorKind::TimedOut.into() }),
    }
}

async fn connect(address: SocketAddr, tls: &DialTls) -> Result<(Endpoint, Connection), DialFailure> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let endpoint =
        Endpoint::dialler(any, Offload::On).map_err(|error| DialFailure::Socket(error.to_string()))?;
    let connection =
        endpoint.dial(address, tls, Profile::Client, HANDSHAKE).await.map_err(DialFailure::Dial)?;
    Ok((endpoint, connection))
}

/// Why one address did not work.
enum DialFailure {
    /// No socket.
    Socket(String),
    /// No connection.
    Dial(DialError),
}

fn in_words(failure: DialFailure, server: &Server) -> ClientError {
    let at = server.address.to_string();
    match failure {
        DialFailure::Socket(what) => ClientError::Setup { what },
        DialFailure::Dial(error) => match (&server.trust, error) {
            (Trust::Pin(expected), DialError::Untrusted { verdict: Verdict::Unpinned, presented, .. }) => {
                ClientError::WrongPin { server: at, expected: *expected, presented }
            }
            (_, error @ DialError::Untrusted { .. }) => {
                ClientError::Untrusted { server: at, reason: error.to_string() }
            }
            (_, error) => ClientError::Unreachable { server: at, reason: error.to_string() },
        },
    }
}
