//! An authenticator in software: makes discoverable ES256 passkeys and signs with them, as a browser hands it over.

use data_encoding::BASE64URL_NOPAD;
use p256::ecdsa::{DerSignature, SigningKey, signature::Signer as _};
use qpq_core::{Digest, Entropy as _, OsEntropy};
use serde_json::{Value, json};

const ORIGIN: &str = "http://localhost:7445";
/// User present and verified.
const VERIFIED: u8 = 0x05;
/// A credential is attached.
const ATTACHED: u8 = 0x40;

pub(super) struct Authenticator {
    key: SigningKey,
    credential: [u8; 32],
    user: String,
    pub(super) counter: u32,
    pub(super) origin: &'static str,
    pub(super) flags: u8,
}

impl Authenticator {
    pub(super) fn new() -> Self {
        let mut entropy = OsEntropy::new().unwrap();
        Self {
            key: SigningKey::from_slice(&entropy.bytes32()).unwrap(),
            credential: entropy.bytes32(),
            user: String::new(),
            counter: 0,
            origin: ORIGIN,
            flags: VERIFIED,
        }
    }

    /// `navigator.credentials.create`.
    pub(super) fn create(&mut self, options: &Value) -> Value {
        let options = &options["publicKey"];
        options["user"]["id"].as_str().unwrap().clone_into(&mut self.user);
        let client = self.client_data("webauthn.create", options);
        let point = self.key.verifying_key().to_sec1_point(false);
        let mut data = self.data(self.flags | ATTACHED);
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&[0, 32]);
        data.extend_from_slice(&self.credential);
        // COSE in CBOR: {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
        data.extend_from_slice(&[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend_from_slice(point.x().unwrap());
        data.extend_from_slice(&[0x22, 0x58, 0x20]);
        data.extend_from_slice(point.y().unwrap());
        // CBOR: {"fmt": "none", "attStmt": {}, "authData": bytes}.
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend_from_slice(&data);
        self.answer(&json!({
            "attestationObject": BASE64URL_NOPAD.encode(&object),
            "clientDataJSON": BASE64URL_NOPAD.encode(client.as_bytes()),
        }))
    }

    /// `navigator.credentials.get`.
    pub(super) fn sign(&mut self, options: &Value) -> Value {
        let client = self.client_data("webauthn.get", &options["publicKey"]);
        self.counter += 1;
        let data = self.data(self.flags);
        let hash = Digest::of(&[client.as_bytes()]);
        let signature: DerSignature = self.key.sign(&[data.as_slice(), hash.as_bytes()].concat());
        self.answer(&json!({
            "authenticatorData": BASE64URL_NOPAD.encode(&data),
            "clientDataJSON": BASE64URL_NOPAD.encode(client.as_bytes()),
            "signature": BASE64URL_NOPAD.encode(signature.as_bytes()),
            "userHandle": self.user,
        }))
    }

    fn answer(&self, response: &Value) -> Value {
        let id = BASE64URL_NOPAD.encode(&self.credential);
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response, "extensions": {} })
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        let (challenge, origin) = (&options["challenge"], self.origin);
        json!({ "type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false }).to_string()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = Digest::of(&[b"localhost"]).as_bytes().to_vec();
        data.push(flags);
        data.extend_from_slice(&self.counter.to_be_bytes());
        data
    }
}
