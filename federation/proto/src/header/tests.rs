use proptest::prelude::*;
use qpq_core::{MessageId, SeededEntropy, Timestamp};

use super::*;
use crate::stream::{Row, RowKind};

fn batch(stream: u8, payload: &[u8]) -> Batch {
    let row = Row {
        seq: Seq(1),
        id: MessageId::from_bytes([1; 16]),
        kind: RowKind::GroupEntry,
        ttl: None,
        payload: payload.to_vec(),
        request: None,
    };
    Batch::new(StreamId::from_bytes([stream; 16]), None, vec![row]).unwrap()
}

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

fn header(batches: Vec<BatchDigest>) -> Result<SignedHeader, HeaderError> {
    let incarnation = Incarnation::begin(Timestamp::from_millis(1), &mut SeededEntropy::new(1));
    SignedHeader::sign(
        &SigningKey::from_bytes(&[5; 32]),
        domain("alpha.test"),
        domain("beta.test"),
        incarnation,
        batches,
    )
}

#[test]
fn a_header_counts_only_for_its_link_destination_batches_and_key() {
    let lines = vec![BatchDigest::of(&batch(1, b"a")), BatchDigest::of(&batch(2, b"b"))];
    let good = header(lines.clone()).unwrap();
    let (alpha, beta): (Domain, Domain) = ("alpha.test".parse().unwrap(), "beta.test".parse().unwrap());
    let key = FederationKey::from_bytes(SigningKey::from_bytes(&[5; 32]).verifying_key().to_bytes());
    let stranger = FederationKey::from_bytes(SigningKey::from_bytes(&[6; 32]).verifying_key().to_bytes());
    assert_eq!(good.verify(&alpha, &beta, &key, &lines), Ok(()));
    assert_eq!(good.verify(&beta, &beta, &key, &lines), Err(HeaderError::Origin));
    assert_eq!(good.verify(&alpha, &alpha, &key, &lines), Err(HeaderError::Destination));
    assert_eq!(good.verify(&alpha, &beta, &key, &lines[..1]), Err(HeaderError::Mismatch));
    assert_eq!(good.verify(&alpha, &beta, &stranger, &lines), Err(HeaderError::Signature));
    let changed = vec![BatchDigest::of(&batch(1, b"A")), BatchDigest::of(&batch(2, b"b"))];
    let forged = SignedHeader::from_parts(
        alpha.clone(),
        beta.clone(),
        good.incarnation(),
        changed.clone(),
        *good.signature(),
    )
    .unwrap();
    assert_eq!(forged.verify(&alpha, &beta, &key, &changed), Err(HeaderError::Signature));
}

#[test]
fn a_call_has_1_to_256_batches_of_different_streams() {
    let line = BatchDigest::of(&batch(1, b"a"));
    assert_eq!(header(vec![]), Err(HeaderError::Batches));
    assert_eq!(header(vec![line.clone(), line.clone()]), Err(HeaderError::Batches));
    let many = |count: u16| {
        (0..count)
            .map(|number| {
                let mut stream = [0; 16];
                stream[..2].copy_from_slice(&number.to_be_bytes());
                BatchDigest { stream: StreamId::from_bytes(stream), ..line.clone() }
            })
            .collect::<Vec<_>>()
    };
    assert!(header(many(256)).is_ok());
    assert_eq!(header(many(257)), Err(HeaderError::Batches));
}

proptest! {
    #[test]
    fn the_stored_form_round_trips_and_damage_never_panics(
        streams in prop::collection::btree_set(any::<u8>(), 1..5), at: prop::sample::Index, flip in 1u8..,
    ) {
        let good = header(streams.into_iter().map(|stream| BatchDigest::of(&batch(stream, b"x"))).collect()).unwrap();
        let mut bytes = good.to_bytes();
        prop_assert_eq!(SignedHeader::from_bytes(&bytes), Ok(good));
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(read) = SignedHeader::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn garbage_is_refused_without_panic(bytes: Vec<u8>) {
        if let Ok(header) = SignedHeader::from_bytes(&bytes) {
            prop_assert_eq!(header.to_bytes(), bytes);
        }
    }
}
