//! The environment, read once.

use std::path::PathBuf;

/// What the process was started with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `QPQ_DATABASE_KEY_FILE`: the database key lies outside the data directory.
    pub(crate) database_key_file: Option<PathBuf>,
    /// `CREDENTIALS_DIRECTORY`: systemd's credentials.
    pub(crate) credentials: Option<PathBuf>,
    /// Every `QPQ_*` variable.
    pub(crate) settings: Vec<(String, String)>,
}

impl Environment {
    /// Reads it; a `QPQ_*` variable that is not UTF-8 is left to be reported as unknown.
    pub(crate) fn read() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            database_key_file: path("QPQ_DATABASE_KEY_FILE"),
            credentials: path("CREDENTIALS_DIRECTORY"),
            settings: std::env::vars_os()
                .filter_map(|(name, value)| {
                    let name = name.into_string().ok().filter(|name| name.starts_with("QPQ_"))?;
                    Some((name, value.to_string_lossy().into_owned()))
                })
                .collect(),
        }
    }
}
