//! The payloads of rows from peers, of every kind.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qpq_fuzz::{
    mls::{device, group},
    proof, seeds,
};
use qpq_proof::SignedStatement;
use qpq_schemas::{
    common_capnp::receipt,
    records_capnp::{group_entry, group_submit, group_welcome, submit_refused},
};

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    qpq_service::fuzzing::row_payload(bytes);
});

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let (group, bob) = (group(1).to_bytes(), device("bob@beta.test", 2));
    let submit = record(|message| {
        let mut record = message.init_root::<group_submit::Builder<'_>>();
        record.set_group(&group);
        record.set_sender(bob.as_str());
        record.set_message(&[7; 40]);
    });
    let entry = record(|message| {
        let mut record = message.init_root::<group_entry::Builder<'_>>();
        record.set_group(&group);
        record.set_seq(3);
        record.set_epoch(2);
        record.set_at(1_800_000_000_000);
        record.set_message(&[7; 40]);
        record.set_sender(bob.as_str());
        record.set_signature(&[5; 64]);
        record.set_member_count(2);
        record.init_removed(1).set(0, bob.as_str());
    });
    let welcome = record(|message| {
        let mut record = message.init_root::<group_welcome::Builder<'_>>();
        record.set_group(&group);
        record.set_epoch(2);
        record.set_start_seq(3);
        record.set_sender(bob.as_str());
        record.set_welcome(&[9; 40]);
        record.set_member_count(2);
        record.init_devices(1).set(0, bob.as_str());
    });
    let refused = record(|message| {
        let mut record = message.init_root::<submit_refused::Builder<'_>>();
        record.set_group(&group);
        record.set_sender(bob.as_str());
        let mut failure = record.init_failure();
        failure.set_code(301);
        failure.set_text("full");
        failure.set_retry_after_ms(5);
    });
    let (signed, places): (SignedStatement, _) = proof::signed();
    let receipt = record(|message| {
        let mut record = message.init_root::<receipt::Builder<'_>>();
        record.set_group(&group);
        record.set_statement(&signed.statement().to_bytes());
        record.set_signature(signed.signature());
        let mut proven = record.init_messages(1).get(0);
        proven.set_id(&[1; 16]);
        proven.set_path(&places[0].path.iter().flat_map(|hash| *hash.as_bytes()).collect::<Vec<_>>());
    });
    let seeds = vec![
        ("receipt", receipt),
        ("submit", submit),
        ("entry", entry),
        ("welcome", welcome),
        ("refused", refused),
    ];
    for (name, bytes) in &seeds {
        assert!(qpq_service::fuzzing::row_payload(bytes) > 0, "`{name}` is a record");
    }
    seeds
}

fn record(fill: impl FnOnce(&mut capnp::message::Builder<capnp::message::HeapAllocator>)) -> Vec<u8> {
    let mut message = capnp::message::Builder::new_default();
    fill(&mut message);
    capnp::serialize::write_message_to_words(&message)
}
