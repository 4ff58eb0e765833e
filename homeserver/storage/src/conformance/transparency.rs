//! The key-transparency log.

use super::{Outcome, Subject, conflicts, read, same, write};
use crate::{LogContents, LogHead, LogRow, LogTile};

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
