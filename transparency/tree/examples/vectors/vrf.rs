//! The verifiable random function: the examples of RFC 9381 (appendix B.3), our labels, and proofs that don't hold.

use data_encoding::HEXLOWER;
use qpq_transparency_tree::{
    label::LabelId,
    vrf::{VrfProof, VrfSecret},
};
use serde_json::{Value, json};

use super::{hex, with};

/// Seeds and inputs of the examples 16 to 18.
const EXAMPLES: [(&str, &str, &str); 3] = [
    ("RFC 9381, example 16", "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", ""),
    ("RFC 9381, example 17", "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72"),
    ("RFC 9381, example 18", "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "af82"),
];

/// The order of the group of prime order, little-endian.
const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn bytes(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

pub(crate) fn vrf() -> Value {
    let mut proofs: Vec<Value> = EXAMPLES
        .iter()
        .map(|(name, seed, alpha)| proof(name, bytes(seed).try_into().unwrap(), &bytes(alpha)))
        .collect();
    for label in ["u/alice@alpha.test", "u/bob@alpha.test", "u/j\u{fc}rgen@alpha.test"] {
        proofs.push(proof(label, [2; 32], label.as_bytes()));
    }
    json!({ "proofs": proofs, "refused": refused(), "refused_keys": refused_keys() })
}

fn proof(name: &str, seed: [u8; 32], alpha: &[u8]) -> Value {
    let secret = VrfSecret::from_seed(&seed);
    let (output, proof) = secret.prove(alpha).unwrap();
    json!({
        "name": name,
        "seed": hex(&seed),
        "public": secret.public().to_string(),
        "alpha": hex(alpha),
        "proof": proof.to_string(),
        "output": output.to_string(),
        "label_id": LabelId::of(&output).to_string(),
    })
}

fn refused() -> Vec<Value> {
    let alpha = b"u/alice@alpha.test";
    let (secret, other) = (VrfSecret::from_seed(&[2; 32]), VrfSecret::from_seed(&[3; 32]));
    let of = |alpha: &[u8]| secret.prove(alpha).unwrap().1.as_bytes().to_vec();
    let good = of(alpha);
    let flipped = |at: usize| with(&good, at, &[good[at] ^ 1]);
    // y = p, another encoding of y = 0.
    let second_encoding = [&[0xed][..], &[0xff; 30], &[0x7f]].concat();
    let case = |name, public: &VrfSecret, proof: &[u8]| {
        let public = public.public().to_string();
        json!({ "name": name, "public": public, "alpha": hex(alpha), "proof": hex(proof) })
    };
    vec![
        case("a proof for another input", &secret, &of(b"u/bob@alpha.test")),
        case("a proof under another key", &other, &good),
        case("a bit of Gamma is another", &secret, &flipped(0)),
        case("a bit of the challenge is another", &secret, &flipped(32)),
        case("a bit of the response is another", &secret, &flipped(48)),
        case("the response plus the order of the group", &secret, &with(&good, 48, &plus_order(&good))),
        case("Gamma is no point in its one encoding", &secret, &with(&good, 0, &second_encoding)),
        case("a byte short", &secret, good.split_last().unwrap().1),
        case("a byte long", &secret, &[&good[..], &[0]].concat()),
    ]
}

/// The second encoding that the response of a proof would have if it were not refused.
fn plus_order(proof: &[u8]) -> Vec<u8> {
    let mut carry = 0_u16;
    let response = VrfProof::from_slice(proof).unwrap().as_bytes().split_at(48).1.to_vec();
    let sums = response.into_iter().zip(bytes(ORDER)).map(|(byte, add)| {
        let sum = u16::from(byte) + u16::from(add) + carry;
        carry = sum >> 8;
        sum.to_le_bytes()[0]
    });
    sums.collect()
}

fn refused_keys() -> [Value; 4] {
    let identity = [&[1][..], &[0; 31]].concat();
    let keys = [
        ("the neutral element", identity.clone()),
        ("a point of order four", vec![0; 32]),
        ("y = p + 1, the neutral element again", [&[0xee][..], &[0xff; 30], &[0x7f]].concat()),
        ("no point at all", with(&identity, 0, &[2])),
    ];
    keys.map(|(name, public)| json!({ "name": name, "public": hex(&public) }))
}
