//! `cargo xtask schema-compat`: ordinals only grow against `schemas/released/`.
//!
//! The comparison lives beside the schema compiler (`xtask/codegen`), because it compares compiled schemas.

use crate::codegen;

pub(crate) fn run() -> anyhow::Result<()> {
    codegen::start(&["compat"])
}
