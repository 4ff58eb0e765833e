//! Who witnesses whom: other domains' logs, evidence against them, and the cosignatures of our own log.

use super::{Outcome, Subject, conflicts, fixtures::at, read, same, write};
use crate::{
    COLLECTED_CHECKPOINTS, EVIDENCE_PER_LOG, EvidenceKept, LOG_NO_LABEL, LogContents, LogHead, LogRow,
    Mirrored, NewEvidence, OurWitness, WitnessedLog,
};

const BETA: &str = "beta.test/kt/v1";
const GAMMA: &str = "gamma.test/kt/v1";

fn head(size: u64, note: &str) -> LogHead {
    LogHead { size, note: format!("{note} over {size}\n") }
}

fn evidence(origin: &str, sizes: (u64, u64)) -> NewEvidence {
    NewEvidence {
        origin: origin.to_owned(),
        sizes,
        text: format!("{sizes:?} of {origin}\n"),
        from: "own".to_owned(),
        found_at: at(3),
    }
}

/// The first key of a log stays, whatever is brought later, and logs are found and listed by their origins.
pub async fn the_first_key_of_a_log_stays(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    same("nothing", tx.kt_witnessed(BETA).await?, None)?;
    same("first", tx.kt_pin(BETA, "b1").await?.as_str(), "b1")?;
    same("another log", tx.kt_pin(GAMMA, "c1").await?.as_str(), "c1")?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    same("second", tx.kt_pin(BETA, "b2").await?.as_str(), "b1")?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    let log = |origin: &str, key: &str| WitnessedLog {
        origin: origin.to_owned(),
        key: key.to_owned(),
        cosigned: None,
    };
    same("kept", tx.kt_witnessed(BETA).await?, Some(log(BETA, "b1")))?;
    let all = vec![log(BETA, "b1"), log(GAMMA, "c1")];
    same("all", tx.kt_witnessed_after("", 10).await?, all.clone())?;
    same("a page", tx.kt_witnessed_after("", 1).await?, all[..1].to_vec())?;
    same("the rest", tx.kt_witnessed_after(BETA, 10).await?, all[1..].to_vec())
}

/// What was cosigned last is kept with its signatures, and never gives way to a smaller one.
pub async fn cosigning_moves_forward_only(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    tx.kt_pin(BETA, "b1").await?;
    for cosigned in [head(0, "empty"), head(4, "first"), head(4, "again"), head(9, "larger")] {
        tx.kt_cosign(BETA, &cosigned).await?;
        same("kept", tx.kt_witnessed(BETA).await?.and_then(|log| log.cosigned), Some(cosigned))?;
    }
    tx.commit().await?;
    subject.reopen().await?;
    for (what, origin, cosigned) in
        [("smaller", BETA, head(8, "back")), ("unknown", GAMMA, head(10, "of nobody"))]
    {
        let mut tx = write(subject).await?;
        conflicts(what, tx.kt_cosign(origin, &cosigned).await)?;
        conflicts(what, tx.commit().await)?;
    }
    let mut tx = read(subject).await?;
    same("stayed", tx.kt_witnessed(BETA).await?.and_then(|log| log.cosigned), Some(head(9, "larger")))?;
    same("nobody", tx.kt_witnessed(GAMMA).await?, None)
}

/// A mirror grows without holes, never beyond what was cosigned, and reads back in pages.
pub async fn a_mirror_follows_what_was_cosigned(subject: &mut dyn Subject) -> Outcome {
    let entries: Vec<[u8; 110]> = (0..9).map(|n| [n; 110]).collect();
    let mut tx = write(subject).await?;
    tx.kt_pin(BETA, "b1").await?;
    tx.kt_pin(GAMMA, "c1").await?;
    same("nothing", tx.kt_mirrored(BETA).await?, Mirrored::default())?;
    tx.kt_cosign(BETA, &head(7, "first")).await?;
    tx.kt_mirror(BETA, 0, &entries[..3], &[1; 96]).await?;
    tx.kt_mirror(BETA, 3, &entries[3..5], &[2; 160]).await?;
    tx.commit().await?;
    subject.reopen().await?;
    for (what, origin, from, count) in [
        ("a hole", BETA, 6, 1),
        ("a repeat", BETA, 4, 1),
        ("too far", BETA, 5, 3),
        ("not cosigned", GAMMA, 0, 1),
        ("unknown", "delta.test/kt/v1", 0, 1),
    ] {
        let mut tx = write(subject).await?;
        conflicts(what, tx.kt_mirror(origin, from, &entries[..count], &[3; 32]).await)?;
        conflicts(what, tx.commit().await)?;
    }
    let mut tx = read(subject).await?;
    same("how far", tx.kt_mirrored(BETA).await?, Mirrored { size: 5, edge: vec![2; 160] })?;
    same("all", tx.kt_mirrored_entries(BETA, 0, 10).await?, entries[..5].to_vec())?;
    same("a page", tx.kt_mirrored_entries(BETA, 1, 2).await?, entries[1..3].to_vec())?;
    same("behind the end", tx.kt_mirrored_entries(BETA, 5, 10).await?, vec![])?;
    same("another's", tx.kt_mirrored_entries(GAMMA, 0, 10).await?, vec![])?;
    drop(tx);
    let mut tx = write(subject).await?;
    tx.kt_mirror(BETA, 5, &entries[5..7], &[4; 224]).await?;
    same("up to the end", tx.kt_mirrored(BETA).await?.size, 7)
}

/// Evidence is kept once for two sizes, bounded for each log, and stays when an admin clears it.
pub async fn evidence_is_kept_for_ever(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    same("first", tx.kt_keep_evidence(&evidence(BETA, (3, 5))).await?, EvidenceKept::New(1))?;
    let again = NewEvidence { text: "other".to_owned(), ..evidence(BETA, (3, 5)) };
    same("again", tx.kt_keep_evidence(&again).await?, EvidenceKept::Known(1))?;
    same("another log", tx.kt_keep_evidence(&evidence(GAMMA, (3, 5))).await?, EvidenceKept::New(2))?;
    same("other sizes", tx.kt_keep_evidence(&evidence(BETA, (3, 6))).await?, EvidenceKept::New(3))?;
    same("cleared", tx.kt_clear_evidence(1, at(9)).await?, true)?;
    same("cleared again", tx.kt_clear_evidence(1, at(10)).await?, false)?;
    same("of no number", tx.kt_clear_evidence(7, at(9)).await?, false)?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    let kept = tx.kt_evidence(BETA).await?;
    let cleared: Vec<_> = kept.iter().map(|kept| (kept.id, kept.cleared_at)).collect();
    same("of one log", cleared, vec![(1, Some(at(9))), (3, None)])?;
    let found: Vec<NewEvidence> = kept.into_iter().map(|kept| kept.found).collect();
    same("as it was", found, vec![evidence(BETA, (3, 5)), evidence(BETA, (3, 6))])?;
    let ids = |kept: Vec<crate::LogEvidence>| kept.into_iter().map(|kept| kept.id).collect::<Vec<u64>>();
    same("of all", ids(tx.kt_evidence_after(0, 10).await?), vec![1, 2, 3])?;
    same("a page", ids(tx.kt_evidence_after(1, 1).await?), vec![2])?;
    for size in 0..EVIDENCE_PER_LOG as u64 {
        tx.kt_keep_evidence(&evidence(BETA, (0, size))).await?;
    }
    same("bounded", tx.kt_evidence(BETA).await?.len(), EVIDENCE_PER_LOG)?;
    same("enough", tx.kt_keep_evidence(&evidence(BETA, (8, 9))).await?, EvidenceKept::Enough)?;
    same("known", tx.kt_keep_evidence(&evidence(BETA, (3, 6))).await?, EvidenceKept::Known(3))?;
    let other = tx.kt_keep_evidence(&evidence(GAMMA, (8, 9))).await?;
    same("another log has room", matches!(other, EvidenceKept::New(_)), true)
}

/// A log of so many entries of label 1.
async fn logged(subject: &dyn Subject, size: u64) -> Outcome {
    let rows: Vec<_> = (0..size)
        .map(|index| {
            let version = u32::try_from(index).unwrap_or(u32::MAX);
            let row = LogRow { index, label_id: [1; 32], version, entry: [1; 110] };
            (row, LogContents { label: vec![1], opening: [0; 16], value: vec![] })
        })
        .collect();
    let mut tx = write(subject).await?;
    tx.kt_append(&rows, &[], &head(size, "signed")).await?;
    tx.commit().await.map_err(Into::into)
}

/// The checkpoint with the cosignatures it needs is kept, and never gives way to a smaller one or one beyond the log.
pub async fn what_is_cosigned_moves_forward_only(subject: &mut dyn Subject) -> Outcome {
    logged(subject, 6).await?;
    let mut tx = write(subject).await?;
    same("nothing", tx.kt_cosigned().await?, None)?;
    for cosigned in [head(2, "first"), head(2, "again"), head(5, "larger")] {
        tx.kt_keep_cosigned(&cosigned).await?;
        same("kept", tx.kt_cosigned().await?, Some(cosigned))?;
    }
    tx.commit().await?;
    subject.reopen().await?;
    for (what, cosigned) in [("smaller", head(4, "back")), ("beyond", head(7, "beyond"))] {
        let mut tx = write(subject).await?;
        conflicts(what, tx.kt_keep_cosigned(&cosigned).await)?;
        conflicts(what, tx.commit().await)?;
    }
    same("stayed", read(subject).await?.kt_cosigned().await?, Some(head(5, "larger")))
}

/// Checkpoints collect cosignatures side by side, only the newest, and none below the one that has enough.
pub async fn the_newest_checkpoints_collect(subject: &mut dyn Subject) -> Outcome {
    let most = COLLECTED_CHECKPOINTS as u64;
    logged(subject, most + 3).await?;
    let mut tx = write(subject).await?;
    for size in 1..=most + 2 {
        tx.kt_keep_collected(&head(size, "one")).await?;
    }
    tx.kt_keep_collected(&head(most, "two")).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    same("the oldest", tx.kt_collected(2).await?, None)?;
    same("the rest", tx.kt_collected(3).await?, Some(head(3, "one")))?;
    same("the newer one", tx.kt_collected(most).await?, Some(head(most, "two")))?;
    same("none", tx.kt_collected(most + 3).await?, None)?;
    tx.kt_keep_cosigned(&head(most, "two")).await?;
    same("below", tx.kt_collected(most - 1).await?, None)?;
    same("itself", tx.kt_collected(most).await?, Some(head(most, "two")))?;
    same("above", tx.kt_collected(most + 1).await?, Some(head(most + 1, "one")))?;
    conflicts("beyond", tx.kt_keep_collected(&head(most + 4, "one")).await)
}

/// Of each witness it is known how far it signed, when, and why it doesn't.
pub async fn witnesses_are_remembered(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    tx.kt_witness_failed("w2", "unreachable", at(1)).await?;
    tx.kt_witness_signed("w1", 7, at(2)).await?;
    tx.kt_witness_signed("w1", 5, at(3)).await?;
    tx.kt_witness_failed("w1", "409", at(4)).await?;
    tx.kt_witness_failed("w3", "404", at(4)).await?;
    tx.kt_witness_signed("w3", 2, at(5)).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let witness = |key: &str, size, signed_at, failed: Option<(&str, u64)>| OurWitness {
        key: key.to_owned(),
        size,
        signed_at,
        failed: failed.map(|(why, seconds)| (why.to_owned(), at(seconds))),
    };
    let all = vec![
        witness("w1", 7, Some(at(3)), Some(("409", 4))),
        witness("w2", 0, None, Some(("unreachable", 1))),
        witness("w3", 2, Some(at(5)), None),
    ];
    same("all", read(subject).await?.kt_our_witnesses().await?, all)
}

/// The newest entry of a label is found in the tree of any size.
pub async fn the_newest_within_a_size_is_found(subject: &mut dyn Subject) -> Outcome {
    let rows = [(1_u8, 0), (2, 0), (0, 0), (1, 1), (2, 1), (1, 2)];
    let rows: Vec<_> = (0..)
        .zip(rows)
        .map(|(index, (label, version))| {
            let row = LogRow { index, label_id: [label; 32], version, entry: [label; 110] };
            (row, LogContents { label: vec![label], opening: [0; 16], value: vec![] })
        })
        .collect();
    let mut tx = write(subject).await?;
    tx.kt_append(&rows, &[], &head(6, "signed")).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    for (label, size, index) in [
        (1, 0, None),
        (1, 1, Some(0)),
        (1, 3, Some(0)),
        (1, 4, Some(3)),
        (1, 6, Some(5)),
        (1, u64::MAX, Some(5)),
        (2, 1, None),
        (2, 4, Some(1)),
        (7, 6, None),
    ] {
        let found = tx.kt_latest_within(&[label; 32], size).await?;
        same("within", found.map(|row| row.index), index)?;
    }
    same("without a label", tx.kt_latest_within(&LOG_NO_LABEL, 6).await?, None)
}
