//! Names from anywhere: what is accepted has one text form, and reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qpq_core::{Address, Domain, GroupId, MessageId};
use qpq_federation_proto::FederationAddress;
use qpq_fuzz::{mls::group, seeds};

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    if let Ok(group) = GroupId::from_bytes(bytes) {
        assert_eq!(group.to_bytes(), bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(domain) = text.parse::<Domain>() {
        assert_eq!(domain.to_string().parse::<Domain>().as_ref(), Ok(&domain));
    }
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string().parse::<Address>().as_ref(), Ok(&address));
    }
    if let Ok(place) = text.parse::<FederationAddress>() {
        assert_eq!(place.to_string().parse::<FederationAddress>().as_ref(), Ok(&place));
    }
    if let Ok(id) = text.parse::<MessageId>() {
        assert_eq!(id.to_string(), text);
    }
});

fn written() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("group", group(1).to_bytes()),
        ("domain", b"alpha.example".to_vec()),
        ("address", "j\u{fc}rgen@xn--mnchen-3ya.example".as_bytes().to_vec()),
        ("place", b"[2001:db8::7]:7444".to_vec()),
        ("message", MessageId::from_bytes([7; 16]).to_string().into_bytes()),
    ]
}
