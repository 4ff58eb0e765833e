//! A UDP socket with its QUIC endpoint: listening, dialling, and the transport limits of both.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, PoisonError},
    time::Duration,
};

use qpq_core::{Domain, Pin};
use quinn::{
    ClientConfig, ConnectError, ConnectionError, EndpointConfig, IdleTimeout, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use socket2::{Protocol, Socket, Type};
use tracing::warn;

use crate::{
    connection::{CloseCode, Connection, reason},
    tls::{DialTls, ListenerTls, TlsError},
    verify::{Seen, Verdict},
};

/// What we ask the kernel for, per direction; with less, bursts are dropped before we see them.
const SOCKET_BUFFER_BYTES: usize = 2 * 1024 * 1024;
/// A connection without a sign of life ends after this.
const IDLE_MILLIS: u32 = 75_000;
/// The dialling side speaks at least this often, so that neither end nor a NAT between them forgets.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Handshakes that wait for a worker; beyond it, newcomers are dropped by the endpoint itself.
const PENDING_HANDSHAKES: usize = 1_024;

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address can't be used.
    #[error("could not listen on {address} (UDP)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Called outside a tokio runtime.
    #[error("an endpoint needs a running tokio runtime")]
    NoRuntime,
}

/// Why a dial led to no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The other side is not who it should be.
    #[error("{}", untrusted(*.verdict, .presented.as_ref()))]
    Untrusted {
        /// The judgement.
        verdict: Verdict,
        /// The authority that it showed.
        presented: Option<Pin>,
        /// The domains of the certificate that it showed, where they can be read.
        showed: Vec<Domain>,
    },
    /// It answered, and speaks another protocol (ALPN).
    #[error("something else listens there: it doesn't speak our protocol (ALPN)")]
    OtherProtocol,
    /// It answered, and doesn't want us.
    #[error("the other side refused the connection: {reason}")]
    Refused {
        /// Its reason, in words.
        reason: String,
    },
    /// No answer in time.
    #[error("no answer from {address}")]
    NoAnswer {
        /// Whom we asked.
        address: SocketAddr,
    },
    /// The dial could not even begin.
    #[error("could not dial {address}")]
    Start {
        /// Whom we wanted to ask.
        address: SocketAddr,
        /// Why not.
        source: ConnectError,
    },
    /// Our own TLS settings don't work.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

fn untrusted(verdict: Verdict, presented: Option<&Pin>) -> String {
    match (verdict, presented) {
        (Verdict::Unpinned, Some(pin)) => {
            format!(
                "the other side's certificate is signed by an authority with pin {pin}, not by the expected one"
            )
        }
        (Verdict::Unpinned, None) => {
            "the other side's certificate is not signed by a given authority".to_owned()
        }
        (Verdict::Expired, _) => "the other side's certificate has expired".to_owned(),
        (Verdict::NotYetValid, _) => {
            "the other side's certificate is not valid yet: is a clock wrong?".to_owned()
        }
        (Verdict::WrongDomain, _) => "the other side's certificate is for another domain".to_owned(),
        (Verdict::Malformed | Verdict::Trusted, _) => "the other side's certificates are unusable".to_owned(),
    }
}

/// How much one connection may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Between a client and its homeserver: little, because there are thousands.
    Client,
    /// Between two domains: few links that carry everybody's traffic.
    Peer,
}

/// UDP segmentation offload (GSO): worth a factor of two, but some network cards get it wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offload {
    /// Use it where the system has it.
    #[default]
    On,
    /// One system call per packet.
    Off,
}

/// What packets travel on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    System(Offload),
    Own,
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Listening,
    Dialling,
}

/// A network that the caller brings instead of the system's: for whole networks in one thread, on a clock of their own.
#[derive(Debug, Clone)]
pub struct OwnNetwork {
    /// The socket.
    pub socket: Arc<dyn quinn::AsyncUdpSocket>,
    /// Timers and tasks.
    pub runtime: Arc<dyn quinn::Runtime>,
    /// What the endpoint draws comes from this seed.
    pub seed: [u8; 32],
}

impl Profile {
    fn transport(self, path: Path, role: Role) -> Arc<TransportConfig> {
        const KIB: u32 = 1_024;
        let (bidi, uni, stream_window, window) = match self {
            Self::Client => (16, 8, 1_024 * KIB, 2_048 * KIB),
            Self::Peer => (64, 16, 4_096 * KIB, 8_192 * KIB),
        };
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(bidi))
            .max_concurrent_uni_streams(VarInt::from_u32(uni))
            .stream_receive_window(VarInt::from_u32(stream_window))
            .receive_window(VarInt::from_u32(window))
            .send_window(u64::from(window))
            .datagram_receive_buffer_size(None)
            .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MILLIS))))
            .enable_segmentation_offload(path == Path::System(Offload::On));
        if path == Path::Own {
            // Packets of one size, whatever the network: the same run twice is the same run.
            transport.mtu_discovery_config(None);
        }
        if matches!(role, Role::Dialling) {
            transport.keep_alive_interval(Some(KEEP_ALIVE));
        }
        Arc::new(transport)
    }
}

/// One UDP socket speaking QUIC. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Endpoint {
    quinn: quinn::Endpoint,
    local: SocketAddr,
    path: Path,
    buffers: usize,
}

impl Endpoint {
    /// Listens, and can dial from the same port as well. Needs a tokio runtime, which then drives the socket.
    pub fn listen(
        bind: SocketAddr,
        tls: &ListenerTls,
        profile: Profile,
        offload: Offload,
    ) -> Result<Self, EndpointError> {
        Self::open(bind, Some(listening(tls, profile, Path::System(offload))), offload)
    }

    /// Listens and dials on a network that the caller brings.
    pub fn on(network: OwnNetwork, tls: &ListenerTls, profile: Profile) -> io::Result<Self> {
        let OwnNetwork { socket, runtime, seed } = network;
        let mut config = EndpointConfig::default();
        config.rng_seed(Some(seed));
        let local = socket.local_addr()?;
        let listening = Some(listening(tls, profile, Path::Own));
        let quinn = quinn::Endpoint::new_with_abstract_socket(config, listening, socket, runtime)?;
        Ok(Self { quinn, local, path: Path::Own, buffers: 0 })
    }

    /// Only dials; bind to port 0 of an unspecified address unless the network wants otherwise.
    pub fn dialler(bind: SocketAddr, offload: Offload) -> Result<Self, EndpointError> {
        Self::open(bind, None, offload)
    }

    fn open(bind: SocketAddr, config: Option<ServerConfig>, offload: Offload) -> Result<Self, EndpointError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(EndpointError::NoRuntime);
        }
        let opened = socket(bind).and_then(|(socket, buffers)| {
            let quinn =
                quinn::Endpoint::new(EndpointConfig::default(), config, socket, Arc::new(TokioRuntime))?;
            let local = quinn.local_addr()?;
            Ok(Self { quinn, local, path: Path::System(offload), buffers })
        });
        opened.map_err(|source| EndpointError::Bind { address: bind, source })
    }

    /// The address of the socket, its port chosen by the system if 0 was asked for.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// How large the buffers are that the kernel grants, in each direction, in bytes.
    pub const fn buffer_bytes(&self) -> usize {
        self.buffers
    }

    /// Dials. The connection's packets are handled on the runtime (and worker thread) that calls this.
    ///
    /// With TLS 1.3 success says nothing about what the other side thinks of *our* certificate: a link is up only
    /// after its first answer.
    pub async fn dial(
        &self,
        to: SocketAddr,
        tls: &DialTls,
        profile: Profile,
        deadline: Duration,
    ) -> Result<Connection, DialError> {
        let (crypto, sight) = tls.config()?;
        let mut config = ClientConfig::new(crypto);
        config.transport_config(profile.transport(self.path, Role::Dialling));
        let connecting = self
            .quinn
            .connect_with(config, to, tls.domain().as_str())
            .map_err(|source| DialError::Start { address: to, source })?;
        match tokio::time::timeout(deadline, connecting).await {
            Ok(Ok(connection)) => Ok(Connection::new(connection)),
            Ok(Err(ConnectionError::TimedOut)) | Err(_) => Err(DialError::NoAnswer { address: to }),
            Ok(Err(error)) => Err(match sight.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(Seen { verdict, presented, showed }) if verdict != Verdict::Trusted => {
                    DialError::Untrusted { verdict, presented, showed }
                }
                _ if is_another_protocol(&error) => DialError::OtherProtocol,
                _ => DialError::Refused { reason: reason(&error) },
            }),
        }
    }

    /// The next newcomer; `None` once the endpoint is closed.
    pub(crate) async fn accept(&self) -> Option<quinn::Incoming> {
        self.quinn.accept().await
    }

    /// Closes all connections with a reason and waits, up to a deadline, until the other sides could hear it.
    pub async fn close(&self, code: CloseCode, reason: &str, deadline: Duration) {
        self.quinn.close(code.into(), reason.as_bytes());
        if tokio::time::timeout(deadline, self.quinn.wait_idle()).await.is_err() {
            warn!(local = %self.local, "some connections did not confirm that they were closed");
        }
    }
}

fn listening(tls: &ListenerTls, profile: Profile, path: Path) -> ServerConfig {
    let mut config = ServerConfig::with_crypto(Arc::<crate::tls::ListenerCrypto>::clone(&tls.0));
    config.transport_config(profile.transport(path, Role::Listening));
    config.max_incoming(PENDING_HANDSHAKES);
    config
}

/// TLS alert 120, `no_application_protocol`, from either side.
fn is_another_protocol(error: &ConnectionError) -> bool {
    const NO_APPLICATION_PROTOCOL: u64 = 0x100 + 120;
    let code = match error {
        ConnectionError::TransportError(error) => u64::from(error.code),
        ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
        _ => return false,
    };
    code == NO_APPLICATION_PROTOCOL
}

/// The socket, and how large the buffers are that it was granted.
fn socket(bind: SocketAddr) -> io::Result<(UdpSocket, usize)> {
    let socket = Socket::new(socket2::Domain::for_address(bind), Type::DGRAM, Some(Protocol::UDP))?;
    if bind.is_ipv6() && bind.ip().is_unspecified() {
        // `[::]` means every address, the IPv4 ones included, whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    // The kernel gives what it may and says so only when asked.
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    let given = socket.recv_buffer_size()?.min(socket.send_buffer_size()?);
    // Linux reports twice what it grants, to count its own bookkeeping (socket(7)).
    let granted = if cfg!(target_os = "linux") { given / 2 } else { given };
    if granted < SOCKET_BUFFER_BYTES {
        warn!(
            wanted_bytes = SOCKET_BUFFER_BYTES,
            granted_bytes = granted,
            "the kernel grants smaller UDP buffers than wanted; raise net.core.rmem_max and net.core.wmem_max"
        );
    }
    socket.bind(&bind.into())?;
    Ok((socket.into(), granted))
}
