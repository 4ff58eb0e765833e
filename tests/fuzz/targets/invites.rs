//! Peering tokens and statements: garbage is refused, what is accepted is written back byte for byte.
#![no_main]

use std::sync::LazyLock;

use ed25519_dalek::SigningKey;
use libfuzzer_sys::fuzz_target;
use qpq_core::{Pin, SeededEntropy, Timestamp};
use qpq_federation_proto::{
    AcceptReceipt, AcceptStatement, Acceptance, FederationAddress, Invite, InviteTerms,
};
use qpq_fuzz::{
    home::{alpha, beta},
    seeds,
};

/// An invite of ours, its acceptance by our peer, and our receipt.
static PEERING: LazyLock<(Invite, AcceptStatement, Vec<u8>)> = LazyLock::new(|| {
    let mut entropy = SeededEntropy::new(7);
    let (ours, theirs) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
    let place: FederationAddress = "192.0.2.1:7444".parse().expect("an address");
    let terms = InviteTerms {
        inviter: alpha(),
        address: Some(place.clone()),
        ca_pin: Pin::of_spki(b"ca"),
        bound_to: Some(beta()),
        expires_at: Timestamp::from_millis(1_800_000_000_000),
    };
    let invite = Invite::issue(terms, &ours, &mut entropy);
    let statement = AcceptStatement::sign(&invite, beta(), Some(place), vec![9; 40], &theirs);
    let receipt =
        AcceptReceipt { acceptance: Acceptance::Peered, ca_certificate: vec![5; 40] }.sign(&statement, &ours);
    (invite, statement, receipt)
});

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(invite) = text.parse::<Invite>()
    {
        assert_eq!(invite.to_token().parse::<Invite>().expect("its own token").to_bytes(), invite.to_bytes());
    }
    if let Ok(invite) = Invite::from_bytes(bytes) {
        assert_eq!(invite.to_bytes(), bytes);
    }
    if let Ok(statement) = AcceptStatement::from_bytes(bytes, &alpha()) {
        assert_eq!(statement.to_bytes(), bytes);
    }
    let (invite, statement, receipt) = &*PEERING;
    if AcceptReceipt::from_bytes(bytes, statement, invite).is_ok() {
        assert_eq!(bytes, receipt, "nobody else signs receipts");
    }
});

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let (invite, statement, receipt) = &*PEERING;
    vec![
        ("token", invite.to_token().into_bytes()),
        ("invite", invite.to_bytes()),
        ("statement", statement.to_bytes()),
        ("receipt", receipt.clone()),
    ]
}
