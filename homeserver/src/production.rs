//! Production mode: what must not be there when an organisation depends on the homeserver. `serve` refuses to start and
//! `config check` says the same without starting; both list every violation with its remedy.
//!
//! The rules are a pure function over [`Facts`]. Rules about backups and about admins' second factors come with those.

use std::{collections::BTreeSet, fmt, net::SocketAddr, path::PathBuf};

use qpq_core::Timestamp;
use qpq_service::{RegistrationPolicy, Settings};
use qpq_transport::{CertificateAuthority, Identity};

use crate::{config::Config, data_dir::DataDir, environment::Environment, keys, machine::KEYS};

/// A key with fewer different bytes was not drawn: of 32 random bytes about 30 differ.
const DIFFERENT_BYTES: usize = 16;

/// Something that production must not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// What is there.
    pub(crate) what: String,
    /// What to do.
    pub(crate) remedy: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.rule, self.what, self.remedy)
    }
}

/// Why the homeserver does not start in production mode; exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("production mode refuses to start:{}", list(.0))]
pub(crate) struct Refused(pub(crate) Vec<Violation>);

fn list(violations: &[Violation]) -> String {
    violations.iter().fold(String::new(), |text, violation| text + "\n  - " + &violation.to_string())
}

/// What the rules look at.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Where the database key lies.
    pub(crate) database_key: PathBuf,
    /// The key, or why there is none.
    pub(crate) key: Result<[u8; 32], String>,
    /// Whether it lies in the data directory.
    pub(crate) inside: bool,
    /// Key files that are not there.
    pub(crate) missing: Vec<&'static str>,
    /// From when until when leaf and authority count; `None` if they can't be read.
    pub(crate) certificate: Option<(Timestamp, Timestamp)>,
    /// Whether the authority that clients and peers pin has issued that certificate; `None` if that can't be told.
    pub(crate) explained: Option<bool>,
    /// Where the console listens, if that is configured.
    pub(crate) admin_listen: Option<SocketAddr>,
    /// Who may register.
    pub(crate) registration: RegistrationPolicy,
    /// How many attempts one network may begin at once.
    pub(crate) attempts: u32,
    /// The time.
    pub(crate) now: Timestamp,
}

impl Facts {
    /// Looks at files and configuration; starts and changes nothing.
    pub(crate) fn gather(
        directory: &DataDir,
        config: &Config,
        environment: &Environment,
        now: Timestamp,
    ) -> Self {
        let database_key = keys::database_key_path(
            directory,
            environment.database_key_file.as_deref(),
            environment.credentials.as_deref(),
        );
        let leaf = || {
            let certificates = std::fs::read_to_string(directory.key("tls.crt")).ok()?;
            let key = qpq_core::Secret::new(std::fs::read_to_string(directory.key("tls.key")).ok()?);
            Identity::from_pem(&certificates, &key).ok()
        };
        let authority = || {
            let certificate = std::fs::read_to_string(directory.key("ca.crt")).ok()?;
            let key = qpq_core::Secret::new(std::fs::read_to_string(directory.key("ca.key")).ok()?);
            Some(CertificateAuthority::from_pem(&certificate, &key).ok()?.pin())
        };
        let leaf = leaf();
        let explained =
            leaf.as_ref().and_then(|leaf| authority().map(|pin| pin == leaf.certificate().ca_pin));
        Self {
            key: keys::database_key_bytes(&database_key).map_err(|error| error.to_string()),
            inside: database_key.starts_with(directory.root()),
            database_key,
            missing: KEYS.into_iter().filter(|name| !directory.key(name).exists()).collect(),
            explained,
            certificate: leaf.map(|leaf| (leaf.certificate().not_before, leaf.certificate().not_after)),
            admin_listen: config.admin_listen,
            registration: config.settings.registration,
            attempts: config.settings.attempts_per_network.burst,
            now,
        }
    }

    /// Every violation.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut wants = |holds: bool, rule: &'static str, what: String, remedy: &str| {
            if !holds {
                found.push(Violation { rule, what, remedy: remedy.to_owned() });
            }
        };
        let path = self.database_key.display();
        match &self.key {
            Err(why) => wants(
                false,
                "database-key-missing",
                why.clone(),
                "name a file with 64 hexadecimal digits in QPQ_DATABASE_KEY_FILE, or give the systemd credential `database-key`",
            ),
            Ok(key) => wants(
                key.iter().collect::<BTreeSet<_>>().len() >= DIFFERENT_BYTES,
                "database-key-weak",
                format!("the key in `{path}` was not drawn at random"),
                "make a domain with a key from a random source: `od -An -vtx1 -N32 /dev/urandom | tr -d ' \\n'`",
            ),
        }
        wants(
            !self.inside,
            "database-key-inside",
            format!("`{path}` lies in the data directory, so whoever copies one has the other"),
            "move it elsewhere and name it in QPQ_DATABASE_KEY_FILE, or give it as the systemd credential `database-key`",
        );
        wants(
            self.missing.is_empty(),
            "keys-missing",
            format!("`keys/` lacks {}, which would have to be generated", self.missing.join(", ")),
            "restore them: clients and peers know this domain by them",
        );
        if let Some((from, until)) = self.certificate {
            wants(
                self.now < until,
                "certificate-expired",
                format!("the certificate of the listeners ended at {until}"),
                "check the clock; if it is right, start once with `production` off, which issues a new one",
            );
            wants(
                from <= self.now,
                "certificate-not-yet-valid",
                format!("the certificate of the listeners begins at {from}"),
                "set the clock right",
            );
        } else if self.missing.is_empty() {
            wants(
                false,
                "certificate-unreadable",
                "the certificate of the listeners can't be read".to_owned(),
                "restore `keys/tls.crt` and `keys/tls.key`",
            );
        }
        wants(
            self.explained != Some(false),
            "certificate-unexplained",
            "the certificate of the listeners was not issued by the authority in `keys/ca.crt`, which others pin".to_owned(),
            "restore `keys/tls.crt` and `keys/tls.key`, or the authority that issued them",
        );
        wants(
            self.admin_listen.is_none_or(|address| address.ip().is_loopback()),
            "console-without-tls",
            format!("`admin.listen` is {}, which others reach without TLS", shown(self.admin_listen)),
            "listen on 127.0.0.1 and reach it through a tunnel, or through a proxy on this machine that ends TLS",
        );
        wants(
            self.registration == RegistrationPolicy::Token
                || self.attempts <= Settings::default().attempts_per_network.burst,
            "registration-open",
            format!("`registration.policy` is open, and `limits.attempts-burst` is {}", self.attempts),
            "let people in by token, or lower the limit to 120",
        );
        found
    }
}

fn shown(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "the default".to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Facts {
        let mut key = [0; 32];
        for (byte, value) in key.iter_mut().zip(1..) {
            *byte = value;
        }
        Facts {
            database_key: PathBuf::from("/etc/quicproquo/database-key"),
            key: Ok(key),
            inside: false,
            missing: Vec::new(),
            certificate: Some((Timestamp::from_millis(10), Timestamp::from_millis(1_000))),
            explained: Some(true),
            admin_listen: None,
            registration: RegistrationPolicy::Token,
            attempts: 120,
            now: Timestamp::from_millis(100),
        }
    }

    #[test]
    fn what_is_sound_has_no_violation() {
        assert_eq!(sound().violations(), []);
        assert_eq!(Facts { admin_listen: Some("[::1]:7445".parse().unwrap()), ..sound() }.violations(), []);
        assert_eq!(Facts { registration: RegistrationPolicy::Open, ..sound() }.violations(), []);
    }

    #[test]
    fn every_rule_is_named_when_it_alone_is_broken() {
        let open = RegistrationPolicy::Open;
        for (rule, facts) in [
            ("database-key-missing", Facts { key: Err("no such file".to_owned()), ..sound() }),
            ("database-key-weak", Facts { key: Ok([7; 32]), ..sound() }),
            ("database-key-inside", Facts { inside: true, ..sound() }),
            ("keys-missing", Facts { missing: vec!["tls.key"], certificate: None, ..sound() }),
            ("certificate-unreadable", Facts { certificate: None, ..sound() }),
            ("certificate-expired", Facts { now: Timestamp::from_millis(1_000), ..sound() }),
            ("certificate-not-yet-valid", Facts { now: Timestamp::from_millis(9), ..sound() }),
            ("certificate-unexplained", Facts { explained: Some(false), ..sound() }),
            ("console-without-tls", Facts { admin_listen: Some("0.0.0.0:7445".parse().unwrap()), ..sound() }),
            ("registration-open", Facts { registration: open, attempts: 100_000, ..sound() }),
        ] {
            let rules: Vec<&str> = facts.violations().iter().map(|violation| violation.rule).collect();
            assert_eq!(rules, [rule]);
            assert!(facts.violations().iter().all(|violation| !violation.remedy.is_empty()));
        }
    }

    #[test]
    fn all_violations_are_listed_together() {
        let facts = Facts { key: Ok([0; 32]), inside: true, now: Timestamp::from_millis(5_000), ..sound() };
        let text = Refused(facts.violations()).to_string();
        assert_eq!(text.matches("\n  - ").count(), 3, "{text}");
    }
}
