//! RPC over one stream: both directions, the backpressure gate, frames beyond the limits.

#![expect(clippy::unwrap_used, reason = "the functions around the tests are tests too")]
#![expect(clippy::future_not_send, reason = "handlers live on one thread")]

use std::{
    cell::{Cell, RefCell},
    io,
    ops::Deref,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use capnp::{
    any_pointer,
    capability::{Client, DispatchCallResult, FromClientHook, FromServer, Params, Promise, Results, Server},
    data,
    private::capability::ClientHook,
};
use futures::future::join_all;
use qpq_transport::{Rpc, RpcFault, RpcLimits};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf, duplex, split},
    task::LocalSet,
};

const SOON: Duration = Duration::from_secs(20);
const REPLY_BYTES: usize = 16 * 1024;

/// An interface without a schema: its one method answers so many bytes.
struct Blob {
    served: Cell<usize>,
    bytes: usize,
    /// Held by calls that never end.
    held: Option<Rc<()>>,
}

impl Blob {
    fn of(bytes: usize) -> Rc<Self> {
        Rc::new(Self { served: Cell::new(0), bytes, held: None })
    }

    /// Its calls hold this and never end.
    fn that_hangs(held: &Rc<()>) -> Rc<Self> {
        Rc::new(Self { served: Cell::new(0), bytes: 0, held: Some(Rc::clone(held)) })
    }

    fn capability(self: &Rc<Self>) -> Client {
        capnp_rpc::new_client_from_rc::<BlobClient, _>(Rc::clone(self)).0
    }
}

#[derive(Clone)]
struct BlobClient(Client);

impl BlobClient {
    async fn fetch(&self) -> capnp::Result<usize> {
        let call = self.0.new_call::<any_pointer::Owned, any_pointer::Owned>(1, 0, None);
        let response = call.send().promise.await?;
        Ok(response.get()?.get_as::<data::Reader<'_>>()?.len())
    }
}

impl FromClientHook for BlobClient {
    fn new(hook: Box<dyn ClientHook>) -> Self {
        Self(Client::new(hook))
    }

    fn into_client_hook(self) -> Box<dyn ClientHook> {
        self.0.into_client_hook()
    }

    fn as_client_hook(&self) -> &dyn ClientHook {
        self.0.as_client_hook()
    }
}

struct Dispatch(Rc<Blob>);

impl Clone for Dispatch {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl Deref for Dispatch {
    type Target = Blob;

    fn deref(&self) -> &Blob {
        &self.0
    }
}

impl Server for Dispatch {
    fn dispatch_call(
        self,
        _interface_id: u64,
        _method_id: u16,
        _params: Params<any_pointer::Owned>,
        mut results: Results<any_pointer::Owned>,
    ) -> DispatchCallResult {
        self.0.served.set(self.0.served.get() + 1);
        if let Some(held) = self.0.held.clone() {
            let hanging = async move {
                let never = std::future::pending().await;
                drop(held);
                never
            };
            return DispatchCallResult::new(Promise::from_future(hanging), false);
        }
        let bytes = vec![7; self.0.bytes];
        let filled = results.get().set_as::<data::Owned>(bytes.as_slice());
        DispatchCallResult::new(Promise::from_future(async move { filled }), false)
    }

    fn as_ptr(&self) -> usize {
        Rc::as_ptr(&self.0).addr()
    }
}

impl FromServer<Blob> for BlobClient {
    type Dispatch = Dispatch;

    fn from_server(blob: Rc<Blob>) -> Dispatch {
        Dispatch(blob)
    }
}

/// A reader that hears nothing until it is opened.
struct Deaf<R> {
    inner: R,
    ears: Rc<Ears>,
}

#[derive(Default)]
struct Ears {
    open: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Ears {
    fn open(&self) {
        self.open.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Deaf<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ears.open.get() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        self.ears.waiting.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

/// Runs a test on one thread, as a worker would.
fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(SOON, test).await.unwrap() });
}

/// Until everything has been polled many times and no call was served any more: then it is as full as it gets.
async fn until_quiet(blob: &Blob) {
    loop {
        let before = blob.served.get();
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        if before > 0 && before == blob.served.get() {
            return;
        }
    }
}

#[test]
fn both_sides_call_each_other_over_one_stream() {
    on_one_thread(async {
        let (ours, theirs) = duplex(64 * 1024);
        let ((our_read, our_write), (their_read, their_write)) = (split(ours), split(theirs));
        let (at_listener, at_dialler) = (Blob::of(10), Blob::of(20));
        let mut answering = Rpc::answering(our_read, our_write, at_listener.capability(), RpcLimits::peer());
        let mut calling =
            Rpc::calling(their_read, their_write, Some(at_dialler.capability()), RpcLimits::peer());
        let (to_dialler, to_listener): (BlobClient, BlobClient) =
            (answering.other_side(), calling.other_side());
        let hang_up = calling.disconnector();
        let answering = tokio::task::spawn_local(answering.run());
        let calling = tokio::task::spawn_local(calling.run());
        assert_eq!(to_listener.fetch().await.unwrap(), 10);
        assert_eq!(to_dialler.fetch().await.unwrap(), 20);
        hang_up.await.unwrap();
        answering.await.unwrap().unwrap();
        calling.await.unwrap().unwrap();
        assert!(to_listener.fetch().await.is_err());
    });
}

#[test]
fn a_conversation_that_is_dropped_drops_the_calls_that_it_serves() {
    on_one_thread(async {
        let (ours, theirs) = duplex(64 * 1024);
        let ((our_read, our_write), (their_read, their_write)) = (split(ours), split(theirs));
        let held = Rc::new(());
        let blob = Blob::that_hangs(&held);
        let answering = Rpc::answering(our_read, our_write, blob.capability(), RpcLimits::client());
        let mut calling = Rpc::calling(their_read, their_write, None, RpcLimits::client());
        let listener: BlobClient = calling.other_side();
        let answering = tokio::task::spawn_local(answering.run());
        let calling = tokio::task::spawn_local(calling.run());
        let fetch = |_| {
            let listener = listener.clone();
            tokio::task::spawn_local(async move { listener.fetch().await.is_err() })
        };
        let fetches: Vec<_> = (0..8).map(fetch).collect();
        until_quiet(&blob).await;
        assert_eq!(Rc::strong_count(&held), 2 + 8, "each call holds it");
        answering.abort();
        assert!(answering.await.unwrap_err().is_cancelled());
        assert_eq!(Rc::strong_count(&held), 2, "calls outlived their conversation");
        for fetch in fetches {
            assert!(fetch.await.unwrap(), "its caller is told");
        }
        calling.abort();
    });
}

#[test]
fn a_caller_who_reads_no_replies_is_not_served_further_until_it_reads() {
    const CALLS: usize = 5_000;
    on_one_thread(async {
        let (ours, theirs) = duplex(64 * 1024);
        let ((our_read, our_write), (their_read, their_write)) = (split(ours), split(theirs));
        let blob = Blob::of(REPLY_BYTES);
        let answering = Rpc::answering(our_read, our_write, blob.capability(), RpcLimits::client());
        let ears = Rc::new(Ears::default());
        let deaf = Deaf { inner: their_read, ears: Rc::clone(&ears) };
        let mut calling = Rpc::calling(deaf, their_write, None, RpcLimits::client());
        let caller: BlobClient = calling.other_side();
        tokio::task::spawn_local(answering.run());
        tokio::task::spawn_local(calling.run());
        let calls: Vec<_> = (0..CALLS)
            .map(|_| {
                tokio::task::spawn_local({
                    let caller = caller.clone();
                    async move { caller.fetch().await }
                })
            })
            .collect();
        until_quiet(&blob).await;
        let served = blob.served.get();
        assert!(
            (1..200).contains(&served),
            "{served} of {CALLS} calls were served to a caller who reads nothing"
        );
        ears.open();
        for answered in join_all(calls).await {
            assert_eq!(answered.unwrap().unwrap(), REPLY_BYTES);
        }
        assert_eq!(blob.served.get(), CALLS);
    });
}

#[test]
fn a_caller_who_never_reads_is_hung_up_on() {
    on_one_thread(async {
        let (ours, theirs) = duplex(4 * 1024);
        let ((our_read, our_write), (their_read, their_write)) = (split(ours), split(theirs));
        let blob = Blob::of(REPLY_BYTES);
        let limits = RpcLimits { stall: Duration::from_secs(1), ..RpcLimits::client() };
        let answering = Rpc::answering(our_read, our_write, blob.capability(), limits);
        let deaf = Deaf { inner: their_read, ears: Rc::default() };
        let mut calling = Rpc::calling(deaf, their_write, None, RpcLimits::client());
        let caller: BlobClient = calling.other_side();
        tokio::task::spawn_local(calling.run());
        tokio::task::spawn_local(async move { caller.fetch().await });
        let fault = answering.run().await.unwrap_err();
        assert!(matches!(fault, RpcFault::Stalled { seconds: 1 }), "{fault}");
    });
}

#[test]
fn frames_beyond_the_limits_end_the_conversation_with_a_reason() {
    on_one_thread(async {
        let limit = RpcLimits::client().frame_bytes;
        let words = u32::try_from(limit / 8 + 1).unwrap();
        let too_large = [&[0; 4], words.to_le_bytes().as_slice()].concat();
        for (bytes, expected) in [
            (too_large, "are allowed"),
            (vec![0xff; 16], "segments"),
            // A whole frame, but what is in it is no RPC message.
            ([&[0, 0, 0, 0, 1, 0, 0, 0][..], &[0xff; 8]].concat(), "conversation failed"),
        ] {
            let (ours, mut theirs) = duplex(4 * 1024);
            let (our_read, our_write) = split(ours);
            let answering =
                Rpc::answering(our_read, our_write, Blob::of(1).capability(), RpcLimits::client());
            let answering = tokio::task::spawn_local(answering.run());
            theirs.write_all(&bytes).await.unwrap();
            let fault = answering.await.unwrap().unwrap_err();
            assert!(fault.to_string().contains(expected), "{fault}");
            let mut abort = Vec::new();
            theirs.read_to_end(&mut abort).await.unwrap();
            assert!(!abort.is_empty(), "the other side is told");
        }
    });
}

#[test]
fn the_same_runs_over_the_admin_socket() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let dialled = tokio::net::UnixStream::connect(&path).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let ((our_read, our_write), (their_read, their_write)) =
            (accepted.into_split(), dialled.into_split());
        let answering = Rpc::answering(our_read, our_write, Blob::of(5).capability(), RpcLimits::admin());
        let mut calling = Rpc::calling(their_read, their_write, None, RpcLimits::admin());
        let blob: BlobClient = calling.other_side();
        tokio::task::spawn_local(answering.run());
        tokio::task::spawn_local(calling.run());
        assert_eq!(blob.fetch().await.unwrap(), 5);
    });
}
