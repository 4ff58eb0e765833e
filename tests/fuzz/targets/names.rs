//! Names from anywhere: what is accepted has one text form, and reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qpq_core::{Address, Domain, GroupId, MessageId};

fuzz_target!(|bytes: &[u8]| {
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
    if let Ok(id) = text.parse::<MessageId>() {
        assert_eq!(id.to_string(), text);
    }
});
