//! Writes the published test vectors: `cargo run -p qpq-transparency-tree --example vectors`.

use std::{fs, io, path::Path};

#[path = "vectors/generate.rs"]
mod generate;

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    generate::files().into_iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
}
