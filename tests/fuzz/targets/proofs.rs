//! Proof files of anybody, as `qpq verify-proof` reads them: what holds is what was signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qpq_fuzz::{
    proof::{message, signed},
    seeds,
};
use qpq_proof::{FileProof, ProofFile, Statement};

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    if let Ok(statement) = Statement::from_bytes(bytes) {
        assert_eq!(statement.to_bytes(), bytes);
    }
    let Ok(file) = ProofFile::from_bytes(bytes) else { return };
    let Ok((id, ciphertext, judged)) = file.judge() else { return };
    let theirs = signed().0;
    for judged in judged {
        // Nobody but the fuzzer's own seed has signed anything that a mutation could keep true.
        if judged.outcome.is_ok() && judged.statement.as_ref().is_some_and(|found| found.key == theirs.statement().key) {
            assert!([message(1), message(2)].iter().any(|of| (of.id, of.ciphertext) == (id, ciphertext)));
        }
    }
});

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let (signed, places) = signed();
    let message = message(1);
    let proof =
        FileProof::of(&signed, &places[0], &message.recipient, (None, Some(message.recipient.clone())));
    let file = ProofFile::new(message.id, message.ciphertext, vec![proof]);
    vec![("file", file.to_text().expect("JSON").into_bytes()), ("statement", signed.statement().to_bytes())]
}
