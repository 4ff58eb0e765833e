//! The groups that this device knows: names, states, members.

use qpq_core::{Address, GroupId, SignatureKey, Timestamp};
use sqlx::sqlite::SqliteRow;

use super::{
    StoreError, Tx,
    row::{Columns, failed, sql_time},
};
use crate::mls::{Member, NewGroup};

/// How a group is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// Made here, not yet at its hub; [`Tx::group_creation`] has what the hub needs.
    Creating,
    /// Messages go both ways.
    Active,
    /// Cut off: it must be added again. Nothing can be sent.
    NeedsResync {
        /// Why, for people.
        reason: String,
    },
    /// A member is not proven: nothing is sent until that changes.
    Blocked {
        /// Why, for people.
        reason: String,
    },
    /// This device was removed.
    Removed,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// Its id.
    pub id: GroupId,
    /// Its name, once a metadata message or its creator gave it one.
    pub name: Option<String>,
    /// The other user of a two-member conversation.
    pub peer: Option<Address>,
    /// How it is doing.
    pub state: GroupState,
    /// When this device made or joined it.
    pub since: Timestamp,
}

impl GroupState {
    const fn number(&self) -> i64 {
        match self {
            Self::Creating => 0,
            Self::Active => 1,
            Self::NeedsResync { .. } => 2,
            Self::Blocked { .. } => 3,
            Self::Removed => 4,
        }
    }

    fn reason(&self) -> &str {
        match self {
            Self::NeedsResync { reason } | Self::Blocked { reason } => reason,
            Self::Creating | Self::Active | Self::Removed => "",
        }
    }
}

impl Tx<'_> {
    /// Writes a group's record, over an earlier one; its members and MLS state are written by [`Tx::save_group`].
    pub async fn save_group_record(&mut self, record: &GroupRecord) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO groups (id, name, peer, state, reason, since) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, peer = excluded.peer, state = excluded.state,
                 reason = excluded.reason, since = excluded.since",
        )
        .bind(record.id.to_bytes())
        .bind(record.name.as_deref())
        .bind(record.peer.as_ref().map(Address::to_string))
        .bind(record.state.number())
        .bind(record.state.reason())
        .bind(sql_time(record.since))
        .execute(self.sql())
        .await
        .map_err(failed("write a group"))?;
        Ok(())
    }

    /// One group.
    pub async fn group(&mut self, id: &GroupId) -> Result<Option<GroupRecord>, StoreError> {
        let row = sqlx::query("SELECT * FROM groups WHERE id = ?")
            .bind(id.to_bytes())
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read a group"))?;
        row.map(|row| read_group(&row)).transpose()
    }

    /// Every group, by id.
    pub async fn groups(&mut self) -> Result<Vec<GroupRecord>, StoreError> {
        let rows = sqlx::query("SELECT * FROM groups ORDER BY id")
            .fetch_all(self.sql())
            .await
            .map_err(failed("read the groups"))?;
        rows.iter().map(read_group).collect()
    }

    /// The two-member conversations with a user that can be used (creating or active), smallest id first.
    pub async fn groups_with(&mut self, peer: &Address) -> Result<Vec<GroupRecord>, StoreError> {
        let rows = sqlx::query("SELECT * FROM groups WHERE peer = ? AND state IN (0, 1) ORDER BY id")
            .bind(peer.to_string())
            .fetch_all(self.sql())
            .await
            .map_err(failed("read the conversations with a user"))?;
        rows.iter().map(read_group).collect()
    }

    /// Changes how a group is doing.
    pub async fn set_group_state(&mut self, id: &GroupId, state: &GroupState) -> Result<(), StoreError> {
        sqlx::query("UPDATE groups SET state = ?, reason = ? WHERE id = ?")
            .bind(state.number())
            .bind(state.reason())
            .bind(id.to_bytes())
            .execute(self.sql())
            .await
            .map_err(failed("write a group's state"))?;
        Ok(())
    }

    /// Names a group.
    pub async fn set_group_name(&mut self, id: &GroupId, name: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE groups SET name = ? WHERE id = ?")
            .bind(name)
            .bind(id.to_bytes())
            .execute(self.sql())
            .await
            .map_err(failed("name a group"))?;
        Ok(())
    }

    /// Says whose two-member conversation a group is; `None`: it is one no more.
    pub async fn set_group_peer(&mut self, id: &GroupId, peer: Option<&Address>) -> Result<(), StoreError> {
        sqlx::query("UPDATE groups SET peer = ? WHERE id = ?")
            .bind(peer.map(Address::to_string))
            .bind(id.to_bytes())
            .execute(self.sql())
            .await
            .map_err(failed("write a conversation's peer"))?;
        Ok(())
    }

    /// The members as of the last saved epoch, by leaf.
    pub async fn members(&mut self, id: &GroupId) -> Result<Vec<Member>, StoreError> {
        let rows = sqlx::query("SELECT * FROM members WHERE group_id = ? ORDER BY leaf")
            .bind(id.to_bytes())
            .fetch_all(self.sql())
            .await
            .map_err(failed("read a group's members"))?;
        rows.iter()
            .map(|row| {
                let columns = Columns { table: "members", row };
                Ok(Member {
                    leaf: columns.small("leaf")?,
                    device: columns.text("device")?,
                    signature_key: SignatureKey::from_bytes(columns.bytes("signature_key")?),
                })
            })
            .collect()
    }

    /// Keeps what the hub needs for a new group, until it has it. The group's record is written first.
    pub async fn save_group_creation(&mut self, id: &GroupId, new: &NewGroup) -> Result<(), StoreError> {
        sqlx::query("UPDATE groups SET group_info = ?, ratchet_tree = ? WHERE id = ?")
            .bind(new.group_info.as_slice())
            .bind(new.ratchet_tree.as_slice())
            .bind(id.to_bytes())
            .execute(self.sql())
            .await
            .map_err(failed("keep a new group's description"))?;
        Ok(())
    }

    /// What the hub needs for a new group that it may not have.
    pub async fn group_creation(&mut self, id: &GroupId) -> Result<Option<NewGroup>, StoreError> {
        let row = sqlx::query(
            "SELECT group_info, ratchet_tree FROM groups
             WHERE id = ? AND group_info IS NOT NULL AND ratchet_tree IS NOT NULL",
        )
        .bind(id.to_bytes())
        .fetch_optional(self.sql())
        .await
        .map_err(failed("read a new group's description"))?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns { table: "groups", row: &row };
        Ok(Some(NewGroup {
            group_info: columns.take("group_info")?,
            ratchet_tree: columns.take("ratchet_tree")?,
        }))
    }

    /// The hub has the group: forget what it needed, the group is active.
    pub async fn group_created(&mut self, id: &GroupId) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE groups SET group_info = NULL, ratchet_tree = NULL,
                 state = CASE state WHEN 0 THEN 1 ELSE state END WHERE id = ?",
        )
        .bind(id.to_bytes())
        .execute(self.sql())
        .await
        .map_err(failed("note that a group was made"))?;
        Ok(())
    }
}

fn read_group(row: &SqliteRow) -> Result<GroupRecord, StoreError> {
    let columns = Columns { table: "groups", row };
    let reason: String = columns.take("reason")?;
    let state = match columns.number("state")? {
        0 => GroupState::Creating,
        1 => GroupState::Active,
        2 => GroupState::NeedsResync { reason },
        3 => GroupState::Blocked { reason },
        4 => GroupState::Removed,
        _ => return Err(columns.damaged("state")),
    };
    Ok(GroupRecord {
        id: columns.group("id")?,
        name: columns.take("name")?,
        peer: columns.optional_text("peer")?,
        state,
        since: columns.time("since")?,
    })
}
