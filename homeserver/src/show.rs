//! `qpq-server config check|show`: the effective configuration, without starting anything.

use serde_json::{Value, json};

use crate::{
    cli::ConfigVerb,
    config::{Config, Layers, SETTINGS},
    data_dir::DataDir,
    environment::Environment,
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
            Ok(json!({ "ok": true, "domain": config.domain, "file": directory.config() }))
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
