//! Registration tokens.

use async_trait::async_trait;
use qpq_core::{Digest, Timestamp, TokenId};
use qpq_storage::{Page, RegistrationToken, Stored, TokenState, TokensQuery, TokensRead, TokensWrite};

use crate::{
    fields::{Fields, each, one},
    transaction::{Transaction, composed_sql, int, size, sql, time},
};

fn token(row: Fields<'_>) -> Stored<RegistrationToken> {
    Ok(RegistrationToken {
        id: TokenId::from_bytes(row.bytes("id")?),
        uses: row.optional_number("uses")?,
        used: row.number("used")?,
        expires_at: row.optional_time("expires_at")?,
        created_at: row.time("created_at")?,
        revoked_at: row.optional_time("revoked_at")?,
        creator: row.text("creator")?,
        note: row.text("note")?,
    })
}

/// What [`RegistrationToken::state`] says, in SQL; `?1` is the time now.
const fn condition(state: Option<TokenState>) -> &'static str {
    match state {
        None => "?1 = ?1",
        Some(TokenState::Revoked) => "?1 = ?1 AND revoked_at IS NOT NULL",
        Some(TokenState::UsedUp) => "?1 = ?1 AND revoked_at IS NULL AND used >= uses",
        Some(TokenState::Expired) => {
            "revoked_at IS NULL AND (uses IS NULL OR used < uses) AND expires_at <= ?1"
        }
        Some(TokenState::Open) => {
            "revoked_at IS NULL AND (uses IS NULL OR used < uses) AND (expires_at IS NULL OR expires_at > ?1)"
        }
    }
}

#[async_trait]
impl TokensRead for Transaction {
    async fn registration_token(&mut self, secret: &Digest) -> Stored<Option<RegistrationToken>> {
        let query = sql("SELECT id, uses, used, expires_at, created_at, revoked_at, creator, note
                         FROM registration_tokens WHERE secret = ?")
        .bind(secret.as_bytes().to_vec());
        let row = self.row("registration_token", query).await?;
        one("registration_tokens", row.as_ref(), token)
    }

    async fn registration_tokens(&mut self, query: &TokensQuery) -> Stored<Page<RegistrationToken>> {
        let what = "registration_tokens";
        let wanted = condition(query.state);
        let count = composed_sql(&["SELECT COUNT(*) AS total FROM registration_tokens WHERE ", wanted]);
        let row = self.row(what, count.bind(time(query.now))).await?;
        let total = one("registration_tokens", row.as_ref(), |row| row.number("total"))?.unwrap_or(0);
        let page = composed_sql(&[
            "SELECT id, uses, used, expires_at, created_at, revoked_at, creator, note
             FROM registration_tokens WHERE ",
            wanted,
            " ORDER BY created_at DESC, id LIMIT ?2 OFFSET ?3",
        ]);
        let page = page.bind(time(query.now)).bind(size(query.window.limit)).bind(int(query.window.offset));
        let rows = each("registration_tokens", &self.rows(what, page).await?, token)?;
        Ok(Page { rows, total })
    }
}

#[async_trait]
impl TokensWrite for Transaction {
    async fn registration_token_create(&mut self, token: &RegistrationToken, secret: &Digest) -> Stored<()> {
        let insert = sql("INSERT INTO registration_tokens
                          (id, secret, uses, used, expires_at, created_at, revoked_at, creator, note)
                          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(token.id.as_bytes().to_vec())
        .bind(secret.as_bytes().to_vec())
        .bind(token.uses)
        .bind(token.used)
        .bind(token.expires_at.map(time))
        .bind(time(token.created_at))
        .bind(token.revoked_at.map(time))
        .bind(token.creator.clone())
        .bind(token.note.clone());
        self.run("registration_token_create", insert).await.map(drop)
    }

    async fn registration_token_revoke(&mut self, id: &TokenId, now: Timestamp) -> Stored<bool> {
        let update = sql("UPDATE registration_tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
            .bind(time(now))
            .bind(id.as_bytes().to_vec());
        Ok(self.run("registration_token_revoke", update).await? > 0)
    }

    async fn registration_token_unrevoke(&mut self, id: &TokenId) -> Stored<bool> {
        let update =
            sql("UPDATE registration_tokens SET revoked_at = NULL WHERE id = ? AND revoked_at IS NOT NULL")
                .bind(id.as_bytes().to_vec());
        Ok(self.run("registration_token_unrevoke", update).await? > 0)
    }
}

impl Transaction {
    /// Takes one use of a token; `false` if it can't be used.
    pub(crate) async fn take_use(&mut self, id: &TokenId, now: Timestamp) -> Stored<bool> {
        let update = sql("UPDATE registration_tokens SET used = used + 1
                          WHERE id = ? AND revoked_at IS NULL AND (uses IS NULL OR used < uses)
                            AND (expires_at IS NULL OR expires_at > ?)")
        .bind(id.as_bytes().to_vec())
        .bind(time(now));
        Ok(self.run("account_create", update).await? > 0)
    }

    /// Gives a use back that was not needed.
    pub(crate) async fn give_use_back(&mut self, id: &TokenId) -> Stored<()> {
        let update =
            sql("UPDATE registration_tokens SET used = used - 1 WHERE id = ?").bind(id.as_bytes().to_vec());
        self.run("account_create", update).await.map(drop)
    }
}
