//! How the protocol's values look in `schemas/federation.capnp`.
//!
//! Reading is the door: what comes out is valid, and what can't be read is a refusal that names the field.

use std::time::Duration;

use capnp::struct_list;
use qpq_core::{
    Digest, Domain, ErrorCode, Incarnation, MessageId, Millis, RequestId, Seq, Timestamp, limits,
};
use qpq_federation_proto::{
    Batch, Hello, PeerHead, Position, ROW_BYTES, Refusal as RowRefusal, Row, RowAck, RowKind, SignedHeader,
    StreamAnswer, StreamId, TrustedClaims, VersionRange,
};
use qpq_schemas::federation_capnp::{
    applied_head, batch_header, call, hello, row, stream_answer, stream_batch, trusted_hello,
};
use qpq_service::{
    Answered, Refusal,
    relay::{NamedHead, RelayCall},
    wire::{array, bounded, bytes, length, read_failure, text, unreadable, write_failure},
};

use crate::link::Carried;

/// A stored header: 256 lines of 96 bytes, names and signature.
const HEADER_BYTES: usize = 32 * 1024;
/// Features that a hello may name.
const FEATURES: usize = 64;

pub(crate) fn write_hello(hello: &Hello, mut builder: hello::Builder<'_>) {
    builder.set_min_version(hello.versions.min);
    builder.set_max_version(hello.versions.max);
    builder.set_domain(hello.domain.as_str());
    let mut features = builder.reborrow().init_features(length(hello.features.len()));
    for (index, feature) in (0..).zip(&hello.features) {
        features.set(index, feature.as_str());
    }
    if let Some(claims) = &hello.trusted {
        let mut trusted = builder.init_trusted();
        trusted.set_incarnation(&claims.incarnation.to_bytes());
        if let Some(yours) = claims.yours {
            trusted.set_yours(&yours.to_bytes());
        }
        trusted.set_streams(claims.streams);
        trusted.set_heads_digest(claims.heads.as_bytes());
        trusted.set_clock(claims.clock.as_millis());
    }
}

/// Reads what anybody may say.
pub(crate) fn read_hello(reader: hello::Reader<'_>) -> Answered<Hello> {
    let features = reader.get_features().map_err(unreadable)?;
    if usize::try_from(features.len()).map_or(true, |count| count > FEATURES) {
        return Err(Refusal::new(ErrorCode::TooLarge, format!("`features` may name at most {FEATURES}")));
    }
    Ok(Hello {
        versions: VersionRange { min: reader.get_min_version(), max: reader.get_max_version() },
        features: features
            .iter()
            .map(|feature| text("features", feature).map(str::to_owned))
            .collect::<Answered<_>>()?,
        domain: domain("domain", reader.get_domain())?,
        trusted: None,
    })
}

/// Reads what a trusted peer says besides; `None` if it says nothing.
pub(crate) fn read_claims(reader: hello::Reader<'_>) -> Answered<Option<TrustedClaims>> {
    if !reader.has_trusted() {
        return Ok(None);
    }
    let trusted: trusted_hello::Reader<'_> = reader.get_trusted().map_err(unreadable)?;
    let yours = trusted.get_yours().map_err(unreadable)?;
    let yours = if yours.is_empty() { None } else { Some(incarnation("yours", Ok(yours))?) };
    Ok(Some(TrustedClaims {
        incarnation: incarnation("incarnation", trusted.get_incarnation())?,
        yours,
        streams: trusted.get_streams(),
        heads: Digest::from_bytes(array("headsDigest", trusted.get_heads_digest())?),
        clock: Timestamp::from_millis(trusted.get_clock()),
    }))
}

fn domain(field: &'static str, reader: capnp::Result<capnp::text::Reader<'_>>) -> Answered<Domain> {
    text(field, reader)?.parse().map_err(|error| Refusal::malformed(format!("`{field}`: {error}")))
}

fn incarnation(field: &'static str, reader: capnp::Result<&[u8]>) -> Answered<Incarnation> {
    let bytes: [u8; 16] = array(field, reader)?;
    Incarnation::from_slice(&bytes).ok_or_else(|| Refusal::malformed(format!("`{field}` is no incarnation")))
}

pub(crate) fn write_call(carried: Carried, mut builder: call::Builder<'_>) {
    if let Some(request) = &carried.request {
        builder.set_request(request.as_bytes());
    }
    // 0 says "none": who has no time left says the least.
    let left = carried.left.map(|left| u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1));
    builder.set_budget_ms(left.unwrap_or(0));
}

/// Reads what travels with a call. It helps people and saves time, so what can't be read is absent.
pub(crate) fn read_call(reader: capnp::Result<call::Reader<'_>>) -> Carried {
    let budget = |millis: u32| (millis > 0).then(|| Duration::from_millis(u64::from(millis)));
    reader.map_or_else(
        |_| Carried::default(),
        |call| Carried {
            request: call.get_request().ok().and_then(RequestId::from_slice),
            left: budget(call.get_budget_ms()),
        },
    )
}

pub(crate) fn write_header(header: &SignedHeader, mut builder: batch_header::Builder<'_>) {
    builder.set_origin(header.origin().as_str());
    builder.set_destination(header.destination().as_str());
    builder.set_incarnation(&header.incarnation().to_bytes());
    builder.set_signature(header.signature());
}

pub(crate) fn write_batches(batches: &[Batch], mut list: struct_list::Builder<'_, stream_batch::Owned>) {
    for (index, batch) in (0..).zip(batches) {
        let mut builder = list.reborrow().get(index);
        builder.set_stream(batch.stream().as_bytes());
        builder.set_first(batch.first().0);
        if let Some(before) = batch.before() {
            builder.set_before(before.as_bytes());
        }
        if batch.is_gap() {
            builder.set_gap_through(batch.last().0);
        }
        let mut rows = builder.init_rows(length(batch.rows().len()));
        for (index, row) in (0..).zip(batch.rows()) {
            let mut builder = rows.reborrow().get(index);
            builder.set_id(row.id.as_bytes());
            builder.set_kind(row.kind.number());
            builder.set_ttl_ms(row.ttl.map_or(0, |ttl| ttl.0));
            builder.set_payload(&row.payload);
            if let Some(request) = &row.request {
                builder.set_request(request.as_bytes());
            }
        }
    }
}

/// Reads a relay call; whether it is signed is for the use case to check.
pub(crate) fn read_relay(
    header: batch_header::Reader<'_>,
    batches: struct_list::Reader<'_, stream_batch::Owned>,
) -> Answered<RelayCall> {
    if usize::try_from(batches.len()).map_or(true, |count| count > limits::RELAY_STREAMS) {
        let text = format!("a relay call carries at most {} batches", limits::RELAY_STREAMS);
        return Err(Refusal::new(ErrorCode::TooLarge, text));
    }
    Ok(RelayCall {
        origin: domain("header.origin", header.get_origin())?,
        destination: domain("header.destination", header.get_destination())?,
        incarnation: incarnation("header.incarnation", header.get_incarnation())?,
        signature: array("header.signature", header.get_signature())?,
        batches: batches.iter().map(read_batch).collect::<Answered<_>>()?,
    })
}

fn read_batch(reader: stream_batch::Reader<'_>) -> Answered<Batch> {
    let stream = StreamId::from_bytes(array("stream", reader.get_stream())?);
    let before = reader.get_before().map_err(unreadable)?;
    let before =
        if before.is_empty() { None } else { Some(Digest::from_bytes(array("before", Ok(before))?)) };
    let rows = reader.get_rows().map_err(unreadable)?;
    bounded("rows", rows.len())?;
    let first = Seq(reader.get_first());
    let through = Seq(reader.get_gap_through());
    if through > Seq::ZERO && rows.is_empty() {
        return Batch::gap(stream, before, first, through)
            .map_err(|error| Refusal::malformed(error.to_string()));
    }
    let rows = (0..)
        .zip(rows.iter())
        .map(|(index, row)| read_row(first.plus(index), row))
        .collect::<Answered<_>>()?;
    Batch::new(stream, before, rows).map_err(|error| Refusal::malformed(error.to_string()))
}

fn read_row(seq: Seq, reader: row::Reader<'_>) -> Answered<Row> {
    Ok(Row {
        seq,
        id: MessageId::from_bytes(array("row.id", reader.get_id())?),
        kind: RowKind::from_number(reader.get_kind()),
        ttl: Some(Millis(reader.get_ttl_ms())).filter(|ttl| ttl.0 > 0),
        payload: bytes("row.payload", reader.get_payload(), ROW_BYTES)?,
        // It helps people only, so one that can't be read is none.
        request: reader.get_request().ok().and_then(RequestId::from_slice),
    })
}

pub(crate) fn write_answers(
    answers: &[(StreamId, StreamAnswer)],
    mut list: struct_list::Builder<'_, stream_answer::Owned>,
) {
    for (index, (stream, answer)) in (0..).zip(answers) {
        let mut builder = list.reborrow().get(index);
        builder.set_stream(stream.as_bytes());
        match answer {
            StreamAnswer::Applied { through, chain, refusals } => {
                let mut applied = builder.init_applied();
                applied.set_through(through.0);
                applied.set_chain(chain.as_bytes());
                let mut acks = applied.init_acks(length(refusals.len()));
                for (index, refusal) in (0..).zip(refusals) {
                    let mut ack = acks.reborrow().get(index);
                    ack.set_seq(refusal.seq.0);
                    let (code, retry_after) = refusal.ack.to_failure();
                    let mut failure = ack.init_failure();
                    failure.set_code(code.number());
                    failure.set_text(code.name());
                    failure.set_retry_after_ms(retry_after.0);
                }
            }
            StreamAnswer::ExpectSeq(next) => builder.set_expect_seq(next.0),
            StreamAnswer::ChainDiffers { header } => builder.set_chain_differs(header),
            StreamAnswer::NotNow { retry_after } => {
                let refusal = Refusal::retry(ErrorCode::Overloaded, "not now", *retry_after);
                write_failure(&refusal, builder.init_not_now());
            }
        }
    }
}

pub(crate) fn read_answers(
    list: struct_list::Reader<'_, stream_answer::Owned>,
) -> Answered<Vec<(StreamId, StreamAnswer)>> {
    if usize::try_from(list.len()).map_or(true, |count| count > limits::RELAY_STREAMS) {
        return Err(Refusal::malformed("more answers than streams"));
    }
    list.iter().map(read_answer).collect()
}

fn read_answer(reader: stream_answer::Reader<'_>) -> Answered<(StreamId, StreamAnswer)> {
    let stream = StreamId::from_bytes(array("stream", reader.get_stream())?);
    let answer = match reader.which().map_err(unreadable)? {
        stream_answer::Applied(applied) => {
            let applied = applied.map_err(unreadable)?;
            let acks = applied.get_acks().map_err(unreadable)?;
            bounded("acks", acks.len())?;
            let refusals = acks
                .iter()
                .map(|ack| {
                    let failure = read_failure(ack.get_failure().map_err(unreadable)?)?;
                    let ack_of = RowAck::from_failure(failure.code, failure.retry_after.unwrap_or_default());
                    Ok(RowRefusal { seq: Seq(ack.get_seq()), ack: ack_of })
                })
                .collect::<Answered<_>>()?;
            StreamAnswer::Applied {
                through: Seq(applied.get_through()),
                chain: Digest::from_bytes(array("chain", applied.get_chain())?),
                refusals,
            }
        }
        stream_answer::ExpectSeq(next) => StreamAnswer::ExpectSeq(Seq(next)),
        stream_answer::ChainDiffers(header) => {
            StreamAnswer::ChainDiffers { header: bytes("chainDiffers", header, limits::BATCH_BYTES)? }
        }
        stream_answer::NotNow(failure) => {
            let failure = read_failure(failure.map_err(unreadable)?)?;
            StreamAnswer::NotNow { retry_after: failure.retry_after.unwrap_or_default() }
        }
    };
    Ok((stream, answer))
}

pub(crate) fn write_heads(heads: &[NamedHead], mut list: struct_list::Builder<'_, applied_head::Owned>) {
    for (index, named) in (0..).zip(heads) {
        let mut builder = list.reborrow().get(index);
        let PeerHead { stream, at, backed_up } = &named.head;
        builder.set_stream(stream.as_bytes());
        builder.set_incarnation(&at.incarnation.to_bytes());
        builder.set_applied(at.applied.0);
        builder.set_chain(at.chain.as_bytes());
        builder.set_backed_up_through(backed_up.0);
        if !named.header.is_empty() {
            builder.set_header(&named.header);
        }
    }
}

/// Reads heads that a peer names; `most` bounds how many.
pub(crate) fn read_heads(
    list: struct_list::Reader<'_, applied_head::Owned>,
    most: usize,
) -> Answered<Vec<NamedHead>> {
    if usize::try_from(list.len()).map_or(true, |count| count > most) {
        return Err(Refusal::malformed("more heads than were asked for"));
    }
    list.iter()
        .map(|head| {
            let at = Position {
                incarnation: incarnation("incarnation", head.get_incarnation())?,
                applied: Seq(head.get_applied()),
                chain: Digest::from_bytes(array("chain", head.get_chain())?),
            };
            let stream = StreamId::from_bytes(array("stream", head.get_stream())?);
            let head_of = PeerHead { stream, at, backed_up: Seq(head.get_backed_up_through()) };
            Ok(NamedHead { head: head_of, header: bytes("header", head.get_header(), HEADER_BYTES)? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_travels_with_a_call_comes_back_and_may_be_absent() {
        let request = Some(RequestId::from_bytes([7; 16]));
        let millis = |millis| Some(Duration::from_millis(millis));
        let cases = [
            (Carried { request, left: millis(300) }, Carried { request, left: millis(300) }),
            // Nothing left is not the same as no bound.
            (Carried { request: None, left: millis(0) }, Carried { request: None, left: millis(1) }),
            (Carried::default(), Carried::default()),
        ];
        for (sent, read) in cases {
            let mut message = capnp::message::Builder::new_default();
            write_call(sent, message.init_root());
            assert_eq!(read_call(message.get_root_as_reader()), read);
        }
    }
}
