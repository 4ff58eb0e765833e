//! Registration tokens: made, listed and revoked by admins.

use std::sync::Arc;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use qpq_core::{Digest, ErrorCode, Millis, Secret, Timestamp, TokenId};
use qpq_storage::{RegistrationToken, Stored, WriteTx};

use crate::{Answered, Ground, Refusal, WriteJob};

/// How many accounts a token makes if the admin says nothing.
const USES: u32 = 1;
/// How long a token lives if the admin says nothing.
const LIFETIME: Millis = Millis::from_days(7);

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
}

impl Tokens {
    /// On this ground.
    pub const fn new(ground: Arc<Ground>) -> Self {
        Self { ground }
    }

    /// Makes a token.
    pub async fn create(&self, uses: Option<u32>, lifetime: Option<Millis>) -> Answered<NewToken> {
        let (token, job) = self.creation(uses, lifetime)?;
        self.ground.write(job).await?;
        Ok(token)
    }

    /// All tokens, newest first.
    pub async fn list(&self) -> Answered<Vec<RegistrationToken>> {
        Ok(self.ground.read().await?.registration_tokens().await?)
    }

    /// Ends a token; accounts made with it stay.
    pub async fn revoke(&self, id: TokenId) -> Answered<()> {
        let done = self.ground.write(self.revocation(id)).await?;
        if done { Ok(()) } else { Err(unknown(&id)) }
    }

    /// The job behind [`Tokens::create`].
    pub(crate) fn creation(
        &self,
        uses: Option<u32>,
        lifetime: Option<Millis>,
    ) -> Answered<(NewToken, CreateToken)> {
        let uses = uses.unwrap_or(USES);
        if uses == 0 {
            return Err(Refusal::malformed("`uses` is 0: a token that makes no account is of no use"));
        }
        let now = self.ground.now();
        // A prefix, so that a token never begins with a dash on a command line and is recognised when it leaks.
        let secret = format!("qpqreg_{}", HEXLOWER.encode(&self.ground.draw(|entropy| entropy.bytes32())));
        let row = RegistrationToken {
            id: self.ground.draw(TokenId::random),
            uses: Some(uses),
            used: 0,
            expires_at: Some(now.after(lifetime.unwrap_or(LIFETIME))),
            created_at: now,
            revoked_at: None,
        };
        let job = CreateToken { row: row.clone(), hash: Digest::of(&[secret.as_bytes()]) };
        Ok((NewToken { token: Secret::new(secret), row }, job))
    }

    /// The job behind [`Tokens::revoke`].
    pub(crate) fn revocation(&self, id: TokenId) -> RevokeToken {
        RevokeToken { id, now: self.ground.now() }
    }
}

/// No such token.
pub(crate) fn unknown(id: &TokenId) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("there is no registration token `{id}` that could be revoked"))
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
