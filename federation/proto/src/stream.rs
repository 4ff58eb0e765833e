//! Streams and their rows: the unit that keeps order between two domains.
//!
//! There is one stream per conversation and direction, so that a poisoned conversation can't block a domain.
//! Rows are numbered without a hole from 1, anew in each life of the origin's database ([`Lane`]). A row that expires
//! or is given up becomes a tombstone under the same number and id, which travels and is applied like any other row;
//! rows that are gone altogether, because the receiver asks for them after the origin had to forget them, are named by a
//! gap, so that a stream is never blocked for ever.

use std::fmt;

use data_encoding::HEXLOWER;
use qpq_core::{
    Digest, Domain, GroupId, Incarnation, MessageId, Millis, RequestId, Seq,
    codec::{CodecError, Reader, put_text},
    limits,
};

/// The most bytes of one row's payload: a commit and its GroupInfo, each at its own limit, and their envelope.
pub const ROW_BYTES: usize = 2 * limits::HANDSHAKE_BYTES + 64 * 1024;
/// The most bytes of a batch's body. A row above [`limits::BATCH_BYTES`] travels alone.
pub const BATCH_BODY_BYTES: usize = ROW_BYTES + limits::BATCH_ITEMS * ROW_HEAD_BYTES + 64;
const ROW_HEAD_BYTES: usize = 16 + 2 + 8 + 4;

/// What a stream carries; origin and destination belong to the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamName {
    /// Commits and messages of the origin's users for a group that the destination orders.
    Submissions(GroupId),
    /// The log of a group that the origin orders, for the destination's members.
    FanOut(GroupId),
    /// Notices from domain to domain that belong to no group's order: refused submits, accepted contacts.
    Control,
    /// Receipts for the destination's rows: apart from the notices, so that a peer that can't read them loses nothing else.
    Receipts,
}

/// A stream's 16-byte name: what rows, batches and positions are kept under.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId([u8; 16]);

impl StreamId {
    /// The first 16 bytes of SHA-256 over `"qpq/stream/v1" ‖ kind u8 ‖ origin ‖ destination ‖ group id`, both
    /// domains behind a length byte. The kinds are 1 submissions, 2 fan-out, 3 control, 4 receipts (both without a
    /// group id).
    pub fn of(origin: &Domain, destination: &Domain, name: &StreamName) -> Self {
        let (kind, group) = match name {
            StreamName::Submissions(group) => (1, group.to_bytes()),
            StreamName::FanOut(group) => (2, group.to_bytes()),
            StreamName::Control => (3, Vec::new()),
            StreamName::Receipts => (4, Vec::new()),
        };
        let mut bytes = b"qpq/stream/v1".to_vec();
        bytes.push(kind);
        put_text(&mut bytes, origin.as_str());
        put_text(&mut bytes, destination.as_str());
        Self(Digest::of(&[&bytes, &group]).first_half())
    }

    /// Wraps 16 bytes that came from the wire or from storage.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The same, from a slice; `None` unless it has exactly 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "str_{}", HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One life's numbering of a stream: rows are numbered from 1 in each incarnation of the origin's database, and the rows
/// of an older one go out before those of a newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The life of the origin's database that numbered the rows.
    pub incarnation: Incarnation,
    /// Which stream.
    pub stream: StreamId,
}

/// What a row is. One 16-bit number on the wire and in storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKind {
    /// A commit or message that a user of the origin submits to the hub (1).
    GroupSubmit,
    /// An entry of the hub's log: a commit or a message (2).
    GroupEntry,
    /// A Welcome for a device of the destination, the first row of a group's fan-out (3).
    Welcome,
    /// The hub refused a queued submit: goes back to its sender (4).
    SubmitRefused,
    /// Stands for a row that will not come (5); the reason is in its payload.
    Tombstone,
    /// A user of the origin has accepted a user of the destination who had asked (6).
    ContactAccepted,
    /// The origin proves that it has stored rows of the destination (7).
    Receipt,
    /// A kind from a newer version: stored and parked, never dropped.
    Unknown(u16),
}

impl RowKind {
    /// The number on the wire and in storage.
    pub const fn number(self) -> u16 {
        match self {
            Self::GroupSubmit => 1,
            Self::GroupEntry => 2,
            Self::Welcome => 3,
            Self::SubmitRefused => 4,
            Self::Tombstone => 5,
            Self::ContactAccepted => 6,
            Self::Receipt => 7,
            Self::Unknown(number) => number,
        }
    }

    /// The kind of a number; every number has one.
    pub const fn from_number(number: u16) -> Self {
        match number {
            1 => Self::GroupSubmit,
            2 => Self::GroupEntry,
            3 => Self::Welcome,
            4 => Self::SubmitRefused,
            5 => Self::Tombstone,
            6 => Self::ContactAccepted,
            7 => Self::Receipt,
            unknown => Self::Unknown(unknown),
        }
    }
}

/// One row of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its place in the stream, from 1.
    pub seq: Seq,
    /// The submitted message's id, kept by a tombstone that replaces it.
    pub id: MessageId,
    /// What it is.
    pub kind: RowKind,
    /// How long it may still wait, measured from its arrival and at least 1 ms; `None` for rows that never expire
    /// (handshakes).
    pub ttl: Option<Millis>,
    /// A Cap'n Proto message that belongs to the kind; opaque here.
    pub payload: Vec<u8>,
    /// The request that it follows from, for the logs of both domains; no part of what is signed or chained.
    pub request: Option<RequestId>,
}

/// The chain after `row`: SHA-256 over `"qpq/chain/v1" ‖ previous[32] ‖ seq u64 ‖ id[16]`. Both sides start at
/// [`Digest::ZERO`].
///
/// It tells whether both sides numbered the same rows. Kind, payload and time to live are left out, because a row
/// may turn into its tombstone after the peer applied it and before its answer arrived; the bytes are covered by
/// the signed header.
pub fn chain(previous: &Digest, row: &Row) -> Digest {
    Digest::of(&[b"qpq/chain/v1", previous.as_bytes(), &row.seq.0.to_be_bytes(), row.id.as_bytes()])
}

/// The chain after a gap that ends with `through`: SHA-256 over `"qpq/gap/v1" ‖ previous[32] ‖ through u64`. Who
/// receives a gap may have applied some of its rows, so only the receiver knows it; it names it in its answer.
pub(crate) fn chain_over_gap(previous: &Digest, through: Seq) -> Digest {
    Digest::of(&[b"qpq/gap/v1", previous.as_bytes(), &through.0.to_be_bytes()])
}

/// Consecutive rows of one stream, or the word that some will never come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    stream: StreamId,
    before: Option<Digest>,
    first: Seq,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Rows(Vec<Row>),
    Gap { through: Seq },
}

impl Batch {
    /// Puts a batch together; refuses none or too many rows, holes, and rows over their limit. `before` is the
    /// chain before the first row where the sender knows it: the receiver then sees at once when they disagree.
    pub fn new(stream: StreamId, before: Option<Digest>, mut rows: Vec<Row>) -> Result<Self, CodecError> {
        let Some(first) = rows.first().map(|row| row.seq) else {
            return Err(CodecError::Invalid("a batch without rows"));
        };
        if rows.len() > limits::BATCH_ITEMS {
            return Err(CodecError::TooLarge("the number of rows"));
        }
        let numbered =
            first > Seq::ZERO && rows.is_sorted_by(|row, next| row.seq.0.checked_add(1) == Some(next.seq.0));
        if !numbered {
            return Err(CodecError::Invalid("the numbering of the rows"));
        }
        if rows.iter().any(|row| row.payload.len() > ROW_BYTES) {
            return Err(CodecError::TooLarge("a row"));
        }
        let bytes = rows.iter().fold(0_usize, |sum, row| sum.saturating_add(row.payload.len()));
        if bytes > limits::BATCH_BYTES && rows.len() > 1 {
            return Err(CodecError::TooLarge("the batch"));
        }
        for row in &mut rows {
            // On the wire 0 says "never".
            row.ttl = row.ttl.map(|ttl| ttl.max(Millis(1)));
        }
        Ok(Self { stream, before, first, content: Content::Rows(rows) })
    }

    /// Says that the rows from `first` to `through` will never come: the origin doesn't have them any more.
    pub fn gap(
        stream: StreamId,
        before: Option<Digest>,
        first: Seq,
        through: Seq,
    ) -> Result<Self, CodecError> {
        if first == Seq::ZERO || through < first {
            return Err(CodecError::Invalid("the numbering of the gap"));
        }
        Ok(Self { stream, before, first, content: Content::Gap { through } })
    }

    /// Which stream.
    pub const fn stream(&self) -> StreamId {
        self.stream
    }

    /// The number of the first row.
    pub const fn first(&self) -> Seq {
        self.first
    }

    /// The number of the last row.
    pub fn last(&self) -> Seq {
        match &self.content {
            Content::Rows(rows) => rows.last().map_or(self.first, |row| row.seq),
            Content::Gap { through } => *through,
        }
    }

    /// The chain before the first row, if the sender knows it.
    pub const fn before(&self) -> Option<Digest> {
        self.before
    }

    /// The chain after the last row, if the one before the first is known. After a gap only the receiver knows it.
    pub fn chain_after(&self) -> Option<Digest> {
        match &self.content {
            Content::Rows(rows) => {
                self.before.map(|before| rows.iter().fold(before, |previous, row| chain(&previous, row)))
            }
            Content::Gap { .. } => None,
        }
    }

    /// The rows, in order; none in a gap.
    pub fn rows(&self) -> &[Row] {
        match &self.content {
            Content::Rows(rows) => rows,
            Content::Gap { .. } => &[],
        }
    }

    /// Whether it stands for rows that will never come.
    pub const fn is_gap(&self) -> bool {
        matches!(self.content, Content::Gap { .. })
    }

    /// The bytes that the header signs, and that may travel as they are:
    ///
    /// | bytes | what |
    /// |---|---|
    /// | 16 | stream |
    /// | 8 | first seq |
    /// | 1, 32 | 1 and the chain before it, or 0 and zeros |
    /// | 2 | number of rows; 0: a gap, followed by its last seq in 8 bytes and nothing else |
    /// | each: 16, 2 | id, kind |
    /// | 8 | time to live in ms, 0 for ever |
    /// | 4, n | length, payload |
    pub fn to_body(&self) -> Vec<u8> {
        let rows = self.rows();
        let payloads = rows.iter().fold(0_usize, |sum, row| sum.saturating_add(row.payload.len()));
        let heads = rows.len().saturating_mul(32).saturating_add(72);
        let mut out = Vec::with_capacity(payloads.saturating_add(heads));
        out.extend_from_slice(self.stream.as_bytes());
        out.extend_from_slice(&self.first.0.to_be_bytes());
        out.push(u8::from(self.before.is_some()));
        out.extend_from_slice(self.before.unwrap_or(Digest::ZERO).as_bytes());
        out.extend_from_slice(&u16::try_from(rows.len()).unwrap_or(u16::MAX).to_be_bytes());
        if let Content::Gap { through } = &self.content {
            out.extend_from_slice(&through.0.to_be_bytes());
        }
        for row in rows {
            out.extend_from_slice(row.id.as_bytes());
            out.extend_from_slice(&row.kind.number().to_be_bytes());
            out.extend_from_slice(&row.ttl.unwrap_or_default().0.to_be_bytes());
            out.extend_from_slice(&u32::try_from(row.payload.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(&row.payload);
        }
        out
    }

    /// Reads such bytes; strict, so that what is accepted encodes to the same bytes again.
    pub fn from_body(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.len() > BATCH_BODY_BYTES {
            return Err(CodecError::TooLarge("the batch"));
        }
        let mut reader = Reader::new(bytes);
        let stream = StreamId(reader.array()?);
        let mut seq = Seq(reader.u64()?);
        let before = match (reader.u8()?, Digest::from_bytes(reader.array()?)) {
            (0, Digest::ZERO) => None,
            (1, before) => Some(before),
            (_, _) => return Err(CodecError::Invalid("the chain")),
        };
        let count = reader.u16()?;
        if usize::from(count) > limits::BATCH_ITEMS {
            return Err(CodecError::TooLarge("the number of rows"));
        }
        if count == 0 {
            let through = Seq(reader.u64()?);
            reader.finish()?;
            return Self::gap(stream, before, seq, through);
        }
        let mut rows = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let id = MessageId::from_bytes(reader.array()?);
            let kind = RowKind::from_number(reader.u16()?);
            let ttl = Some(reader.u64()?).filter(|millis| *millis > 0).map(Millis);
            let length = usize::try_from(reader.u32()?).map_err(|_| CodecError::TooLarge("a row"))?;
            rows.push(Row { seq, id, kind, ttl, payload: reader.take(length)?.to_vec(), request: None });
            seq = seq.next();
        }
        reader.finish()?;
        Self::new(stream, before, rows)
    }
}

#[cfg(test)]
mod tests;
