//! Who may use the console: accounts and what they prove themselves with.

mod links;
mod passkeys;
mod sessions;

use async_trait::async_trait;
use qpq_core::{AdminId, ConsoleSessionId, Digest, PasskeyId, Timestamp};
use qpq_storage::{
    Admin, AdminLine, AdminLink, AdminName, AdminPasskey, AdminPassword, AdminRole, AdminsRead, AdminsWrite,
    ConsoleSession, SessionLife, Stored,
};

use crate::{
    fields::{Fields, each, one},
    transaction::{Statement, Transaction, int, sql, time},
};

fn admin(row: Fields<'_>) -> Stored<Admin> {
    let password = match row.optional_text("password")? {
        Some(hash) => Some(AdminPassword {
            hash,
            totp_secret: row.blob("totp_secret")?,
            last_step: row.number("totp_last_step")?,
        }),
        None => None,
    };
    Ok(Admin {
        id: AdminId::from_bytes(row.bytes("id")?),
        name: row.parsed("name")?,
        role: row.parsed("role")?,
        created_at: row.time("created_at")?,
        created_by: row.text("created_by")?,
        last_sign_in_at: row.optional_time("last_sign_in_at")?,
        password,
    })
}

fn line(row: Fields<'_>) -> Stored<AdminLine> {
    Ok(AdminLine {
        admin: admin(row)?,
        passkeys: row.number("passkeys")?,
        recovery_codes: row.number("codes")?,
        sessions: row.number("sessions")?,
    })
}

fn bytes(id: &AdminId) -> Vec<u8> {
    id.as_bytes().to_vec()
}

impl Transaction {
    async fn one_admin(&mut self, what: &'static str, query: Statement) -> Stored<Option<Admin>> {
        let row = self.row(what, query).await?;
        one("admins", row.as_ref(), admin)
    }
}

#[async_trait]
impl AdminsRead for Transaction {
    async fn admin(&mut self, id: &AdminId) -> Stored<Option<Admin>> {
        let query = sql("SELECT id, name, role, created_at, created_by, last_sign_in_at,
                                password, totp_secret, totp_last_step FROM admins WHERE id = ?");
        self.one_admin("admin", query.bind(bytes(id))).await
    }

    async fn admin_named(&mut self, name: &AdminName) -> Stored<Option<Admin>> {
        let query = sql("SELECT id, name, role, created_at, created_by, last_sign_in_at,
                                password, totp_secret, totp_last_step FROM admins WHERE name = ?");
        self.one_admin("admin_named", query.bind(name.to_string())).await
    }

    async fn admins(&mut self, life: &SessionLife) -> Stored<Vec<AdminLine>> {
        let query = sql("SELECT id, name, role, created_at, created_by, last_sign_in_at,
                                password, totp_secret, totp_last_step,
                                (SELECT COUNT(*) FROM admin_passkeys WHERE admin = admins.id) AS passkeys,
                                (SELECT COUNT(*) FROM admin_recovery_codes WHERE admin = admins.id) AS codes,
                                (SELECT COUNT(*) FROM console_sessions WHERE admin = admins.id
                                    AND opened_at BETWEEN ?1 AND ?3 AND seen_at BETWEEN ?2 AND ?3) AS sessions
                         FROM admins ORDER BY name")
        .bind(time(life.opened_from()))
        .bind(time(life.seen_from()))
        .bind(time(life.now));
        each("admins", &self.rows("admins", query).await?, line)
    }

    async fn admin_passkeys(&mut self, admin: &AdminId) -> Stored<Vec<AdminPasskey>> {
        self.passkeys_of(admin).await
    }

    async fn admin_passkey(&mut self, credential_id: &[u8]) -> Stored<Option<AdminPasskey>> {
        self.passkey_with(credential_id).await
    }

    async fn admin_recovery_codes(&mut self, admin: &AdminId) -> Stored<u64> {
        let query = sql("SELECT COUNT(*) AS total FROM admin_recovery_codes WHERE admin = ?");
        let row = self.row("admin_recovery_codes", query.bind(bytes(admin))).await?;
        Ok(one("admin_recovery_codes", row.as_ref(), |row| row.number("total"))?.unwrap_or(0))
    }

    async fn admin_link(&mut self, token: &Digest) -> Stored<Option<AdminLink>> {
        self.link(token).await
    }

    async fn console_session(
        &mut self,
        cookie: &Digest,
        life: &SessionLife,
    ) -> Stored<Option<ConsoleSession>> {
        self.session_with(cookie, life).await
    }

    async fn console_sessions(
        &mut self,
        admin: Option<&AdminId>,
        life: &SessionLife,
    ) -> Stored<Vec<ConsoleSession>> {
        self.live_sessions(admin, life).await
    }
}

#[async_trait]
impl AdminsWrite for Transaction {
    async fn admin_create(&mut self, admin: &Admin) -> Stored<bool> {
        let insert = sql("INSERT INTO admins (id, name, role, created_at, created_by, last_sign_in_at,
                                              password, totp_secret, totp_last_step)
                          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING")
        .bind(bytes(&admin.id))
        .bind(admin.name.to_string())
        .bind(admin.role.as_str())
        .bind(time(admin.created_at))
        .bind(admin.created_by.clone())
        .bind(admin.last_sign_in_at.map(time))
        .bind(admin.password.as_ref().map(|password| password.hash.clone()))
        .bind(admin.password.as_ref().map(|password| password.totp_secret.clone()))
        .bind(admin.password.as_ref().map(|password| int(password.last_step)));
        Ok(self.run("admin_create", insert).await? > 0)
    }

    async fn admin_remove(&mut self, id: &AdminId) -> Stored<bool> {
        let delete = sql("DELETE FROM admins WHERE id = ?").bind(bytes(id));
        Ok(self.run("admin_remove", delete).await? > 0)
    }

    async fn admin_role_set(&mut self, id: &AdminId, role: AdminRole) -> Stored<()> {
        let update = sql("UPDATE admins SET role = ? WHERE id = ?").bind(role.as_str()).bind(bytes(id));
        self.run("admin_role_set", update).await.map(drop)
    }

    async fn admin_signed_in(&mut self, id: &AdminId, at: Timestamp) -> Stored<()> {
        let update = sql("UPDATE admins SET last_sign_in_at = ? WHERE id = ?").bind(time(at)).bind(bytes(id));
        self.run("admin_signed_in", update).await.map(drop)
    }

    async fn admin_password_set(&mut self, id: &AdminId, password: &AdminPassword) -> Stored<()> {
        let update = sql("UPDATE admins SET password = ?, totp_secret = ?, totp_last_step = ? WHERE id = ?")
            .bind(password.hash.clone())
            .bind(password.totp_secret.clone())
            .bind(int(password.last_step))
            .bind(bytes(id));
        self.run("admin_password_set", update).await.map(drop)
    }

    async fn admin_totp_take(&mut self, id: &AdminId, step: u64, present: u64) -> Stored<bool> {
        let update = sql("UPDATE admins SET totp_last_step = ?2
                          WHERE id = ?1 AND (totp_last_step < ?2 OR totp_last_step > ?3 + 1)")
        .bind(bytes(id))
        .bind(int(step))
        .bind(int(present));
        Ok(self.run("admin_totp_take", update).await? > 0)
    }

    async fn admin_passkey_add(&mut self, passkey: &AdminPasskey) -> Stored<bool> {
        self.add_passkey(passkey).await
    }

    async fn admin_passkey_used(&mut self, id: &PasskeyId, credential: &str, at: Timestamp) -> Stored<()> {
        self.passkey_used(id, credential, at).await
    }

    async fn admin_passkey_remove(&mut self, admin: &AdminId, id: &PasskeyId) -> Stored<bool> {
        self.remove_passkey(admin, id).await
    }

    async fn admin_factors_clear(&mut self, id: &AdminId) -> Stored<()> {
        for delete in [
            "DELETE FROM admin_passkeys WHERE admin = ?",
            "DELETE FROM admin_recovery_codes WHERE admin = ?",
            "UPDATE admins SET password = NULL, totp_secret = NULL, totp_last_step = NULL WHERE id = ?",
        ] {
            self.run("admin_factors_clear", sql(delete).bind(bytes(id))).await?;
        }
        Ok(())
    }

    async fn admin_recovery_codes_set(&mut self, id: &AdminId, codes: &[Digest]) -> Stored<()> {
        let what = "admin_recovery_codes_set";
        let delete = sql("DELETE FROM admin_recovery_codes WHERE admin = ?").bind(bytes(id));
        self.run(what, delete).await?;
        let head = "INSERT INTO admin_recovery_codes (admin, code) VALUES";
        let admin = bytes(id);
        self.insert_all(what, head, 2, codes, |statement, code| {
            statement.bind(admin.clone()).bind(code.as_bytes().to_vec())
        })
        .await
    }

    async fn admin_recovery_code_take(&mut self, id: &AdminId, code: &Digest) -> Stored<bool> {
        let delete = sql("DELETE FROM admin_recovery_codes WHERE admin = ? AND code = ?")
            .bind(bytes(id))
            .bind(code.as_bytes().to_vec());
        Ok(self.run("admin_recovery_code_take", delete).await? > 0)
    }

    async fn admin_link_store(&mut self, link: &AdminLink, token: &Digest) -> Stored<()> {
        self.store_link(link, token).await
    }

    async fn admin_link_take(&mut self, token: &Digest, now: Timestamp) -> Stored<Option<AdminLink>> {
        self.take_link(token, now).await
    }

    async fn admin_link_void(&mut self, admin: Option<&AdminId>) -> Stored<()> {
        self.void_link("admin_link_void", admin).await
    }

    async fn console_session_open(&mut self, session: &ConsoleSession, cookie: &Digest) -> Stored<()> {
        self.open_console_session(session, cookie).await
    }

    async fn console_session_seen(&mut self, id: &ConsoleSessionId, at: Timestamp) -> Stored<()> {
        self.session_seen(id, at).await
    }

    async fn console_session_end(&mut self, id: &ConsoleSessionId) -> Stored<bool> {
        self.end_session(id).await
    }

    async fn console_sessions_end(
        &mut self,
        admin: &AdminId,
        besides: Option<&ConsoleSessionId>,
    ) -> Stored<u64> {
        self.end_sessions(admin, besides).await
    }

    async fn console_expire(&mut self, life: &SessionLife) -> Stored<u64> {
        Ok(self.expire_sessions(life).await? + self.expire_links(life.now).await?)
    }
}
