//! Where a setting's value comes from: default < file < environment < flag, with its origin kept.

use std::{collections::BTreeMap, fmt, path::Path};

use super::{ConfigError, SETTINGS, Setting};

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// `quicproquo.toml`.
    File,
    /// A `QPQ_*` variable.
    Environment,
    /// The command line.
    Flag,
}

impl Origin {
    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// All values that somebody set, by key, the strongest origin on top.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Layers {
    /// Reads the file, then the environment.
    pub(crate) fn read(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let mut layers = Self::default();
        layers.add_file(path, &text)?;
        layers.add_environment(environment)?;
        Ok(layers)
    }

    /// Adds the settings of a TOML text.
    pub(crate) fn add_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            why: error.to_string(),
        })?;
        let mut flat = Vec::new();
        flatten("", &table, &mut flat);
        for (key, value) in flat {
            let setting = known(&key, "the configuration file")?;
            self.values.insert(setting.key, (value, Origin::File));
        }
        Ok(())
    }

    /// Adds the `QPQ_*` variables. Variables of the client and of the two programs themselves are left alone.
    pub(crate) fn add_environment(
        &mut self,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        const OTHERS: [&str; 4] =
            ["QPQ_DATA_DIR", "QPQ_DATABASE_KEY_FILE", "QPQ_PASSPHRASE_FILE", "QPQ_HOME"];
        for (name, value) in environment {
            let Some(key) = name.strip_prefix("QPQ_") else { continue };
            if OTHERS.contains(&name.as_str()) {
                continue;
            }
            let setting = SETTINGS.iter().find(|setting| setting.variable() == name);
            let Some(setting) = setting else {
                let nearest = SETTINGS
                    .iter()
                    .min_by_key(|setting| strsim::damerau_levenshtein(&variable_part(setting.key), key))
                    .map(|setting| setting.key);
                return Err(ConfigError::UnknownKey {
                    key: name,
                    place: "the environment".to_owned(),
                    nearest,
                });
            };
            self.values.insert(setting.key, (value, Origin::Environment));
        }
        Ok(())
    }

    /// Adds a flag of the command line.
    pub(crate) fn add_flag(&mut self, key: &'static str, value: Option<String>) {
        if let Some(value) = value {
            self.values.insert(key, (value, Origin::Flag));
        }
    }

    /// Takes over what others say of one key.
    pub(crate) fn adopt(&mut self, key: &'static str, others: &Self) {
        match others.values.get(key) {
            Some(value) => drop(self.values.insert(key, value.clone())),
            None => drop(self.values.remove(key)),
        }
    }

    /// Whether both give a setting the same value, wherever it comes from.
    pub(crate) fn agree(&self, others: &Self, setting: &Setting) -> bool {
        let value = |layers: &Self| layers.value(setting).map(|(value, _)| value.trim().to_owned());
        value(self) == value(others)
    }

    /// The effective value of a setting and where it came from.
    pub(crate) fn value(&self, setting: &Setting) -> Option<(&str, Origin)> {
        self.values
            .get(setting.key)
            .map(|(value, origin)| (value.as_str(), *origin))
            .or_else(|| setting.default.map(|default| (default, Origin::Default)))
    }
}

/// `client.listen` as the variable spells it, without its prefix.
pub(super) fn variable_part(key: &str) -> String {
    key.replace(['.', '-'], "_").to_uppercase()
}

fn known(key: &str, place: &str) -> Result<&'static Setting, ConfigError> {
    SETTINGS.iter().find(|setting| setting.key == key).ok_or_else(|| ConfigError::UnknownKey {
        key: key.to_owned(),
        place: place.to_owned(),
        nearest: SETTINGS
            .iter()
            .min_by_key(|setting| strsim::damerau_levenshtein(setting.key, key))
            .map(|setting| setting.key),
    })
}

fn flatten(prefix: &str, table: &toml::Table, flat: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, flat),
            toml::Value::String(text) => flat.push((key, text.clone())),
            toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_) => flat.push((key, value.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen() -> &'static Setting {
        SETTINGS.iter().find(|setting| setting.key == "client.listen").unwrap()
    }

    #[test]
    fn a_flag_beats_the_environment_beats_the_file() {
        let mut layers = Layers::default();
        assert_eq!(layers.value(listen()).unwrap().1, Origin::Default);
        layers.add_file(Path::new("f"), "[client]\nlisten = \"127.0.0.1:1\"").unwrap();
        assert_eq!(layers.value(listen()), Some(("127.0.0.1:1", Origin::File)));
        layers.add_environment([("QPQ_CLIENT_LISTEN".to_owned(), "127.0.0.1:2".to_owned())]).unwrap();
        assert_eq!(layers.value(listen()), Some(("127.0.0.1:2", Origin::Environment)));
        layers.add_flag("client.listen", Some("127.0.0.1:3".to_owned()));
        assert_eq!(layers.value(listen()), Some(("127.0.0.1:3", Origin::Flag)));
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let error = Layers::default().add_file(Path::new("f"), "[client]\nlisen = \"x\"").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown key `client.lisen` in the configuration file, did you mean `client.listen`?"
        );
        let error =
            Layers::default().add_environment([("QPQ_CLIENT_LISTN".to_owned(), String::new())]).unwrap_err();
        assert!(error.to_string().contains("did you mean `client.listen`?"), "{error}");
    }
}
