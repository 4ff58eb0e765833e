//! The framing of Cap'n Proto messages on a stream, read along to refuse a frame before memory is set aside for it.
//!
//! Format: <https://capnproto.org/encoding.html#serialization-over-a-stream>. capnp itself compares a frame only
//! with the traversal limit, which has to be several times larger, since it counts every reading of a part.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use futures::AsyncRead;

use crate::rpc::{FaultSlot, RpcFault};

/// Cap'n Proto's own limit on the segments of one message.
const SEGMENTS: u32 = 512;

/// Where in a frame the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the number of segments.
    Count,
    /// Before the size of a segment; `left` more follow, this one included.
    Size { left: u32, pad: bool, words: u64 },
    /// Before the padding of the segment table.
    Pad { words: u64 },
    /// Inside the segments.
    Body { left: u64 },
}

/// Follows the frames of a stream.
#[derive(Debug)]
pub(crate) struct Frames {
    limit: usize,
    at: At,
    word: [u8; 4],
    have: usize,
}

impl Frames {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { limit, at: At::Count, word: [0; 4], have: 0 }
    }

    /// Takes the next bytes of the stream, however they are cut.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<(), RpcFault> {
        while !bytes.is_empty() {
            if let At::Body { left } = self.at {
                let here = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(left);
                bytes = usize::try_from(here).ok().and_then(|here| bytes.get(here..)).unwrap_or_default();
                self.at = if left == here { At::Count } else { At::Body { left: left - here } };
            } else if let Some((byte, rest)) = bytes.split_first() {
                bytes = rest;
                if let Some(slot) = self.word.get_mut(self.have) {
                    *slot = *byte;
                }
                self.have += 1;
                if self.have == self.word.len() {
                    self.have = 0;
                    self.at = self.take_number(u32::from_le_bytes(self.word))?;
                }
            }
        }
        Ok(())
    }

    fn take_number(&self, number: u32) -> Result<At, RpcFault> {
        match self.at {
            At::Count => {
                let count = number.checked_add(1).filter(|count| *count < SEGMENTS);
                let left = count.ok_or(RpcFault::TooManySegments { limit: SEGMENTS - 1 })?;
                Ok(At::Size { left, pad: left.is_multiple_of(2), words: 0 })
            }
            At::Size { left, pad, words } => {
                let words = words.saturating_add(u64::from(number));
                let bytes = words.saturating_mul(8);
                if usize::try_from(bytes).map_or(true, |bytes| bytes > self.limit) {
                    return Err(RpcFault::FrameTooLarge { bytes, limit: self.limit });
                }
                Ok(match left {
                    0 | 1 if pad => At::Pad { words },
                    0 | 1 => body(words),
                    more => At::Size { left: more - 1, pad, words },
                })
            }
            At::Pad { words } => Ok(body(words)),
            At::Body { left } => Ok(At::Body { left }),
        }
    }
}

const fn body(words: u64) -> At {
    match words {
        0 => At::Count,
        words => At::Body { left: words.saturating_mul(8) },
    }
}

/// A reader that ends with an error at a frame beyond the limits, and leaves the reason in the slot.
#[derive(Debug)]
pub(crate) struct FrameLimit<R> {
    pub(crate) inner: R,
    pub(crate) frames: Frames,
    pub(crate) fault: FaultSlot,
    /// Counts the bytes that were read.
    pub(crate) read: Rc<Cell<u64>>,
}

impl<R: AsyncRead + Unpin> AsyncRead for FrameLimit<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_read(cx, buf) {
            Poll::Ready(Ok(read)) => {
                this.read.set(this.read.get().saturating_add(u64::try_from(read).unwrap_or(u64::MAX)));
                Poll::Ready(match this.frames.take(buf.get(..read).unwrap_or_default()) {
                    Ok(()) => Ok(read),
                    Err(fault) => {
                        let error = io::Error::new(io::ErrorKind::InvalidData, fault.to_string());
                        this.fault.put(fault);
                        Err(error)
                    }
                })
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame of segments with so many words each.
    fn frame(words: &[u32]) -> Vec<u8> {
        let count = u32::try_from(words.len()).unwrap();
        let mut bytes = (count - 1).to_le_bytes().to_vec();
        bytes.extend(words.iter().flat_map(|words| words.to_le_bytes()));
        if count.is_multiple_of(2) {
            bytes.extend([0; 4]);
        }
        bytes.resize(bytes.len() + 8 * usize::try_from(words.iter().sum::<u32>()).unwrap(), 0xAA);
        bytes
    }

    #[test]
    fn a_frame_is_refused_at_its_head() {
        let mut frames = Frames::new(64);
        assert!(frames.take(&frame(&[4, 4])).is_ok());
        let fault = frames.take(&[0, 0, 0, 0, 9, 0, 0, 0]).unwrap_err();
        assert!(matches!(fault, RpcFault::FrameTooLarge { bytes: 72, limit: 64 }), "{fault}");
        assert!(matches!(Frames::new(64).take(&[0xff; 4]), Err(RpcFault::TooManySegments { .. })));
    }

    proptest! {
        #[test]
        fn frames_are_found_however_the_stream_is_cut(
            sizes in prop::collection::vec(prop::collection::vec(0_u32..20, 1..6), 1..6),
            cuts in prop::collection::vec(1_usize..40, 1..40),
        ) {
            let stream: Vec<u8> = sizes.iter().flat_map(|words| frame(words)).collect();
            let mut frames = Frames::new(8 * 100);
            let (mut rest, mut cuts) = (stream.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                frames.take(now).unwrap();
                rest = later;
            }
            prop_assert_eq!(frames.at, At::Count);
            prop_assert_eq!(frames.have, 0);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            Frames::new(1_000).take(&bytes).ok();
        }
    }
}
