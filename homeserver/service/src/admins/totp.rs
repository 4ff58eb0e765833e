//! One-time passwords by time (RFC 6238): six digits, 30 seconds, SHA-1, because that is what every authenticator knows.

use data_encoding::BASE32_NOPAD;
use qpq_core::{Secret, Timestamp};
use totp_rs::{Algorithm, Builder, Totp};

use super::{TotpOffer, secrets};
use crate::Ground;

/// Seconds of a step.
const STEP: u64 = 30;
/// Bytes of a secret.
const BYTES: usize = 20;

/// A TOTP secret.
#[derive(Clone)]
pub(super) struct TotpSecret(Secret<[u8; BYTES]>);

impl TotpSecret {
    /// A new one.
    pub(super) fn random(ground: &Ground) -> Self {
        let mut bytes = [0; BYTES];
        ground.draw(|entropy| entropy.fill(&mut bytes));
        Self(Secret::new(bytes))
    }

    /// As it is stored.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.expose().to_vec()
    }

    /// From the store; `None` if it has another length.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Secret::new(bytes.try_into().ok()?)))
    }

    /// The step that a code belongs to; `None` if it is wrong now. One step either way is tolerated.
    pub(super) fn step_of(&self, code: &str, now: Timestamp) -> Option<u64> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).take(7).collect();
        self.totp()?.check(&code, now.as_millis() / 1_000)
    }

    /// As it is shown, under the name of a domain and, if it is known, an account.
    pub(super) fn offer(&self, id: &str, domain: &str, name: Option<&str>) -> TotpOffer {
        let secret = BASE32_NOPAD.encode(self.0.expose());
        // Domains and names have no character that a URI would want escaped.
        let label = name.map_or_else(|| "admin".to_owned(), str::to_owned);
        TotpOffer {
            id: id.to_owned(),
            uri: format!(
                "otpauth://totp/{domain}:{label}?secret={secret}&issuer={domain}&algorithm=SHA1&digits=6&period={STEP}"
            ),
            secret: secrets::in_groups(&secret, " "),
        }
    }

    fn totp(&self) -> Option<Totp> {
        let secret = totp_rs::Secret::new_stack(*self.0.expose());
        let builder = Builder::new().with_algorithm(Algorithm::SHA1).with_digits(6).with_skew(1);
        builder.with_step_duration(STEP).with_secret(secret).build().ok()
    }

    /// The code of a moment, as an authenticator shows it.
    #[cfg(test)]
    pub(super) fn code_at(&self, now: Timestamp) -> String {
        self.totp().unwrap().generate(now.as_millis() / 1_000).to_string()
    }
}

/// The step of a moment.
pub(super) const fn present_step(now: Timestamp) -> u64 {
    now.as_millis() / 1_000 / STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B: its secret is the ASCII text; its codes have eight digits, ours are the last six.
    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = TotpSecret::from_bytes(b"12345678901234567890").unwrap();
        for (second, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            let now = Timestamp::from_millis(second * 1_000);
            assert_eq!(secret.step_of(code, now), Some(second / 30));
            assert_eq!(secret.code_at(now), code);
        }
    }

    #[test]
    fn one_step_either_way_is_tolerated_and_no_more() {
        let secret = TotpSecret::from_bytes(b"12345678901234567890").unwrap();
        let code = "287082";
        let at = |second: u64| secret.step_of(code, Timestamp::from_millis(second * 1_000));
        assert_eq!([at(0), at(29), at(30), at(89), at(90)], [Some(1), Some(1), Some(1), Some(1), None]);
        for wrong in ["", "28708", "2870822", "28708x", "287 082 1", "+87082"] {
            assert_eq!(secret.step_of(wrong, Timestamp::from_millis(59_000)), None, "{wrong}");
        }
        assert_eq!(secret.step_of(" 287 082 ", Timestamp::from_millis(59_000)), Some(1));
    }

    #[test]
    fn an_offer_says_what_authenticators_read() {
        let secret = TotpSecret::from_bytes(b"12345678901234567890").unwrap();
        let offer = secret.offer("x", "alpha.test", Some("ann"));
        assert_eq!(offer.secret, "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
        assert_eq!(
            offer.uri,
            "otpauth://totp/alpha.test:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=alpha.test&algorithm=SHA1&digits=6&period=30"
        );
    }
}
