//! Users of other domains who have to accept this account first.

use qpq_core::{Address, Timestamp};
use sqlx::sqlite::SqliteRow;

use super::{
    StoreError, Tx,
    row::{Columns, failed, sql_time},
};

/// Somebody who was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedContact {
    /// Who.
    pub address: Address,
    /// Since when they are asked.
    pub since: Timestamp,
    /// Not to be asked again before this time.
    pub ask_again: Timestamp,
    /// When they had accepted; their user was not told yet.
    pub accepted: Option<Timestamp>,
}

impl RequestedContact {
    /// Whether there is nothing to do but wait for them.
    pub fn waits(&self, now: Timestamp) -> bool {
        self.accepted.is_none() && now < self.ask_again
    }
}

impl Tx<'_> {
    /// They have to accept first: not asked again before `ask_again`.
    pub async fn note_requested(
        &mut self,
        address: &Address,
        now: Timestamp,
        ask_again: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO requested (address, since, ask_again) VALUES (?, ?, ?)
             ON CONFLICT (address) DO UPDATE SET ask_again = excluded.ask_again, accepted = NULL",
        )
        .bind(address.to_string())
        .bind(sql_time(now))
        .bind(sql_time(ask_again))
        .execute(self.sql())
        .await
        .map_err(failed("note who was asked"))?;
        Ok(())
    }

    /// They have accepted; nothing happens if they were not asked, or it is known.
    pub async fn note_accepted(&mut self, address: &Address, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE requested SET accepted = ? WHERE accepted IS NULL AND address = ?")
            .bind(sql_time(now))
            .bind(address.to_string())
            .execute(self.sql())
            .await
            .map_err(failed("note who has accepted"))?;
        Ok(())
    }

    /// Whether somebody was asked.
    pub async fn requested(&mut self, address: &Address) -> Result<Option<RequestedContact>, StoreError> {
        let row = sqlx::query("SELECT * FROM requested WHERE address = ?")
            .bind(address.to_string())
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read who was asked"))?;
        row.map(|row| read_requested(&row)).transpose()
    }

    /// Who has accepted since they were asked, until [`Tx::forget_requested`].
    pub async fn accepted(&mut self) -> Result<Vec<RequestedContact>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM requested WHERE accepted IS NOT NULL ORDER BY accepted, address")
                .fetch_all(self.sql())
                .await
                .map_err(failed("read who has accepted"))?;
        rows.iter().map(read_requested).collect()
    }

    /// The user knows that they have accepted.
    pub async fn forget_requested(&mut self, address: &Address) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM requested WHERE address = ?")
            .bind(address.to_string())
            .execute(self.sql())
            .await
            .map_err(failed("forget who was asked"))?;
        Ok(())
    }
}

fn read_requested(row: &SqliteRow) -> Result<RequestedContact, StoreError> {
    let columns = Columns { table: "requested", row };
    let accepted = columns.take::<Option<i64>>("accepted")?;
    Ok(RequestedContact {
        address: columns.text("address")?,
        since: columns.time("since")?,
        ask_again: columns.time("ask_again")?,
        accepted: accepted.map(|_| columns.time("accepted")).transpose()?,
    })
}
