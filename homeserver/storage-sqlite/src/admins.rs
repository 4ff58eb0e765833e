//! Admins of the console: accounts, factors, sessions, one-time links.

use qpq_storage::{AdminsRead, AdminsWrite};

use crate::transaction::Transaction;

impl AdminsRead for Transaction {}

impl AdminsWrite for Transaction {}
