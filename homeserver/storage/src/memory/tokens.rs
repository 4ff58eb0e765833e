//! Registration tokens, in memory.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::{Digest, Timestamp, TokenId};

use super::MemoryTx;
use crate::{Page, RegistrationToken, Stored, TokensQuery, TokensRead, TokensWrite};

/// The tokens, by the SHA-256 of their secrets.
#[derive(Clone, Default)]
pub(super) struct Tokens(BTreeMap<Digest, RegistrationToken>);

impl Tokens {
    /// Takes one use; `false` if the token can't be used.
    pub(super) fn take_use(&mut self, id: &TokenId, now: Timestamp) -> bool {
        match self.0.values_mut().find(|token| token.id == *id) {
            Some(token) if token.usable(now) => {
                token.used = token.used.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    /// Whether the token could be used.
    pub(super) fn usable(&self, id: &TokenId, now: Timestamp) -> bool {
        self.0.values().any(|token| token.id == *id && token.usable(now))
    }
}

#[async_trait]
impl TokensRead for MemoryTx {
    async fn registration_token(&mut self, secret: &Digest) -> Stored<Option<RegistrationToken>> {
        Ok(self.state.tokens.0.get(secret).cloned())
    }

    async fn registration_tokens(&mut self, query: &TokensQuery) -> Stored<Page<RegistrationToken>> {
        let wanted =
            |token: &&RegistrationToken| query.state.is_none_or(|state| token.state(query.now) == state);
        let mut all: Vec<_> = self.state.tokens.0.values().filter(wanted).cloned().collect();
        all.sort_by_key(|token| (Reverse(token.created_at), token.id));
        Ok(Page::of(all, query.window))
    }
}

#[async_trait]
impl TokensWrite for MemoryTx {
    async fn registration_token_create(&mut self, token: &RegistrationToken, secret: &Digest) -> Stored<()> {
        let tokens = &self.state.tokens.0;
        if tokens.contains_key(secret) || tokens.values().any(|known| known.id == token.id) {
            return Err(self.conflict("registration_token_create"));
        }
        Arc::make_mut(&mut self.state.tokens).0.insert(*secret, token.clone());
        Ok(())
    }

    async fn registration_token_revoke(&mut self, id: &TokenId, now: Timestamp) -> Stored<bool> {
        let tokens = Arc::make_mut(&mut self.state.tokens);
        let open = tokens.0.values_mut().find(|token| token.id == *id && token.revoked_at.is_none());
        Ok(open.map(|token| token.revoked_at = Some(now)).is_some())
    }

    async fn registration_token_unrevoke(&mut self, id: &TokenId) -> Stored<bool> {
        let tokens = Arc::make_mut(&mut self.state.tokens);
        let revoked = tokens.0.values_mut().find(|token| token.id == *id && token.revoked_at.is_some());
        Ok(revoked.map(|token| token.revoked_at = None).is_some())
    }
}
