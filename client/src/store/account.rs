//! The account, this device's keys and the session: one row each.

use qpq_core::{Address, DeviceCertificate, Incarnation, Pin, Secret, SessionId, SignatureKey, Timestamp};

use super::{
    StoreError, Tx,
    row::{Columns, failed, sql_time},
};
use crate::mls::{Device, Suite};

/// How the homeserver is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerTrust {
    /// By the pin of its client CA.
    Pin(Pin),
    /// By CA certificates (PEM, as the user gave them).
    Ca(Vec<u8>),
}

/// Who the user of this store is, and where the homeserver is.
#[derive(Clone, Debug)]
pub struct Account {
    /// The account's address; its domain part is the homeserver's domain.
    pub address: Address,
    /// What to dial, HOST:PORT.
    pub server: String,
    /// How it is recognised.
    pub trust: ServerTrust,
    /// The account's identity key (Ed25519, private part).
    pub identity: Secret<[u8; 32]>,
    /// This device's MLS signature key (Ed25519, private part).
    pub signature: Secret<[u8; 32]>,
    /// This device, certified by the identity key.
    pub certificate: DeviceCertificate,
    /// The suite of new groups and KeyPackages.
    pub suite: Suite,
}

impl Account {
    /// This device as the MLS engine wants it.
    pub fn device(&self) -> Device {
        Device::from_secret(self.certificate.device.clone(), &self.signature)
    }
}

/// What is kept of the session, so that the next start resumes it.
#[derive(Clone, Debug)]
pub struct SessionState {
    /// The session's id.
    pub session: SessionId,
    /// The next resumption token, single use.
    pub token: Secret<[u8; 32]>,
    /// What a resumption under way offered as the token after it: if its answer got lost, this one works.
    pub offered: Option<Secret<[u8; 32]>>,
    /// When the token stops working.
    pub resumption_expires_at: Timestamp,
    /// When the session's calls begin to fail.
    pub session_expires_at: Timestamp,
    /// The incarnation of the homeserver's database.
    pub incarnation: Incarnation,
}

impl Tx<'_> {
    /// The account; `None` before the first registration or login.
    pub async fn account(&mut self) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query("SELECT * FROM account")
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read the account"))?;
        row.map(|row| read_account(&Columns { table: "account", row: &row })).transpose()
    }

    /// Writes the account, over an earlier one.
    pub async fn save_account(&mut self, account: &Account) -> Result<(), StoreError> {
        let (pin, ca) = match &account.trust {
            ServerTrust::Pin(pin) => (Some(pin.to_string()), None),
            ServerTrust::Ca(der) => (None, Some(der.as_slice())),
        };
        let certificate = &account.certificate;
        sqlx::query(
            "INSERT OR REPLACE INTO account (one, address, server, pin, ca, identity, signature_secret, suite,
                 device, signature_key, certified_at, certificate)
             VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(account.address.to_string())
        .bind(&account.server)
        .bind(pin)
        .bind(ca)
        .bind(account.identity.expose().as_slice())
        .bind(account.signature.expose().as_slice())
        .bind(i64::from(account.suite.number()))
        .bind(certificate.device.to_string())
        .bind(certificate.signature_key.as_bytes().as_slice())
        .bind(sql_time(certificate.certified_at))
        .bind(certificate.signature.as_slice())
        .execute(self.sql())
        .await
        .map_err(failed("write the account"))?;
        Ok(())
    }

    /// The homeserver's database was put back, and that was noticed now.
    pub async fn note_put_back(&mut self, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("REPLACE INTO put_back (one, at) VALUES (1, ?)")
            .bind(sql_time(at))
            .execute(self.sql())
            .await
            .map_err(failed("note a new life of the homeserver"))?;
        Ok(())
    }

    /// When it was noticed last that the homeserver's database was put back.
    pub async fn put_back(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query("SELECT * FROM put_back")
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read of the homeserver's lives"))?;
        row.map(|row| Columns { table: "put_back", row: &row }.time("at")).transpose()
    }

    /// The session that can be resumed.
    pub async fn session(&mut self) -> Result<Option<SessionState>, StoreError> {
        let row = sqlx::query("SELECT * FROM session")
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read the session"))?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns { table: "session", row: &row };
        let incarnation = Incarnation::from_slice(columns.take("incarnation")?);
        Ok(Some(SessionState {
            session: SessionId::from_bytes(columns.bytes("session")?),
            token: columns.secret("token")?,
            offered: columns
                .take::<Option<Vec<u8>>>("offered")?
                .map(|bytes| bytes.try_into().map(Secret::new).map_err(|_| columns.damaged("offered")))
                .transpose()?,
            resumption_expires_at: columns.time("resumption_expires_at")?,
            session_expires_at: columns.time("session_expires_at")?,
            incarnation: incarnation.ok_or_else(|| columns.damaged("incarnation"))?,
        }))
    }

    /// Writes the session, over the earlier one; `None` forgets it.
    pub async fn save_session(&mut self, session: Option<&SessionState>) -> Result<(), StoreError> {
        let query = match session {
            None => sqlx::query("DELETE FROM session"),
            Some(session) => sqlx::query("INSERT OR REPLACE INTO session VALUES (1, ?, ?, ?, ?, ?, ?)")
                .bind(session.session.as_bytes().as_slice())
                .bind(session.token.expose().as_slice())
                .bind(session.offered.as_ref().map(|token| token.expose().to_vec()))
                .bind(sql_time(session.resumption_expires_at))
                .bind(sql_time(session.session_expires_at))
                .bind(session.incarnation.to_bytes().to_vec()),
        };
        query.execute(self.sql()).await.map_err(failed("write the session"))?;
        Ok(())
    }
}

fn read_account(columns: &Columns<'_>) -> Result<Account, StoreError> {
    let pin: Option<Pin> = columns.optional_text("pin")?;
    let ca: Option<Vec<u8>> = columns.take("ca")?;
    let trust = pin.map(ServerTrust::Pin).or_else(|| ca.map(ServerTrust::Ca));
    let suite = u16::try_from(columns.number("suite")?).ok().and_then(Suite::from_number);
    Ok(Account {
        address: columns.text("address")?,
        server: columns.take("server")?,
        trust: trust.ok_or_else(|| columns.damaged("pin"))?,
        identity: columns.secret("identity")?,
        signature: columns.secret("signature_secret")?,
        certificate: DeviceCertificate {
            device: columns.text("device")?,
            signature_key: SignatureKey::from_bytes(columns.bytes("signature_key")?),
            certified_at: columns.time("certified_at")?,
            signature: columns.bytes("certificate")?,
        },
        suite: suite.ok_or_else(|| columns.damaged("suite"))?,
    })
}
