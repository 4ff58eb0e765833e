//! The list of users: a page at a time, by indexes where no text is searched.

use qpq_core::AccountId;
use qpq_storage::{Page, Stored, UserFilter, UserLine, UserSort, UsersQuery};

use crate::{
    bans,
    fields::{Fields, each, one},
    transaction::{Transaction, composed_sql, int, size, time},
};

/// Each address meets the ban that counts now (`?1` our domain, `?2` the time, `?3` the searched text).
const FROM: &str = " FROM accounts a LEFT JOIN bans b
     ON b.subject = a.localpart || '@' || ?1 AND (b.until IS NULL OR b.until > ?2)
     WHERE (?3 = '' OR instr(a.localpart || '@' || ?1, ?3) > 0)";

fn line(row: Fields<'_>) -> Stored<UserLine> {
    Ok(UserLine {
        id: AccountId::from_bytes(row.bytes("id")?),
        localpart: row.parsed("localpart")?,
        created_at: row.time("created_at")?,
        last_seen_at: row.time("last_seen_at")?,
        devices: row.number("devices")?,
        ban: bans::joined(row)?,
    })
}

impl Transaction {
    pub(super) async fn users_page(&mut self, query: &UsersQuery<'_>) -> Stored<Page<UserLine>> {
        let what = "users";
        let filter = match query.filter {
            UserFilter::All => "",
            UserFilter::Active => " AND b.subject IS NULL",
            UserFilter::Banned => " AND b.subject IS NOT NULL",
        };
        let sort = match query.sort {
            UserSort::Name => " ORDER BY a.localpart",
            UserSort::Created => " ORDER BY a.created_at DESC, a.id",
            UserSort::Seen => " ORDER BY a.last_seen_at DESC, a.id",
        };
        let count = composed_sql(&["SELECT COUNT(*) AS total", FROM, filter])
            .bind(query.domain.to_string())
            .bind(time(query.now))
            .bind(query.search.to_owned());
        let row = self.row(what, count).await?;
        let total = one("accounts", row.as_ref(), |row| row.number("total"))?.unwrap_or(0);
        let page = composed_sql(&[
            "SELECT a.id, a.localpart, a.created_at, a.last_seen_at,
                    (SELECT COUNT(*) FROM devices d
                     WHERE d.account = a.id AND d.revoked_at IS NULL) AS devices,
                    b.subject, b.kind, b.reason, b.banned_by, b.since, b.until",
            FROM,
            filter,
            sort,
            " LIMIT ?4 OFFSET ?5",
        ])
        .bind(query.domain.to_string())
        .bind(time(query.now))
        .bind(query.search.to_owned())
        .bind(size(query.window.limit))
        .bind(int(query.window.offset));
        Ok(Page { rows: each("accounts", &self.rows(what, page).await?, line)?, total })
    }
}
