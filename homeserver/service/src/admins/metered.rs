//! Sign-ins that failed, counted by what was wrong with them; whose they were is not counted.

use qpq_core::ErrorCode;
use qpq_metrics::SignInFailure;

use super::{Admins, Visit, factors::Factor, limits::Attempt};
use crate::Answered;

impl Admins {
    /// Begins an attempt for a name, or refuses and counts it.
    pub(super) fn attempt(&self, visit: &Visit, name: &str) -> Answered<Attempt<'_>> {
        let begun = self.0.attempts.begin(&visit.network, name, self.now());
        begun.inspect_err(|_| self.count(SignInFailure::RateLimited))
    }

    /// Passes an outcome on; one that says that what was shown is wrong, used or over is counted.
    pub(super) fn metered<T>(&self, reason: SignInFailure, outcome: Answered<T>) -> Answered<T> {
        outcome.inspect_err(|refusal| match refusal.code {
            ErrorCode::LoginFailed | ErrorCode::Gone => self.count(reason),
            ErrorCode::RateLimited => self.count(SignInFailure::RateLimited),
            _ => {}
        })
    }

    fn count(&self, reason: SignInFailure) {
        self.0.ground.metrics().console_sign_in_failed(reason);
    }
}

impl Factor {
    /// What was wrong if it is not taken.
    pub(super) const fn failure(&self) -> SignInFailure {
        match self {
            Self::Passkey { .. } => SignInFailure::Passkey,
            Self::Code { .. } => SignInFailure::Code,
            Self::Recovery { .. } => SignInFailure::RecoveryCode,
        }
    }
}
