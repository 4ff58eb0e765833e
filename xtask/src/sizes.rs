//! `cargo xtask sizes`: how long the hand-written Rust files are. Long files are where reading stops.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::{say, tree};

const WARN_FROM_LINES: usize = 500;
const FAIL_ABOVE_LINES: usize = 1000;

pub(crate) fn run() -> anyhow::Result<()> {
    let sizes = measure(tree::root())?;
    let lines: Vec<usize> = sizes.iter().map(|size| size.lines).collect();
    for size in sizes.iter().rev().filter(|size| size.lines >= WARN_FROM_LINES) {
        let verdict = if size.lines > FAIL_ABOVE_LINES { "too long" } else { "warning" };
        say(&format!("{verdict}: {} has {} lines", size.path.display(), size.lines));
    }
    say(&format!(
        "sizes: {} hand-written files, {} lines; median {}, nine of ten within {}, longest {}",
        lines.len(),
        lines.iter().sum::<usize>(),
        percentile(&lines, 50),
        percentile(&lines, 90),
        percentile(&lines, 100),
    ));
    let too_long = lines.iter().filter(|&&lines| lines > FAIL_ABOVE_LINES).count();
    if too_long > 0 {
        bail!("{too_long} file(s) above {FAIL_ABOVE_LINES} lines");
    }
    Ok(())
}

struct Size {
    lines: usize,
    path: PathBuf,
}

/// Shortest first.
fn measure(root: &Path) -> anyhow::Result<Vec<Size>> {
    let mut sizes = Vec::new();
    for path in tree::files_ending(root, "rs")? {
        if path.starts_with(tree::GENERATED) {
            continue;
        }
        let text = fs::read_to_string(root.join(&path))
            .with_context(|| format!("could not read `{}`", path.display()))?;
        sizes.push(Size { lines: text.lines().count(), path });
    }
    sizes.sort_by_key(|size| size.lines);
    Ok(sizes)
}

/// Of sorted values, by nearest rank; 0 of none.
fn percentile(sorted: &[usize], percent: usize) -> usize {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let sorted = [1, 2, 3, 4, 5, 6, 7, 8, 9, 100];
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 90), percentile(&sorted, 100)), (5, 9, 100));
        assert_eq!(percentile(&[], 50), 0);
    }

    #[test]
    fn generated_and_built_files_are_not_measured() {
        let root = tempfile::tempdir().unwrap();
        for (path, lines) in
            [("a/src/lib.rs", 3), ("schemas/src/gen/x_capnp.rs", 9000), ("target/debug/b.rs", 9000)]
        {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "//\n".repeat(lines)).unwrap();
        }
        let sizes = measure(root.path()).unwrap();
        assert_eq!(sizes.iter().map(|size| size.lines).collect::<Vec<_>>(), [3]);
    }
}
