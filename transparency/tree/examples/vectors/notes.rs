//! Keys, notes and checkpoints (C2SP signed-note, tlog-checkpoint, tlog-cosignature).

use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use qpq_core::Millis;
use qpq_transparency_tree::{
    LogSigner, SignedCheckpoint, SignedNote, TreeHead, VerifierKey,
    checkpoint::Checkpoint,
    key::Verified,
    note::{NOTE_BYTES, NOTE_SIGNATURES},
};
use serde_json::{Value, json};

use super::{
    hex,
    sample::{START, witness},
    trees, unread_text,
};

/// The log of `alpha.test`, or somebody else who takes its name.
pub(crate) fn log(n: u8) -> LogSigner {
    LogSigner::new("alpha.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[n; 32]))
}

pub(crate) fn head(size: u64) -> TreeHead {
    TreeHead { size, root: trees::root_of(size) }
}

/// A checkpoint of the log with these witnesses, each a second later than the one before.
pub(crate) fn cosigned(size: u64, witnesses: &[u8]) -> SignedCheckpoint {
    let signed = SignedCheckpoint::sign(&log(1), head(size));
    (0..).zip(witnesses).fold(signed, |signed, (seconds, n)| {
        let signature = signed.cosign(&witness(*n), START.after(Millis::from_secs(seconds)));
        signed.with(signature)
    })
}

/// Base64 that ends with padding, with a bit set that no byte holds.
pub(crate) fn with_stray_bit(base64: &str) -> String {
    let digits = base64.trim_end_matches('=');
    let (padding, last) = (base64.len() - digits.len(), digits.chars().last().unwrap());
    let next = char::from_u32(u32::from(last) + 1).unwrap();
    format!("{}{next}{}", digits.strip_suffix(last).unwrap(), "=".repeat(padding))
}

pub(crate) fn notes() -> Value {
    json!({
        "keys": keys(),
        "unread_keys": unread_keys(),
        "notes": opened(),
        "unopened_notes": unopened(),
        "unread_notes": unread_notes(),
        "checkpoints": checkpoints(),
        "unread_checkpoints": unread_checkpoints(),
    })
}

fn keys() -> Vec<Value> {
    let of_go = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
    [&of_go, log(1).verifier(), witness(1).verifier()].map(key).to_vec()
}

fn key(key: &VerifierKey) -> Value {
    json!({
        "vkey": key.to_string(),
        "name": key.name().as_str(),
        "id": format!("{:08x}", key.id()),
        "type": key.algorithm().number(),
        "public": hex(key.public()),
    })
}

fn unread_keys() -> Vec<Value> {
    let good = log(1).verifier().to_string();
    let id = format!("{:08x}", log(1).verifier().id());
    let of = |bytes: &[u8]| format!("alpha.test/kt/v1+{id}+{}", BASE64.encode(bytes));
    let public = *log(1).verifier().public();
    let neutral = [&[1, 1][..], &[0; 31]].concat();
    vec![
        unread_text("nothing", "", "Form"),
        unread_text("no id", &good.replace(&format!("+{id}+"), "+"), "Form"),
        unread_text("a name with a space", &good.replace("alpha", "al pha"), "Form"),
        unread_text("a byte short", &of(&[&[1], public.split_last().unwrap().1].concat()), "Form"),
        unread_text("base64 without its padding", &of(&[1, 2]).replace('=', ""), "Form"),
        unread_text("another signature type", &of(&[&[2][..], &public].concat()), "Algorithm"),
        unread_text("the id of another key", &good.replace(&id, "00000000"), "Id"),
        unread_text("the id in capitals", &good.replace(&id, &id.to_uppercase()), "Id"),
        unread_text("the key of another name", &good.replace("alpha", "beta"), "Id"),
        unread_text("a key of small order", &of(&neutral), "Point"),
    ]
}

fn signers(opened: &[(&VerifierKey, Verified)]) -> Vec<Value> {
    let signer = |(key, verified): &(&VerifierKey, Verified)| json!({ "key": key.to_string(), "at_secs": verified.at_secs });
    opened.iter().map(signer).collect()
}

fn texts(keys: &[VerifierKey]) -> Vec<String> {
    keys.iter().map(VerifierKey::to_string).collect()
}

/// A log, a first and a second witness.
fn known() -> [VerifierKey; 3] {
    [log(1).verifier(), witness(1).verifier(), witness(2).verifier()].map(Clone::clone)
}

fn opened() -> Vec<Value> {
    let case = |name: &str, note: &str, keys: &[VerifierKey]| {
        let read = SignedNote::parse(note.as_bytes()).unwrap();
        let signers = signers(&read.opened_by(keys).unwrap());
        json!({ "name": name, "note": note, "text": read.text(), "keys": texts(keys), "signers": signers })
    };
    let text = "A text\n\nwith an empty line, and \u{e8} in two bytes.\n";
    let plain = format!("{text}\n{}\n", log(1).sign(text));
    let [of_log, near, far] = known();
    let both = cosigned(7, &[1, 2]);
    let later = both.cosign(&witness(1), START.after(Millis::from_secs(9)));
    let twice = format!("{both}{later}\n");
    vec![
        case("a text of two parts", &plain, std::slice::from_ref(&of_log)),
        case(
            "a log and two witnesses, of whom one is known",
            &both.to_string(),
            &[of_log.clone(), far.clone()],
        ),
        case("a witness alone", &both.to_string(), std::slice::from_ref(&near)),
        case("a witness that signed twice counts once, with the later time", &twice, &[of_log, near, far]),
    ]
}

fn unopened() -> Vec<Value> {
    let case = |name: &str, note: &str, keys: &[VerifierKey], error: &str| json!({ "name": name, "note": note, "keys": texts(keys), "error": error });
    let [of_log, near, far] = known();
    let good = cosigned(7, &[1]).to_string();
    let other_text = good.replace("\n7\n", "\n8\n");
    // The log's signature is kept and the witness's is of another tree.
    let spoiled = cosigned(7, &[]).with(cosigned(8, &[]).cosign(&witness(1), START)).to_string();
    let forged = SignedCheckpoint::sign(&log(66), head(7)).to_string();
    vec![
        case("nobody who is known", &good, std::slice::from_ref(&far), "Unsigned"),
        case("no key is known", &good, &[], "Unsigned"),
        case("another key of the same name", &forged, std::slice::from_ref(&of_log), "Unsigned"),
        case("another text under the signature", &other_text, std::slice::from_ref(&of_log), "BadSignature"),
        case("a bad signature beside a good one", &spoiled, &[of_log, near], "BadSignature"),
    ]
}

fn unread_notes() -> Vec<Value> {
    let good = cosigned(7, &[]).to_string();
    let line = good.lines().last().unwrap();
    let encoded = line.rsplit(' ').next().unwrap();
    let many = format!("text\n\n{}", "\u{2014} a AAAAAAE=\n".repeat(NOTE_SIGNATURES + 1));
    vec![
        unread_text("nothing", "", "Form"),
        unread_text("no signature", "text\n", "Form"),
        unread_text("no line feed at the end", good.trim_end(), "Form"),
        unread_text("a tab", &good.replace("v1\n7", "v1\t\n7"), "NotText"),
        unread_text("lines of DOS", &good.replace('\n', "\r\n"), "NotText"),
        unread_text("a hyphen for the dash", &good.replace('\u{2014}', "-"), "Signature"),
        unread_text("two spaces", &good.replace("\u{2014} ", "\u{2014}  "), "Signature"),
        unread_text("a signature without bytes", &good.replace(encoded, "AAAAAA=="), "Signature"),
        unread_text("base64 with a stray bit", &good.replace(encoded, &with_stray_bit(encoded)), "Signature"),
        unread_text("base64 in two parts", &good.replace(encoded, "AAAAAAE=AA=="), "Signature"),
        unread_text(
            "base64 without its padding",
            &good.replace(encoded, encoded.trim_end_matches('=')),
            "Signature",
        ),
        unread_text("something below the signatures", &format!("{good}garbage\n"), "Signature"),
        unread_text("seventeen signatures", &many, "TooManySignatures"),
        // So many that 16,001 bytes are reached.
        json!({ "name": "16,001 bytes", "text": good, "x_before": NOTE_BYTES + 1 - good.len(), "error": "TooLong" }),
    ]
}

fn checkpoints() -> Vec<Value> {
    let text =
        format!("{}one more line\n", Checkpoint::new(log(1).verifier().name().clone(), head(5)).to_text());
    let extended = format!("{text}\n{}\n", log(1).sign(&text));
    let empty = cosigned(0, &[]).to_string();
    let notes = [
        ("signed by the log alone", cosigned(7, &[]).to_string()),
        ("cosigned", cosigned(8, &[1, 2]).to_string()),
        ("of a log without entries", empty),
        ("with a further line", extended),
    ];
    notes.map(|(name, note)| checkpoint(name, &note)).to_vec()
}

fn checkpoint(name: &str, note: &str) -> Value {
    let read = SignedCheckpoint::parse(note.as_bytes()).unwrap();
    let Checkpoint { origin, head, extensions } = read.checkpoint();
    json!({
        "name": name,
        "note": note,
        "origin": origin.as_str(),
        "size": head.size,
        "root": head.root.to_string(),
        "extensions": extensions,
        "key": log(1).verifier().to_string(),
    })
}

fn unread_checkpoints() -> Vec<Value> {
    let good = cosigned(7, &[]).to_string();
    let root = good.lines().nth(2).unwrap();
    let sized = |size: &str| good.replace("\n7\n", &format!("\n{size}\n"));
    vec![
        unread_text("no note", "alpha.test/kt/v1\n", "Note"),
        unread_text("an origin with a space", &good.replacen("alpha", "al pha", 1), "Origin"),
        unread_text("a size with a zero before", &sized("07"), "Size"),
        unread_text("a size with a sign", &sized("+7"), "Size"),
        unread_text("a size of 2^63", &sized("9223372036854775808"), "Size"),
        unread_text("a size of 2^64", &sized("18446744073709551616"), "Size"),
        unread_text("a root of three bytes", &good.replace(root, "AAAA"), "Root"),
        unread_text("a root with a stray bit", &good.replace(root, &with_stray_bit(root)), "Root"),
        unread_text("no root", &good.replace(&format!("{root}\n"), ""), "Root"),
        unread_text(
            "an empty line among the further ones",
            &good.replace(root, &format!("{root}\n\nmore")),
            "Extension",
        ),
    ]
}
