//! The effective configuration as use cases see it: read from the running process, changed in its file and reloaded.

use std::fmt;

use async_trait::async_trait;
use serde::Serialize;

use qpq_core::ErrorCode;

use crate::{Answered, Refusal};

/// One setting with its effective value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingView {
    /// Its dotted key.
    pub key: &'static str,
    /// Its effective value; `None`: unset. Secrets are masked.
    pub value: Option<String>,
    /// `default`, `file`, `environment` or `flag`; `None`: unset.
    pub origin: Option<&'static str>,
    /// The environment variable that would set it.
    pub variable: String,
    /// What it does.
    pub about: &'static str,
    /// Whether a reload is enough; else it takes a restart.
    pub reloadable: bool,
    /// What the file says now, if that takes a restart to become effective.
    pub pending: Option<String>,
}

/// The configuration of the running process; the binary implements it.
#[async_trait]
pub trait Configuration: Send + Sync + fmt::Debug {
    /// Every setting, in the order of the reference.
    fn settings(&self) -> Vec<SettingView>;

    /// Judges a new value of a reloadable setting, writes it into the file (comments stay) and reloads. A value that
    /// the environment or a flag sets can't be changed here, and the refusal says so.
    async fn set(&self, key: &str, value: &str) -> Answered<SettingView>;
}

/// A configuration without settings: for a homeserver that was put together in memory.
#[derive(Clone, Copy, Debug)]
pub struct NoConfiguration;

#[async_trait]
impl Configuration for NoConfiguration {
    fn settings(&self) -> Vec<SettingView> {
        Vec::new()
    }

    async fn set(&self, key: &str, _value: &str) -> Answered<SettingView> {
        Err(Refusal::new(ErrorCode::NotFound, format!("there is no setting `{key}`")))
    }
}
