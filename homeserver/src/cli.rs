//! The command line: verbs and flags, nothing else.
//!
//! The verbs here act on files or processes of this machine. Those that act on the running homeserver are generated from
//! the list of actions (`verbs.rs`); where both have the same name, the one here wins.

use std::{path::PathBuf, str::FromStr as _};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use qpq_transparency_tree::{
    VerifierKey,
    key::{Algorithm, KeyError},
};
use serde_json::Value;

use crate::{log_audit::LogPlace, verbs};

/// A homeserver appliance for end-to-end encrypted messaging.
#[derive(Debug, Parser)]
#[command(name = "qpq-server", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags of every verb.
#[derive(Debug, Args)]
pub(crate) struct Globals {
    /// Where everything of this domain lives.
    #[arg(
        long,
        global = true,
        env = "QPQ_DATA_DIR",
        default_value = "/var/lib/quicproquo",
        value_name = "DIR"
    )]
    pub(crate) data_dir: PathBuf,
    /// Print results as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Order {
    /// Something on this machine.
    Local(Verb),
    /// An action of the running homeserver: its verb and its arguments.
    Action(&'static str, Value),
}

/// Reads the command line; ends the process with usage and exit code 2 if it can't be understood, or with the help that
/// was asked for.
pub(crate) fn read() -> (Globals, Order) {
    let local = Cli::command();
    let matches = verbs::with_actions(local.clone()).get_matches();
    let read = Globals::from_arg_matches(&matches).and_then(|globals| {
        let order = match verbs::action(&local, &matches) {
            Some((verb, arguments)) => Order::Action(verb, arguments),
            None => Order::Local(Cli::from_arg_matches(&matches)?.verb),
        };
        Ok((globals, order))
    });
    read.unwrap_or_else(|error| error.exit())
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a new domain in the data directory.
    Init(Init),
    /// Run the homeserver until SIGTERM or SIGINT.
    Serve(Serve),
    /// Two domains, three users, one conversation, on this machine.
    Demo(Demo),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Act on a database that is older than what was sent from it.
    #[command(subcommand)]
    Incarnation(IncarnationVerb),
    /// The key-transparency log.
    #[command(subcommand)]
    Log(LogVerb),
    /// Ask the running homeserver whether it is ready: exit 0 or 1, for containers and supervisors.
    Healthcheck,
}

/// Flags of `init`; each is written into the configuration file.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The domain that its users' addresses end with; it can't be changed later.
    #[arg(long, value_name = "NAME")]
    pub(crate) domain: String,
    /// UDP address for clients.
    #[arg(long, value_name = "ADDR")]
    pub(crate) client_listen: Option<String>,
    /// UDP address for peers.
    #[arg(long, value_name = "ADDR")]
    pub(crate) federation_listen: Option<String>,
    /// What clients dial, if it is not the listen address.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) client_address: Option<String>,
    /// What peers dial, if it is not the listen address.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) federation_address: Option<String>,
    /// TCP address of console, health and metrics.
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin_listen: Option<String>,
    /// TCP address of what everybody may read; off if left out.
    #[arg(long, value_name = "ADDR")]
    pub(crate) public_listen: Option<String>,
}

/// Flags of `serve`; they beat environment and file.
#[derive(Debug, Default, Args)]
pub(crate) struct Serve {
    /// UDP address for clients.
    #[arg(long, value_name = "ADDR")]
    pub(crate) client_listen: Option<String>,
    /// UDP address for peers.
    #[arg(long, value_name = "ADDR")]
    pub(crate) federation_listen: Option<String>,
    /// What clients dial, if it is not the listen address.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) client_address: Option<String>,
    /// What peers dial, if it is not the listen address.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) federation_address: Option<String>,
    /// TCP address of console, health and metrics.
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin_listen: Option<String>,
    /// TCP address of what everybody may read; off if left out.
    #[arg(long, value_name = "ADDR")]
    pub(crate) public_listen: Option<String>,
}

/// Flags of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// End after the conversation instead of staying up.
    #[arg(long)]
    pub(crate) exit: bool,
    /// How many domains there are; with four, each has three witnesses.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=4))]
    pub(crate) domains: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IncarnationVerb {
    /// Let this database go on as a new life, after a peer has shown that it is older than what was sent from it. Only if no
    /// other copy of it runs.
    Begin(BeginIncarnation),
}

/// Flags of `incarnation begin`.
#[derive(Debug, Args)]
pub(crate) struct BeginIncarnation {
    /// The domain, typed to confirm.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) confirm: String,
    /// What happened; it goes into the audit log.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogVerb {
    /// Read the whole log that a domain publishes, as any outsider can, and check it.
    ///
    /// Needs no homeserver and no data directory. Checked are the signature, if the log's key is given, that each label's
    /// versions follow each other, that times don't run back, and that entries, tiles and signed root are one tree. Exit code
    /// 3: the log is not what it signed. Cosignatures are listed and not checked: no tile holds the witnesses' keys.
    Audit(LogAudit),
}

/// Flags of `log audit`.
#[derive(Debug, Args)]
pub(crate) struct LogAudit {
    /// Where the log is: the place below which `checkpoint` and `tile/` lie, such as `https://alpha.example/kt/v1`.
    #[arg(value_name = "URL", value_parser = LogPlace::from_str)]
    pub(crate) url: LogPlace,
    /// The log's key as its domain gives it (`key` in `qpq-server log status`); without it whoever signed is believed.
    #[arg(long, value_name = "VKEY", value_parser = log_key)]
    pub(crate) key: Option<VerifierKey>,
}

fn log_key(text: &str) -> Result<VerifierKey, String> {
    let key: VerifierKey = text.parse().map_err(|error: KeyError| error.to_string())?;
    match key.algorithm() {
        Algorithm::Ed25519 => Ok(key),
        Algorithm::CosignatureV1 => Err("this is a witness's key: give the log's own".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Say whether the configuration can be used.
    Check,
    /// Print the effective values and where each came from.
    Show,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        verbs::with_actions(Cli::command()).debug_assert();
    }

    fn action(line: &str) -> Option<(&'static str, Value)> {
        let local = Cli::command();
        let words = std::iter::once("qpq-server").chain(line.split(' '));
        let matches = verbs::with_actions(local.clone()).try_get_matches_from(words).unwrap();
        verbs::action(&local, &matches)
    }

    fn refused(line: &str) -> String {
        let words = std::iter::once("qpq-server").chain(line.split(' '));
        verbs::with_actions(Cli::command()).try_get_matches_from(words).unwrap_err().to_string()
    }

    #[test]
    fn lines_become_actions() {
        for (line, verb, arguments) in [
            ("info --json", "info", json!({})),
            (
                "token create --uses 3 --expires 7d",
                "token.create",
                json!({"uses": 3, "expires_ms": 604_800_000}),
            ),
            ("token create", "token.create", json!({})),
            ("session list", "session.list", json!({})),
            ("session list a@b.test", "session.list", json!({"address": "a@b.test"})),
            ("--json peer invite b.test", "peer.invite", json!({"domain": "b.test"})),
            ("peer invite --any --expires 2h", "peer.invite", json!({"any": true, "expires_ms": 7_200_000})),
            (
                "peer address b.test b.example:7444",
                "peer.address",
                json!({"domain": "b.test", "address": "b.example:7444"}),
            ),
            ("peer address b.test --discover", "peer.address", json!({"domain": "b.test", "discover": true})),
            ("peer accept b.test", "peer.confirm", json!({"domain": "b.test"})),
            ("peer accept qpqinvite1.x", "peer.accept", json!({"token": "qpqinvite1.x"})),
            (
                "user ban a@b.test c@b.test --reason spam --expires 90s",
                "user.ban",
                json!({"addresses": ["a@b.test", "c@b.test"], "reason": "spam", "expires_ms": 90_000}),
            ),
        ] {
            assert_eq!(action(line), Some((verb, arguments)), "{line}");
        }
        for local in
            ["log audit http://a.test/kt/v1", "config show", "config check", "serve", "init --domain a.test"]
        {
            assert_eq!(action(local), None, "{local}");
        }
    }

    #[test]
    fn what_can_not_be_meant_is_refused_with_its_name() {
        assert!(refused("token create --uses 0").contains("--uses"));
        assert!(refused("token create --expires soon").contains("7d"));
        assert!(refused("peer invite").contains("DOMAIN"));
        assert!(refused("peer invite b.test --any").contains("--any"));
        assert!(refused("peer address b.test").contains("ADDRESS"));
        assert!(refused("peer address b.test c.test:1 --discover").contains("--discover"));
        assert!(refused("user ban a@b.test").contains("--reason"));
        assert!(refused("log audit ftp://a.test/kt/v1").contains("http"));
        assert!(refused("log audit http://a.test/kt/v1 --key a+b").contains("--key"));
        assert!(refused("dance").contains("dance"));
    }
}
