//! What somebody showed to be let in, used up in the transaction that lets them in.

use qpq_core::{Digest, ErrorCode, PasskeyId, Timestamp};
use qpq_storage::{Admin, Stored, WriteTx};

use super::{deeds, passkeys, totp};
use crate::Refusal;

/// A factor whose signature, password or form was found right outside the transaction.
pub(super) enum Factor {
    /// A passkey that signed.
    Passkey {
        id: PasskeyId,
        /// By which the store finds it.
        credential_id: Vec<u8>,
        /// What the store keeps of it from now on: the counter moved.
        credential: String,
    },
    /// A password, and the step of a TOTP code.
    Code { hash: String, step: u64 },
    /// A recovery code; with a password if the account has one.
    Recovery { hash: Option<String>, code: Digest },
}

impl Factor {
    /// Uses it up; `false` if it was used, changed or removed meanwhile, and then nothing was written.
    pub(super) async fn take(&self, tx: &mut dyn WriteTx, admin: &Admin, now: Timestamp) -> Stored<bool> {
        let same_password =
            |hash: &String| admin.password.as_ref().is_some_and(|password| password.hash == *hash);
        match self {
            Self::Passkey { id, credential_id, credential } => {
                let known = tx.admin_passkey(credential_id).await?;
                if !known.is_some_and(|known| known.id == *id && known.admin == admin.id) {
                    return Ok(false);
                }
                tx.admin_passkey_used(id, credential, now).await?;
                Ok(true)
            }
            Self::Code { hash, step } => {
                Ok(same_password(hash)
                    && tx.admin_totp_take(&admin.id, *step, totp::present_step(now)).await?)
            }
            Self::Recovery { hash, code } => {
                let fits = hash.as_ref().map_or_else(|| admin.password.is_none(), same_password);
                Ok(fits && tx.admin_recovery_code_take(&admin.id, code).await?)
            }
        }
    }

    /// What the audit log says of it, if it is worth a row.
    pub(super) const fn audited(&self) -> Option<&'static str> {
        match self {
            Self::Recovery { .. } => Some(deeds::RECOVERY_CODE),
            Self::Passkey { .. } | Self::Code { .. } => None,
        }
    }

    /// The answer if it was not taken.
    pub(super) fn refused(&self) -> Refusal {
        match self {
            Self::Passkey { .. } => passkeys::not_accepted(),
            Self::Code { .. } | Self::Recovery { .. } => wrong(),
        }
    }
}

/// The one answer to a wrong name, password, or code.
pub(super) fn wrong() -> Refusal {
    Refusal::new(
        ErrorCode::LoginFailed,
        "name, password or code is wrong; a code works once, so wait for the next one",
    )
}
