//! `cargo xtask runbooks`: every runbook has its parts, and what it tells people to type is typed by the gate.
//!
//! A fence is marked `scrut` (executed by `runbooks/run.sh`) or `LANGUAGE no-run: REASON`; anything else is refused, and
//! so are runbooks that are executed for less than 95 %, all together.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::{say, tree};

/// The parts of a runbook, in this order.
const PARTS: [&str; 7] = ["Trigger", "Impact", "Detect", "Act", "Verify", "Roll back", "If it fails"];
/// How many of a hundred fences must be executed.
const EXECUTED_PERCENT: usize = 95;

pub(crate) fn run() -> anyhow::Result<()> {
    let folder = tree::root().join("runbooks");
    let (mut executed, mut told, mut wrong, mut count) = (0, 0, Vec::new(), 0);
    for path in tree::files_ending(&folder, "md")?.iter().filter(|path| *path != Path::new("README.md")) {
        let text = fs::read_to_string(folder.join(path))
            .with_context(|| format!("could not read `{}`", path.display()))?;
        let read = read(&text);
        count += 1;
        executed += read.executed;
        told += read.told;
        wrong.extend(read.wrong.into_iter().map(|what| format!("runbooks/{}: {what}", path.display())));
    }
    if executed * 100 < (executed + told) * EXECUTED_PERCENT {
        wrong.push(format!("only {executed} of {} fences are executed", executed + told));
    }
    if !wrong.is_empty() {
        bail!("{} fault(s) in the runbooks:\n  {}", wrong.len(), wrong.join("\n  "));
    }
    say(&format!("runbooks: {count}, {executed} of {} fences are executed", executed + told));
    Ok(())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Runbook {
    /// Fences that the gate executes.
    executed: usize,
    /// Fences that it doesn't, for a reason.
    told: usize,
    wrong: Vec<String>,
}

fn read(text: &str) -> Runbook {
    let mut runbook = Runbook::default();
    let mut parts = Vec::new();
    let mut inside = false;
    for (line, number) in text.lines().zip(1..) {
        if let Some(part) = line.strip_prefix("## ").filter(|_| !inside) {
            parts.push(part.trim());
        }
        let Some(mark) = line.trim_start().strip_prefix("```") else { continue };
        inside = !inside;
        if !inside {
            continue;
        }
        match mark.split_once(" no-run") {
            // scrut passes over what stands in a list.
            _ if line.starts_with(' ') => {
                runbook.wrong.push(format!("line {number}: a fence begins at the margin"));
            }
            _ if mark == "scrut" || mark.starts_with("scrut {") => runbook.executed += 1,
            Some((language, reason))
                if !language.is_empty() && reason.trim_start_matches(':').trim().len() > 10 =>
            {
                runbook.told += 1;
            }
            _ => runbook.wrong.push(format!("line {number}: mark it `scrut`, or `sh no-run: REASON`")),
        }
    }
    if parts != PARTS {
        runbook.wrong.push(format!("its parts are {parts:?}, and should be {PARTS:?}"));
    }
    runbook
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_parts(fences: &str) -> String {
        PARTS.map(|part| format!("## {part}\n")).concat() + fences
    }

    #[test]
    fn executed_and_told_fences_are_counted() {
        let text = "```scrut\n$ true\n```\n```scrut {detached: true}\n$ x\n```\n```sh no-run: it takes a person\nx\n```\n";
        let found = read(&with_parts(text));
        assert_eq!(found, Runbook { executed: 2, told: 1, wrong: Vec::new() });
    }

    #[test]
    fn other_fences_and_missing_parts_are_refused() {
        for fence in [
            "```\n```\n",
            "```sh\nx\n```\n",
            "```sh no-run\nx\n```\n",
            "```sh no-run: short\nx\n```\n",
            "   ```scrut\n$ x\n   ```\n",
        ] {
            assert_eq!(read(&with_parts(fence)).wrong.len(), 1, "{fence}");
        }
        assert_eq!(read("# A title\n## Trigger\n").wrong.len(), 1);
    }
}
