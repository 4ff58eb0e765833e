//! Who is banned from this domain, why, and until when. In memory.

use super::MemoryTx;
use crate::{BansRead, BansWrite};

/// What is kept.
#[derive(Clone, Default)]
pub(super) struct Bans;

impl BansRead for MemoryTx {}

impl BansWrite for MemoryTx {}
