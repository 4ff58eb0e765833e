//! The table of settings, and the typed configuration that is parsed from their values.

mod peers;

use std::net::{IpAddr, SocketAddr};

use qpq_core::{Domain, Millis, limits};
use qpq_delivery::rates::Rate;
use qpq_federation::DiscoverySettings;
use qpq_federation_proto::DirectoryPolicy;
use qpq_service::{RegistrationPolicy, Settings};

use super::{ConfigError, Layers, Origin, layers::variable_part};
use crate::logging;
pub(crate) use peers::Told;

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its dotted key.
    pub(crate) key: &'static str,
    /// Its value when nobody sets it.
    pub(crate) default: Option<&'static str>,
    /// What it does.
    pub(crate) about: &'static str,
}

impl Setting {
    /// The environment variable that sets it.
    pub(crate) fn variable(&self) -> String {
        format!("QPQ_{}", variable_part(self.key))
    }
}

/// Every setting.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting { key: "domain", default: None, about: "the domain; chosen at init, must match the database" },
    Setting { key: "client.listen", default: Some("127.0.0.1:7443"), about: "UDP address for clients" },
    Setting {
        key: "client.address",
        default: Some(""),
        about: "HOST:PORT that clients dial; empty: client.listen",
    },
    Setting { key: "federation.listen", default: Some("127.0.0.1:7444"), about: "UDP address for peers" },
    Setting {
        key: "federation.address",
        default: Some(""),
        about: "HOST:PORT that peers dial; dns: invites carry none, and peers ask DNS; empty: federation.listen",
    },
    Setting {
        key: "federation.dns",
        default: Some(""),
        about: "name servers for finding peers, as IP or IP:PORT with commas between; empty: those of this machine",
    },
    Setting {
        key: "federation.dnssec",
        default: Some("validate"),
        about: "validate: an answer that should be signed and isn't is not used; off: name servers are believed",
    },
    Setting {
        key: "federation.dns-anchors",
        default: Some(""),
        about: "file of DNSKEY records that are believed instead of the root's, for names of one's own",
    },
    Setting {
        key: "federation.allow-private",
        default: Some("false"),
        about: "true: DNS may lead to peers in private networks; an address in a peer's record always may",
    },
    Setting {
        key: "federation.policy",
        default: Some("allow-listed"),
        about: "allow-listed: peers only; closed: no federation",
    },
    Setting {
        key: "federation.directory",
        default: Some("peers"),
        about: "who sees our users unasked: peers; consent: nobody elsewhere; open: all who are let in, existence is public",
    },
    Setting {
        key: "admin.listen",
        default: Some(""),
        about: "TCP address of console, health and metrics; empty: 127.0.0.1:7445 and ::1, or a free port",
    },
    Setting {
        key: "admin.name",
        default: Some(""),
        about: "host name by which the admin listener is also called, behind a proxy that ends TLS",
    },
    Setting {
        key: "public.listen",
        default: Some(""),
        about: "TCP address of what everybody may read; empty: off",
    },
    Setting {
        key: "production",
        default: Some("false"),
        about: "true: refuse to start with anything that production must not have",
    },
    Setting {
        key: "drain.notice",
        default: Some("0s"),
        about: "how long `/readyz` says draining before clients are sent away; a load balancer's probe interval",
    },
    Setting {
        key: "drain.deadline",
        default: Some("30s"),
        about: "how long calls in flight may take when the homeserver stops",
    },
    Setting { key: "registration.policy", default: Some("token"), about: "token or open" },
    Setting {
        key: "limits.mailbox-messages",
        default: Some("1000"),
        about: "undelivered application messages per device",
    },
    Setting {
        key: "limits.mailbox-bytes",
        default: Some("67108864"),
        about: "bytes of undelivered application messages per device",
    },
    Setting {
        key: "limits.mailbox-age",
        default: Some("30d"),
        about: "how long a device may leave a group of more than two accounts unread before it is cut off",
    },
    Setting { key: "limits.submits-per-minute", default: Some("100"), about: "submits per user and minute" },
    Setting {
        key: "limits.message-ttl",
        default: Some("30d"),
        about: "how long an undelivered message lives",
    },
    Setting {
        key: "limits.peer-queue-bytes",
        default: Some("1073741824"),
        about: "bytes that wait for one peer at most; beyond it senders are refused, or the peer's devices left behind",
    },
    Setting {
        key: "limits.peer-queue-age",
        default: Some("30d"),
        about: "how long a commit or Welcome waits for a peer before its devices are left behind in the group",
    },
    Setting {
        key: "limits.resumption-lifetime",
        default: Some("30d"),
        about: "how long a login can be resumed",
    },
    Setting { key: "limits.session-lifetime", default: Some("24h"), about: "how long a session lives" },
    Setting { key: "limits.claim-burst", default: Some("6"), about: "KeyPackage claims at once per target" },
    Setting { key: "limits.claim-interval", default: Some("10m"), about: "then one more claim in this time" },
    Setting {
        key: "limits.attempts-burst",
        default: Some("120"),
        about: "registrations and logins at once from one network; then two a second",
    },
    Setting { key: "limits.connections", default: Some("20000"), about: "client connections at once" },
    Setting {
        key: "network.gso",
        default: Some("true"),
        about: "segmentation offload; false for broken network cards",
    },
    Setting { key: "log.format", default: Some("text"), about: "text or json" },
    Setting {
        key: "log.filter",
        default: Some("info"),
        about: "what is logged, as tracing's EnvFilter reads it",
    },
];

/// Who may federate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FederationPolicy {
    /// Peers only.
    AllowListed,
    /// Nobody.
    Closed,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The configuration, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The domain.
    pub(crate) domain: Domain,
    /// Where clients' datagrams arrive.
    pub(crate) client_listen: SocketAddr,
    /// What clients dial; `None`: the listen address.
    pub(crate) client_address: Option<String>,
    /// Where peers' datagrams arrive.
    pub(crate) federation_listen: SocketAddr,
    /// What peers dial.
    pub(crate) federation_address: Told,
    /// How peers are found.
    pub(crate) discovery: DiscoverySettings,
    /// Who may federate.
    pub(crate) federation_policy: FederationPolicy,
    /// Where the admin listener is; `None`: the default, or a free port.
    pub(crate) admin_listen: Option<SocketAddr>,
    /// Another host name of the admin listener.
    pub(crate) admin_name: Option<Domain>,
    /// Where the public listener is; `None`: nowhere.
    pub(crate) public_listen: Option<SocketAddr>,
    /// Whether the rules of production hold.
    pub(crate) production: bool,
    /// How long calls in flight may take when we stop.
    pub(crate) notice: Millis,
    pub(crate) drain: Millis,
    /// What the use cases obey.
    pub(crate) settings: Settings,
    /// Client connections at once.
    pub(crate) connections: usize,
    /// Segmentation offload.
    pub(crate) gso: bool,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// What is logged.
    pub(crate) log_filter: String,
}

impl Config {
    /// Parses every value; the first bad one is the error.
    pub(crate) fn parse(layers: &Layers) -> Result<Self, ConfigError> {
        let config = Self {
            domain: read(layers, "domain", |text| text.parse::<Domain>().map_err(|error| error.to_string()))?,
            client_listen: read(layers, "client.listen", socket)?,
            client_address: read(layers, "client.address", dialled)?,
            federation_listen: read(layers, "federation.listen", socket)?,
            federation_address: read(layers, "federation.address", peers::told)?,
            discovery: peers::discovery(layers)?,
            federation_policy: read(layers, "federation.policy", |text| match text {
                "allow-listed" => Ok(FederationPolicy::AllowListed),
                "closed" => Ok(FederationPolicy::Closed),
                _ => Err("give `allow-listed` or `closed`".to_owned()),
            })?,
            admin_listen: read(layers, "admin.listen", optional(socket))?,
            admin_name: read(
                layers,
                "admin.name",
                optional(|text| text.parse::<Domain>().map_err(|error| error.to_string())),
            )?,
            public_listen: read(layers, "public.listen", optional(socket))?,
            production: read(layers, "production", flag)?,
            notice: read(layers, "drain.notice", pause)?,
            drain: read(layers, "drain.deadline", span)?,
            settings: Settings {
                directory: read(layers, "federation.directory", |text| {
                    text.parse::<DirectoryPolicy>()
                        .map_err(|_| "give `peers`, `consent` or `open`".to_owned())
                })?,
                registration: read(layers, "registration.policy", |text| match text {
                    "token" => Ok(RegistrationPolicy::Token),
                    "open" => Ok(RegistrationPolicy::Open),
                    _ => Err("give `token` or `open`".to_owned()),
                })?,
                mailbox_messages: read(layers, "limits.mailbox-messages", number)?,
                mailbox_bytes: read(layers, "limits.mailbox-bytes", number)?,
                mailbox_age: read(layers, "limits.mailbox-age", span)?,
                submits_per_minute: read(layers, "limits.submits-per-minute", number)?,
                message_ttl: read(layers, "limits.message-ttl", span)?,
                peer_queue_bytes: read(layers, "limits.peer-queue-bytes", queue)?,
                peer_queue_age: read(layers, "limits.peer-queue-age", span)?,
                resumption_lifetime: read(layers, "limits.resumption-lifetime", span)?,
                session_lifetime: read(layers, "limits.session-lifetime", span)?,
                claim_burst: read(layers, "limits.claim-burst", number)?,
                claim_interval: read(layers, "limits.claim-interval", span)?,
                attempts_per_network: Rate {
                    burst: read(layers, "limits.attempts-burst", number)?,
                    ..Settings::default().attempts_per_network
                },
                ..Settings::default()
            },
            connections: read(layers, "limits.connections", number)?,
            gso: read(layers, "network.gso", flag)?,
            log_format: read(layers, "log.format", |text| match text {
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err("give `text` or `json`".to_owned()),
            })?,
            log_filter: read(layers, "log.filter", |text| logging::judge(text).map(|()| text.to_owned()))?,
        };
        config.dialable(layers)?;
        if config.public_listen.is_some() && config.public_listen == config.admin_listen {
            let wanted = "the console is already expected there (`admin.listen`): give another port";
            return Err(refused(layers, "public.listen", wanted.to_owned()));
        }
        if config.client_listen == config.federation_listen && config.client_listen.port() != 0 {
            let wanted = "clients are already expected there (`client.listen`): give another port";
            return Err(refused(layers, "federation.listen", wanted.to_owned()));
        }
        Ok(config)
    }

    /// Others can't dial 0.0.0.0: a listener on every interface needs an address to tell.
    fn dialable(&self, layers: &Layers) -> Result<(), ConfigError> {
        let (clients, peers) = (self.client_address.is_none(), self.federation_address == Told::Listen);
        for (listen, is_missing, key, flag) in [
            (self.client_listen, clients, "client.listen", "--client-address"),
            (self.federation_listen, peers, "federation.listen", "--federation-address"),
        ] {
            if listen.ip().is_unspecified() && is_missing {
                return Err(refused(
                    layers,
                    key,
                    format!(
                        "nobody can dial {listen}: also give {flag} HOST:PORT, the address that others reach it by"
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn refused(layers: &Layers, key: &'static str, wanted: String) -> ConfigError {
    let (value, origin) = SETTINGS
        .iter()
        .find(|setting| setting.key == key)
        .and_then(|setting| layers.value(setting))
        .map_or((String::new(), Origin::Default), |(value, origin)| (value.to_owned(), origin));
    ConfigError::Value { key, value, origin, wanted }
}

fn read<T>(
    layers: &Layers,
    key: &'static str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, ConfigError> {
    let missing = || ConfigError::Missing { key, variable: format!("QPQ_{}", variable_part(key)) };
    let setting = SETTINGS.iter().find(|setting| setting.key == key).ok_or_else(missing)?;
    let (value, _) = layers.value(setting).ok_or_else(missing)?;
    parse(value.trim()).map_err(|wanted| refused(layers, key, wanted))
}

/// An empty text is no value.
fn optional<T>(
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> impl FnOnce(&str) -> Result<Option<T>, String> {
    |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

/// A commit and its Welcome must fit into an empty queue.
fn queue(text: &str) -> Result<u64, String> {
    let least = 2 * u64::try_from(limits::HANDSHAKE_BYTES).unwrap_or(u64::MAX);
    let bytes = text.parse().ok().filter(|bytes| *bytes >= least);
    bytes.ok_or_else(|| format!("give a number of bytes, {least} or more: a commit and its Welcome must fit"))
}

fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "give `true` or `false`".to_owned())
}

fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "give IP:PORT, for example 127.0.0.1:7443 or [::]:7443".to_owned())
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "give a whole number".to_owned())
}

/// A span of time that may be none.
fn pause(text: &str) -> Result<Millis, String> {
    if text == "0s" { Ok(Millis(0)) } else { span(text) }
}

/// A span of time: a whole number and a unit, `s`, `m`, `h` or `d`.
pub(crate) fn span(text: &str) -> Result<Millis, String> {
    text.parse().map_err(|error: qpq_core::MillisError| error.to_string())
}

/// HOST:PORT that others dial; empty: none given.
pub(crate) fn dialled(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || format!("`{text}` is not HOST:PORT, for example qpq.alpha.example:7444");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => {
            return Err(format!("nobody can dial {ip}: give the address that others reach this machine by"));
        }
        Ok(_) => {}
        Err(_) if host.parse::<Domain>().is_ok() => {}
        Err(_) => return Err(wrong()),
    }
    if port == 0 { Err(wrong()) } else { Ok(Some(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    pub(super) fn parsed(text: &str) -> Result<Config, ConfigError> {
        let mut layers = Layers::default();
        layers.add_file(Path::new("f"), text)?;
        Config::parse(&layers)
    }

    #[test]
    fn the_least_file_is_a_domain() {
        let config = parsed("domain = \"alpha.test\"").unwrap();
        assert_eq!(config.client_listen.port(), 7443);
        assert_eq!(config.settings.mailbox_messages, 1_000);
        let defaults = (config.settings.mailbox_bytes, config.settings.mailbox_age);
        assert_eq!(defaults, (limits::MAILBOX_BYTES, limits::MAILBOX_AGE));
        assert_eq!(config.settings.message_ttl, Millis::from_days(30));
    }

    #[test]
    fn what_nobody_can_dial_is_refused_in_words() {
        let error = parsed("domain = \"a.test\"\n[client]\nlisten = \"0.0.0.0:1\"").unwrap_err().to_string();
        assert!(error.contains("--client-address HOST:PORT"), "{error}");
        let error = parsed("domain = \"a.test\"\n[client]\naddress = \"0.0.0.0:1\"").unwrap_err().to_string();
        assert!(error.contains("nobody can dial 0.0.0.0"), "{error}");
    }

    #[test]
    fn clients_and_peers_need_an_address_each() {
        let error =
            parsed("domain = \"a.test\"\n[federation]\nlisten = \"127.0.0.1:7443\"").unwrap_err().to_string();
        assert!(error.contains("`federation.listen`") && error.contains("another port"), "{error}");
    }

    #[test]
    fn bad_values_say_what_is_wanted() {
        for (text, wanted) in [
            ("domain = \"a b\"", "domain"),
            ("domain = \"a.test\"\n[limits]\nmessage-ttl = \"soon\"", "7d"),
            ("domain = \"a.test\"\n[registration]\npolicy = \"maybe\"", "`token` or `open`"),
            ("domain = \"a.test\"\n[client]\nlisten = \"localhost\"", "IP:PORT"),
            ("domain = \"a.test\"\n[log]\nfilter = \"qpq=loud\"", "try `info`"),
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        assert!(parsed("").is_err());
    }
}
