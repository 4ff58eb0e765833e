//! Relay batches and their signed headers, as a hostile peer would write them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qpq_core::{Incarnation, MessageId, RequestId, Seq};
use qpq_federation_proto::{Batch, BatchDigest, Row, RowKind, SignedHeader, StreamId};
use qpq_fuzz::{
    home::{alpha, beta},
    seeds,
};

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    if let Ok(header) = SignedHeader::from_bytes(bytes) {
        assert_eq!(header.to_bytes(), bytes);
    }
    if let Ok(batch) = Batch::from_body(bytes) {
        // The chain walks over every row.
        batch.chain_after();
        assert!(batch.first() <= batch.last());
    }
});

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let row = |seq: u64| Row {
        seq: Seq(seq),
        id: MessageId::from_bytes([3; 16]),
        kind: RowKind::from_number(2),
        ttl: Some(qpq_core::Millis(5)),
        payload: vec![8; 24],
        request: Some(RequestId::from_bytes([4; 16])),
    };
    let batch = Batch::new(StreamId::from_bytes([2; 16]), None, vec![row(1), row(2)]).expect("a batch");
    let incarnation = Incarnation::from_slice(&[1; 16]).expect("an incarnation");
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let digests = vec![BatchDigest::of(&batch)];
    let header = SignedHeader::sign(&key, beta(), alpha(), incarnation, digests).expect("a header");
    vec![("batch", batch.to_body()), ("header", header.to_bytes())]
}
