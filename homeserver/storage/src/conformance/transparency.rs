//! The key-transparency log.

use super::{Outcome, Subject, conflicts, read, same, write};
use crate::{LOG_NO_LABEL, LogContents, LogHead, LogRow, LogTile};

fn row(index: u64, label: u8, version: u32) -> (LogRow, LogContents) {
    let number = u8::try_from(index).unwrap_or(u8::MAX);
    let row = LogRow { index, label_id: [label; 32], version, entry: [number; 110] };
    (row, LogContents { label: vec![label], opening: [number; 16], value: vec![number; 3] })
}

fn head(size: u64) -> LogHead {
    LogHead { size, note: format!("note over {size}\n") }
}

fn tile(level: u8, index: u64, hashes: u8) -> LogTile {
    LogTile { level, index, hashes: vec![hashes; 32 * usize::from(hashes)] }
}

/// Entries, contents, tiles and the checkpoint read back after the end of the process; tiles and checkpoint as they were last
/// written.
pub async fn a_log_reads_back(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    same("nothing", tx.kt_head().await?, None)?;
    tx.kt_append(&[row(0, 9, 0), row(1, 1, 0)], &[tile(0, 0, 2)], &head(2)).await?;
    tx.commit().await?;
    let mut tx = write(subject).await?;
    tx.kt_append(&[row(2, 1, 1)], &[tile(0, 0, 3), tile(1, 0, 1)], &head(3)).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    same("checkpoint", tx.kt_head().await?, Some(head(3)))?;
    let all = [row(0, 9, 0), row(1, 1, 0), row(2, 1, 1)].map(|(row, _)| row);
    same("entries", tx.kt_entries(0, 10).await?, all.to_vec())?;
    same("a page", tx.kt_entries(1, 1).await?, vec![row(1, 1, 0).0])?;
    same("behind the end", tx.kt_entries(3, 10).await?, vec![])?;
    same("latest", tx.kt_latest(&[1; 32]).await?, Some(row(2, 1, 1).0))?;
    same("unknown", tx.kt_latest(&[7; 32]).await?, None)?;
    same("contents", tx.kt_contents(1).await?, Some(row(1, 1, 0).1))?;
    same("no contents", tx.kt_contents(3).await?, None)?;
    same("tile", tx.kt_tile(0, 0).await?, Some(tile(0, 0, 3).hashes))?;
    same("higher tile", tx.kt_tile(1, 0).await?, Some(tile(1, 0, 1).hashes))?;
    same("no tile", tx.kt_tile(0, 1).await?, None)?;
    drop(tx);
    // Entries without a label have no versions.
    let mut tx = write(subject).await?;
    tx.kt_append(&[row(3, 0, 0), row(4, 0, 0), row(5, 1, 2)], &[], &head(6)).await?;
    tx.commit().await.map_err(Into::into)
}

/// A log has one history: no hole, no repeat, no version out of turn, no checkpoint over another size.
pub async fn a_log_has_one_history(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    tx.kt_append(&[row(0, 9, 0), row(1, 1, 0)], &[], &head(2)).await?;
    tx.commit().await?;
    for (what, wrong, size) in [
        ("a repeat", row(1, 2, 0), 2),
        ("a hole", row(3, 2, 0), 4),
        ("a version again", row(2, 1, 0), 3),
        ("a version too many", row(2, 1, 2), 3),
        ("a first version that is none", row(2, 2, 1), 3),
        ("another size", row(2, 2, 0), 4),
    ] {
        let mut tx = write(subject).await?;
        conflicts(what, tx.kt_append(&[wrong], &[tile(0, 0, 3)], &head(size)).await)?;
        conflicts(what, tx.commit().await)?;
    }
    let mut tx = read(subject).await?;
    same("checkpoint", tx.kt_head().await?, Some(head(2)))?;
    same("entries", tx.kt_entries(0, 10).await?.len(), 2)?;
    same("tiles", tx.kt_tile(0, 0).await?, None)
}

/// Keeps a log of four entries of label 1, two of label 2 and two without a label, in turns.
async fn logged(subject: &dyn Subject) -> Outcome {
    let rows = [(1, 0), (2, 0), (0, 0), (1, 1), (1, 2), (0, 0), (2, 1), (1, 3)];
    let rows: Vec<_> = (0..).zip(rows).map(|(index, (label, version))| row(index, label, version)).collect();
    let mut tx = write(subject).await?;
    tx.kt_append(&rows, &[tile(0, 0, 8)], &head(8)).await?;
    tx.commit().await.map_err(Into::into)
}

/// A label's entries come in the order of their versions, a page at a time, and no other label's.
pub async fn versions_are_paged_in_order(subject: &mut dyn Subject) -> Outcome {
    logged(subject).await?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    let all = [row(0, 1, 0), row(3, 1, 1), row(4, 1, 2), row(7, 1, 3)].map(|(row, _)| row);
    same("all", tx.kt_versions(&[1; 32], 0, 10).await?, all.to_vec())?;
    same("a page", tx.kt_versions(&[1; 32], 1, 2).await?, all[1..3].to_vec())?;
    same("the rest", tx.kt_versions(&[1; 32], 3, 2).await?, all[3..].to_vec())?;
    same("behind the end", tx.kt_versions(&[1; 32], 4, 2).await?, vec![])?;
    same("no room", tx.kt_versions(&[1; 32], 0, 0).await?, vec![])?;
    same("unknown", tx.kt_versions(&[7; 32], 0, 10).await?, vec![])?;
    same("another", tx.kt_versions(&[2; 32], 1, 10).await?, vec![row(6, 2, 1).0])
}

/// Entries without a label are no versions of anything, and are not erased as if they were.
pub async fn what_has_no_label_has_no_versions(subject: &mut dyn Subject) -> Outcome {
    logged(subject).await?;
    let mut tx = write(subject).await?;
    same("versions", tx.kt_versions(&LOG_NO_LABEL, 0, 10).await?, vec![])?;
    same("erasing", tx.kt_erase(&LOG_NO_LABEL).await?, 0)?;
    same("contents", tx.kt_contents(2).await?, Some(row(2, 0, 0).1))
}

/// The first checkpoint that is kept for an entry stays, also after the end of the process; each entry has its own.
pub async fn the_first_checkpoint_that_was_seen_stays(subject: &mut dyn Subject) -> Outcome {
    logged(subject).await?;
    let mut tx = write(subject).await?;
    same("before", tx.kt_seen(3).await?, None)?;
    tx.kt_keep_seen(3, "first").await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    tx.kt_keep_seen(3, "second").await?;
    tx.kt_keep_seen(0, "another's").await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    same("the first", tx.kt_seen(3).await?.as_deref(), Some("first"))?;
    same("another's", tx.kt_seen(0).await?.as_deref(), Some("another's"))?;
    same("of none", tx.kt_seen(4).await?, None)?;
    same("checkpoint", tx.kt_head().await?, Some(head(8)))
}

/// A checkpoint for an entry that is not there is a contradiction.
pub async fn no_checkpoint_is_kept_for_no_entry(subject: &mut dyn Subject) -> Outcome {
    logged(subject).await?;
    for (what, index) in [("the next entry", 8), ("one far away", u64::MAX)] {
        let mut tx = write(subject).await?;
        conflicts(what, tx.kt_keep_seen(index, "early").await)?;
        conflicts(what, tx.commit().await)?;
    }
    let mut tx = read(subject).await?;
    same("kept", tx.kt_seen(8).await?, None)
}

/// What all versions of a label said is gone for good; its entries, tiles and checkpoints stay, and so do other labels.
pub async fn what_a_label_said_can_be_erased(subject: &mut dyn Subject) -> Outcome {
    logged(subject).await?;
    let mut tx = write(subject).await?;
    tx.kt_keep_seen(3, "seen").await?;
    same("erasing", tx.kt_erase(&[1; 32]).await?, 4)?;
    same("again", tx.kt_erase(&[1; 32]).await?, 0)?;
    same("unknown", tx.kt_erase(&[7; 32]).await?, 0)?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    for index in [0, 3, 4, 7] {
        same("erased", tx.kt_contents(index).await?, None)?;
    }
    for (row, contents) in [row(1, 2, 0), row(2, 0, 0), row(5, 0, 0), row(6, 2, 1)] {
        same("of others", tx.kt_contents(row.index).await?, Some(contents))?;
    }
    same("entries", tx.kt_entries(0, 10).await?.len(), 8)?;
    same("versions", tx.kt_versions(&[1; 32], 0, 10).await?.len(), 4)?;
    same("tile", tx.kt_tile(0, 0).await?, Some(tile(0, 0, 8).hashes))?;
    same("checkpoint", tx.kt_head().await?, Some(head(8)))?;
    same("seen", tx.kt_seen(3).await?.as_deref(), Some("seen"))?;
    // The label goes on, and what it says next can be erased as well.
    tx.kt_append(&[row(8, 1, 4)], &[], &head(9)).await?;
    same("what came later", tx.kt_erase(&[1; 32]).await?, 1)
}
