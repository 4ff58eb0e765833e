//! Configuration: one table of settings, read from file, then environment, then flags, and parsed completely before
//! anything binds.
//!
//! Every setting has a dotted key in `quicproquo.toml` and an environment variable `QPQ_` + the key in capitals. An
//! unknown key is an error that names the nearest known one. `config show` prints each value with its origin.

mod layers;
mod settings;

pub(crate) use layers::{Layers, Origin};
pub(crate) use settings::{Config, FederationPolicy, LogFormat, SETTINGS, Setting, span};

/// Why the configuration can't be used; exit code 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file can't be read.
    #[error("could not read the configuration `{path}`: run `qpq-server init` first, or check --data-dir")]
    Read {
        /// Where.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration `{path}` is not valid TOML: {why}")]
    Syntax {
        /// Where.
        path: std::path::PathBuf,
        /// Line and column, in words.
        why: String,
    },
    /// Nobody knows this key.
    #[error("unknown key `{key}` in {place}{}", nearest.map(|known| format!(", did you mean `{known}`?")).unwrap_or_default())]
    UnknownKey {
        /// The key.
        key: String,
        /// File or environment.
        place: String,
        /// The nearest known one.
        nearest: Option<&'static str>,
    },
    /// The value can't be what the key wants.
    #[error("`{key}` can't be `{value}` (from {origin}): {wanted}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// Where it came from.
        origin: Origin,
        /// What it should be.
        wanted: String,
    },
    /// A setting without default is missing.
    #[error("`{key}` is missing: set it in quicproquo.toml, as {variable} or by its flag")]
    Missing {
        /// The key.
        key: &'static str,
        /// Its environment variable.
        variable: String,
    },
}
