//! Who is banned from this domain, why, and until when.

use qpq_storage::{BansRead, BansWrite};

use crate::transaction::Transaction;

impl BansRead for Transaction {}

impl BansWrite for Transaction {}
