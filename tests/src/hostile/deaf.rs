//! A reader that stops to read.

use std::{cell::Cell, pin::Pin, rc::Rc, task::Poll};

use futures::AsyncRead;

/// Reads until it is told to stop; what comes then stays where it is.
#[derive(Debug)]
pub struct Deaf<R> {
    /// What it reads from.
    pub inner: R,
    /// Whether it has stopped.
    pub deaf: Rc<Cell<bool>>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Deaf<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        if self.deaf.get() {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}
