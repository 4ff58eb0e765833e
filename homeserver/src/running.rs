//! The configuration of the running process: shown as it is, changed in its file and put into effect at once.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use qpq_core::ErrorCode;
use qpq_federation_proto::Policy;
use qpq_service::{Answered, Configuration, Peering, Refusal, SettingView};
use toml_edit::DocumentMut;

use crate::{
    config::{Config, FederationPolicy, Layers, Origin, SETTINGS, Setting},
    data_dir::DataDir,
    logging,
};

/// The settings that take no restart.
pub(crate) const RELOADABLE: [&str; 2] = ["federation.policy", "log.filter"];

/// The file, the layers above it, and what a change is applied to.
#[derive(Clone, Debug)]
pub(crate) struct RunningConfiguration(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    environment: Vec<(String, String)>,
    flags: Vec<(&'static str, Option<String>)>,
    peering: Peering,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
}

impl RunningConfiguration {
    /// Of this process.
    pub(crate) fn new(
        file: PathBuf,
        environment: Vec<(String, String)>,
        flags: Vec<(&'static str, Option<String>)>,
        peering: Peering,
    ) -> Self {
        Self(Arc::new(Inner { file, environment, flags, peering, changing: tokio::sync::Mutex::default() }))
    }

    fn layers(&self) -> Result<Layers, Refusal> {
        let refused = |error: crate::config::ConfigError| Refusal::malformed(error.to_string());
        let mut layers = Layers::read(&self.0.file, self.0.environment.iter().cloned()).map_err(refused)?;
        for (key, value) in &self.0.flags {
            layers.add_flag(key, value.clone());
        }
        Ok(layers)
    }

    /// Reads the file again and applies what needs no restart; a configuration that can't be used changes nothing.
    pub(crate) fn reload(&self) -> Answered<()> {
        let config = Config::parse(&self.layers()?).map_err(|error| Refusal::malformed(error.to_string()))?;
        logging::refilter(&config.log_filter).map_err(Refusal::malformed)?;
        self.0.peering.set_policy(match config.federation_policy {
            FederationPolicy::AllowListed => Policy::AllowListed,
            FederationPolicy::Closed => Policy::Closed,
        });
        Ok(())
    }

    fn view(setting: &'static Setting, layers: &Layers) -> SettingView {
        let (value, origin) = layers
            .value(setting)
            .map_or((None, None), |(value, origin)| (Some(value.to_owned()), Some(origin.name())));
        SettingView {
            key: setting.key,
            value,
            origin,
            variable: setting.variable(),
            about: setting.about,
            reloadable: RELOADABLE.contains(&setting.key),
            pending: None,
        }
    }

    /// The file with one value changed; its comments stay.
    fn changed(&self, key: &str, value: &str) -> Answered<String> {
        let io = |error: std::io::Error| {
            let text = format!("`{}` can't be read: {error}", self.0.file.display());
            Refusal::new(ErrorCode::NotStored, text)
        };
        let text = std::fs::read_to_string(&self.0.file).map_err(io)?;
        let malformed = |error: toml_edit::TomlError| Refusal::malformed(error.to_string());
        let mut document: DocumentMut = text.parse().map_err(malformed)?;
        match key.split_once('.') {
            Some((section, name)) => {
                let table = document.entry(section).or_insert(toml_edit::table());
                let table = table.as_table_like_mut().ok_or_else(|| {
                    Refusal::malformed(format!("`{section}` in `{}` is no section", self.0.file.display()))
                })?;
                table.insert(name, toml_edit::value(value));
            }
            None => {
                document.insert(key, toml_edit::value(value));
            }
        }
        Ok(document.to_string())
    }
}

#[async_trait]
impl Configuration for RunningConfiguration {
    fn settings(&self) -> Vec<SettingView> {
        let layers = self.layers().unwrap_or_default();
        SETTINGS.iter().map(|setting| Self::view(setting, &layers)).collect()
    }

    async fn set(&self, key: &str, value: &str) -> Answered<SettingView> {
        let _one = self.0.changing.lock().await;
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.key == key)
            .ok_or_else(|| Refusal::new(ErrorCode::NotFound, format!("there is no setting `{key}`")))?;
        if !RELOADABLE.contains(&setting.key) {
            let text = format!("`{key}` takes a restart: change it in `{}`", self.0.file.display());
            return Err(Refusal::new(ErrorCode::NotAllowed, text));
        }
        if let Some((_, origin @ (Origin::Environment | Origin::Flag))) = self.layers()?.value(setting) {
            let text = format!("`{key}` is set by {}, which beats the file: change it there", origin.name());
            return Err(Refusal::new(ErrorCode::NotAllowed, text));
        }
        let text = self.changed(key, value)?;
        // Judged as a whole before anything is written.
        let mut layers = Layers::default();
        let refused = |error: crate::config::ConfigError| Refusal::malformed(error.to_string());
        layers.add_file(&self.0.file, &text).map_err(refused)?;
        Config::parse(&layers).map_err(refused)?;
        DataDir::replace(&self.0.file, text.as_bytes())
            .map_err(|error| Refusal::new(ErrorCode::NotStored, error.to_string()))?;
        self.reload()?;
        Ok(Self::view(setting, &self.layers()?))
    }
}
