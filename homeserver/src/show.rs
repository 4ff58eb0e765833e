//! `qpq-server config check|show`: the effective configuration, without starting anything.

use qpq_core::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::{
    cli::ConfigVerb,
    config::{Config, Layers, SETTINGS},
    data_dir::DataDir,
    environment::Environment,
    production::{Facts, Refused},
};

/// Reads and parses the configuration; `show` lists every setting with its value and its origin.
pub(crate) fn run(
    directory: &DataDir,
    verb: &ConfigVerb,
    environment: &Environment,
) -> anyhow::Result<Value> {
    let layers = Layers::read(&directory.config(), environment.settings.iter().cloned())?;
    match verb {
        ConfigVerb::Check => {
            let config = Config::parse(&layers)?;
            directory.check()?;
            if config.production {
                let found = Facts::gather(directory, &config, environment, SystemClock.now()).violations();
                if !found.is_empty() {
                    return Err(Refused(found).into());
                }
            }
            Ok(
                json!({ "ok": true, "production": config.production, "domain": config.domain, "file": directory.config() }),
            )
        }
        ConfigVerb::Show => Ok(SETTINGS
            .iter()
            .map(|setting| {
                let (value, origin) = layers.value(setting).map_or((None, None), |(value, origin)| {
                    (Some(value.to_owned()), Some(origin.to_string()))
                });
                json!({
                    "key": setting.key,
                    "value": value,
                    "origin": origin,
                    "variable": setting.variable(),
                    "about": setting.about,
                })
            })
            .collect()),
    }
}
