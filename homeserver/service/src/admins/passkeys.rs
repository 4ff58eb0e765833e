//! Passkeys (WebAuthn), bound to the place where browsers find the console.

use qpq_core::{AdminId, ErrorCode};
use qpq_storage::AdminPasskey;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use webauthn_rs::prelude::{
    AuthenticationResult, DiscoverableAuthentication, Passkey, PasskeyAuthentication, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, Url, Uuid, Webauthn, WebauthnBuilder,
};

use super::ConsolePlace;
use crate::{Answered, Refusal};

/// The relying party.
pub(super) struct Passkeys {
    webauthn: Webauthn,
    rp_id: String,
}

/// A passkey of the store, read.
pub(super) struct Known {
    pub(super) stored: AdminPasskey,
    pub(super) passkey: Passkey,
}

impl Passkeys {
    /// At this place; one that browsers allow no passkeys for is refused.
    pub(super) fn at(place: &ConsolePlace) -> Answered<Self> {
        let wrong = |cause: String| {
            let text = format!("no passkeys can be made for the console at `{}`: {cause}", place.origin);
            Refusal::malformed(text)
        };
        let origin = Url::parse(&place.origin).map_err(|error| wrong(error.to_string()))?;
        let builder =
            WebauthnBuilder::new(&place.rp_id, &origin).map_err(|error| wrong(error.to_string()))?;
        let webauthn = builder.rp_name(&place.domain).build().map_err(|error| wrong(error.to_string()))?;
        Ok(Self { webauthn, rp_id: place.rp_id.clone() })
    }

    /// Whether a passkey was made for this place.
    pub(super) fn usable(&self, passkey: &AdminPasskey) -> bool {
        passkey.rp_id == self.rp_id
    }

    /// The name that new passkeys are made for.
    pub(super) fn rp_id(&self) -> &str {
        &self.rp_id
    }

    /// What the browser needs to make a passkey that isn't one of `known`.
    pub(super) fn begin_registration(
        &self,
        admin: AdminId,
        name: &str,
        known: &[AdminPasskey],
    ) -> Answered<(Value, PasskeyRegistration)> {
        let here = known.iter().filter(|passkey| self.usable(passkey));
        let known: Vec<_> = here.map(|passkey| passkey.credential_id.clone()).collect();
        let user = Uuid::from_bytes(*admin.as_bytes());
        let (options, state) = self
            .webauthn
            .start_passkey_registration(user, name, name, Some(known))
            .map_err(|error| fault(&error))?;
        let mut options = written(&options)?;
        // The library asks for any key; signing in without a name wants one that the authenticator can find by itself.
        if let Some(selection) = options.pointer_mut("/publicKey/authenticatorSelection") {
            set(selection, "residentKey", json!("required"));
            set(selection, "requireResidentKey", json!(true));
            set(selection, "userVerification", json!("required"));
        }
        Ok((options, state))
    }

    /// The new passkey.
    pub(super) fn finish_registration(
        &self,
        answer: Value,
        state: &PasskeyRegistration,
    ) -> Answered<Passkey> {
        let answer: RegisterPublicKeyCredential = read(answer)?;
        self.webauthn.finish_passkey_registration(&answer, state).map_err(|error| {
            Refusal::malformed(format!("the passkey was not accepted ({error}): begin again"))
        })
    }

    /// What the browser needs to sign in with whichever passkey it finds.
    pub(super) fn begin_sign_in(&self) -> Answered<(Value, DiscoverableAuthentication)> {
        let started = self.webauthn.start_discoverable_authentication();
        let (mut options, state) = started.map_err(|error| fault(&error))?;
        // A button asks for it, not a name field that completes itself.
        options.mediation = None;
        Ok((written(&options)?, state))
    }

    /// The answer to it, and which credential it speaks of.
    pub(super) fn identify(answer: Value) -> Answered<(PublicKeyCredential, Vec<u8>)> {
        let answer: PublicKeyCredential = read(answer)?;
        let credential = answer.get_credential_id().to_vec();
        Ok((answer, credential))
    }

    /// Whether a passkey signed the sign-in; what the store keeps of it afterwards.
    pub(super) fn finish_sign_in(
        &self,
        answer: &PublicKeyCredential,
        state: DiscoverableAuthentication,
        known: Known,
    ) -> Answered<String> {
        let owner = Uuid::from_bytes(*known.stored.admin.as_bytes());
        let named = self.webauthn.identify_discoverable_authentication(answer);
        if !named.is_ok_and(|(user, _)| user == owner) {
            return Err(not_accepted());
        }
        let result = self.webauthn.finish_discoverable_authentication_v2(answer, state, &known.passkey);
        used(known, &result.map_err(|_| not_accepted())?)
    }

    /// What the browser needs to prove one of these.
    pub(super) fn begin_proof(&self, known: &[Known]) -> Answered<(Value, PasskeyAuthentication)> {
        let passkeys: Vec<Passkey> = known.iter().map(|known| known.passkey.clone()).collect();
        let (options, state) =
            self.webauthn.start_passkey_authentication(&passkeys).map_err(|error| fault(&error))?;
        Ok((written(&options)?, state))
    }

    /// Whether this passkey signed the proof; what the store keeps of it afterwards.
    pub(super) fn finish_proof(
        &self,
        answer: &PublicKeyCredential,
        state: &PasskeyAuthentication,
        known: Known,
    ) -> Answered<String> {
        let result = self.webauthn.finish_passkey_authentication(answer, state);
        used(known, &result.map_err(|_| not_accepted())?)
    }
}

/// A stored passkey, read; damage is logged where it is met and looks like a passkey that isn't there.
pub(super) fn known(stored: AdminPasskey) -> Option<Known> {
    match serde_json::from_str(&stored.credential) {
        Ok(passkey) => Some(Known { stored, passkey }),
        Err(error) => {
            tracing::error!(passkey = %stored.id, %error, "a stored passkey can't be read");
            None
        }
    }
}

/// As the store keeps it.
pub(super) fn stored_form(passkey: &Passkey) -> Answered<String> {
    serde_json::to_string(passkey).map_err(|error| fault(&error))
}

/// The one answer to a passkey that is unknown, was removed, or didn't sign.
pub(super) fn not_accepted() -> Refusal {
    Refusal::new(ErrorCode::LoginFailed, "this passkey was not accepted: try another one, or another way")
}

fn used(mut known: Known, result: &AuthenticationResult) -> Answered<String> {
    if known.passkey.update_credential(result).is_none() || !result.user_verified() {
        return Err(not_accepted());
    }
    stored_form(&known.passkey)
}

fn read<T: DeserializeOwned>(answer: Value) -> Answered<T> {
    serde_json::from_value(answer)
        .map_err(|error| Refusal::malformed(format!("the browser's answer can't be read: {error}")))
}

fn written<T: Serialize>(options: &T) -> Answered<Value> {
    serde_json::to_value(options).map_err(|error| fault(&error))
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

fn fault(error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%error, "passkeys failed");
    Refusal::new(ErrorCode::Internal, "passkeys can't be used now")
}
