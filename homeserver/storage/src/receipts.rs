//! Which domains have proven that they stored which submits.

use async_trait::async_trait;
use qpq_core::{DeviceAddress, Domain, MessageId};

use crate::Stored;

/// Writes what was proven; it is forgotten with the submits.
#[async_trait]
pub trait ReceiptsWrite: Send {
    /// Notes that `domain` has proven to have stored these submits, each of which must be remembered; in the order given,
    /// whether it was news.
    async fn receipts_note(
        &mut self,
        domain: &Domain,
        submits: &[(DeviceAddress, MessageId)],
    ) -> Stored<Vec<bool>>;
}
