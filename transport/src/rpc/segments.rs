//! Small first segments: capnp-rpc starts each request with 8 KiB of zeroed memory, most of ours need far less.

use capnp::{Error, capability::Promise};
use capnp_rpc::{Connection, FlowController, IncomingMessage, OutgoingMessage, VatNetwork, twoparty};
use futures::{AsyncRead, TryFutureExt};

use super::Side;

/// 1 KiB; a message that needs more gets further segments.
const FIRST_SEGMENT_WORDS: u32 = 128;

/// The two-party network with a cap on first segments.
pub(super) struct SmallSegments<T: AsyncRead + Unpin + 'static>(pub(super) twoparty::VatNetwork<T>);

impl<T: AsyncRead + Unpin + 'static> VatNetwork<Side> for SmallSegments<T> {
    fn connect(&mut self, host_id: Side) -> Option<Box<dyn Connection<Side>>> {
        self.0.connect(host_id).map(|inner| Box::new(Small(inner)) as Box<dyn Connection<Side>>)
    }

    fn accept(&mut self) -> Promise<Box<dyn Connection<Side>>, Error> {
        let accepted = self.0.accept().map_ok(|inner| Box::new(Small(inner)) as Box<dyn Connection<Side>>);
        Promise::from_future(accepted)
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), Error> {
        self.0.drive_until_shutdown()
    }
}

struct Small(Box<dyn Connection<Side>>);

impl Connection<Side> for Small {
    fn get_peer_vat_id(&self) -> Side {
        self.0.get_peer_vat_id()
    }

    fn new_outgoing_message(&mut self, first_segment_word_size: u32) -> Box<dyn OutgoingMessage> {
        self.0.new_outgoing_message(first_segment_word_size.min(FIRST_SEGMENT_WORDS))
    }

    fn receive_incoming_message(&mut self) -> Promise<Option<Box<dyn IncomingMessage>>, Error> {
        self.0.receive_incoming_message()
    }

    fn new_stream(&mut self) -> (Box<dyn FlowController>, Promise<(), Error>) {
        self.0.new_stream()
    }

    fn shutdown(&mut self, result: capnp::Result<()>) -> Promise<(), Error> {
        self.0.shutdown(result)
    }
}
