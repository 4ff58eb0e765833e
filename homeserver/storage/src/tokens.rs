//! Registration tokens.

use async_trait::async_trait;
use qpq_core::{Digest, Timestamp, TokenId};

use crate::{Page, Stored, Window};

/// A registration token. The secret itself is never stored, only its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationToken {
    /// Its public name.
    pub id: TokenId,
    /// How many accounts it may make; `None`: any number.
    pub uses: Option<u32>,
    /// How many it has made.
    pub used: u32,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Who made it; empty for one that is older than this field.
    pub creator: String,
    /// What its creator noted.
    pub note: String,
}

/// How a registration token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It makes accounts.
    Open,
    /// It has made as many as it may.
    UsedUp,
    /// Its time is over.
    Expired,
    /// An admin revoked it.
    Revoked,
}

/// A part of the list of tokens, newest first.
#[derive(Clone, Copy, Debug)]
pub struct TokensQuery {
    /// Only tokens that stand so.
    pub state: Option<TokenState>,
    /// The time by which that is judged.
    pub now: Timestamp,
    /// Which part.
    pub window: Window,
}

impl RegistrationToken {
    /// Whether another account can be made with it.
    pub fn usable(&self, now: Timestamp) -> bool {
        self.state(now) == TokenState::Open
    }

    /// How it stands.
    pub fn state(&self, now: Timestamp) -> TokenState {
        if self.revoked_at.is_some() {
            TokenState::Revoked
        } else if self.uses.is_some_and(|uses| self.used >= uses) {
            TokenState::UsedUp
        } else if self.expires_at.is_some_and(|end| end <= now) {
            TokenState::Expired
        } else {
            TokenState::Open
        }
    }
}

/// Reads registration tokens.
#[async_trait]
pub trait TokensRead: Send {
    /// The token whose secret has this SHA-256.
    async fn registration_token(&mut self, secret: &Digest) -> Stored<Option<RegistrationToken>>;
    /// A page of the tokens, newest first.
    async fn registration_tokens(&mut self, query: &TokensQuery) -> Stored<Page<RegistrationToken>>;
}

/// Writes registration tokens.
#[async_trait]
pub trait TokensWrite: Send {
    /// Adds a token under the SHA-256 of its secret.
    async fn registration_token_create(&mut self, token: &RegistrationToken, secret: &Digest) -> Stored<()>;
    /// Revokes a token; `false` if there is no unrevoked one.
    async fn registration_token_revoke(&mut self, id: &TokenId, now: Timestamp) -> Stored<bool>;
    /// Takes a revocation back; `false` if there is no revoked one.
    async fn registration_token_unrevoke(&mut self, id: &TokenId) -> Stored<bool>;
}
