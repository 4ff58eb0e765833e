//! What a log publishes and answers as bytes: what is read is written the same, and what is proved or signed is proved or
//! signed for one thing only.
//!
//! The first byte says who reads.
#![no_main]

use std::{collections::BTreeMap, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use qpq_core::Digest;
use qpq_fuzz::{seeds, vectors::bytes};
use qpq_transparency_tree::{
    KeyName, VerifierKey,
    claim::{LatestClaim, SignedClaim},
    config::Config,
    entry::Entry,
    is_consistent, is_included,
    proofs::ProofPlan,
    succession::judge,
    tile::{TileId, bundle, tile_from_bytes, tile_to_bytes, unbundle},
    value::SignedValue,
    vrf::{VRF_PROOF_BYTES, VrfProof, VrfPublic},
};

/// Who reads; seeds are in the same order.
const READERS: [fn(&[u8]); 9] = [entry, value, config, claim, bundled, tile, vrf, version, path];

static ORIGIN: LazyLock<KeyName> = LazyLock::new(|| "alpha.test/kt/v1".parse().expect("a name"));
static OTHER_ORIGIN: LazyLock<KeyName> = LazyLock::new(|| "beta.test/kt/v1".parse().expect("a name"));

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    if let Some((reader, bytes)) = bytes.split_first() {
        READERS[usize::from(*reader) % READERS.len()](bytes);
    }
});

fn entry(bytes: &[u8]) {
    if let Ok(entry) = Entry::from_bytes(bytes) {
        assert_eq!(entry.to_bytes(), bytes);
    }
}

fn value(bytes: &[u8]) {
    if let Ok(signed) = SignedValue::from_bytes(bytes) {
        assert_eq!(signed.to_bytes(), bytes);
    }
}

fn config(bytes: &[u8]) {
    if let Ok(config) = Config::from_bytes(bytes) {
        assert_eq!(config.to_bytes(), bytes);
        assert!(config.vrf().is_some());
    }
}

/// A signature, a public key, and what is claimed.
fn claim(bytes: &[u8]) {
    let Some((signature, bytes)) = bytes.split_first_chunk() else { return };
    let Some((public, bytes)) = bytes.split_first_chunk() else { return };
    let Ok(claim) = LatestClaim::from_bytes(bytes) else { return };
    assert_eq!(claim.to_bytes(), bytes);
    let algorithm = qpq_transparency_tree::key::Algorithm::Ed25519;
    let Some(key) = VerifierKey::new(claim.origin.clone(), algorithm, *public) else { return };
    let mut signed = SignedClaim { claim, signature: *signature };
    if signed.holds(&key) {
        signed.claim.head.size ^= 1;
        assert!(!signed.holds(&key));
    }
}

fn bundled(bytes: &[u8]) {
    if let Ok(entries) = unbundle(bytes) {
        assert_eq!(bundle(&entries).as_deref(), Some(bytes));
    }
}

/// A width, and the hashes.
fn tile(bytes: &[u8]) {
    let Some((width, bytes)) = bytes.split_first_chunk() else { return };
    let Some(tile) = TileId::new(0, 0, u16::from_be_bytes(*width)) else { return };
    if let Ok(hashes) = tile_from_bytes(tile, bytes) {
        assert_eq!(hashes.len(), usize::from(tile.width()));
        assert_eq!(tile_to_bytes(&hashes), bytes);
    }
}

/// A public key, a proof, and the input.
fn vrf(bytes: &[u8]) {
    let Some((public, bytes)) = bytes.split_first_chunk() else { return };
    let Some((proof, input)) = bytes.split_at_checked(VRF_PROOF_BYTES) else { return };
    let Some(public) = VrfPublic::from_bytes(*public) else { return };
    let proof = VrfProof::from_slice(proof).expect("80 bytes");
    if public.verify(input, &proof).is_some() {
        assert_eq!(public.verify(&[input, b"x"].concat(), &proof), None);
    }
}

/// An entry and the value behind it, as an account's first version.
fn version(bytes: &[u8]) {
    let Some((entry, value)) = bytes.split_at_checked(qpq_transparency_tree::entry::ENTRY_BYTES) else {
        return;
    };
    let (Ok(entry), Ok(signed)) = (Entry::from_bytes(entry), SignedValue::from_bytes(value)) else { return };
    if judge(&ORIGIN, None, &entry, &signed).is_ok() {
        assert!(judge(&OTHER_ORIGIN, None, &entry, &signed).is_err());
        assert!(signed.by_self.is_some() && entry.version == 0);
    }
}

/// Two numbers, a leaf, a root, and a path.
fn path(bytes: &[u8]) {
    let Some((numbers, bytes)) = bytes.split_first_chunk::<16>() else { return };
    let [first, second] =
        [&numbers[..8], &numbers[8..]].map(|eight| u64::from_be_bytes(eight.try_into().unwrap()));
    let hashes: Vec<Digest> = bytes.as_chunks().0.iter().map(|hash| Digest::from_bytes(*hash)).collect();
    if let [leaf, root, path @ ..] = hashes.as_slice() {
        let fits = is_included(leaf, first, second, path, root);
        assert!(!fits || !is_included(&Digest::of(&[leaf.as_bytes()]), first, second, path, root));
        let fits = is_consistent(first, leaf, second, root, path);
        assert!(
            !fits || first == 0 || !is_consistent(first, &Digest::of(&[leaf.as_bytes()]), second, root, path)
        );
    }
    let nothing: BTreeMap<(u8, u64), Vec<Digest>> = BTreeMap::new();
    let plans =
        [ProofPlan::inclusion(first, second), ProofPlan::consistency(first, second), ProofPlan::root(second)];
    for plan in plans.into_iter().flatten() {
        // One tile on each level, and its neighbour.
        assert!(plan.tiles().len() <= 16);
        assert!(plan.answer(&nothing).is_err() || plan.tiles().is_empty());
    }
}

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let claim = "/claims/0";
    let of_claim = |field: &str| bytes("claims.json", &format!("{claim}/{field}"));
    let of_vrf = |field: &str| bytes("vrf.json", &format!("/proofs/3/{field}"));
    let of_tree = |field: &str| bytes("trees.json", &format!("/inclusion/3/{field}"));
    let public = bytes("notes.json", "/keys/1/public");
    let whole_tile = [vec![0, 8], bytes("tiles.json", "/tiles/1/bytes")].concat();
    let first_version =
        [bytes("versions.json", "/versions/0/entry"), bytes("versions.json", "/versions/0/value/bytes")];
    let numbers = [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7];
    let path = [numbers.to_vec(), of_tree("leaf"), of_tree("root"), of_tree("path/0"), of_tree("path/1")];
    let seeds = [
        ("entry", bytes("entries.json", "/entries/1/bytes")),
        ("value", bytes("values.json", "/values/0/bytes")),
        ("config", bytes("configs.json", "/configs/1/bytes")),
        ("claim", [of_claim("signature"), public, of_claim("bytes")].concat()),
        ("bundle", bytes("tiles.json", "/bundles/1/bytes")),
        ("tile", whole_tile),
        ("vrf", [of_vrf("public"), of_vrf("proof"), of_vrf("alpha")].concat()),
        ("version", first_version.concat()),
        ("path", path.concat()),
    ];
    (0..).zip(seeds).map(|(reader, (name, bytes))| (name, [&[reader][..], &bytes].concat())).collect()
}
