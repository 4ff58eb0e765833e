//! The backpressure gate of a Cap'n Proto connection's answering side.
//!
//! capnp's write queue has no bound: a caller who never reads replies would fill our memory with them. So the
//! reader waits while the writer's last write is waiting; then nothing more is read, QUIC's flow control stops
//! the caller, and what is queued stays bounded. Never gate both sides: two full queues would wait for each other.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use futures::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

/// Shared by the reader and the writer of one connection.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    stalled: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    changed: Notify,
}

impl Gate {
    pub(crate) fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Whether the writer is waiting for the other side to read.
    pub(crate) const fn is_stalled(&self) -> bool {
        self.stalled.get()
    }

    /// Waits until the writer begins or ends waiting.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn note<T>(&self, written: &Poll<T>) {
        let stalled = written.is_pending();
        if self.stalled.replace(stalled) == stalled {
            return;
        }
        self.changed.notify_one();
        if !stalled && let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// Reads only while the writer is not waiting.
#[derive(Debug)]
pub(crate) struct GatedReader<R> {
    pub(crate) inner: R,
    pub(crate) gate: Rc<Gate>,
}

impl<R: AsyncRead + Unpin> AsyncRead for GatedReader<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.gate.is_stalled() {
            self.gate.reader.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

/// Closes the gate while a write is waiting.
#[derive(Debug)]
pub(crate) struct GatedWriter<W> {
    pub(crate) inner: W,
    pub(crate) gate: Rc<Gate>,
}

impl<W: AsyncWrite + Unpin> AsyncWrite for GatedWriter<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.gate.note(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.gate.note(&flushed);
        flushed
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

impl<W> Drop for GatedWriter<W> {
    fn drop(&mut self) {
        // Nothing will be written any more: the reader must see the end of its stream, not wait for ever.
        self.gate.note(&Poll::Ready(()));
    }
}

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, io::Cursor};
    use tokio::io::{AsyncReadExt as _, duplex};
    use tokio_util::compat::TokioAsyncWriteCompatExt;

    use super::*;

    #[tokio::test]
    async fn the_reader_waits_exactly_while_the_writer_does() {
        let (ours, mut theirs) = duplex(8);
        let gate = Gate::new();
        let mut reader = GatedReader { inner: Cursor::new(vec![1; 64]), gate: Rc::clone(&gate) };
        let mut writer = GatedWriter { inner: ours.compat_write(), gate: Rc::clone(&gate) };
        let mut four = [0; 4];

        writer.write_all(&[0; 8]).await.unwrap();
        assert!(
            reader.read_exact(&mut four).now_or_never().is_some(),
            "a full pipe is no waiting writer yet"
        );
        let mut write = writer.write_all(&[0; 4]);
        assert!((&mut write).now_or_never().is_none());
        let mut read = Box::pin(reader.read_exact(&mut four));
        assert!((&mut read).now_or_never().is_none());
        assert!(gate.is_stalled());

        theirs.read_exact(&mut [0; 8]).await.unwrap();
        let (written, read) = futures::join!(write, read);
        written.unwrap();
        read.unwrap();
        assert!(!gate.is_stalled());
    }

    #[tokio::test]
    async fn the_end_of_the_writer_opens_the_gate() {
        let (ours, _theirs) = duplex(1);
        let gate = Gate::new();
        let mut reader = GatedReader { inner: Cursor::new(vec![1; 4]), gate: Rc::clone(&gate) };
        let mut writer = GatedWriter { inner: ours.compat_write(), gate: Rc::clone(&gate) };
        assert!(writer.write_all(&[0; 2]).now_or_never().is_none());
        assert!(gate.is_stalled());
        let mut four = [0; 4];
        let (read, ()) = futures::join!(reader.read_exact(&mut four), async { drop(writer) });
        read.unwrap();
    }
}
