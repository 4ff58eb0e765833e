//! Registration tokens.

use async_trait::async_trait;
use qpq_core::{Digest, Timestamp, TokenId};

use crate::Stored;

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
}

impl RegistrationToken {
    /// Whether another account can be made with it.
    pub fn usable(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none()
            && self.uses.is_none_or(|uses| self.used < uses)
            && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Reads registration tokens.
#[async_trait]
pub trait TokensRead: Send {
    /// The token whose secret has this SHA-256.
    async fn registration_token(&mut self, secret: &Digest) -> Stored<Option<RegistrationToken>>;
    /// All tokens, newest first.
    async fn registration_tokens(&mut self) -> Stored<Vec<RegistrationToken>>;
}

/// Writes registration tokens.
#[async_trait]
pub trait TokensWrite: Send {
    /// Adds a token under the SHA-256 of its secret.
    async fn registration_token_create(&mut self, token: &RegistrationToken, secret: &Digest) -> Stored<()>;
    /// Revokes a token; `false` if there is no unrevoked one.
    async fn registration_token_revoke(&mut self, id: &TokenId, now: Timestamp) -> Stored<bool>;
}
