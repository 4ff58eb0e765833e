//! One-time links of admins.

use qpq_core::{AdminId, Digest, Timestamp};
use qpq_storage::{AdminLink, Stored};

use super::bytes;
use crate::{
    fields::{Fields, one},
    transaction::{Transaction, sql, time},
};

fn link(row: Fields<'_>) -> Stored<AdminLink> {
    Ok(AdminLink {
        purpose: row.parsed("purpose")?,
        admin: row.optional_bytes("admin")?.map(AdminId::from_bytes),
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
    })
}

impl Transaction {
    pub(super) async fn link(&mut self, token: &Digest) -> Stored<Option<AdminLink>> {
        let query =
            sql("SELECT token, purpose, admin, created_at, expires_at FROM admin_links WHERE token = ?")
                .bind(token.as_bytes().to_vec());
        let row = self.row("admin_link", query).await?;
        one("admin_links", row.as_ref(), link)
    }

    pub(super) async fn store_link(&mut self, link: &AdminLink, token: &Digest) -> Stored<()> {
        self.void_link("admin_link_store", link.admin.as_ref()).await?;
        let insert = sql("INSERT INTO admin_links (token, purpose, admin, created_at, expires_at)
                          VALUES (?, ?, ?, ?, ?)")
        .bind(token.as_bytes().to_vec())
        .bind(link.purpose.as_str())
        .bind(link.admin.as_ref().map(bytes))
        .bind(time(link.created_at))
        .bind(time(link.expires_at));
        self.run("admin_link_store", insert).await.map(drop)
    }

    pub(super) async fn take_link(&mut self, token: &Digest, now: Timestamp) -> Stored<Option<AdminLink>> {
        let delete = sql("DELETE FROM admin_links WHERE token = ?1 AND created_at <= ?2 AND expires_at > ?2
                          RETURNING token, purpose, admin, created_at, expires_at")
        .bind(token.as_bytes().to_vec())
        .bind(time(now));
        let row = self.row("admin_link_take", delete).await?;
        one("admin_links", row.as_ref(), link)
    }

    pub(super) async fn void_link(&mut self, what: &'static str, admin: Option<&AdminId>) -> Stored<()> {
        let delete = sql("DELETE FROM admin_links WHERE admin IS ?").bind(admin.map(bytes));
        self.run(what, delete).await.map(drop)
    }

    pub(super) async fn expire_links(&mut self, now: Timestamp) -> Stored<u64> {
        self.run("console_expire", sql("DELETE FROM admin_links WHERE expires_at <= ?").bind(time(now))).await
    }
}
