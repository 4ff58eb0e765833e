//! Jobs and their last results; samples of the last day for the charts.

use qpq_storage::{JobsRead, JobsWrite};

use crate::transaction::Transaction;

impl JobsRead for Transaction {}

impl JobsWrite for Transaction {}
