use curve25519_dalek::constants::EIGHT_TORSION;
use proptest::prelude::*;

use super::*;

/// RFC 9381, appendix B.3, examples 16 to 18: seed, public key, input, proof, output.
const EXAMPLES: [[&str; 5]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f26f8a57ccaed74ee1b190bed1f479d97\
         27d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
        "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff\
         66b71dda49d2de59d03450451af026798e8f81cd2e333de5cdf4f3e140fdd8ae",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed5933bf0864a62558b3ed7f2fea45c92a465\
         301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
        "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb\
         5e33821bc613efb94db5e5b54c70a848a0bef4553a41befc57663b56373a5031",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf8096bb474e53895c362d8628ee9f9ea3c0\
         e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e",
        "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c45\
         2118fec1219202a0edcf038bb6373241578be7217ba85a2687f7a0310b2df19f",
    ],
];

/// The order of the group of prime order, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn secret() -> VrfSecret {
    VrfSecret::from_seed(&[7; 32])
}

fn flipped<const N: usize>(mut bytes: [u8; N], bit: usize) -> [u8; N] {
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// Encodings with y ≥ p of points that have another one, and a zero x with its sign set.
fn second_encodings() -> Vec<[u8; 32]> {
    let over_p = (0xed..=0xff_u8).flat_map(|low| {
        [0x7f, 0xff].map(|high| {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            bytes
        })
    });
    let mut negative_zero = [0; 32];
    (negative_zero[0], negative_zero[31]) = (1, 0x80);
    over_p.chain([negative_zero]).collect()
}

#[test]
fn the_examples_of_the_rfc_are_met() {
    for [seed, public, alpha, proof, output] in EXAMPLES {
        let secret = VrfSecret::from_seed(&bytes(seed).try_into().unwrap());
        assert_eq!(secret.public().to_string(), public);
        let (proved, made) = secret.prove(&bytes(alpha)).unwrap();
        assert_eq!((made.to_string(), proved.to_string()), (proof.into(), output.into()));
        let key = VrfPublic::from_bytes(bytes(public).try_into().unwrap()).unwrap();
        assert_eq!(key.verify(&bytes(alpha), &VrfProof::from_slice(&bytes(proof)).unwrap()), Some(proved));
    }
}

#[test]
fn keys_of_small_order_are_refused() {
    for point in EIGHT_TORSION {
        assert_eq!(VrfPublic::from_bytes(point.compress().to_bytes()), None);
    }
}

#[test]
fn a_point_has_one_encoding() {
    let lenient = |bytes: &[u8; 32]| CompressedEdwardsY(*bytes).decompress().is_some();
    let second = second_encodings();
    assert!(second.iter().filter(|bytes| lenient(bytes)).count() > 10, "the library refuses them itself");
    let (_, proof) = secret().prove(b"alpha").unwrap();
    for bytes in second {
        assert_eq!(VrfPublic::from_bytes(bytes), None);
        let mut other = proof;
        other.0[..32].copy_from_slice(&bytes);
        assert!(other.parts().is_none());
        assert_eq!(secret().public().verify(b"alpha", &other), None);
    }
}

#[test]
fn a_response_has_one_encoding() {
    let (_, mut proof) = secret().prove(b"alpha").unwrap();
    let mut carry = 0;
    for (byte, add) in proof.0[48..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    assert!(carry == 0 && proof.parts().is_none());
    assert_eq!(secret().public().verify(b"alpha", &proof), None);
    proof.0[48..].copy_from_slice(&ORDER);
    assert!(proof.parts().is_none());
}

/// A dishonest owner of the key can make a second proof, but no second output.
#[test]
fn what_a_prover_adds_to_gamma_does_not_change_the_output() {
    let secret = secret();
    let (honest, _) = secret.prove(b"alpha").unwrap();
    let input = encode_to_curve(&secret.public, b"alpha").unwrap();
    let gamma = input * secret.scalar + EIGHT_TORSION[1];
    // The addition stays unseen where the challenge is a multiple of eight.
    let proof = (1..1_000_u64).map(Scalar::from).find_map(|nonce| {
        let points = [input, gamma, EdwardsPoint::mul_base(&nonce), input * nonce];
        let challenge = challenge(&secret.public, &points);
        let response = nonce + scalar_of(challenge) * secret.scalar;
        (challenge[0].trailing_zeros() >= 3).then(|| VrfProof::from_parts(&gamma, &challenge, &response))
    });
    assert_eq!(secret.public().verify(b"alpha", &proof.unwrap()), Some(honest));
}

#[test]
fn a_secret_is_not_printed() {
    let secret = secret();
    let printed = format!("{secret:?}");
    assert_eq!(printed, format!("VrfSecret {{ public: {}, .. }}", secret.public()));
}

#[test]
fn proofs_of_another_length_are_refused() {
    for length in (0..160).filter(|length| *length != VRF_PROOF_BYTES) {
        assert_eq!(VrfProof::from_slice(&vec![0; length]), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_proved_verifies(seed: [u8; 32], alpha: Vec<u8>) {
        let secret = VrfSecret::from_seed(&seed);
        let (output, proof) = secret.prove(&alpha).unwrap();
        prop_assert_eq!(VrfPublic::from_bytes(*secret.public().as_bytes()), Some(secret.public()));
        prop_assert_eq!(VrfProof::from_slice(proof.as_bytes()), Some(proof));
        prop_assert_eq!(secret.public().verify(&alpha, &proof), Some(output));
        prop_assert_eq!(secret.prove(&alpha), Some((output, proof)));
    }

    #[test]
    fn a_changed_proof_does_not_verify(bit in 0..8 * VRF_PROOF_BYTES) {
        let (_, proof) = secret().prove(b"alpha").unwrap();
        prop_assert_eq!(secret().public().verify(b"alpha", &VrfProof(flipped(proof.0, bit))), None);
    }

    #[test]
    fn a_proof_is_for_one_input(alpha: [u8; 20], bit in 0..160_usize) {
        let (output, proof) = secret().prove(&alpha).unwrap();
        let other = flipped(alpha, bit);
        prop_assert_eq!(secret().public().verify(&other, &proof), None);
        prop_assert_ne!(secret().prove(&other).unwrap().0, output);
    }

    #[test]
    fn a_proof_is_for_one_key(bit in 0..256_usize) {
        let (_, proof) = secret().prove(b"alpha").unwrap();
        let other = VrfPublic::from_bytes(flipped(secret().public().0, bit));
        prop_assert_eq!(other.and_then(|key| key.verify(b"alpha", &proof)), None);
    }

    #[test]
    fn any_bytes_are_judged(key: [u8; 32], alpha: Vec<u8>, proof in prop::array::uniform32(any::<u8>()), rest in prop::array::uniform32(any::<u8>())) {
        let proof = VrfProof::from_slice(&[&proof[..], &rest[..16], &rest[..]].concat()).unwrap();
        prop_assert_eq!(secret().public().verify(&alpha, &proof), None);
        let theirs = VrfPublic::from_bytes(key);
        prop_assert_eq!(theirs.and_then(|key| key.verify(&alpha, &proof)), None);
        // Also with a Gamma that is a point, so that the judgement goes further.
        let mut nearly = proof;
        nearly.0[..32].copy_from_slice(secret().public().as_bytes());
        nearly.0[79] &= 0x0f;
        prop_assert_eq!(secret().public().verify(&alpha, &nearly), None);
    }
}
