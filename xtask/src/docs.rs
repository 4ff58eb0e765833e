//! `cargo xtask docs`: what the documents point at exists. A map that names dead folders is worse than none.
//!
//! Looked at: paths in backticks, targets of links, and `cargo xtask <verb>` anywhere in a Markdown file. A path is
//! found from the root, from the document's own folder, or, with a file ending of ours, as the end of any path.

mod reading;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::CommandFactory as _;

use crate::{Arguments, say, tree};
use reading::Mention;

pub(crate) fn run() -> anyhow::Result<()> {
    let verbs = Arguments::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let repository = Repository::read(tree::root(), verbs)?;
    let documents = tree::files_ending(tree::root(), "md")?;
    let mut broken = Vec::new();
    for document in &documents {
        let text = fs::read_to_string(tree::root().join(document))
            .with_context(|| format!("could not read `{}`", document.display()))?;
        broken.extend(repository.broken_mentions(document, &text));
    }
    if !broken.is_empty() {
        bail!("{} mention(s) of what does not exist:\n  {}", broken.len(), broken.join("\n  "));
    }
    say(&format!("docs: every path and verb named in {} documents exists", documents.len()));
    Ok(())
}

/// What a document can point at.
struct Repository {
    paths: BTreeSet<PathBuf>,
    verbs: BTreeSet<String>,
}

impl Repository {
    fn read(root: &Path, verbs: BTreeSet<String>) -> anyhow::Result<Self> {
        Ok(Self { paths: tree::entries(root)?.into_iter().collect(), verbs })
    }

    fn broken_mentions(&self, document: &Path, text: &str) -> Vec<String> {
        let mut broken = Vec::new();
        for (line, mention) in reading::mentions(text) {
            let at = format!("{}:{line}", document.display());
            match mention {
                Mention::Code(span) => {
                    let missing = reading::spelled_out(&span)
                        .into_iter()
                        .filter(|path| self.is_claimed(path) && !self.exists(document, path));
                    broken.extend(missing.map(|path| format!("{at}: `{path}`")));
                }
                Mention::Link(target) if !self.exists_beside(document, &target) => {
                    broken.push(format!("{at}: link to `{target}`"));
                }
                Mention::Verb(verb) if !self.verbs.contains(&verb) => {
                    broken.push(format!("{at}: `cargo xtask {verb}`"));
                }
                Mention::Link(_) | Mention::Verb(_) => {}
            }
        }
        broken
    }

    /// Whether the text in backticks says that a path of the repository exists, as opposed to an address, a media
    /// type, or a file that a running program makes.
    fn is_claimed(&self, path: &str) -> bool {
        let first = path.split('/').next().unwrap_or(path);
        let in_a_room = path.contains('/') && self.paths.contains(Path::new(first));
        in_a_room || reading::has_an_ending_of_ours(path)
    }

    fn exists(&self, document: &Path, path: &str) -> bool {
        if let Some((folder, pattern)) = path.rsplit_once('/').or(Some(("", path)))
            && let Some((start, end)) = pattern.split_once('*')
        {
            return self.paths.iter().any(|entry| {
                let name = entry.file_name().unwrap_or_default().to_string_lossy();
                entry.parent().is_some_and(|parent| parent.ends_with(folder))
                    && name.starts_with(start)
                    && name.ends_with(end)
            });
        }
        let path = Path::new(path.trim_end_matches('/'));
        self.paths.contains(path)
            || self.paths.contains(&beside(document, path))
            || self.paths.iter().any(|entry| entry.ends_with(path))
    }

    fn exists_beside(&self, document: &Path, target: &str) -> bool {
        let found = beside(document, Path::new(target.trim_end_matches('/')));
        found.as_os_str().is_empty() || self.paths.contains(&found)
    }
}

/// `target` as seen from the document, `..` resolved.
fn beside(document: &Path, target: &Path) -> PathBuf {
    let mut found = document.parent().map(Path::to_path_buf).unwrap_or_default();
    for part in target.components() {
        match part {
            std::path::Component::ParentDir => {
                found.pop();
            }
            std::path::Component::Normal(name) => found.push(name),
            std::path::Component::CurDir
            | std::path::Component::RootDir
            | std::path::Component::Prefix(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests;
