//! The verifiable random function that gives each label its place in the log: ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381).
//!
//! Who doesn't know a label can't find it in the log, and nobody, the key's owner included, can show two outputs for one
//! label. The suite (section 5.5, number 3) is Edwards25519 with SHA-512; a label becomes a point by trying counters.

use std::fmt;

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    edwards::CompressedEdwardsY,
    scalar::clamp_integer,
    traits::{IsIdentity, VartimeMultiscalarMul},
};
use data_encoding::HEXLOWER;
use qpq_core::codec::Reader;
use sha2::{Digest as _, Sha512};
use zeroize::{Zeroize, Zeroizing};

/// The bytes of a proof: Gamma (32), challenge (16), response (32).
pub const VRF_PROOF_BYTES: usize = 80;

/// `suite_string` of RFC 9381, section 5.5.
const SUITE: u8 = 3;

/// The half that proves. It is wiped when dropped, and `Debug` shows only the public half.
pub struct VrfSecret {
    scalar: Scalar,
    nonce_prefix: [u8; 32],
    public: VrfPublic,
}

/// The half that verifies: 32 bytes that are a point in its one encoding and not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VrfPublic([u8; 32]);

/// What shows that an output belongs to an input: 80 bytes, which [`VrfPublic::verify`] judges.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VrfProof([u8; VRF_PROOF_BYTES]);

/// The function's value, 64 bytes. It exists only where it was proved or verified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VrfOutput([u8; 64]);

impl VrfSecret {
    /// The key of a seed of 32 random bytes, as for Ed25519 (RFC 9381, section 5.5; RFC 8032, section 5.1.5).
    ///
    /// The seed must be for this alone: an Ed25519 signature over the bytes of a point under the same seed would repeat a
    /// nonce, and two answers with one nonce tell the key.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let expanded = Zeroizing::new(halves(&Sha512::digest(seed).into()));
        let [scalar, nonce_prefix] = &*expanded;
        // Every point that it meets is in the group of prime order, so reducing it changes no product.
        let scalar = Scalar::from_bytes_mod_order(clamp_integer(*scalar));
        let public = VrfPublic(EdwardsPoint::mul_base(&scalar).compress().to_bytes());
        Self { scalar, nonce_prefix: *nonce_prefix, public }
    }

    /// The half that others need.
    pub const fn public(&self) -> VrfPublic {
        self.public
    }

    /// The output for an input, and its proof (RFC 9381, section 5.1).
    ///
    /// `None` if none of 256 counters gives a point, which no input is known to do. The time depends on the input (how many
    /// counters were tried), never on the key.
    #[expect(clippy::arithmetic_side_effects, reason = "sums and products in a group have no overflow")]
    pub fn prove(&self, alpha: &[u8]) -> Option<(VrfOutput, VrfProof)> {
        let input = encode_to_curve(&self.public, alpha)?;
        let nonce = self.nonce(&input);
        let gamma = input * self.scalar;
        let points = [input, gamma, EdwardsPoint::mul_base(&nonce), input * *nonce];
        let challenge = challenge(&self.public, &points);
        let response = *nonce + scalar_of(challenge) * self.scalar;
        Some((output(&gamma), VrfProof::from_parts(&gamma, &challenge, &response)))
    }

    /// A nonce that only this key can tell (RFC 9381, section 5.4.2.2).
    fn nonce(&self, input: &EdwardsPoint) -> Zeroizing<Scalar> {
        let hasher = Sha512::new().chain_update(self.nonce_prefix);
        let hash = hasher.chain_update(input.compress().as_bytes()).finalize();
        let wide: Zeroizing<[u8; 64]> = Zeroizing::new(hash.into());
        Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide))
    }
}

impl Drop for VrfSecret {
    fn drop(&mut self) {
        self.scalar.zeroize();
        self.nonce_prefix.zeroize();
    }
}

impl VrfPublic {
    /// Takes a key that others made; `None` if it isn't a point in its one encoding, or is of small order, where outputs
    /// would not be unique (RFC 9381, section 5.4.5).
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        let sound = !point(&bytes)?.is_small_order();
        sound.then_some(Self(bytes))
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The output for an input, if the proof is this key's for it (RFC 9381, section 5.3).
    #[expect(clippy::arithmetic_side_effects, reason = "the negative of a point has no overflow")]
    pub fn verify(&self, alpha: &[u8], proof: &VrfProof) -> Option<VrfOutput> {
        let minus_key = -point(&self.0)?;
        let Parts { gamma, challenge: claimed, response } = proof.parts()?;
        let input = encode_to_curve(self, alpha)?;
        let scalar = scalar_of(claimed);
        let of_base = EdwardsPoint::vartime_double_scalar_mul_basepoint(&scalar, &minus_key, &response);
        let of_input = EdwardsPoint::vartime_multiscalar_mul([response, scalar], [input, -gamma]);
        let holds = challenge(self, &[input, gamma, of_base, of_input]) == claimed;
        holds.then(|| output(&gamma))
    }
}

/// What a proof says.
struct Parts {
    gamma: EdwardsPoint,
    challenge: [u8; 16],
    response: Scalar,
}

impl VrfProof {
    /// Takes a proof from the wire; `None` unless it has 80 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 80 bytes.
    pub const fn as_bytes(&self) -> &[u8; VRF_PROOF_BYTES] {
        &self.0
    }

    fn from_parts(gamma: &EdwardsPoint, challenge: &[u8; 16], response: &Scalar) -> Self {
        let mut bytes = [0; VRF_PROOF_BYTES];
        let parts = [gamma.compress().as_bytes(), challenge.as_slice(), response.as_bytes()].concat();
        for (byte, part) in bytes.iter_mut().zip(parts) {
            *byte = part;
        }
        Self(bytes)
    }

    /// RFC 9381, section 5.4.4: Gamma is a point in its one encoding, and the response is below the group's order.
    fn parts(&self) -> Option<Parts> {
        let mut reader = Reader::new(&self.0);
        let gamma = point(&reader.array().ok()?)?;
        let challenge = reader.array().ok()?;
        let response = Option::from(Scalar::from_canonical_bytes(reader.array().ok()?))?;
        Some(Parts { gamma, challenge, response })
    }
}

impl VrfOutput {
    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// Its first 32 bytes, where a name of that length is enough.
    pub fn first_half(&self) -> [u8; 32] {
        let [first, _] = halves(&self.0);
        first
    }
}

/// The point of 32 bytes, `None` unless they are its one encoding (RFC 8032, section 5.1.3).
fn point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    let point = CompressedEdwardsY(*bytes).decompress()?;
    // The library also takes y ≥ p and a negative zero.
    (point.compress().as_bytes() == bytes).then_some(point)
}

/// A point in the group of prime order for an input under a key (RFC 9381, section 5.4.1.1).
fn encode_to_curve(key: &VrfPublic, alpha: &[u8]) -> Option<EdwardsPoint> {
    let start = Sha512::new().chain_update([SUITE, 1]).chain_update(key.0).chain_update(alpha);
    (0..=u8::MAX).find_map(|counter| {
        let hash = start.clone().chain_update([counter, 0]).finalize();
        let [candidate, _] = halves(&hash.into());
        let point = point(&candidate)?.mul_by_cofactor();
        (!point.is_identity()).then_some(point)
    })
}

/// Sixteen bytes that depend on the key and four points (RFC 9381, section 5.4.3).
fn challenge(key: &VrfPublic, points: &[EdwardsPoint; 4]) -> [u8; 16] {
    let mut hasher = Sha512::new().chain_update([SUITE, 2]).chain_update(key.0);
    for point in points {
        hasher.update(point.compress().as_bytes());
    }
    let hash: [u8; 64] = hasher.chain_update([0]).finalize().into();
    let mut challenge = [0; 16];
    for (byte, hashed) in challenge.iter_mut().zip(hash) {
        *byte = hashed;
    }
    challenge
}

fn scalar_of(challenge: [u8; 16]) -> Scalar {
    Scalar::from(u128::from_le_bytes(challenge))
}

/// RFC 9381, section 5.2. The cofactor takes away what a prover could add to Gamma unseen.
fn output(gamma: &EdwardsPoint) -> VrfOutput {
    let gamma = gamma.mul_by_cofactor().compress();
    let hasher = Sha512::new().chain_update([SUITE, 3]).chain_update(gamma.as_bytes());
    VrfOutput(hasher.chain_update([0]).finalize().into())
}

fn halves(bytes: &[u8; 64]) -> [[u8; 32]; 2] {
    let mut halves = [[0; 32]; 2];
    halves.as_flattened_mut().copy_from_slice(bytes);
    halves
}

impl fmt::Debug for VrfSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VrfSecret").field("public", &self.public).finish_non_exhaustive()
    }
}

macro_rules! hex {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

hex!(VrfPublic, VrfProof, VrfOutput);

#[cfg(test)]
mod tests;
