use proptest::prelude::*;

use super::*;

fn row(seq: u64, payload: &[u8]) -> Row {
    Row {
        seq: Seq(seq),
        id: MessageId::from_bytes([7; 16]),
        kind: RowKind::GroupEntry,
        ttl: Some(Millis(5)),
        payload: payload.to_vec(),
        request: None,
    }
}

const STREAM: StreamId = StreamId::from_bytes([9; 16]);

#[test]
fn every_conversation_and_direction_has_its_own_stream() {
    let (alpha, beta): (Domain, Domain) = ("alpha.test".parse().unwrap(), "beta.test".parse().unwrap());
    let group = GroupId::new([1; 16], 1, beta.clone());
    let other = GroupId::new([1; 16], 2, beta.clone());
    let ids = [
        StreamId::of(&alpha, &beta, &StreamName::Submissions(group.clone())),
        StreamId::of(&alpha, &beta, &StreamName::Submissions(other)),
        StreamId::of(&alpha, &beta, &StreamName::FanOut(group.clone())),
        StreamId::of(&beta, &alpha, &StreamName::FanOut(group.clone())),
        StreamId::of(&alpha, &beta, &StreamName::Control),
        StreamId::of(&beta, &alpha, &StreamName::Control),
    ];
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    assert_eq!(ids[2], StreamId::of(&alpha, &beta, &StreamName::FanOut(group)));
}

#[test]
fn the_bytes_of_stream_chain_and_body_never_change() {
    let (alpha, beta): (Domain, Domain) = ("alpha.test".parse().unwrap(), "beta.test".parse().unwrap());
    assert_eq!(
        StreamId::of(&alpha, &beta, &StreamName::Control).to_string(),
        "str_d10526be5ac0e708a79f79a0a4c59d39"
    );
    let batch = Batch::new(STREAM, Some(Digest::ZERO), vec![row(1, b"hi")]).unwrap();
    assert_eq!(
        batch.chain_after().unwrap().to_string(),
        "dbd2930e16577844eaa6d6c8286255a0775755b1d805c8ee2f2ccb58e3ee8ad8"
    );
    assert_eq!(
        Digest::of(&[&batch.to_body()]).to_string(),
        "0d1124bb724a67d60f391f0ee5d7c1d998287c67324a0fd3b2178c4daf1c46da"
    );
}

#[test]
fn the_chain_names_the_rows_and_survives_a_tombstone() {
    let good = row(1, b"a");
    let late = row(2, b"a");
    let tail = chain(&Digest::ZERO, &good);
    for changed in [late, Row { id: MessageId::from_bytes([8; 16]), ..good.clone() }] {
        assert_ne!(tail, chain(&Digest::ZERO, &changed));
    }
    assert_ne!(tail, chain(&tail, &good));
    let tombstone = Row { kind: RowKind::Tombstone, ttl: None, payload: Vec::new(), ..good };
    assert_eq!(tail, chain(&Digest::ZERO, &tombstone));
}

#[test]
fn a_batch_has_rows_without_a_hole() {
    let batch = |rows| Batch::new(STREAM, None, rows);
    assert!(batch(vec![]).is_err());
    assert!(batch(vec![row(0, b"")]).is_err());
    assert!(batch(vec![row(1, b""), row(3, b"")]).is_err());
    assert!(batch(vec![row(2, b""), row(1, b"")]).is_err());
    assert!(batch((1..=257).map(|seq| row(seq, b"")).collect()).is_err());
    assert!(batch(vec![row(1, &vec![0; limits::BATCH_BYTES + 1])]).is_ok(), "a large row travels alone");
    assert!(batch(vec![row(1, &vec![0; limits::BATCH_BYTES]), row(2, b"x")]).is_err());
    assert!(batch(vec![row(1, &vec![0; ROW_BYTES + 1])]).is_err());
}

prop_compose! {
    fn batches()(
        stream: [u8; 16],
        before: Option<[u8; 32]>,
        first in 1..u64::MAX / 2,
        parts in prop::collection::vec((any::<[u8; 16]>(), any::<u16>(), any::<Option<std::num::NonZeroU64>>(), any::<Vec<u8>>()), 1..9),
    ) -> Batch {
        let rows = parts.into_iter().zip(first..).map(|((id, kind, ttl, payload), seq)| Row {
            seq: Seq(seq),
            id: MessageId::from_bytes(id),
            kind: RowKind::from_number(kind),
            ttl: ttl.map(|ttl| Millis(ttl.get())),
            payload,
            request: None,
        });
        Batch::new(StreamId::from_bytes(stream), before.map(Digest::from_bytes), rows.collect()).unwrap()
    }
}

proptest! {
    #[test]
    fn every_kind_number_round_trips(number: u16) {
        prop_assert_eq!(RowKind::from_number(number).number(), number);
    }

    #[test]
    fn bodies_round_trip(batch in batches()) {
        prop_assert_eq!(Batch::from_body(&batch.to_body()), Ok(batch));
    }

    #[test]
    fn a_damaged_body_never_panics_and_has_one_spelling(
        batch in batches(), at: prop::sample::Index, flip in 1u8.., cut: prop::sample::Index,
    ) {
        let mut bytes = batch.to_body();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(read) = Batch::from_body(&bytes) {
            prop_assert_eq!(read.to_body(), bytes.clone());
        }
        let cut = cut.index(bytes.len());
        prop_assert!(Batch::from_body(&batch.to_body()[..cut]).is_err());
    }

    #[test]
    fn garbage_is_refused_without_panic(bytes: Vec<u8>) {
        if let Ok(batch) = Batch::from_body(&bytes) {
            prop_assert_eq!(batch.to_body(), bytes);
        }
    }
}
