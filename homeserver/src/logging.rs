//! Log lines on standard error, as text or JSON.

use std::sync::OnceLock;

use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

use crate::config::LogFormat;

/// The filter that is in effect, so that a reload can change it.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Libraries that say more than an admin needs, and what is left of it unless the filter names them: the one that says when
/// jobs are due tells at every start of which parts it is made; that for DNS prints whole answers, and what was wrong with
/// them is told as the reason why a peer was not found.
const TALKATIVE: [(&str, &str); 3] =
    [("tokio_cron_scheduler", "warn"), ("hickory_net", "off"), ("hickory_resolver", "off")];

/// Starts logging; a filter that can't be read is the error.
pub(crate) fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let (filter, handle) = reload::Layer::new(parsed(filter)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|error| error.to_string())?;
    // Logging starts once.
    FILTER.set(handle).ok();
    Ok(())
}

/// Whether a text is a filter; if not, why.
pub(crate) fn judge(filter: &str) -> Result<(), String> {
    parsed(filter).map(drop)
}

/// Changes the filter of a process that logs already.
pub(crate) fn refilter(filter: &str) -> Result<(), String> {
    let filter = parsed(filter)?;
    FILTER.get().map_or(Ok(()), |handle| handle.reload(filter).map_err(|error| error.to_string()))
}

fn parsed(filter: &str) -> Result<EnvFilter, String> {
    let alone = EnvFilter::try_new(filter)
        .map_err(|error| format!("{error}; try `info` or `info,qpq_federation=debug`"))?;
    let mut directives: Vec<String> = TALKATIVE
        .iter()
        .filter(|(library, _)| !filter.contains(library))
        .map(|(library, level)| format!("{library}={level}"))
        .collect();
    directives.push(filter.to_owned());
    Ok(EnvFilter::try_new(directives.join(",")).unwrap_or(alone))
}
