//! OPAQUE's messages from a client. The first byte says which.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use opaque_ke::{
    ClientLogin, ClientRegistration, ClientRegistrationFinishParameters, RegistrationResponse,
    ServerRegistration, ServerSetup,
};
use qpq_core::{
    Address, OsEntropy,
    opaque::{Parties, Stretch, Suite, credential_identifier},
};
use qpq_fuzz::{account::PASSWORD, home::Home, seeds};
use qpq_service::fuzzing::{OpaqueMessage, opaque};

static HOME: LazyLock<Home> = LazyLock::new(Home::open);
static KE1: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut rng = OsEntropy::new().expect("entropy");
    ClientLogin::<Suite>::start(&mut rng, PASSWORD).expect("a login").message.serialize().to_vec()
});
const WHICH: [OpaqueMessage; 4] = [
    OpaqueMessage::RegistrationRequest,
    OpaqueMessage::RegistrationRecord,
    OpaqueMessage::Ke1,
    OpaqueMessage::Ke3,
];

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    understood(bytes);
});

fn understood(bytes: &[u8]) -> bool {
    let Some((first, bytes)) = bytes.split_first() else { return false };
    let which = WHICH[usize::from(*first) % WHICH.len()];
    let understood = opaque(&HOME.setup, &HOME.cases.ground, &alice(), &KE1, which, bytes);
    assert!(which != OpaqueMessage::Ke3 || !understood, "nobody knows the password of nobody");
    understood
}

fn alice() -> Address {
    "alice@alpha.test".parse().expect("an address")
}

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let mut rng = OsEntropy::new().expect("entropy");
    let start = ClientRegistration::<Suite>::start(&mut rng, PASSWORD).expect("a registration");
    let request = start.message.serialize();
    let setup = ServerSetup::<Suite>::new(&mut rng);
    let answer = ServerRegistration::start(&setup, start.message, &credential_identifier(&alice()))
        .expect("an answer");
    let response = RegistrationResponse::deserialize(&answer.message.serialize()).expect("an answer");
    let (user, ksf) = (alice(), Stretch::cheap());
    let parties = Parties::of(&user);
    let finish = ClientRegistrationFinishParameters::new(parties.identifiers(), Some(&ksf));
    let made = start.state.finish(&mut rng, PASSWORD, response, finish).expect("a registration");
    let message = |which: u8, bytes: &[u8]| [&[which], bytes].concat();
    let seeds = vec![
        ("request", message(0, &request)),
        ("record", message(1, &made.message.serialize())),
        ("ke1", message(2, &KE1)),
    ];
    for (name, bytes) in &seeds {
        assert!(understood(bytes), "`{name}` is a message of OPAQUE");
    }
    [seeds, vec![("ke3", message(3, &[0; 64]))]].concat()
}
