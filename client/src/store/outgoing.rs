//! Messages of this device on their way out.

use qpq_core::{Address, Digest, Domain, GroupId, MessageId, Timestamp};
use sqlx::{
    Sqlite,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    StoreError, Tx,
    row::{Columns, failed, sql_number, sql_time},
};
use crate::mls::Content;

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A user; the two-member group is found or made when the homeserver is reached.
    User(Address),
    /// A group.
    Group(GroupId),
}

/// How far a message has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutgoingState {
    /// Only here.
    Queued,
    /// Durable at the homeserver, on its way to the hub.
    AtHome {
        /// Since when.
        at: Timestamp,
    },
    /// In the group's log.
    AtHub {
        /// Since when.
        at: Timestamp,
    },
    /// Given up.
    Failed {
        /// Why, for people.
        reason: String,
    },
}

/// A message to be queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOutgoing {
    /// The id that it will be submitted with.
    pub id: MessageId,
    /// Where it goes.
    pub target: Target,
    /// What it says.
    pub content: Content,
}

/// A message on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its id.
    pub id: MessageId,
    /// Where it goes: the group once it is known, else the user.
    pub target: Target,
    /// The user that it was addressed to, also when the group is known.
    pub to_user: Option<Address>,
    /// What it says.
    pub content: Content,
    /// How far it has got.
    pub state: OutgoingState,
    /// The ciphertext and its epoch, once encrypted: what is submitted, and submitted again after a lost answer.
    pub encrypted: Option<(Vec<u8>, u64)>,
    /// How often it was encrypted.
    pub attempts: u32,
    /// Not to be tried before this time.
    pub not_before: Timestamp,
    /// How far it had got when it was offered again, because the homeserver's database was put back.
    pub offered: Option<Reach>,
}

/// How far a message had got when its homeserver's database was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To the homeserver, and perhaps further.
    Home,
    /// Into its log, where others may have read it.
    Hub,
}

impl Reach {
    const fn of(state: u64) -> Option<Self> {
        match state {
            1 => Some(Self::Home),
            2 => Some(Self::Hub),
            _ => None,
        }
    }
}

impl Tx<'_> {
    /// Queues a message; a repeat with the same id changes nothing. One that is too long is refused here.
    pub async fn enqueue(&mut self, message: &NewOutgoing) -> Result<(), StoreError> {
        let content = message.content.encode().map_err(|source| StoreError::Content { source })?;
        let (user, group) = match &message.target {
            Target::User(user) => (Some(user.to_string()), None),
            Target::Group(group) => (None, Some(group.to_bytes())),
        };
        sqlx::query(
            "INSERT INTO outgoing (id, to_user, to_group, content, state, state_at) VALUES (?, ?, ?, ?, 0, ?)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(message.id.as_bytes().as_slice())
        .bind(user)
        .bind(group)
        .bind(content)
        .bind(sql_time(message.content.sent_at))
        .execute(self.sql())
        .await
        .map_err(failed("queue a message"))?;
        Ok(())
    }

    /// One message.
    pub async fn outgoing(&mut self, id: &MessageId) -> Result<Option<Outgoing>, StoreError> {
        let row = sqlx::query("SELECT * FROM outgoing WHERE id = ?")
            .bind(id.as_bytes().as_slice())
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read a queued message"))?;
        row.map(|row| read_outgoing(&row)).transpose()
    }

    /// What is only here, in the order it was queued.
    pub async fn queued(&mut self, limit: u32) -> Result<Vec<Outgoing>, StoreError> {
        let rows = sqlx::query("SELECT * FROM outgoing WHERE state = 0 ORDER BY place LIMIT ?")
            .bind(i64::from(limit))
            .fetch_all(self.sql())
            .await
            .map_err(failed("read the queue"))?;
        rows.iter().map(read_outgoing).collect()
    }

    /// What the homeserver has and the hub has not reported.
    pub async fn at_home(&mut self) -> Result<Vec<Outgoing>, StoreError> {
        let rows = sqlx::query("SELECT * FROM outgoing WHERE state = 1 ORDER BY place")
            .fetch_all(self.sql())
            .await
            .map_err(failed("read what is under way"))?;
        rows.iter().map(read_outgoing).collect()
    }

    /// What was given up, the oldest first, until [`Tx::forget_failed`].
    pub async fn failed_outgoing(&mut self, limit: u32) -> Result<Vec<Outgoing>, StoreError> {
        let rows = sqlx::query("SELECT * FROM outgoing WHERE state IN (3, 4) ORDER BY place LIMIT ?")
            .bind(limit)
            .fetch_all(self.sql())
            .await
            .map_err(failed("read what was given up"))?;
        rows.iter().map(read_outgoing).collect()
    }

    /// The user knows that it was given up.
    pub async fn forget_failed(&mut self, id: &MessageId) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM outgoing WHERE state IN (3, 4) AND id = ?");
        self.change(query, id, "forget what was given up").await
    }

    /// The user's group was found: the message goes there.
    pub async fn set_target_group(&mut self, id: &MessageId, group: &GroupId) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE outgoing SET to_group = ? WHERE id = ?").bind(group.to_bytes());
        self.change(query, id, "address a message").await
    }

    /// Keeps the ciphertext, in the transaction that saves the group; counts an attempt. Submit afterwards.
    pub async fn set_encrypted(
        &mut self,
        id: &MessageId,
        ciphertext: &[u8],
        epoch: u64,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE outgoing SET ciphertext = ?, ciphertext_sha256 = ?, epoch = ?, attempts = attempts + 1
             WHERE id = ?",
        )
        .bind(ciphertext.to_vec())
        .bind(Digest::of(&[ciphertext]).as_bytes().to_vec())
        .bind(sql_number(epoch));
        self.change(query, id, "keep a ciphertext").await
    }

    /// Durable at the homeserver, in this encryption. One that is at the hub already stays there; one that was queued
    /// again meanwhile stays queued, because the answer speaks of a ciphertext that came back.
    pub async fn mark_at_home(
        &mut self,
        id: &MessageId,
        ciphertext: &[u8],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE outgoing SET state = 1,
                 state_at = CASE offered_from WHEN 0 THEN ? ELSE state_at END
             WHERE state NOT IN (2, 4) AND (state <> 0 OR ciphertext IS ?) AND id = ?",
        )
        .bind(sql_time(at))
        .bind(ciphertext.to_vec());
        self.change(query, id, "note that a message was accepted").await
    }

    /// In the group's log in this encryption (from the submit's answer, or met there). Text and ciphertext stay: the log may
    /// be lost with the homeserver's disk ([`Tx::offer_again`]). The late echo of a ciphertext that came back says nothing
    /// about the one that is queued in its place.
    pub async fn mark_at_hub(
        &mut self,
        id: &MessageId,
        ciphertext: &[u8],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE outgoing SET state = 2, reason = '', offered_from = 0,
                 state_at = CASE offered_from WHEN 0 THEN ? ELSE state_at END
             WHERE state NOT IN (2, 4) AND (state <> 0 OR ciphertext IS ?) AND id = ?",
        )
        .bind(sql_time(at))
        .bind(ciphertext.to_vec());
        self.change(query, id, "note that a message is in the log").await
    }

    /// Queues it again under the same id: tried from `not_before` on, encrypted again if `reencrypt`.
    pub async fn requeue(
        &mut self,
        id: &MessageId,
        not_before: Timestamp,
        reencrypt: bool,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE outgoing SET state = 0, not_before = ?1, reason = '',
                 ciphertext = CASE WHEN ?2 THEN NULL ELSE ciphertext END,
                 epoch = CASE WHEN ?2 THEN NULL ELSE epoch END
             WHERE state NOT IN (2, 4) AND id = ?3",
        )
        .bind(sql_time(not_before))
        .bind(reencrypt);
        self.change(query, id, "queue a message again").await
    }

    /// Queues it again although the hub had it: a reader's domain had no room. Encrypted again, since it may be late.
    pub async fn return_from_hub(&mut self, id: &MessageId, not_before: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE outgoing SET state = 0, not_before = ?, reason = '', ciphertext = NULL, epoch = NULL
             WHERE state = 2 AND id = ?",
        )
        .bind(sql_time(not_before));
        self.change(query, id, "queue a returned message again").await
    }

    /// Gives it up although the hub has it: nobody will read it there. An echo that is late doesn't change that.
    pub async fn fail_from_hub(&mut self, id: &MessageId, reason: &str) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE outgoing SET state = 4, reason = ?, ciphertext = NULL, epoch = NULL WHERE state = 2 AND id = ?",
        )
        .bind(reason.to_owned());
        self.change(query, id, "give up a message that the hub has").await
    }

    /// Queues again, in their order and as they were, messages since a time that the homeserver of `home` may have lost: its
    /// database was put back. Those are what it had not reported from the hub, and what is in logs that it orders itself; groups
    /// that are over for this device don't count. Returns how many there are.
    pub async fn offer_again(&mut self, home: &Domain, since: Timestamp) -> Result<usize, StoreError> {
        let query = "SELECT * FROM outgoing
                     WHERE state IN (1, 2) AND ciphertext IS NOT NULL AND state_at >= ?
                       AND to_group IN (SELECT id FROM groups WHERE state IN (1, 3))";
        let rows = sqlx::query(query).bind(sql_time(since)).fetch_all(self.sql()).await;
        let rows = rows.map_err(failed("look for what was sent"))?;
        let mut offered = 0_usize;
        for row in &rows {
            let message = read_outgoing(row)?;
            let hubbed = matches!(&message.target, Target::Group(group) if group.hub() == home);
            if hubbed || matches!(message.state, OutgoingState::AtHome { .. }) {
                let query = "UPDATE outgoing SET offered_from = state, state = 0, not_before = 0, reason = ''
                             WHERE state IN (1, 2) AND id = ?";
                self.change(sqlx::query(query), &message.id, "offer a message again").await?;
                offered = offered.saturating_add(1);
            }
        }
        Ok(offered)
    }

    /// The hub has it in another encryption.
    pub async fn leave_at_hub(&mut self, id: &MessageId) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE outgoing SET state = 2, offered_from = 0, reason = '' WHERE state < 2 AND id = ?",
        );
        self.change(query, id, "leave a message in its log").await
    }

    /// Lets go of the ciphertext of what has been in its log since before a time: nobody will ask for it again.
    pub async fn forget_ciphertexts(&mut self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE outgoing SET ciphertext = NULL, epoch = NULL
             WHERE state = 2 AND ciphertext IS NOT NULL AND state_at < ?",
        )
        .bind(sql_time(before))
        .execute(self.sql())
        .await
        .map_err(failed("let go of ciphertexts"))?;
        Ok(())
    }

    /// Gives it up; but one that was in its log before it was offered again is left there: others may have read it.
    pub async fn mark_failed(&mut self, id: &MessageId, reason: &str) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE outgoing SET state = CASE offered_from WHEN 2 THEN 2 ELSE 3 END,
                 reason = CASE offered_from WHEN 2 THEN '' ELSE ? END,
                 ciphertext = NULL, epoch = NULL, offered_from = 0
             WHERE state NOT IN (2, 4) AND id = ?",
        )
        .bind(reason.to_owned());
        self.change(query, id, "give a message up").await
    }

    /// Runs an update whose last parameter is the message's id.
    async fn change(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
        id: &MessageId,
        what: &'static str,
    ) -> Result<(), StoreError> {
        query.bind(id.as_bytes().to_vec()).execute(self.sql()).await.map_err(failed(what))?;
        Ok(())
    }
}

fn read_outgoing(row: &SqliteRow) -> Result<Outgoing, StoreError> {
    let columns = Columns { table: "outgoing", row };
    let to_group = columns.take::<Option<&[u8]>>("to_group")?;
    let target = match to_group {
        Some(_) => Target::Group(columns.group("to_group")?),
        None => Target::User(columns.text("to_user")?),
    };
    let state = match columns.number("state")? {
        0 => OutgoingState::Queued,
        1 => OutgoingState::AtHome { at: columns.time("state_at")? },
        2 => OutgoingState::AtHub { at: columns.time("state_at")? },
        3 | 4 => OutgoingState::Failed { reason: columns.take("reason")? },
        _ => return Err(columns.damaged("state")),
    };
    let encrypted = match columns.take::<Option<Vec<u8>>>("ciphertext")? {
        Some(ciphertext) => Some((ciphertext, columns.number("epoch")?)),
        None => None,
    };
    Ok(Outgoing {
        id: columns.message("id")?,
        target,
        to_user: columns.optional_text("to_user")?,
        content: Content::decode(columns.take("content")?).map_err(|_| columns.damaged("content"))?,
        state,
        encrypted,
        attempts: columns.small("attempts")?,
        not_before: columns.time("not_before")?,
        offered: Reach::of(columns.number("offered_from")?),
    })
}
