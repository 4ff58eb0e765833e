//! One QUIC connection with what its handshake proved.

use std::{net::SocketAddr, time::Duration};

use quinn::{ConnectionError, RecvStream, SendStream, VarInt};
use rustls::pki_types::CertificateDer;

use crate::{
    observe::{Handshake, group_name},
    verify::PeerCertificate,
};

/// Why a connection was closed, as a QUIC application error code; the reason text is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum CloseCode {
    /// Nothing more to say.
    Done = 0,
    /// The process is stopping; come back later.
    Draining = 1,
    /// A frame was too large or malformed.
    BadFrame = 2,
    /// What was due did not happen in time: login, first answer, a reply that nobody reads.
    Deadline = 3,
    /// The certificate is not trusted.
    Untrusted = 4,
    /// Too much is going on; come back later.
    Overloaded = 5,
    /// Another connection has taken this one's place.
    Superseded = 6,
    /// The session or the peer was revoked.
    Revoked = 7,
}

impl From<CloseCode> for VarInt {
    fn from(code: CloseCode) -> Self {
        Self::from_u32(code as u32)
    }
}

/// A stream could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The connection is gone.
    #[error("the connection is gone: {reason}")]
    Lost {
        /// Why, in words.
        reason: String,
    },
    /// The other side opened no stream in time.
    #[error("the other side opened no stream within {seconds} s")]
    Deadline {
        /// How long we waited.
        seconds: u64,
    },
}

/// An established connection. Clones are handles to the same one; it closes when the last is dropped.
#[derive(Debug, Clone)]
pub struct Connection(quinn::Connection);

impl Connection {
    pub(crate) const fn new(connection: quinn::Connection) -> Self {
        Self(connection)
    }

    /// The key-exchange group of this very connection: `X25519MLKEM768`, `X25519` or `secp256r1`.
    pub fn key_exchange(&self) -> Option<&'static str> {
        self.handshake()?.group.map(group_name)
    }

    /// The protocol agreed by ALPN.
    pub fn protocol(&self) -> Option<Vec<u8>> {
        self.handshake()?.protocol
    }

    /// The certificates that the other side showed, leaf first; empty if it showed none.
    pub fn peer_chain(&self) -> Vec<CertificateDer<'static>> {
        self.0
            .peer_identity()
            .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
            .map_or_else(Vec::new, |chain| *chain)
    }

    /// What those certificates say; on federation links always something, to be judged by the caller.
    pub fn peer_certificate(&self) -> Option<PeerCertificate> {
        PeerCertificate::parse(&self.peer_chain()).ok()
    }

    /// Where the other side is at the moment; it may move.
    pub fn remote_address(&self) -> SocketAddr {
        self.0.remote_address()
    }

    /// A number that no other living connection of this process has.
    pub fn id(&self) -> usize {
        self.0.stable_id()
    }

    /// Opens the bidirectional stream that carries RPC; the other side learns of it with the first bytes.
    pub async fn open_stream(&self) -> Result<(RecvStream, SendStream), StreamError> {
        let (send, recv) = self.0.open_bi().await.map_err(|error| lost(&error))?;
        Ok((recv, send))
    }

    /// Waits for the stream that the dialling side opens.
    pub async fn accept_stream(&self, deadline: Duration) -> Result<(RecvStream, SendStream), StreamError> {
        let (send, recv) = tokio::time::timeout(deadline, self.0.accept_bi())
            .await
            .map_err(|_| StreamError::Deadline { seconds: deadline.as_secs() })?
            .map_err(|error| lost(&error))?;
        Ok((recv, send))
    }

    /// Ends the connection at once; what was not delivered yet is lost.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.0.close(code.into(), reason.as_bytes());
    }

    /// Waits for its end and tells why, in words.
    pub async fn closed(&self) -> String {
        reason(&self.0.closed().await)
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.0.close_reason().is_some()
    }

    /// The connection underneath, for what is not wrapped here.
    pub const fn quinn(&self) -> &quinn::Connection {
        &self.0
    }

    fn handshake(&self) -> Option<Handshake> {
        self.0.handshake_data()?.downcast().ok().map(|handshake| *handshake)
    }
}

fn lost(error: &ConnectionError) -> StreamError {
    StreamError::Lost { reason: reason(error) }
}

/// A close reason in words: the other side's own text if it gave one.
pub(crate) fn reason(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) if !close.reason.is_empty() => {
            // Text of a stranger: bounded, and nothing that could play with a terminal.
            String::from_utf8_lossy(&close.reason).chars().filter(|c| !c.is_control()).take(200).collect()
        }
        other => other.to_string(),
    }
}
