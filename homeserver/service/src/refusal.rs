//! Why a use case was not fulfilled: a stable code, a sentence for people, and when to try again.

use std::{error::Error, fmt};

use qpq_core::{ErrorCode, Millis, RequestId};
use qpq_storage::StorageError;
use tracing::error;

/// What every use case returns.
pub type Answered<T> = Result<T, Refusal>;

/// A request that was not fulfilled. Nothing was kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What programs act on.
    pub code: ErrorCode,
    /// What is wrong and what to do next, in one sentence.
    pub text: String,
    /// When trying again makes sense; `None`: the same again does not help.
    pub retry_after: Option<Millis>,
    /// The request that was refused, as logs name it; the edge that answers it fills it in.
    pub request: Option<RequestId>,
}

impl Refusal {
    /// A refusal for good.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), retry_after: None, request: None }
    }

    /// A refusal that ends by itself.
    pub fn retry(code: ErrorCode, text: impl Into<String>, after: Millis) -> Self {
        Self { code, text: text.into(), retry_after: Some(after), request: None }
    }

    /// A malformed field.
    pub fn malformed(text: impl Into<String>) -> Self {
        Self::new(ErrorCode::Malformed, text)
    }

    /// The same, as the answer to this request.
    #[must_use]
    pub fn to_request(self, id: RequestId) -> Self {
        Self { request: Some(id), ..self }
    }

    /// Whether it is the homeserver's own trouble, which its admin should see.
    pub fn is_ours(&self) -> bool {
        matches!(self.code, ErrorCode::NotStored | ErrorCode::Internal)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Refusal {}

impl From<StorageError> for Refusal {
    /// Logged here, once: whoever gets the refusal only hears that nothing was kept.
    fn from(cause: StorageError) -> Self {
        error!(error = &cause as &dyn Error, "the store failed");
        match cause {
            StorageError::Unavailable { .. } => {
                Self::retry(ErrorCode::NotStored, "nothing was kept, try again", Millis::from_secs(5))
            }
            StorageError::Conflict { .. } | StorageError::Corrupt { .. } => {
                Self::new(ErrorCode::Internal, "the homeserver's store has a fault that its admin must see")
            }
        }
    }
}
