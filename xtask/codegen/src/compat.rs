//! The contract only grows: everything in `schemas/released/` is still there, same ordinal, same name, same type.
//!
//! Both sides go through the compiler, so the comparison sees what is on the wire (offsets, discriminants, type ids)
//! and not how the text happens to be written.

mod surface;

use std::path::Path;

use anyhow::bail;

use crate::compile;
use surface::Surface;

/// Compares the working schemas with the released ones.
pub(crate) fn check(schemas: &Path) -> anyhow::Result<()> {
    let released = schemas.join("released");
    if compile::schema_files(&released)?.is_empty() {
        report("schema-compat: nothing released yet, so there is nothing to compare with");
        return Ok(());
    }
    let standard = schemas.join("std");
    let before = Surface::read(&compile::folder(&released, &standard)?)?;
    let now = Surface::read(&compile::folder(schemas, &standard)?)?;
    let broken = now.breaks(&before);
    if broken.is_empty() {
        report(&format!("schema-compat: all {} released elements are unchanged", before.len()));
        return Ok(());
    }
    bail!("{} released element(s) of the contract changed:\n  {}", broken.len(), broken.join("\n  "));
}

#[expect(clippy::print_stdout, reason = "the one place where this verb says its result")]
fn report(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests;
