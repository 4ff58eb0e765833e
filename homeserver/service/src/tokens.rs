//! Registration tokens: made, listed, revoked and given back by admins; and which of them somebody registers with now.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use qpq_core::{Digest, ErrorCode, Millis, Secret, Timestamp, TokenId};
use qpq_storage::{Page, RegistrationToken, Stored, TokenState, TokensQuery, Window, WriteTx};

use crate::{Answered, Ground, Refusal, WriteJob};

/// How many accounts a token makes if the admin says nothing.
const USES: u32 = 1;
/// How long a token lives if the admin says nothing.
const LIFETIME: Millis = Millis::from_days(7);

/// The longest note.
const NOTE: usize = 200;

/// A new token, shown once.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The secret to hand on; the store has only its SHA-256.
    pub token: Secret<String>,
    /// What is stored.
    pub row: RegistrationToken,
}

/// The use cases of registration tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    ground: Arc<Ground>,
    under_way: Arc<UnderWay>,
}

/// What a new token is to be.
#[derive(Clone, Debug, Default)]
pub struct TokenOrder {
    /// How many accounts it makes; `None`: 1.
    pub uses: Option<u32>,
    /// How long it is valid; `None`: 7 days.
    pub lifetime: Option<Millis>,
    /// Who makes it.
    pub creator: String,
    /// What they note.
    pub note: String,
}

/// A token in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenLine {
    /// What is stored.
    pub row: RegistrationToken,
    /// How it stands now.
    pub state: TokenState,
    /// Registrations with it that have begun and not ended.
    pub pending: u32,
}

/// Registrations between their two steps, by the token that they will use.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<BTreeMap<TokenId, u32>>);

/// One of them; dropped when it has ended, however it did.
#[derive(Debug)]
pub(crate) struct Pending {
    all: Arc<UnderWay>,
    token: TokenId,
}

impl UnderWay {
    /// A registration with this token begins.
    pub(crate) fn begin(all: &Arc<Self>, token: TokenId) -> Pending {
        let mut counts = all.lock();
        let count = counts.entry(token).or_default();
        *count = count.saturating_add(1);
        drop(counts);
        Pending { all: Arc::clone(all), token }
    }

    fn of(&self, token: &TokenId) -> u32 {
        self.lock().get(token).copied().unwrap_or(0)
    }

    /// No change is ever half done under this lock, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TokenId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut counts = self.all.lock();
        if let Some(count) = counts.get_mut(&self.token) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.token);
            }
        }
    }
}

impl Tokens {
    /// On this ground.
    pub fn new(ground: Arc<Ground>) -> Self {
        Self { ground, under_way: Arc::default() }
    }

    /// Makes a token.
    pub async fn create(&self, uses: Option<u32>, lifetime: Option<Millis>) -> Answered<NewToken> {
        let (token, job) = self.creation(TokenOrder { uses, lifetime, ..TokenOrder::default() })?;
        self.ground.write(job).await?;
        Ok(token)
    }

    /// A page of the tokens, newest first.
    pub async fn list(&self, state: Option<TokenState>, window: Window) -> Answered<Page<TokenLine>> {
        let now = self.ground.now();
        let query = TokensQuery { state, now, window };
        let page = self.ground.read().await?.registration_tokens(&query).await?;
        let line = |row: RegistrationToken| TokenLine {
            state: row.state(now),
            pending: self.under_way.of(&row.id),
            row,
        };
        Ok(Page { rows: page.rows.into_iter().map(line).collect(), total: page.total })
    }

    /// Where registrations say that they have begun.
    pub(crate) const fn under_way(&self) -> &Arc<UnderWay> {
        &self.under_way
    }

    /// Ends a token; accounts made with it stay.
    pub async fn revoke(&self, id: TokenId) -> Answered<()> {
        let done = self.ground.write(self.revocation(id)).await?;
        if done { Ok(()) } else { Err(unknown(&id)) }
    }

    /// The job behind [`Tokens::create`].
    pub(crate) fn creation(&self, order: TokenOrder) -> Answered<(NewToken, CreateToken)> {
        let uses = order.uses.unwrap_or(USES);
        if uses == 0 {
            return Err(Refusal::malformed("`uses` is 0: a token that makes no account is of no use"));
        }
        let lifetime = order.lifetime.unwrap_or(LIFETIME);
        if lifetime == Millis(0) {
            return Err(Refusal::malformed("`expires` is 0: a token that is over at once is of no use"));
        }
        let note = order.note.trim();
        if note.chars().count() > NOTE || !qpq_core::is_plain(note) {
            return Err(Refusal::malformed(format!("a note is one line with at most {NOTE} characters")));
        }
        let now = self.ground.now();
        // A prefix, so that a token never begins with a dash on a command line and is recognised when it leaks.
        let secret = format!("qpqreg_{}", HEXLOWER.encode(&self.ground.draw(|entropy| entropy.bytes32())));
        let row = RegistrationToken {
            id: self.ground.draw(TokenId::random),
            uses: Some(uses),
            used: 0,
            expires_at: Some(now.after(lifetime)),
            created_at: now,
            revoked_at: None,
            creator: order.creator,
            note: note.to_owned(),
        };
        let job = CreateToken { row: row.clone(), hash: Digest::of(&[secret.as_bytes()]) };
        Ok((NewToken { token: Secret::new(secret), row }, job))
    }

    /// The job behind [`Tokens::revoke`].
    pub(crate) fn revocation(&self, id: TokenId) -> RevokeToken {
        RevokeToken { id, now: self.ground.now() }
    }
}

/// Takes a revocation back; `false` if there is none.
pub(crate) struct UnrevokeToken(pub(crate) TokenId);

#[async_trait]
impl WriteJob for UnrevokeToken {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        tx.registration_token_unrevoke(&self.0).await
    }
}

/// No such token.
pub(crate) fn unknown(id: &TokenId) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("there is no registration token `{id}` that could be revoked"))
}

/// Nothing to take back.
pub(crate) fn not_revoked(id: &TokenId) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("there is no revoked registration token `{id}`"))
}

/// Stores a token.
pub(crate) struct CreateToken {
    row: RegistrationToken,
    hash: Digest,
}

#[async_trait]
impl WriteJob for CreateToken {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        tx.registration_token_create(&self.row, &self.hash).await
    }
}

/// Revokes a token; `false` if there is none to revoke.
pub(crate) struct RevokeToken {
    id: TokenId,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for RevokeToken {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        tx.registration_token_revoke(&self.id, self.now).await
    }
}
