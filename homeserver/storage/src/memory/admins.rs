//! Admins of the console: accounts, factors, sessions, one-time links. In memory.

use super::MemoryTx;
use crate::{AdminsRead, AdminsWrite};

/// What is kept.
#[derive(Clone, Default)]
pub(super) struct Admins;

impl AdminsRead for MemoryTx {}

impl AdminsWrite for MemoryTx {}
