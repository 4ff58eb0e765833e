//! QUIC endpoints, worker threads, TLS, pins, certificate verifier and the RPC backpressure gate.
//!
//! Shared by the client-facing RPC server, federation and the client library. The way of a connection:
//!
//! - [`CertificateAuthority`] issues an [`Identity`]; a [`Leaf`] holds it and can be swapped while in use.
//! - [`ListenerTls`] and [`DialTls`] are the TLS settings of the two listeners and of the two dialling sides.
//! - An [`Endpoint`] owns one UDP socket. What dials in is handed to [`Workers`], one thread per core, where
//!   handshake, RPC and the session's `!Send` state live on one thread.
//! - A [`Connection`] tells who the other side is ([`PeerCertificate`], judged by [`judge`]) and which
//!   key-exchange group protects it.
//! - [`Rpc`] runs Cap'n Proto over one bidirectional stream; the answering side is gated, so that a caller who
//!   never reads replies is stopped by flow control instead of filling our memory.

#![expect(clippy::future_not_send, reason = "Cap'n Proto is `!Send`: a connection lives on one thread")]

mod calls;
mod connection;
mod endpoint;
mod frame;
mod gate;
mod identity;
mod observe;
mod rpc;
mod tls;
mod verify;
mod workers;

pub use calls::{CallGate, CallPermit};
pub use connection::{CloseCode, Connection, StreamError};
pub use endpoint::{DialError, Endpoint, EndpointError, Offload, OwnNetwork, Profile};
pub use identity::{CertificateAuthority, Identity, IdentityError, IdentityPem};
pub use rpc::{Rpc, RpcFault, RpcLimits, Side};
pub use tls::{DialTls, Leaf, ListenerTls, ServerTrust, TlsError};
pub use verify::{Anchors, ChainFault, PeerCertificate, Verdict, judge};
pub use workers::{AcceptLimits, Handler, Listening, StopReport, WorkerContext, Workers, WorkersStopped};

/// A certificate in DER form, as TLS carries it.
pub use rustls::pki_types::CertificateDer;
