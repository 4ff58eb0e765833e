//! Signed-in browsers: looked up by their cookie, listed, ended; and how a new one is opened.

use async_trait::async_trait;
use qpq_core::{AdminId, ConsoleSessionId, Digest, ErrorCode, Millis, Secret, Timestamp};
use qpq_storage::{Admin, AdminName, AdminRole, AuditEntry, ConsoleSession, Stored, WriteTx};

use super::{Admins, NewSession, SignedIn, Visit, accounts, factors::Factor, life, secrets};
use crate::{Answered, Refusal, WriteJob};

/// How often the store hears that a session is used.
const SEEN: Millis = Millis::from_secs(60);
/// The longest cookie that is looked at; ours have 43 characters.
const COOKIE: usize = 64;
/// What is kept of a browser's address and of what it calls itself.
const ADDRESS: usize = 64;
const AGENT: usize = 200;

impl Admins {
    /// Who is signed in with this cookie; `None`: nobody, or not any more.
    pub async fn session(&self, cookie: &str) -> Answered<Option<SignedIn>> {
        let Some((session, signed_in)) = self.found(cookie).await? else { return Ok(None) };
        let now = self.now();
        if now.since(session.seen_at) >= SEEN {
            // What can't be noted (the disk is full) was logged where it was met, and keeps nobody from reading.
            drop(self.0.ground.write(Seen { id: session.id, at: now }).await);
        }
        Ok(Some(signed_in))
    }

    /// The same without counting as use: a page that renews itself keeps nobody signed in who has gone away.
    pub async fn session_unattended(&self, cookie: &str) -> Answered<Option<SignedIn>> {
        Ok(self.found(cookie).await?.map(|(_, signed_in)| signed_in))
    }

    async fn found(&self, cookie: &str) -> Answered<Option<(ConsoleSession, SignedIn)>> {
        if cookie.len() > COOKIE {
            return Ok(None);
        }
        let mut tx = self.0.ground.read().await?;
        let found = tx.console_session(&secrets::cookie_hash(cookie), &life(self.now())).await?;
        let Some(session) = found else { return Ok(None) };
        let Some(admin) = tx.admin(&session.admin).await? else { return Ok(None) };
        let signed_in = signed_in(&session, &admin.name, admin.role, cookie);
        Ok(Some((session, signed_in)))
    }

    /// Ends a session.
    pub async fn sign_out(&self, signed_in: &SignedIn) -> Answered<()> {
        self.0.ground.write(EndSession { id: signed_in.session }).await.map(drop)
    }

    /// The sessions of an admin, or of all, with their names; the newest first.
    pub(crate) async fn sessions(
        &self,
        name: Option<&AdminName>,
    ) -> Answered<Vec<(AdminName, ConsoleSession)>> {
        let mut tx = self.0.ground.read().await?;
        let only = match name {
            Some(name) => Some(tx.admin_named(name).await?.ok_or_else(|| accounts::unknown(name))?.id),
            None => None,
        };
        let life = life(self.now());
        let sessions = tx.console_sessions(only.as_ref(), &life).await?;
        let lines = tx.admins(&life).await?;
        let named = |session: ConsoleSession| {
            let line = lines.iter().find(|line| line.admin.id == session.admin)?;
            Some((line.admin.name.clone(), session))
        };
        Ok(sessions.into_iter().filter_map(named).collect())
    }

    /// A session that is not stored yet, with its cookie.
    pub(super) fn draft_session(&self, admin: AdminId, visit: &Visit) -> DraftSession {
        let now = self.now();
        let cut = |text: &str, most: usize| text.chars().filter(|c| !c.is_control()).take(most).collect();
        DraftSession {
            cookie: secrets::token(&self.0.ground),
            session: ConsoleSession {
                id: self.0.ground.draw(ConsoleSessionId::random),
                admin,
                opened_at: now,
                proved_at: now,
                seen_at: now,
                address: cut(&visit.address, ADDRESS),
                agent: cut(&visit.agent, AGENT),
            },
        }
    }

    /// Opens a session for who has this factor, in place of another one if it is a proof.
    pub(super) async fn open(
        &self,
        admin: &Admin,
        factor: Factor,
        replaces: Option<ConsoleSessionId>,
        visit: &Visit,
    ) -> Answered<NewSession> {
        let draft = self.draft_session(admin.id, visit);
        let entry = factor.audited().map(|action| {
            let caller = signed_in(&draft.session, &admin.name, admin.role, "").caller(visit.request);
            caller.entry(&self.0.ground, action, admin.name.to_string(), String::new())
        });
        let job = Open {
            session: draft.session.clone(),
            cookie: draft.hash(),
            now: self.now(),
            factor,
            replaces,
            entry,
        };
        let (name, role) = self.0.ground.write(job).await??;
        Ok(draft.opened(&name, role))
    }
}

/// A session that is not stored yet.
pub(super) struct DraftSession {
    pub(super) session: ConsoleSession,
    cookie: Secret<String>,
}

impl DraftSession {
    pub(super) fn hash(&self) -> Digest {
        secrets::cookie_hash(self.cookie.expose())
    }

    /// It is stored.
    pub(super) fn opened(self, name: &AdminName, role: AdminRole) -> NewSession {
        let signed_in = signed_in(&self.session, name, role, self.cookie.expose());
        NewSession { cookie: self.cookie, signed_in }
    }
}

fn signed_in(session: &ConsoleSession, name: &AdminName, role: AdminRole, cookie: &str) -> SignedIn {
    SignedIn {
        session: session.id,
        admin: session.admin,
        name: name.to_string(),
        role,
        proved_at: session.proved_at,
        form_token: secrets::form_token(cookie),
    }
}

/// Uses a factor up and opens the session, or does neither.
struct Open {
    session: ConsoleSession,
    cookie: Digest,
    now: Timestamp,
    factor: Factor,
    replaces: Option<ConsoleSessionId>,
    entry: Option<AuditEntry>,
}

#[async_trait]
impl WriteJob for Open {
    type Output = Answered<(AdminName, AdminRole)>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        let Some(admin) = tx.admin(&self.session.admin).await? else { return Ok(Err(self.factor.refused())) };
        if let Some(old) = &self.replaces
            && !lives(tx, &admin.id, old, self.now).await?
        {
            return Ok(Err(over()));
        }
        if !self.factor.take(tx, &admin, self.now).await? {
            return Ok(Err(self.factor.refused()));
        }
        match &self.replaces {
            Some(old) => drop(tx.console_session_end(old).await?),
            None => tx.admin_signed_in(&admin.id, self.now).await?,
        }
        tx.console_session_open(&self.session, &self.cookie).await?;
        if let Some(entry) = &self.entry {
            tx.audit_append(entry).await?;
        }
        Ok(Ok((admin.name, admin.role)))
    }
}

/// Whether an admin's session is there still.
pub(super) async fn lives(
    tx: &mut dyn WriteTx,
    admin: &AdminId,
    session: &ConsoleSessionId,
    now: Timestamp,
) -> Stored<bool> {
    Ok(tx.console_sessions(Some(admin), &life(now)).await?.iter().any(|found| found.id == *session))
}

/// The session ended meanwhile.
pub(super) fn over() -> Refusal {
    Refusal::new(ErrorCode::SessionExpired, "your session has ended: sign in again")
}

/// Notes that a session is used.
struct Seen {
    id: ConsoleSessionId,
    at: Timestamp,
}

#[async_trait]
impl WriteJob for Seen {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        tx.console_session_seen(&self.id, self.at).await
    }
}

/// Ends a session; `false` if there is none.
pub(crate) struct EndSession {
    pub(crate) id: ConsoleSessionId,
}

#[async_trait]
impl WriteJob for EndSession {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        tx.console_session_end(&self.id).await
    }
}
