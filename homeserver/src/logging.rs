//! Log lines on standard error, as text or JSON.

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts logging; a filter that can't be read is the error.
pub(crate) fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        format!("`log.filter` can't be `{filter}`: {error}; try `info` or `info,qpq_federation=debug`")
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    started.map_err(|error| error.to_string())
}
