//! `docs/reference/admin-actions.md` and `docs/reference/settings.md` say what the lists in the code say.
//!
//! The documents are compared here; `cargo xtask reference` writes them. An action or a setting that was added and not
//! written down fails this test.

mod actions;
mod settings;

use std::{env, fs, path::PathBuf};

#[test]
fn the_reference_of_admin_actions_follows_the_list() {
    follows("admin-actions.md", &actions::text());
}

#[test]
fn the_reference_of_settings_follows_the_table() {
    follows("settings.md", &settings::text());
}

/// The document is this text, or is made so where somebody asks for it.
fn follows(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    if env::var_os("REFERENCE").is_some_and(|asked| asked == "write") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, text, "docs/reference/{name} is out of date: run `cargo xtask reference`");
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
