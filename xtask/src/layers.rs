//! `cargo xtask layers`: dependencies only point downward, and every source file is in a module. ARCHITECTURE.md explains the
//! layers, `table` lists them.

mod orphans;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

use crate::{say, tree};
use table::Place;

pub(crate) fn run() -> anyhow::Result<()> {
    check(tree::root())
}

fn check(root: &Path) -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().current_dir(root).exec().context("could not read the workspace")?;
    let mut broken = violations(&metadata)?;
    broken.extend(orphans::orphans(root)?);
    if !broken.is_empty() {
        bail!("{} broken layer rule(s):\n  {}", broken.len(), broken.join("\n  "));
    }
    say(&format!(
        "layers: {} crates, every dependency points downward, every file has its module",
        metadata.workspace_members.len()
    ));
    Ok(())
}

/// One sentence per broken rule. Development dependencies are exempt everywhere.
fn violations(metadata: &Metadata) -> anyhow::Result<Vec<String>> {
    let edges = Edges::of(metadata)?;
    let mut broken = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let Some(place) = table::place(name) else {
            broken.push(format!("`{name}` has no layer; give it one in xtask/src/layers/table.rs"));
            continue;
        };
        let Place::Layer(layer) = place else { continue };
        for to in edges.direct(&package.id) {
            broken.extend(broken_edge(name, layer, edges.name(to)));
        }
        if layer <= table::HIGHEST_SANS_IO {
            let reached = edges.reachable(&package.id);
            let shells = table::IO.iter().filter(|shell| reached.iter().any(|id| edges.name(id) == **shell));
            broken.extend(shells.map(|shell| format!("`{name}` does no I/O by rule, but reaches `{shell}`")));
        }
    }
    broken.sort();
    Ok(broken)
}

fn broken_edge(from: &str, layer: u8, to: &str) -> Option<String> {
    if let Some(owners) = table::owners(to)
        && !owners.contains(&from)
    {
        return Some(format!("`{from}` depends on `{to}`, which is for {} only", owners.join(", ")));
    }
    match table::place(to) {
        Some(Place::Layer(below)) if below >= layer => {
            Some(format!("`{from}` (layer {layer}) depends on `{to}` (layer {below}): not a lower layer"))
        }
        Some(Place::Layer(_) | Place::Outside) | None => None,
    }
}

/// The resolved dependencies that a build without tests has.
struct Edges<'a> {
    names: BTreeMap<&'a PackageId, &'a str>,
    to: BTreeMap<&'a PackageId, Vec<&'a PackageId>>,
}

impl<'a> Edges<'a> {
    fn of(metadata: &'a Metadata) -> anyhow::Result<Self> {
        let resolve = metadata.resolve.as_ref().context("cargo resolved nothing")?;
        let names = metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
        let mut to = BTreeMap::new();
        for node in &resolve.nodes {
            let built = node.deps.iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
            });
            to.insert(&node.id, built.map(|dependency| &dependency.pkg).collect());
        }
        Ok(Self { names, to })
    }

    fn name(&self, id: &PackageId) -> &'a str {
        self.names.get(id).copied().unwrap_or("?")
    }

    fn direct(&self, id: &PackageId) -> impl Iterator<Item = &'a PackageId> {
        self.to.get(id).into_iter().flatten().copied()
    }

    fn reachable(&self, from: &'a PackageId) -> BTreeSet<&'a PackageId> {
        let mut reached = BTreeSet::new();
        let mut next = vec![from];
        while let Some(id) = next.pop() {
            for to in self.direct(id) {
                if reached.insert(to) {
                    next.push(to);
                }
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests;
