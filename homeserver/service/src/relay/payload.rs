//! The payload of a row as bytes: one message of `schemas/records.capnp`, bounded when it is read.

use capnp::{
    message::{Builder, HeapAllocator, ReaderOptions},
    serialize,
};
use qpq_core::limits;

use crate::{Answered, wire::unreadable};

pub(crate) fn write<T: capnp::traits::Owned>(fill: impl FnOnce(T::Builder<'_>)) -> Vec<u8> {
    let mut message = Builder::new(HeapAllocator::new());
    fill(message.init_root::<T::Builder<'_>>());
    serialize::write_message_to_words(&message)
}

pub(crate) fn read(payload: &[u8]) -> Answered<capnp::message::Reader<serialize::OwnedSegments>> {
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(limits::HANDSHAKE_BYTES)).nesting_limit(16);
    // Copies into aligned memory, which a slice of a batch need not be.
    serialize::read_message(payload, options).map_err(unreadable)
}
