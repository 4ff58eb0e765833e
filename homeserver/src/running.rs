//! The configuration of the running process: shown as it is, changed in its file and put into effect at once.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use qpq_core::{ErrorCode, Millis};
use qpq_federation_proto::Policy;
use qpq_service::{Answered, Configuration, ConfigurationFact, Ground, Peering, Refusal, SettingView};
use toml_edit::DocumentMut;

use crate::{
    config::{Config, ConfigError, FederationPolicy, Layers, Origin, SETTINGS, Setting},
    data_dir::DataDir,
    logging,
};

/// The settings that take no restart.
pub(crate) const RELOADABLE: [&str; 4] =
    ["federation.policy", "federation.directory", "drain.deadline", "log.filter"];

/// The file, the layers above it, and what a change is applied to.
#[derive(Clone, Debug)]
pub(crate) struct RunningConfiguration(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    environment: Vec<(String, String)>,
    flags: Vec<(&'static str, Option<String>)>,
    peering: Peering,
    ground: Arc<Ground>,
    /// What runs: as it was at the start, and what was reloaded since.
    applied: Mutex<Layers>,
    /// How long calls in flight may take when we stop, in milliseconds.
    drain: AtomicU64,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
}

impl RunningConfiguration {
    /// Of this process.
    pub(crate) fn new(
        file: PathBuf,
        environment: Vec<(String, String)>,
        flags: Vec<(&'static str, Option<String>)>,
        (peering, ground): (Peering, Arc<Ground>),
        started_with: (Layers, Millis),
    ) -> Self {
        let (layers, drain) = started_with;
        Self(Arc::new(Inner {
            file,
            environment,
            flags,
            peering,
            ground,
            applied: Mutex::new(layers),
            drain: AtomicU64::new(drain.0),
            changing: tokio::sync::Mutex::default(),
        }))
    }

    /// How long calls in flight may take when we stop.
    pub(crate) fn drain(&self) -> Millis {
        Millis(self.0.drain.load(Ordering::Relaxed))
    }

    /// What the file says now, with what is above it.
    fn layers(&self) -> Result<Layers, ConfigError> {
        let mut layers = Layers::read(&self.0.file, self.0.environment.iter().cloned())?;
        for (key, value) in &self.0.flags {
            layers.add_flag(key, value.clone());
        }
        Ok(layers)
    }

    fn applied(&self) -> Layers {
        self.0.applied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The file against what runs.
    pub(crate) fn compared(&self) -> ConfigurationFact {
        let mut fact =
            ConfigurationFact { path: self.0.file.display().to_string(), ..ConfigurationFact::default() };
        let layers = match self.layers().and_then(|layers| Config::parse(&layers).map(|_| layers)) {
            Ok(layers) => layers,
            Err(error) => {
                fact.unusable = Some(crate::output::with_causes(&error));
                return fact;
            }
        };
        let applied = self.applied();
        for setting in SETTINGS.iter().filter(|setting| !applied.agree(&layers, setting)) {
            if RELOADABLE.contains(&setting.key) {
                fact.not_reloaded.push(setting.key);
            } else {
                fact.takes_restart.push(setting.key);
            }
        }
        fact
    }

    /// Reads the file again and applies what needs no restart; a configuration that can't be used changes nothing.
    pub(crate) fn reload(&self) -> Answered<()> {
        let layers = self.layers().map_err(refused)?;
        let config = Config::parse(&layers).map_err(refused)?;
        logging::refilter(&config.log_filter).map_err(Refusal::malformed)?;
        self.0.peering.set_policy(match config.federation_policy {
            FederationPolicy::AllowListed => Policy::AllowListed,
            FederationPolicy::Closed => Policy::Closed,
        });
        self.0.ground.set_directory(config.settings.directory);
        self.0.drain.store(config.drain.0, Ordering::Relaxed);
        let mut applied = self.0.applied.lock().unwrap_or_else(PoisonError::into_inner);
        for key in RELOADABLE {
            applied.adopt(key, &layers);
        }
        Ok(())
    }

    /// A setting as it runs, and what the file says if that is something else. `file` is absent if it can't be read.
    fn view(setting: &'static Setting, applied: &Layers, file: Option<&Layers>) -> SettingView {
        let pending = file
            .filter(|file| !RELOADABLE.contains(&setting.key) && !applied.agree(file, setting))
            .map(|file| file.value(setting).map_or("", |(value, _)| value).to_owned());
        let (value, origin) = applied
            .value(setting)
            .map_or((None, None), |(value, origin)| (Some(value.to_owned()), Some(origin.name())));
        SettingView {
            key: setting.key,
            value,
            origin,
            variable: setting.variable(),
            about: setting.about,
            reloadable: RELOADABLE.contains(&setting.key),
            pending,
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
        let (applied, file) = (self.applied(), self.layers().ok());
        SETTINGS.iter().map(|setting| Self::view(setting, &applied, file.as_ref())).collect()
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
        if let Some((_, origin @ (Origin::Environment | Origin::Flag))) =
            self.layers().map_err(refused)?.value(setting)
        {
            let text = format!("`{key}` is set by {}, which beats the file: change it there", origin.name());
            return Err(Refusal::new(ErrorCode::NotAllowed, text));
        }
        let text = self.changed(key, value)?;
        // Judged as a whole before anything is written.
        let mut layers = Layers::default();
        layers.add_file(&self.0.file, &text).map_err(refused)?;
        Config::parse(&layers).map_err(refused)?;
        DataDir::replace(&self.0.file, text.as_bytes())
            .map_err(|error| Refusal::new(ErrorCode::NotStored, error.to_string()))?;
        self.reload()?;
        Ok(Self::view(setting, &self.applied(), self.layers().ok().as_ref()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn refused(error: ConfigError) -> Refusal {
    Refusal::malformed(crate::output::with_causes(&error))
}
