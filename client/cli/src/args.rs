//! The command line of `qpq`: verbs and flags, nothing that acts.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use qpq_client::{Server, ServerAddress, Suite, Trust};
use qpq_core::{Address, DeviceId, MessageId, Pin};

/// Sends and receives end-to-end encrypted messages.
#[derive(Debug, Parser)]
#[command(name = "qpq", version, about, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// The directory of one account on this machine; made at `register` and `login`.
    #[arg(long, value_name = "DIR", env = "QPQ_HOME", global = true)]
    home: Option<PathBuf>,
    /// A file with the passphrase of the local store; else the file that `QPQ_PASSPHRASE_FILE` names, else a prompt.
    #[arg(long, value_name = "FILE", global = true)]
    passphrase_file: Option<PathBuf>,
    /// Print JSON: one object, or one object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl Arguments {
    /// The command line; what clap can't check itself (it can't require a global argument) is checked here.
    pub(crate) fn read() -> Self {
        let arguments = Self::parse();
        if arguments.home.is_none() && matches!(arguments.verb, Verb::Home(_)) {
            let text = "which account? Give its directory with --home DIR";
            Self::command().error(clap::error::ErrorKind::MissingRequiredArgument, text).exit();
        }
        arguments
    }

    /// The passphrase's file; an empty variable is as good as none.
    pub(crate) fn passphrase_file(&self) -> Option<PathBuf> {
        let named =
            || std::env::var_os("QPQ_PASSPHRASE_FILE").filter(|name| !name.is_empty()).map(PathBuf::from);
        self.passphrase_file.clone().or_else(named)
    }

    /// The home directory.
    pub(crate) fn home(&self) -> PathBuf {
        self.home.clone().unwrap_or_default()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    #[command(flatten)]
    Home(HomeVerb),
    /// Check a file that `proof` wrote; needs no account and no network.
    VerifyProof {
        /// The file.
        file: PathBuf,
    },
}

/// What is done with one account's home.
#[derive(Debug, Subcommand)]
pub(crate) enum HomeVerb {
    /// Make an account and log this device in.
    Register {
        #[command(flatten)]
        account: AccountArguments,
        /// The registration token that the domain's admin gave you.
        #[arg(long, value_name = "TOKEN")]
        registration_token: Option<String>,
    },
    /// Log in with an existing account: this device again, or a new one.
    Login {
        #[command(flatten)]
        account: AccountArguments,
    },
    /// Show the account and device of this home.
    Whoami,
    /// List the account's devices, or end one.
    Devices {
        #[command(subcommand)]
        verb: DevicesVerb,
    },
    /// Compare and accept the identity keys of others.
    Keys {
        #[command(subcommand)]
        verb: KeysVerb,
    },
    /// See and answer users of other domains who ask to be accepted.
    Requests {
        #[command(subcommand)]
        verb: RequestsVerb,
    },
    /// Send a text to a user or a group.
    Send {
        /// An address, a group's name or a group's id.
        target: String,
        /// The text.
        text: String,
    },
    /// Print the messages that have come; each once.
    Recv {
        /// How long to wait for the first message.
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        wait: u64,
        /// Stop after this many messages; with --wait, wait until they are there.
        #[arg(long, value_name = "N")]
        max: Option<usize>,
    },
    /// Write what is proven of a message that this device has sent into a file, for anybody to check.
    Proof {
        /// The message's id (msg_…), as `send` prints it.
        message: MessageId,
        /// The file to write.
        file: PathBuf,
    },
    /// Make groups and add members.
    Group {
        #[command(subcommand)]
        verb: GroupVerb,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AccountArguments {
    /// The account's address: user@domain.
    pub(crate) address: Address,
    /// Where the homeserver listens.
    #[arg(long, value_name = "HOST:PORT")]
    server: ServerAddress,
    #[command(flatten)]
    trust: TrustArguments,
    /// A file with the account's password.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: PathBuf,
    /// The cipher suite of this device's groups.
    #[arg(long, value_enum, default_value_t = SuiteArgument::PostQuantum)]
    pub(crate) suite: SuiteArgument,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TrustArguments {
    /// The homeserver's pin, as `qpq-server info` prints it.
    // One pin in 64 begins with a hyphen: base64url has it.
    #[arg(long, allow_hyphen_values = true)]
    pin: Option<Pin>,
    /// A file with the certificates of CAs to trust, in PEM form.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl AccountArguments {
    /// The homeserver; reads the CA file.
    pub(crate) fn server(&self) -> anyhow::Result<Server> {
        let trust = match (&self.trust.pin, &self.trust.ca) {
            (Some(pin), _) => Trust::Pin(*pin),
            (None, Some(path)) => Trust::Authorities(crate::secrets::read_text(path, "the CA file")?),
            (None, None) => anyhow::bail!("how to know the homeserver? Give --pin PIN or --ca FILE"),
        };
        Ok(Server { address: self.server.clone(), trust })
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SuiteArgument {
    /// X-Wing: ML-KEM-768 together with X25519.
    PostQuantum,
    /// X25519 alone.
    Classical,
}

impl From<SuiteArgument> for Suite {
    fn from(argument: SuiteArgument) -> Self {
        match argument {
            SuiteArgument::PostQuantum => Self::PostQuantum,
            SuiteArgument::Classical => Self::Classical,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DevicesVerb {
    /// List the account's devices.
    List,
    /// End a device: its sessions, its KeyPackages, its place in the directory.
    Revoke {
        /// The device's id (dev_…), as `devices list` shows it.
        id: DeviceId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysVerb {
    /// Show the identity key seen first, and the one shown now.
    Show {
        /// Whose.
        address: Address,
    },
    /// Show the safety number of your account and another, and what the log proves of their keys.
    ///
    /// Both of you see the same 60 digits. Compare them by a way that nobody else controls: read them to each other, or hold the
    /// screens side by side. If they are the same, each has the other's true identity key; a new key is a new number. Of a
    /// changed key, the number is the new key's: compare first, then `qpq keys accept`.
    Verify {
        /// Whose.
        address: Address,
    },
    /// Write what the log proves of somebody's present keys into a file, for others to check without a network.
    ///
    /// The file is a C2SP tlog-proof. Whoever has the log's key (from the domain, `key` in `qpq-server log status`) can show with
    /// it that the log had exactly this version at this place, and that its checkpoint is part of the log that the domain
    /// publishes now: `qpq-server log audit`, witnesses and other readers see the same tree. Its extra data holds the entry and
    /// opens it: address, identity key and devices are readable for whoever has the file.
    ExportProof {
        /// Whose.
        address: Address,
        /// The file to write; else it is printed.
        file: Option<PathBuf>,
    },
    /// Show the versions of your own keys that your domain has logged.
    History,
    /// Give your account another identity key, signed by the present one. Your other devices log in again.
    Rotate {
        /// A file with the account's password.
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
    },
    /// Give your account another identity key without the present one: announced first, made by the same command a day later.
    Reset {
        /// A file with the account's password.
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
    },
    /// Say no to a reset that was announced for your account.
    CancelReset,
    /// Take your identity key back, if somebody else may have it: nothing is sent to you or by you until a reset.
    Revoke {
        /// Do it: it can't be taken back.
        #[arg(long)]
        yes: bool,
    },
    /// Accept the identity key shown now, after comparing it with its owner.
    Accept {
        /// Whose.
        address: Address,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RequestsVerb {
    /// List who asks.
    List,
    /// Accept somebody: they see your keys, write to you and add you to groups.
    Accept {
        /// Whom.
        address: Address,
    },
    /// Decline somebody, or take an acceptance back. They are not told.
    Decline {
        /// Whom.
        address: Address,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupVerb {
    /// Make a group.
    Create {
        /// Its name, which only members see.
        name: String,
    },
    /// Add users with all their devices.
    Add {
        /// The group's name or id.
        group: String,
        /// Whom to add.
        #[arg(required = true, value_name = "USER")]
        users: Vec<Address>,
    },
    /// List the groups of this home.
    List,
    /// Show a group and its members.
    Show {
        /// The group's name or id.
        group: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_usage_of_the_contract_is_understood() {
        let pin = Pin::of_spki(b"key").to_string();
        let register = format!(
            "qpq --home h --passphrase-file f register alice@alpha.test --server 127.0.0.1:7443 --pin {pin} \
             --password-file p --registration-token t"
        );
        for line in [
            register.as_str(),
            "qpq --home h login alice@alpha.test --server h.example:1 --ca f --password-file p",
            "qpq --home h whoami --json",
            "qpq --home h devices list",
            "qpq --home h keys show bob@beta.test",
            "qpq --home h keys accept bob@beta.test",
            "qpq --home h keys revoke --yes",
            "qpq --home h requests list --json",
            "qpq --home h requests accept bob@beta.test",
            "qpq --home h requests decline bob@beta.test",
            "qpq --home h send bob@beta.test hello --json",
            "qpq --home h recv --wait 5 --max 3 --json",
            "qpq --home h proof msg_00112233445566778899aabbccddeeff proof.json",
            "qpq verify-proof proof.json --json",
            "qpq --home h group create team",
            "qpq --home h group add team bob@beta.test carol@beta.test",
            "qpq --home h group list",
            "qpq --home h group show team",
        ] {
            Arguments::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn a_pin_may_begin_with_a_hyphen() {
        let line = "qpq --home h login a@b.test --server h:1 --password-file p --pin -wu5LgzfJFL-PG2tDkIBbZQ2KxVqrmS2hVi1eAG6xcQ";
        Arguments::try_parse_from(line.split(' ')).unwrap();
    }

    #[test]
    fn pin_and_ca_exclude_each_other() {
        let line = "qpq --home h login a@b.test --server h:1 --password-file p";
        assert!(Arguments::try_parse_from(line.split(' ')).is_err());
    }
}
