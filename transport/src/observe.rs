//! Which key-exchange group protects a connection, seen from inside its own handshake.
//!
//! quinn hides the negotiated group, and rustls' provider wants its groups as statics, so a group can't know
//! which connection it works for. But rustls completes a key exchange inside one call of `read_handshake`, on
//! one thread: a wrapped group notes its name in a thread-local, and a wrapped session, which owns that call,
//! takes the note. Nothing is shared between connections.

use std::{any::Any, cell::Cell, fmt, sync::Arc};

use quinn::{
    ConnectError, ConnectionId, Side,
    crypto::{
        ClientConfig, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, ServerConfig, Session,
        UnsupportedVersion, rustls::HandshakeData,
    },
};
use quinn_proto::{TransportError, transport_parameters::TransportParameters};
use rustls::{
    Error, NamedGroup, ProtocolVersion,
    crypto::{
        ActiveKeyExchange, CompletedKeyExchange, SharedSecret, SupportedKxGroup,
        aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768},
    },
    ffdhe_groups::FfdheGroup,
};

thread_local! {
    /// The group whose exchange was completed last on this thread, until the session that caused it takes it.
    static COMPLETED: Cell<Option<NamedGroup>> = const { Cell::new(None) };
}

/// What a finished handshake says; `quinn::Connection::handshake_data` holds one of these.
#[derive(Debug, Clone)]
pub(crate) struct Handshake {
    /// The protocol agreed by ALPN.
    pub(crate) protocol: Option<Vec<u8>>,
    /// The group that the traffic keys come from.
    pub(crate) group: Option<NamedGroup>,
}

/// The groups that we speak, each telling when an exchange completes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Group {
    X25519MlKem768,
    X25519,
    Secp256r1,
}

impl Group {
    /// Post-quantum only: federation links and our own client.
    pub(crate) fn post_quantum() -> Vec<&'static dyn SupportedKxGroup> {
        vec![&Self::X25519MlKem768]
    }

    /// For foreign clients too, the preferred first.
    pub(crate) fn all() -> Vec<&'static dyn SupportedKxGroup> {
        vec![&Self::X25519MlKem768, &Self::X25519, &Self::Secp256r1]
    }

    fn inner(self) -> &'static dyn SupportedKxGroup {
        match self {
            Self::X25519MlKem768 => X25519MLKEM768,
            Self::X25519 => X25519,
            Self::Secp256r1 => SECP256R1,
        }
    }
}

/// The name of a group as the TLS registry writes it.
pub(crate) const fn group_name(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        NamedGroup::X25519 => "X25519",
        NamedGroup::secp256r1 => "secp256r1",
        _ => "other",
    }
}

impl SupportedKxGroup for Group {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(Exchange(self.inner().start()?)))
    }

    fn start_and_complete(&self, peer_pub_key: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let completed = self.inner().start_and_complete(peer_pub_key)?;
        COMPLETED.set(Some(completed.group));
        Ok(completed)
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        self.inner().name()
    }

    fn fips(&self) -> bool {
        self.inner().fips()
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        self.inner().usable_for_version(version)
    }
}

struct Exchange(Box<dyn ActiveKeyExchange>);

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer_pub_key: &[u8]) -> Result<SharedSecret, Error> {
        let group = self.0.group();
        let secret = self.0.complete(peer_pub_key)?;
        COMPLETED.set(Some(group));
        Ok(secret)
    }

    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        self.0.hybrid_component()
    }

    fn complete_hybrid_component(self: Box<Self>, peer_pub_key: &[u8]) -> Result<SharedSecret, Error> {
        let group = self.0.hybrid_component().map(|(group, _)| group);
        let secret = self.0.complete_hybrid_component(peer_pub_key)?;
        COMPLETED.set(group);
        Ok(secret)
    }

    fn pub_key(&self) -> &[u8] {
        self.0.pub_key()
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        self.0.group()
    }
}

/// A TLS session of quinn that remembers its group.
struct ObservedSession {
    inner: Box<dyn Session>,
    group: Option<NamedGroup>,
}

impl Session for ObservedSession {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        self.inner.initial_keys(dst_cid, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        let data = self.inner.handshake_data()?.downcast::<HandshakeData>().ok()?;
        Some(Box::new(Handshake { protocol: data.protocol, group: self.group }))
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.inner.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.inner.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.inner.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.inner.is_handshaking()
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        COMPLETED.set(None);
        let read = self.inner.read_handshake(buf);
        // The last completed exchange counts: after a HelloRetryRequest that is the one asked for.
        if let Some(group) = COMPLETED.take() {
            self.group = Some(group);
        }
        read
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.inner.transport_parameters()
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        self.inner.write_handshake(buf)
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.inner.next_1rtt_keys()
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.inner.is_valid_retry(orig_dst_cid, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.inner.export_keying_material(output, label, context)
    }
}

/// Makes the sessions of a listener or of a dialling side observed ones.
#[derive(Clone)]
pub(crate) struct Observed<C: ?Sized>(pub(crate) Arc<C>);

impl<C: ?Sized> fmt::Debug for Observed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observed(…)")
    }
}

impl<C: ServerConfig> ServerConfig for Observed<C> {
    fn initial_keys(&self, version: u32, dst_cid: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        self.0.initial_keys(version, dst_cid)
    }

    fn retry_tag(&self, version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.0.retry_tag(version, orig_dst_cid, packet)
    }

    fn start_session(self: Arc<Self>, version: u32, params: &TransportParameters) -> Box<dyn Session> {
        let inner = Arc::clone(&self.0).start_session(version, params);
        Box::new(ObservedSession { inner, group: None })
    }
}

impl<C: ClientConfig> ClientConfig for Observed<C> {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        let inner = Arc::clone(&self.0).start_session(version, server_name, params)?;
        Ok(Box::new(ObservedSession { inner, group: None }))
    }
}
