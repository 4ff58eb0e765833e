//! How much fits into one relay call.

/// Rows of all streams together in one call.
const CALL_ROWS: usize = 2_048;

/// Counts rows into a call while they are loaded, until it is full. The first row always fits, however large it is.
#[derive(Debug)]
pub struct CallBudget {
    rows: usize,
    bytes: usize,
    most_bytes: usize,
}

impl CallBudget {
    /// An empty call that may carry so many bytes of payload ([`super::Pace`]).
    pub const fn of(most_bytes: usize) -> Self {
        Self { rows: 0, bytes: 0, most_bytes }
    }

    /// Takes a row with so many bytes of payload in, if it fits; after the first refusal the call is full.
    pub const fn admits(&mut self, payload_bytes: usize) -> bool {
        let bytes = self.bytes.saturating_add(payload_bytes);
        if self.rows > 0 && (self.rows >= CALL_ROWS || bytes > self.most_bytes) {
            self.rows = CALL_ROWS;
            return false;
        }
        self.rows = self.rows.saturating_add(1);
        self.bytes = bytes;
        true
    }

    /// How many bytes of payload still fit.
    pub const fn bytes_left(&self) -> usize {
        self.most_bytes.saturating_sub(self.bytes)
    }

    /// How many rows still fit.
    pub const fn rows_left(&self) -> usize {
        if self.bytes >= self.most_bytes { 0 } else { CALL_ROWS.saturating_sub(self.rows) }
    }
}

#[cfg(test)]
mod tests {
    use qpq_core::limits;

    use super::*;

    #[test]
    fn a_large_row_travels_alone() {
        let mut budget = CallBudget::of(limits::BATCH_BYTES);
        assert!(budget.admits(limits::HANDSHAKE_BYTES));
        assert!(!budget.admits(1));
        assert_eq!((budget.bytes_left(), budget.rows_left()), (0, 0));
    }

    #[test]
    fn a_call_is_bounded_by_bytes_and_rows() {
        let mut budget = CallBudget::of(limits::BATCH_BYTES);
        assert!(budget.admits(limits::BATCH_BYTES - 1));
        assert!(!budget.admits(2));
        assert!(!budget.admits(0), "a full call takes nothing more: rows would overtake");
        let mut budget = CallBudget::of(limits::BATCH_BYTES);
        assert_eq!((0..10_000).filter(|_| budget.admits(1)).count(), CALL_ROWS);
    }
}
