use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use qpq_core::{Digest, Millis};

use super::*;
use crate::{LogSigner, TreeHead, WitnessSigner};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn log() -> LogSigner {
    LogSigner::new("alpha.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]))
}

fn witness(n: u8) -> WitnessSigner {
    let name = format!("w{n}.test/kt-witness/v1").parse().unwrap();
    WitnessSigner::new(name, SigningKey::from_bytes(&[n; 32]))
}

/// A checkpoint with these witnesses, each a second later than the one before.
fn cosigned(witnesses: &[u8]) -> SignedCheckpoint {
    let mut signed = SignedCheckpoint::sign(&log(), TreeHead { size: 3, root: Digest::ZERO });
    for (seconds, n) in (0..).zip(witnesses) {
        let signature = signed.cosign(&witness(*n), NOW.after(Millis::from_secs(seconds)));
        signed = signed.with(signature);
    }
    signed
}

fn vkey(n: u8) -> String {
    witness(n).verifier().to_string()
}

/// The policy of the specification's example: two of three, and one of three others.
fn two_levels() -> String {
    let mut text = format!("# two operators\n\tlog {}  https://alpha.test/kt/v1\n", log().verifier());
    for n in 2..=7 {
        let line = format!("witness w{n} {}\n", vkey(n));
        text.push_str(&line);
    }
    text.push_str("group X 2 w2 w3 w4\n\ngroup Y any w5 w6 w7\ngroup both all X Y\nquorum both\n");
    text
}

#[test]
fn the_example_of_the_specification() {
    let policy: Policy = two_levels().parse().unwrap();
    for (witnesses, enough) in [
        (vec![2, 3, 5], true),
        (vec![2, 4, 7], true),
        (vec![2, 3, 4], false),
        (vec![2, 5, 6, 7], false),
        (vec![], false),
    ] {
        let accepted = policy.accepts(&cosigned(&witnesses));
        assert_eq!(accepted.is_ok(), enough, "{witnesses:?}: {accepted:?}");
    }
    assert_eq!(policy.to_string().parse(), Ok(policy));
}

#[test]
fn a_quorum_is_as_old_as_the_oldest_signature_that_it_needs() {
    let keys: Vec<VerifierKey> = (2..=4).map(|n| witness(n).verifier().clone()).collect();
    let policy = Policy::of_log(log().verifier().clone(), &keys);
    let accepted = policy.accepts(&cosigned(&[2, 3, 4])).unwrap();
    // Two of three are needed: the two latest are one and two seconds later.
    let second = Some(NOW.after(Millis::from_secs(1)));
    assert_eq!(accepted, Accepted { witnessed_at: second, seen_by: second, cosignatures: 3 });
    let all = Policy::of_log(log().verifier().clone(), &keys[..2]);
    let accepted = all.accepts(&cosigned(&[2, 3])).unwrap();
    // One of the two may say any time: it makes nothing fresher, and nothing older.
    assert_eq!((accepted.witnessed_at, accepted.seen_by), (Some(NOW), second));
    assert_eq!(policy.accepts(&cosigned(&[2])), Err(PolicyRefusal::TooFew(1)));
    assert_eq!(policy.to_string().parse(), Ok(policy));
}

#[test]
fn levels_follow_the_number_of_witnesses() {
    let words: Vec<&str> = (0..6).map(|n| Level::of(n).word()).collect();
    assert_eq!(words, ["logged", "peer", "peer", "quorum", "quorum", "quorum"]);
    let needed: Vec<usize> = (0..6).map(Level::needed).collect();
    assert_eq!(needed, [0, 1, 2, 2, 3, 3]);
    let alone = Policy::of_log(log().verifier().clone(), &[]);
    assert_eq!(
        alone.accepts(&cosigned(&[])),
        Ok(Accepted { witnessed_at: None, seen_by: None, cosignatures: 0 })
    );
}

#[test]
fn another_log_and_bad_signatures_are_refused() {
    let policy: Policy = two_levels().parse().unwrap();
    let other = LogSigner::new("beta.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]));
    let signed = SignedCheckpoint::sign(&other, TreeHead { size: 3, root: Digest::ZERO });
    assert_eq!(policy.accepts(&signed), Err(PolicyRefusal::UnknownLog("beta.test/kt/v1".to_owned())));
    let forged = LogSigner::new("alpha.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[9; 32]));
    let signed = SignedCheckpoint::sign(&forged, TreeHead { size: 3, root: Digest::ZERO });
    assert_eq!(policy.accepts(&signed), Err(PolicyRefusal::Note(NoteError::Unsigned)));
    let wrong = SignedCheckpoint::sign(&log(), TreeHead { size: 4, root: Digest::ZERO });
    let spoiled = cosigned(&[2, 3]).with(wrong.cosign(&witness(5), NOW));
    assert!(matches!(policy.accepts(&spoiled), Err(PolicyRefusal::Note(NoteError::BadSignature(_)))));
}

#[test]
fn what_is_no_policy_says_where_and_why() {
    let (w2, w3) = (format!("witness a {}\n", vkey(2)), format!("witness b {}\n", vkey(3)));
    let log = log().verifier().to_string();
    let undefined = || PolicyFault::Undefined("c".to_owned());
    let twice = || PolicyFault::Twice("a".to_owned());
    let cases = [
        (String::new(), 0, PolicyFault::Quorum),
        ("quorum none\nquorum none\n".to_owned(), 2, PolicyFault::Quorum),
        ("quorum c\n".to_owned(), 1, undefined()),
        (format!("{w2}{w3}group g 1 a c\nquorum g\n"), 3, undefined()),
        (format!("{w2}{w3}group g 0 a b\nquorum g\n"), 3, PolicyFault::Threshold),
        (format!("{w2}{w3}group g 3 a b\nquorum g\n"), 3, PolicyFault::Threshold),
        (format!("{w2}{w3}group g 01 a b\nquorum g\n"), 3, PolicyFault::Threshold),
        (format!("{w2}{w3}group g any a a\nquorum g\n"), 3, twice()),
        (format!("{w2}{w3}group g any a\ngroup h any a b\nquorum h\n"), 4, twice()),
        (format!("{w2}{w3}group a any b\nquorum a\n"), 3, PolicyFault::Name),
        (format!("{w2}witness none {}\nquorum a\n", vkey(3)), 2, PolicyFault::Name),
        (format!("{w2}witness b {}\nquorum a\n", vkey(2)), 2, PolicyFault::DuplicateKey),
        (format!("log {log}\nlog {log}\nquorum none\n"), 2, PolicyFault::DuplicateKey),
        (format!("log {}\nquorum none\n", vkey(2)), 1, PolicyFault::Key),
        (format!("witness a {log}\nquorum a\n"), 1, PolicyFault::Key),
        ("group g any\nquorum g\n".to_owned(), 1, PolicyFault::Form),
        ("trust everybody\n".to_owned(), 1, PolicyFault::Form),
        ("quorum none\r\n".to_owned(), 0, PolicyFault::NotText),
        ("#".repeat(POLICY_BYTES.saturating_add(1)), 0, PolicyFault::NotText),
    ];
    for (text, line, reason) in cases {
        assert_eq!(text.parse::<Policy>(), Err(PolicyError { line, reason }), "{text:?}");
    }
    let many: Vec<String> = (0..33_u8).map(|n| format!("witness w{n} {}", vkey(n.wrapping_add(1)))).collect();
    let refused = format!("{}\nquorum w0\n", many.join("\n")).parse::<Policy>();
    assert_eq!(refused, Err(PolicyError { line: 33, reason: PolicyFault::TooMany }));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(log|witness|group|quorum|none|any|all|[a-z0-9+= \n\t]){0,40}") {
        if let Ok(policy) = text.parse::<Policy>() {
            prop_assert_eq!(policy.to_string().parse::<Policy>(), Ok(policy));
        }
    }
}
