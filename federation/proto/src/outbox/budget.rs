//! How much fits into one relay call.

use qpq_core::limits;

/// Rows of all streams together in one call.
const CALL_ROWS: usize = 2_048;

/// Counts rows into a call while they are loaded, until it is full. The first row always fits, however large it is.
#[derive(Debug, Default)]
pub struct CallBudget {
    rows: usize,
    bytes: usize,
}

impl CallBudget {
    /// An empty call.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a row with so many bytes of payload in, if it fits; after the first refusal the call is full.
    pub const fn admits(&mut self, payload_bytes: usize) -> bool {
        let bytes = self.bytes.saturating_add(payload_bytes);
        if self.rows > 0 && (self.rows >= CALL_ROWS || bytes > limits::BATCH_BYTES) {
            self.rows = CALL_ROWS;
            return false;
        }
        self.rows = self.rows.saturating_add(1);
        self.bytes = bytes;
        true
    }

    /// How many bytes of payload still fit.
    pub const fn bytes_left(&self) -> usize {
        limits::BATCH_BYTES.saturating_sub(self.bytes)
    }

    /// How many rows still fit.
    pub const fn rows_left(&self) -> usize {
        if self.bytes >= limits::BATCH_BYTES { 0 } else { CALL_ROWS.saturating_sub(self.rows) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_row_travels_alone() {
        let mut budget = CallBudget::new();
        assert!(budget.admits(limits::HANDSHAKE_BYTES));
        assert!(!budget.admits(1));
        assert_eq!((budget.bytes_left(), budget.rows_left()), (0, 0));
    }

    #[test]
    fn a_call_is_bounded_by_bytes_and_rows() {
        let mut budget = CallBudget::new();
        assert!(budget.admits(limits::BATCH_BYTES - 1));
        assert!(!budget.admits(2));
        assert!(!budget.admits(0), "a full call takes nothing more: rows would overtake");
        let mut budget = CallBudget::new();
        assert_eq!((0..10_000).filter(|_| budget.admits(1)).count(), CALL_ROWS);
    }
}
