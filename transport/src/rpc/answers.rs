//! The bound on what a connection makes us keep for calls: in flight, or answered and not yet finished.
//!
//! capnp keeps an answer that carries capabilities, or an error, until the caller's `Finish`, and queues calls on
//! unresolved promises without a limit. The gate sees neither, since such a caller may read every reply. So the
//! serving side keeps a ledger beside capnp's table of answers; who exceeds it loses the connection.
//!
//! Protocol: <https://github.com/capnproto/capnproto/blob/v2/c%2B%2B/src/capnp/rpc.capnp>.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, hash_map::Entry},
    rc::Rc,
};

use capnp::{
    Error, any_pointer,
    capability::Promise,
    message::{Builder, HeapAllocator},
};
use capnp_rpc::{
    Connection, FlowController, IncomingMessage, OutgoingMessage, VatNetwork,
    rpc_capnp::{call::send_results_to, message},
};
use futures::TryFutureExt;
use tokio::sync::Notify;

use super::{FaultSlot, RpcFault, RpcLimits, Side};

/// Frames of the largest size that may be kept, calls and answers together.
const FRAMES: usize = 4;
/// capnp forgets nothing about a cancelled call that it never answers, but the little that is left is small.
const CANCELLED_PER_UNFINISHED: usize = 16;

/// What one connection's calls hold.
#[derive(Debug)]
pub(super) struct Ledger {
    calls_limit: usize,
    bytes_limit: usize,
    fault: FaultSlot,
    overdrawn: Notify,
    /// Bytes read from the stream so far, and how many of them belong to messages already taken.
    read: Rc<Cell<u64>>,
    taken: Cell<u64>,
    answers: RefCell<HashMap<u32, Answer>>,
    /// Those among the answers that were finished before we returned anything.
    cancelled: Cell<usize>,
    bytes: Cell<usize>,
}

/// A row of capnp's table of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Called,
    Cancelled,
    /// Returned with so many bytes, which are kept until the caller has finished.
    Returned(usize),
}

impl Ledger {
    /// `read` is counted up by whoever reads the stream.
    pub(super) fn new(limits: &RpcLimits, fault: FaultSlot, read: Rc<Cell<u64>>) -> Rc<Self> {
        Rc::new(Self {
            calls_limit: limits.unfinished_calls,
            bytes_limit: FRAMES.saturating_mul(limits.frame_bytes),
            fault,
            overdrawn: Notify::new(),
            read,
            taken: Cell::new(0),
            answers: RefCell::default(),
            cancelled: Cell::new(0),
            bytes: Cell::new(0),
        })
    }

    /// Enters a message that came. An error ends the connection.
    fn take(self: &Rc<Self>, message: Box<dyn IncomingMessage>) -> capnp::Result<Box<dyn IncomingMessage>> {
        let read = self.read.get();
        let bytes = usize::try_from(read - self.taken.replace(read)).unwrap_or(usize::MAX);
        let is_call = match message.get_body()?.get_as::<message::Reader<'_>>()?.which() {
            Ok(message::Call(call)) => {
                let call = call?;
                // Results for ourselves are never sent nor freed, so no bound would see them. No caller of ours asks.
                if !matches!(call.get_send_results_to().which(), Ok(send_results_to::Caller(()))) {
                    return Err(Error::unimplemented("results are sent to the caller only".to_owned()));
                }
                self.called(call.get_question_id());
                true
            }
            Ok(message::Bootstrap(bootstrap)) => {
                self.called(bootstrap?.get_question_id());
                false
            }
            Ok(message::Finish(finish)) => {
                self.finished(finish?.get_question_id());
                false
            }
            _ => false,
        };
        let message = if is_call {
            self.hold(bytes);
            // The handler drops it, whatever becomes of the answer; a call that others wait for outlives its finish.
            Box::new(Held { inner: message, bytes, ledger: Rc::clone(self) })
        } else {
            message
        };
        self.fault.peek().map_or(Ok(message), |fault| Err(Error::overloaded(fault.to_string())))
    }

    fn called(&self, id: u32) {
        let mut answers = self.answers.borrow_mut();
        // A question that is in use already ends the connection in capnp.
        answers.entry(id).or_insert(Answer::Called);
        let unfinished = answers.len() - self.cancelled.get();
        if unfinished > self.calls_limit {
            self.overdraw(RpcFault::TooManyUnfinished { limit: self.calls_limit });
        }
    }

    fn finished(&self, id: u32) {
        if let Entry::Occupied(mut answer) = self.answers.borrow_mut().entry(id) {
            match *answer.get() {
                Answer::Called => {
                    answer.insert(Answer::Cancelled);
                    self.cancelled.set(self.cancelled.get() + 1);
                }
                Answer::Cancelled => (),
                Answer::Returned(bytes) => {
                    answer.remove();
                    self.release(bytes);
                }
            }
        }
        let limit = self.calls_limit.saturating_mul(CANCELLED_PER_UNFINISHED);
        if self.cancelled.get() > limit {
            self.overdraw(RpcFault::TooManyCancelled { limit });
        }
    }

    fn returned(&self, id: u32, bytes: usize, finish_needed: bool) {
        if let Entry::Occupied(mut answer) = self.answers.borrow_mut().entry(id) {
            match *answer.get() {
                Answer::Called if finish_needed => {
                    answer.insert(Answer::Returned(bytes));
                    self.hold(bytes);
                }
                Answer::Called => {
                    answer.remove();
                }
                Answer::Cancelled => {
                    answer.remove();
                    self.cancelled.set(self.cancelled.get() - 1);
                }
                Answer::Returned(_) => (),
            }
        }
    }

    fn hold(&self, bytes: usize) {
        let bytes = self.bytes.get().saturating_add(bytes);
        self.bytes.set(bytes);
        if bytes > self.bytes_limit {
            self.overdraw(RpcFault::UnfinishedBytes { bytes, limit: self.bytes_limit });
        }
    }

    fn release(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
    }

    fn overdraw(&self, fault: RpcFault) {
        self.fault.put(fault);
        self.overdrawn.notify_one();
    }
}

/// A call that came, counted for as long as it is in memory.
struct Held {
    inner: Box<dyn IncomingMessage>,
    bytes: usize,
    ledger: Rc<Ledger>,
}

impl IncomingMessage for Held {
    fn get_body(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.inner.get_body()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ledger.release(self.bytes);
    }
}

/// A network whose connection keeps the ledger.
pub(super) struct Bounded {
    pub(super) inner: Box<dyn VatNetwork<Side>>,
    pub(super) ledger: Rc<Ledger>,
}

impl VatNetwork<Side> for Bounded {
    fn connect(&mut self, host_id: Side) -> Option<Box<dyn Connection<Side>>> {
        let inner = self.inner.connect(host_id)?;
        Some(Box::new(BoundedConnection { inner, ledger: Rc::clone(&self.ledger) }))
    }

    fn accept(&mut self) -> Promise<Box<dyn Connection<Side>>, Error> {
        let ledger = Rc::clone(&self.ledger);
        Promise::from_future(self.inner.accept().map_ok(move |inner| {
            let bounded: Box<dyn Connection<Side>> = Box::new(BoundedConnection { inner, ledger });
            bounded
        }))
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), Error> {
        self.inner.drive_until_shutdown()
    }
}

struct BoundedConnection {
    inner: Box<dyn Connection<Side>>,
    ledger: Rc<Ledger>,
}

impl Connection<Side> for BoundedConnection {
    fn get_peer_vat_id(&self) -> Side {
        self.inner.get_peer_vat_id()
    }

    fn new_outgoing_message(&mut self, first_segment_word_size: u32) -> Box<dyn OutgoingMessage> {
        let inner = self.inner.new_outgoing_message(first_segment_word_size);
        Box::new(Outgoing { inner, ledger: Rc::clone(&self.ledger) })
    }

    fn receive_incoming_message(&mut self) -> Promise<Option<Box<dyn IncomingMessage>>, Error> {
        let (receiving, ledger) = (self.inner.receive_incoming_message(), Rc::clone(&self.ledger));
        Promise::from_future(async move {
            tokio::select! {
                biased;
                // An answer of ours was too much: nothing more need come for the caller to be told.
                () = ledger.overdrawn.notified() => {
                    let reason = ledger.fault.peek().map(|fault| fault.to_string());
                    Err(Error::overloaded(reason.unwrap_or_default()))
                }
                message = receiving => message?.map(|message| ledger.take(message)).transpose(),
            }
        })
    }

    fn new_stream(&mut self) -> (Box<dyn FlowController>, Promise<(), Error>) {
        self.inner.new_stream()
    }

    fn shutdown(&mut self, result: capnp::Result<()>) -> Promise<(), Error> {
        self.inner.shutdown(result)
    }
}

struct Outgoing {
    inner: Box<dyn OutgoingMessage>,
    ledger: Rc<Ledger>,
}

impl OutgoingMessage for Outgoing {
    fn get_body(&mut self) -> capnp::Result<any_pointer::Builder<'_>> {
        self.inner.get_body()
    }

    fn get_body_as_reader(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.inner.get_body_as_reader()
    }

    fn send(self: Box<Self>) -> (Promise<(), Error>, Rc<Builder<HeapAllocator>>) {
        let body = self.inner.get_body_as_reader().and_then(|body| body.get_as::<message::Reader<'_>>());
        if let Ok(Ok(message::Return(Ok(returned)))) = body.map(message::Reader::which) {
            let bytes = self.inner.size_in_words().saturating_mul(8);
            self.ledger.returned(returned.get_answer_id(), bytes, !returned.get_no_finish_needed());
        }
        self.inner.send()
    }

    fn take(self: Box<Self>) -> Builder<HeapAllocator> {
        self.inner.take()
    }

    fn size_in_words(&self) -> usize {
        self.inner.size_in_words()
    }
}
