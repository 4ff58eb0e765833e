//! Small workspaces, read by the real cargo, each with one planted edge.

use std::fmt::Write as _;
use std::fs;

use super::*;

/// A crate and the text of its dependency tables.
type Planted<'a> = (&'a str, &'a str);

fn check_workspace(crates: &[Planted<'_>]) -> Result<(), String> {
    let root = plant(crates);
    check(root.path()).map_err(|error| format!("{error:#}"))
}

fn plant(crates: &[Planted<'_>]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let mut members = String::new();
    for (name, dependencies) in crates {
        let folder = root.path().join(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::write(folder.join("src/lib.rs"), "").unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{dependencies}\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        // A stranger's crate, as if it came from a registry.
        if *name != "tokio" {
            write!(members, "\"{name}\", ").unwrap();
        }
    }
    let manifest = format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\nexclude = [\"tokio\"]\n");
    fs::write(root.path().join("Cargo.toml"), manifest).unwrap();
    root
}

fn on(name: &str) -> String {
    format!("[dependencies]\n{name} = {{ path = \"../{name}\" }}\n")
}

#[test]
fn a_downward_edge_is_fine() {
    assert_eq!(check_workspace(&[("qpq-core", ""), ("qpq-service", &on("qpq-core"))]), Ok(()));
}

#[test]
fn a_planted_upward_edge_fails_and_is_named() {
    let error = check_workspace(&[("qpq-core", &on("qpq-service")), ("qpq-service", "")]).unwrap_err();
    assert!(error.contains("`qpq-core` (layer 0) depends on `qpq-service` (layer 4)"), "{error}");
}

#[test]
fn an_edge_within_a_layer_fails() {
    let error = check_workspace(&[("qpq-rpc", &on("qpq-federation")), ("qpq-federation", "")]).unwrap_err();
    assert!(error.contains("not a lower layer"), "{error}");
}

#[test]
fn an_upward_build_dependency_fails_too() {
    let edge = on("qpq-service").replace("[dependencies]", "[build-dependencies]");
    assert!(check_workspace(&[("qpq-core", &edge), ("qpq-service", "")]).is_err());
}

#[test]
fn development_dependencies_may_point_anywhere() {
    let edge = on("qpq-service").replace("[dependencies]", "[dev-dependencies]");
    assert_eq!(check_workspace(&[("qpq-core", &edge), ("qpq-service", "")]), Ok(()));
}

#[test]
fn a_crate_without_a_layer_fails() {
    let error = check_workspace(&[("qpq-attic", "")]).unwrap_err();
    assert!(error.contains("`qpq-attic` has no layer"), "{error}");
}

#[test]
fn a_core_that_reaches_a_runtime_through_another_crate_fails() {
    let error =
        check_workspace(&[("tokio", ""), ("qpq-core", &on("tokio")), ("qpq-delivery", &on("qpq-core"))])
            .unwrap_err();
    assert!(error.contains("`qpq-delivery` does no I/O by rule, but reaches `tokio`"), "{error}");
}

#[test]
fn only_the_program_chooses_the_storage() {
    let error = check_workspace(&[("qpq-storage-sqlite", ""), ("qpq-service", &on("qpq-storage-sqlite"))])
        .unwrap_err();
    assert!(error.contains("which is for qpq-homeserver, qpq-tests, qpq-bench only"), "{error}");
    assert_eq!(
        check_workspace(&[("qpq-storage-sqlite", ""), ("qpq-homeserver", &on("qpq-storage-sqlite"))]),
        Ok(())
    );
}
