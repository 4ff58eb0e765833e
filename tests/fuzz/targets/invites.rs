//! Peering tokens and statements: garbage is refused, what is accepted is written back byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qpq_core::Domain;
use qpq_federation_proto::{AcceptStatement, Invite};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(invite) = text.parse::<Invite>()
    {
        assert_eq!(invite.to_token().parse::<Invite>().expect("its own token").to_bytes(), invite.to_bytes());
    }
    if let Ok(invite) = Invite::from_bytes(bytes) {
        assert_eq!(invite.to_bytes(), bytes);
    }
    let us: Domain = "alpha.test".parse().expect("a domain");
    if let Ok(statement) = AcceptStatement::from_bytes(bytes, &us) {
        assert_eq!(statement.to_bytes(), bytes);
    }
});
