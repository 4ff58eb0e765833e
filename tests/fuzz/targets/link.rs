//! A trusted peer's whole conversation, as bytes on its link: framing, RPC, and every method of `Link`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use qpq_core::{Incarnation, MessageId, Seq};
use qpq_federation_proto::{Batch, BatchDigest, Row, RowKind, SignedHeader, StreamId};
use qpq_fuzz::{
    conversation::Caller,
    home::{Home, alpha, beta},
    mls::{device, group},
    seeds,
};
use qpq_schemas::federation_capnp::link;

static HOME: LazyLock<Home> = LazyLock::new(Home::open);

fuzz_target!(init: seeds(written), |bytes: &[u8]| HOME.hears(Caller::Peer, bytes));

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let asks = HOME.listens(Caller::Peer, async |link: link::Client| {
        link.federation_health_request().send().promise.await.expect("an answer");
        let mut request = link.resolve_user_request();
        request.get().set_requester("bob@beta.test");
        request.get().init_addresses(1).set(0, "alice@alpha.test");
        request.get().init_call().set_request(&[1; 16]);
        request.send().promise.await.expect("an answer");
        let mut request = link.proxy_fetch_key_packages_request();
        request.get().set_requester("bob@beta.test");
        request.get().set_group(&group(1).to_bytes());
        request.get().set_nonce(&[2; 16]);
        request.get().init_targets(1).set(0, "alice@alpha.test");
        request.send().promise.await.expect("an answer");
        let mut request = link.group_tree_request();
        request.get().set_requester(device("bob@beta.test", 2).as_str());
        request.get().set_group(&group(1).to_bytes());
        request.send().promise.await.expect("an answer");
        let mut request = link.group_commit_request();
        request.get().set_sender(device("bob@beta.test", 2).as_str());
        let mut submit = request.get().init_submit();
        submit.set_id(&[3; 16]);
        submit.set_group(&group(1).to_bytes());
        submit.set_commit(&[4; 40]);
        submit.set_group_info(&[5; 40]);
        submit.set_welcome(&[6; 40]);
        submit.set_signature(&[7; 64]);
        request.send().promise.await.expect("an answer");
    });
    let relays = HOME.listens(Caller::Peer, async |link: link::Client| {
        let incarnation = Incarnation::from_slice(&[1; 16]).expect("an incarnation");
        let row = |seq: u64, kind: u16| Row {
            seq: Seq(seq),
            id: MessageId::from_bytes([u8::try_from(seq).expect("small"); 16]),
            kind: RowKind::from_number(kind),
            ttl: None,
            payload: vec![8; 24],
            request: None,
        };
        let rows = (1..=5).zip(1..).map(|(kind, seq)| row(seq, kind)).collect();
        let batch = Batch::new(StreamId::from_bytes([2; 16]), None, rows).expect("a batch");
        let digests = vec![BatchDigest::of(&batch)];
        let header =
            SignedHeader::sign(&HOME.beta, beta(), alpha(), incarnation, digests).expect("a signed header");
        let mut request = link.relay_enqueue_request();
        let mut signed = request.get().init_header();
        signed.set_origin(header.origin().as_str());
        signed.set_destination(header.destination().as_str());
        signed.set_incarnation(&header.incarnation().to_bytes());
        signed.set_signature(header.signature());
        let mut sent = request.get().init_batches(1).get(0);
        sent.set_stream(batch.stream().as_bytes());
        sent.set_first(batch.first().0);
        let mut rows = sent.init_rows(5);
        for (index, row) in (0..).zip(batch.rows()) {
            let mut sent = rows.reborrow().get(index);
            sent.set_id(row.id.as_bytes());
            sent.set_kind(row.kind.number());
            sent.set_payload(&row.payload);
        }
        let answered = request.send().promise.await.expect("an answer");
        let answered = answered.get().expect("an answer");
        assert!(!answered.has_failure(), "beta's rows are taken");
    });
    vec![("asks", asks), ("relays", relays)]
}
