//! Relay batches and their signed headers, as a hostile peer would write them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qpq_federation_proto::{Batch, SignedHeader};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = SignedHeader::from_bytes(bytes) {
        assert_eq!(header.to_bytes(), bytes);
    }
    if let Ok(batch) = Batch::from_body(bytes) {
        // The chain walks over every row.
        batch.chain_after();
        assert!(batch.first() <= batch.last());
    }
});
