//! What we say to a peer about its streams here: how far each was applied, and the last header that proves it.

use qpq_core::{Digest, Domain};
use qpq_federation_proto::{PeerHead, StreamId, heads_digest};
use qpq_storage::InboxHead;

use super::inbound::position;
use crate::{Answered, Ground};

/// Streams about which one answer can show headers.
pub const STREAMS_NAMED: usize = 64;

/// One of its streams, as a peer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedHead {
    /// Where it stands.
    pub head: PeerHead,
    /// The last signed header of it that we hold; empty where none was asked for.
    pub header: Vec<u8>,
}

/// What `hello` says to `origin` about its streams here: how many, and their digest.
pub async fn heads_of(ground: &Ground, origin: &Domain) -> Answered<(u64, Digest)> {
    let heads = ground.read().await?.inbox_heads(origin).await?;
    Ok(heads_digest(heads.iter().map(|(stream, head)| (StreamId::from_bytes(*stream), position(head)))))
}

/// A page of all its streams, by their ids, without headers.
pub async fn page_of_heads(
    ground: &Ground,
    origin: &Domain,
    after: Option<StreamId>,
    limit: usize,
) -> Answered<Vec<NamedHead>> {
    let after = after.map(|after| *after.as_bytes());
    let heads = ground.read().await?.inbox_heads_after(origin, after.as_ref(), limit).await?;
    Ok(heads.into_iter().map(|(stream, head)| named(stream, &head, Vec::new())).collect())
}

/// Some of its streams, with the headers that prove what we say.
pub async fn named_heads(ground: &Ground, origin: &Domain, streams: &[StreamId]) -> Answered<Vec<NamedHead>> {
    let mut tx = ground.read().await?;
    let mut found = Vec::with_capacity(streams.len());
    for stream in streams {
        if let Some(head) = tx.inbox_head(origin, stream.as_bytes()).await? {
            found.push(named(*stream.as_bytes(), &head, head.header.clone()));
        }
    }
    Ok(found)
}

const fn named(stream: [u8; 16], head: &InboxHead, header: Vec<u8>) -> NamedHead {
    let stream = StreamId::from_bytes(stream);
    NamedHead { head: PeerHead { stream, at: position(head), backed_up: head.backed_up }, header }
}
