//! Cap'n Proto RPC over one stream: a QUIC stream, or the admin socket.
//!
//! The dialling side opens the stream and is [`Rpc::calling`]; the accepting side is [`Rpc::answering`], and only
//! there the gate stands. Both may offer a bootstrap capability, so one federation link serves both directions;
//! who offers one bounds what the calls on it may make it keep.

mod answers;
mod segments;

use std::{
    cell::{Cell, RefCell},
    future::pending,
    pin::Pin,
    rc::Rc,
    task::{Context, Waker},
    time::Duration,
};

use capnp::{
    capability::{Client, FromClientHook},
    message::ReaderOptions,
};
use capnp_rpc::{Disconnector, RpcSystem, VatNetwork, twoparty};
use futures::{AsyncRead, AsyncWrite, future::Either, io::BufWriter};
use qpq_core::limits;
use tokio::{sync::Notify, time::timeout};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::{
    frame::{FrameLimit, Frames},
    gate::{Gate, GatedReader, GatedWriter},
};
use answers::{Bounded, Ledger};
use segments::SmallSegments;

/// The two ends of a connection, in Cap'n Proto's words: who dialled is the client.
pub use capnp_rpc::rpc_twoparty_capnp::Side;

/// Bytes gathered before a write; larger pieces go straight through.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// How long the other side may take to hear why we hang up.
const LAST_WORD: Duration = Duration::from_secs(1);
/// Calls that are not finished, per connection; a session may have `CALLS_IN_FLIGHT` of them served at once.
const UNFINISHED_CALLS: usize = 16 * limits::CALLS_IN_FLIGHT;

/// How much one connection's RPC may ask of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RpcLimits {
    /// The largest message, in bytes.
    pub frame_bytes: usize,
    /// How much may be read out of one message, in bytes; parts read twice count twice.
    pub traversal_bytes: usize,
    /// How deeply the structures of one message may be nested.
    pub nesting: i32,
    /// Bytes of streaming calls (`-> stream`) under way before the caller waits.
    pub stream_window_bytes: usize,
    /// Calls under way, or answered with something that we keep until the caller finishes them. Who serves small
    /// streaming calls slowly needs as many as fill the caller's stream window.
    pub unfinished_calls: usize,
    /// A reply that makes no progress for so long ends the connection (answering side only).
    pub stall: Duration,
}

impl RpcLimits {
    /// Between a client and its homeserver. One call may carry a commit, its Welcome and its GroupInfo.
    pub const fn client() -> Self {
        let frame_bytes = 2 * limits::HANDSHAKE_BYTES + limits::BATCH_BYTES;
        Self {
            frame_bytes,
            traversal_bytes: 4 * frame_bytes,
            nesting: 32,
            stream_window_bytes: 256 * 1024,
            unfinished_calls: UNFINISHED_CALLS,
            stall: Duration::from_mins(1),
        }
    }

    /// Between two domains.
    pub const fn peer() -> Self {
        Self { stream_window_bytes: 1024 * 1024, ..Self::client() }
    }

    /// On the admin socket.
    pub const fn admin() -> Self {
        Self { frame_bytes: limits::BATCH_BYTES, traversal_bytes: 4 * limits::BATCH_BYTES, ..Self::client() }
    }

    fn reader_options(&self) -> ReaderOptions {
        let mut options = ReaderOptions::new();
        options.traversal_limit_in_words(Some(self.traversal_bytes / 8)).nesting_limit(self.nesting);
        options
    }
}

/// Why a connection's RPC ended other than by the other side leaving.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RpcFault {
    /// A message is larger than allowed.
    #[error("a message of {bytes} bytes came, {limit} are allowed")]
    FrameTooLarge {
        /// Its size so far, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A message is cut into more segments than Cap'n Proto allows.
    #[error("a message of more than {limit} segments came")]
    TooManySegments {
        /// The limit.
        limit: u32,
    },
    /// The other side calls and doesn't read the replies.
    #[error("replies were not read for {seconds} s")]
    Stalled {
        /// How long.
        seconds: u64,
    },
    /// The other side calls and doesn't finish its calls.
    #[error("more than {limit} calls were not finished")]
    TooManyUnfinished {
        /// The limit.
        limit: usize,
    },
    /// The other side's calls and their answers take too much memory.
    #[error("calls that were not finished hold {bytes} bytes, {limit} are allowed")]
    UnfinishedBytes {
        /// Bytes of the calls, and of the answers kept for them.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The other side has cancelled more calls than one connection can remember.
    #[error("more than {limit} calls were cancelled")]
    TooManyCancelled {
        /// The limit.
        limit: usize,
    },
    /// The stream broke, or what came is not Cap'n Proto RPC.
    #[error("the conversation failed: {0}")]
    Failed(capnp::Error),
}

/// Where a reader leaves the reason why it stopped.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultSlot(Rc<FaultCell>);

#[derive(Debug, Default)]
struct FaultCell {
    fault: RefCell<Option<RpcFault>>,
    came: Notify,
}

impl FaultSlot {
    pub(crate) fn put(&self, fault: RpcFault) {
        self.0.fault.borrow_mut().get_or_insert(fault);
        self.0.came.notify_one();
    }

    fn peek(&self) -> Option<RpcFault> {
        self.0.fault.borrow().clone()
    }

    async fn came(&self) {
        self.0.came.notified().await;
    }
}

/// One connection's RPC, to be driven by [`Self::run`] on the thread where its capabilities live.
#[must_use = "nothing happens until it is run"]
pub struct Rpc {
    system: RpcSystem<Side>,
    other: Side,
    fault: FaultSlot,
    watch: Option<(Rc<Gate>, Duration)>,
}

impl std::fmt::Debug for Rpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rpc").field("gated", &self.watch.is_some()).finish_non_exhaustive()
    }
}

impl Rpc {
    /// The accepting side: serves `bootstrap`, and stops reading while its replies are not read.
    pub fn answering<R, W>(reader: R, writer: W, bootstrap: Client, limits: RpcLimits) -> Self
    where
        R: tokio::io::AsyncRead + Unpin + 'static,
        W: tokio::io::AsyncWrite + Unpin + 'static,
    {
        let gate = Gate::new();
        let reader = GatedReader { inner: reader.compat(), gate: Rc::clone(&gate) };
        let writer = GatedWriter { inner: writer.compat_write(), gate: Rc::clone(&gate) };
        let watch = Some((gate, limits.stall));
        Self::over(reader, writer, Side::Server, Some(bootstrap), limits, watch)
    }

    /// The dialling side; `bootstrap` is what the other side may call here, if anything.
    pub fn calling<R, W>(reader: R, writer: W, bootstrap: Option<Client>, limits: RpcLimits) -> Self
    where
        R: tokio::io::AsyncRead + Unpin + 'static,
        W: tokio::io::AsyncWrite + Unpin + 'static,
    {
        Self::over(reader.compat(), writer.compat_write(), Side::Client, bootstrap, limits, None)
    }

    fn over<R, W>(
        reader: R,
        writer: W,
        side: Side,
        bootstrap: Option<Client>,
        limits: RpcLimits,
        watch: Option<(Rc<Gate>, Duration)>,
    ) -> Self
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        let fault = FaultSlot::default();
        let frames = Frames::new(limits.frame_bytes);
        let read = Rc::new(Cell::new(0));
        let reader = FrameLimit { inner: reader, frames, fault: fault.clone(), read: Rc::clone(&read) };
        let writer = BufWriter::with_capacity(WRITE_BUFFER_BYTES, writer);
        let mut network = twoparty::VatNetwork::new(reader, writer, side, limits.reader_options());
        network.set_window_size(limits.stream_window_bytes);
        let mut network: Box<dyn VatNetwork<Side>> = Box::new(SmallSegments(network));
        if bootstrap.is_some() {
            let ledger = Ledger::new(&limits, fault.clone(), read);
            network = Box::new(Bounded { inner: network, ledger });
        }
        let other = match side {
            Side::Server => Side::Client,
            Side::Client => Side::Server,
        };
        Self { system: RpcSystem::new(network, bootstrap), other, fault, watch }
    }

    /// The capability that the other side offers first; calls on it can be made at once and travel with `run`.
    pub fn other_side<C: FromClientHook>(&mut self) -> C {
        self.system.bootstrap(self.other)
    }

    /// Ends the conversation cleanly from our side; take it before `run`.
    pub fn disconnector(&self) -> Disconnector<Side> {
        self.system.get_disconnector()
    }

    /// Drives the conversation until the other side leaves, or until a fault, which the other side is told. Whoever drops
    /// this before drops the calls that are being served with it.
    ///
    /// The fault's text is a reason for closing the connection with `CloseCode::BadFrame`.
    pub async fn run(self) -> Result<(), RpcFault> {
        let Self { mut system, fault, watch, .. } = self;
        let _unwound = Unwound(system.get_disconnector());
        let trouble = async {
            tokio::select! {
                biased;
                () = fault.came() => (),
                () = watch_stall(watch, &fault) => (),
            }
        };
        let ended = match futures::future::select(&mut system, Box::pin(trouble)).await {
            Either::Left((ended, _)) => ended,
            // capnp sends the reason as an Abort message; who doesn't read can't hold us up with it.
            Either::Right(((), _)) => timeout(LAST_WORD, &mut system).await.unwrap_or(Ok(())),
        };
        match (fault.peek(), ended) {
            (Some(fault), _) => Err(fault),
            (None, Err(error)) => Err(RpcFault::Failed(error)),
            (None, Ok(())) => Ok(()),
        }
    }
}

/// Takes a conversation apart when it is dropped, however that comes.
///
/// The answers of calls that are being served, and the connection's state, hold each other: a conversation that is merely
/// dropped leaves them in memory for ever. A call among them that waits for its turn at something (a database connection)
/// is then given the turn and never takes it.
struct Unwound(Disconnector<Side>);

impl Drop for Unwound {
    fn drop(&mut self) {
        // The first look lets go of everything; what would follow is telling the other side.
        let mut nobody = Context::from_waker(Waker::noop());
        drop(Pin::new(&mut self.0).poll(&mut nobody));
    }
}

/// Returns once a write has made no progress for too long.
async fn watch_stall(watch: Option<(Rc<Gate>, Duration)>, fault: &FaultSlot) {
    let Some((gate, patience)) = watch else { return pending().await };
    loop {
        if !gate.is_stalled() {
            gate.changed().await;
        } else if timeout(patience, gate.changed()).await.is_err() && gate.is_stalled() {
            return fault.put(RpcFault::Stalled { seconds: patience.as_secs() });
        }
    }
}
