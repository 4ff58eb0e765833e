//! An account of the domain in memory, with a session.

use opaque_ke::{ClientRegistration, ClientRegistrationFinishParameters, RegistrationResponse};
use qpq_core::{
    OsEntropy, mls,
    opaque::{Parties, Stretch, Suite},
};
use qpq_service::{DeviceClaim, NewAccount, SessionHandle, SourceNetwork};

use crate::{home::Home, mls::Device};

/// What it is protected by.
pub const PASSWORD: &[u8] = b"correct horse battery staple";

impl Home {
    /// Makes the account of a device's user.
    pub fn registers(&self, device: &Device) -> SessionHandle {
        let mut rng = OsEntropy::new().expect("entropy");
        let start = ClientRegistration::<Suite>::start(&mut rng, PASSWORD).expect("a registration");
        let user = &device.address().user;
        let registrations = &self.cases.registrations;
        self.runtime.block_on(async {
            let (begun, offer) = registrations
                .begin(&SourceNetwork::new("here"), user.localpart().as_str(), "", &start.message.serialize())
                .await
                .expect("a registration begins");
            let response = RegistrationResponse::deserialize(&offer.response).expect("OPAQUE's answer");
            let (parties, ksf) = (Parties::of(user), Stretch::cheap());
            let finish = ClientRegistrationFinishParameters::new(parties.identifiers(), Some(&ksf));
            let made = start.state.finish(&mut rng, PASSWORD, response, finish).expect("a registration");
            let certificate = device.certificate();
            let signed = mls::enrol_signed_bytes(offer.challenge.as_bytes(), &certificate.signature);
            let new = NewAccount {
                upload: made.message.serialize().to_vec(),
                identity_key: device.identity_key(),
                sealed_identity: b"sealed".to_vec(),
                device: DeviceClaim { certificate, possession: device.signs(&signed) },
                binding: None,
            };
            registrations.finish(begun, new).await.expect("a registration ends").handle
        })
    }
}
