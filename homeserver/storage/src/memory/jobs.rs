//! Jobs and their last results; samples of the last day for the charts. In memory.

use super::MemoryTx;
use crate::{JobsRead, JobsWrite};

/// What is kept.
#[derive(Clone, Default)]
pub(super) struct Jobs;

impl JobsRead for MemoryTx {}

impl JobsWrite for MemoryTx {}
