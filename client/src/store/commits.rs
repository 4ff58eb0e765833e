//! Commits of this device that are submitted or about to be: at most one a group.

use qpq_core::{Address, GroupId, Timestamp};
use sqlx::sqlite::SqliteRow;

use super::{
    StoreError, Tx,
    row::{Columns, failed, sql_number, sql_time},
};
use crate::mls::StagedCommit;

/// What a commit is for, so that it can be made again when it loses its epoch.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum CommitPurpose {
    /// Adds every device of these users (removing old leaves of theirs).
    Add {
        /// Whom.
        users: Vec<Address>,
    },
    /// Renews this device's keys.
    Update,
    /// Removes leaves of this account.
    Remove {
        /// Which.
        leaves: Vec<u32>,
    },
}

/// A commit that was staged: in the same transaction as the group's changes, before it is submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCommit {
    /// Its group.
    pub group: GroupId,
    /// What is submitted, again after a lost answer.
    pub staged: StagedCommit,
    /// What it is for.
    pub purpose: CommitPurpose,
    /// When it was staged.
    pub since: Timestamp,
    /// Whether the hub said that it won; it is merged when the log echoes it.
    pub accepted: bool,
}

impl Tx<'_> {
    /// Keeps a staged commit, with [`Tx::save_group`] in the same transaction.
    pub async fn save_pending_commit(&mut self, commit: &PendingCommit) -> Result<(), StoreError> {
        let purpose = serde_json::to_string(&commit.purpose)
            .map_err(|_| StoreError::Damaged { table: "pending_commits", what: "purpose" })?;
        let staged = &commit.staged;
        sqlx::query("INSERT INTO pending_commits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(commit.group.to_bytes())
            .bind(staged.id.as_bytes().as_slice())
            .bind(sql_number(staged.epoch))
            .bind(staged.commit.as_slice())
            .bind(staged.group_info.as_slice())
            .bind(staged.welcome.as_slice())
            .bind(staged.signature.as_slice())
            .bind(purpose)
            .bind(sql_time(commit.since))
            .bind(commit.accepted)
            .execute(self.sql())
            .await
            .map_err(failed("keep a commit"))?;
        Ok(())
    }

    /// The pending commit of a group.
    pub async fn pending_commit(&mut self, group: &GroupId) -> Result<Option<PendingCommit>, StoreError> {
        let row = sqlx::query("SELECT * FROM pending_commits WHERE group_id = ?")
            .bind(group.to_bytes())
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read a commit"))?;
        row.map(|row| read_commit(&row)).transpose()
    }

    /// Every pending commit.
    pub async fn pending_commits(&mut self) -> Result<Vec<PendingCommit>, StoreError> {
        let rows = sqlx::query("SELECT * FROM pending_commits ORDER BY since, group_id")
            .fetch_all(self.sql())
            .await
            .map_err(failed("read the commits"))?;
        rows.iter().map(read_commit).collect()
    }

    /// The hub said that it won.
    pub async fn mark_commit_accepted(&mut self, group: &GroupId) -> Result<(), StoreError> {
        sqlx::query("UPDATE pending_commits SET accepted = 1 WHERE group_id = ?")
            .bind(group.to_bytes())
            .execute(self.sql())
            .await
            .map_err(failed("note that a commit won"))?;
        Ok(())
    }

    /// It was merged, or dropped.
    pub async fn delete_pending_commit(&mut self, group: &GroupId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM pending_commits WHERE group_id = ?")
            .bind(group.to_bytes())
            .execute(self.sql())
            .await
            .map_err(failed("forget a commit"))?;
        Ok(())
    }
}

fn read_commit(row: &SqliteRow) -> Result<PendingCommit, StoreError> {
    let columns = Columns { table: "pending_commits", row };
    let purpose = serde_json::from_str(columns.take("purpose")?).map_err(|_| columns.damaged("purpose"))?;
    Ok(PendingCommit {
        group: columns.group("group_id")?,
        staged: StagedCommit {
            id: columns.message("id")?,
            epoch: columns.number("epoch")?,
            commit: columns.take("commit_message")?,
            group_info: columns.take("group_info")?,
            welcome: columns.take("welcome")?,
            signature: columns.bytes("signature")?,
        },
        purpose,
        since: columns.time("since")?,
        accepted: columns.take("accepted")?,
    })
}
