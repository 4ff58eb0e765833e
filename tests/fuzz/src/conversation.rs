//! Conversations: what an input says is said to the domain, and what a real caller says is written down as a seed.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use capnp::capability::FromClientHook;
use qpq_service::SessionHandle;
use qpq_transport::{Rpc, RpcLimits, WorkerContext};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, WriteHalf, duplex, sink, split},
    sync::oneshot,
    task::spawn_local,
};

use crate::home::{Home, beta};

/// How often a conversation is looked at after its last byte, so that what was asked gets answered.
const PATIENCE: u32 = 400;
const PIPE: usize = 1 << 20;

/// With whom the domain speaks.
#[derive(Clone)]
pub enum Caller {
    /// A client; with a session, if it has one.
    Client(Option<SessionHandle>),
    /// `beta.test`.
    Peer,
}

impl Home {
    /// Says these bytes, whatever they mean.
    pub fn hears(&self, caller: Caller, bytes: &[u8]) {
        let line = Line { said: bytes.to_vec(), at: 0, left: PATIENCE };
        self.on_worker(|home, context| {
            Box::pin(async move { home.converse(caller, &context, (line, sink())).await })
        });
    }

    /// Lets a real caller speak, and returns what it said.
    pub fn listens<C, F>(&self, caller: Caller, story: F) -> Vec<u8>
    where
        C: FromClientHook + 'static,
        F: AsyncFnOnce(C) + Send + 'static,
    {
        let said = Arc::new(Mutex::new(Vec::new()));
        let tape = Arc::clone(&said);
        self.on_worker(move |home, context| {
            Box::pin(async move {
                let (ours, theirs) = duplex(PIPE);
                drop(spawn_local(async move { home.converse(caller, &context, split(theirs)).await }));
                let (reader, writer) = split(ours);
                let mut rpc = Rpc::calling(reader, Tape { writer, tape }, None, RpcLimits::client());
                let other: C = rpc.other_side();
                let running = spawn_local(rpc.run());
                story(other).await;
                running.abort();
            })
        });
        let said = said.lock().expect("the tape");
        said.clone()
    }

    fn on_worker<F>(&self, make: F)
    where
        F: FnOnce(Part, WorkerContext) -> Pin<Box<dyn Future<Output = ()>>> + Send + 'static,
    {
        let part = Part { cases: self.cases.clone(), federation: self.federation.clone() };
        let (done, ended) = oneshot::channel();
        self.runtime.block_on(async {
            let work = move |context| async move {
                make(part, context).await;
                done.send(()).ok();
            };
            self.workers.spawn(None, work).await.expect("the worker works");
            ended.await.expect("the conversation ends");
        });
    }
}

/// What a conversation needs of the home.
struct Part {
    cases: qpq_service::UseCases,
    federation: qpq_federation::Federation,
}

impl Part {
    async fn converse<R, W>(&self, caller: Caller, context: &WorkerContext, line: (R, W))
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        // How it ends is the caller's matter; that it ends is ours.
        match caller {
            Caller::Client(session) => {
                drop(qpq_rpc::fuzzing::converse(&self.cases, session, context, line).await);
            }
            Caller::Peer => {
                let ended = qpq_federation::fuzzing::converse(&self.federation, &beta(), line).await;
                assert!(ended.is_some(), "beta is a peer");
            }
        }
    }
}

/// Says what it has to say, waits a little, and is gone.
struct Line {
    said: Vec<u8>,
    at: usize,
    left: u32,
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.said[self.at..];
        if rest.is_empty() && self.left > 0 {
            self.left -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let now = rest.len().min(into.remaining());
        into.put_slice(&rest[..now]);
        self.at += now;
        Poll::Ready(Ok(()))
    }
}

/// Writes down what passes.
struct Tape {
    writer: WriteHalf<tokio::io::DuplexStream>,
    tape: Arc<Mutex<Vec<u8>>>,
}

impl AsyncWrite for Tape {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.writer).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.tape.lock().expect("the tape").extend_from_slice(&bytes[..count]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}
