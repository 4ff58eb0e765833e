//! The command line: verbs and flags, nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A homeserver appliance for end-to-end encrypted messaging.
#[derive(Debug, Parser)]
#[command(name = "qpq-server", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
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
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a new domain in the data directory.
    Init(Init),
    /// Run the homeserver until SIGTERM or SIGINT.
    Serve(Serve),
    /// Ask the running homeserver who it is.
    Info,
    /// Two domains, three users, one conversation, on this machine.
    Demo(Demo),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Registration tokens.
    #[command(subcommand)]
    Token(TokenVerb),
    /// Accounts.
    #[command(subcommand)]
    User(UserVerb),
    /// Sessions of devices.
    #[command(subcommand)]
    Session(SessionVerb),
    /// Devices of accounts.
    #[command(subcommand)]
    Device(DeviceVerb),
    /// Other domains.
    #[command(subcommand)]
    Peer(PeerVerb),
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
}

/// Flags of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// End after the conversation instead of staying up.
    #[arg(long)]
    pub(crate) exit: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Say whether the configuration can be used.
    Check,
    /// Print the effective values and where each came from.
    Show,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a registration token; its secret is printed once.
    Create {
        /// How many accounts it may make.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        uses: Option<u32>,
        /// When it ends: 30m, 12h, 7d.
        #[arg(long, value_name = "SPAN")]
        expires: Option<String>,
    },
    /// All registration tokens, without their secrets.
    List,
    /// End a registration token.
    Revoke {
        /// Its id, tok_…
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserVerb {
    /// All accounts.
    List,
    /// One account with its devices.
    Show {
        /// user@domain
        address: String,
    },
    /// Delete an account with its devices and what waits for them.
    Delete {
        /// user@domain
        address: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionVerb {
    /// Sessions of one account or of all.
    List {
        /// user@domain
        address: Option<String>,
    },
    /// End a session at once; its device must log in again.
    Revoke {
        /// Its id, ses_…
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceVerb {
    /// Devices of one account or of all.
    List {
        /// user@domain
        address: Option<String>,
    },
    /// End a device for good.
    Revoke {
        /// Its id, dev_…
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PeerVerb {
    /// Print a token that makes another domain our peer, once.
    Invite {
        /// The domain it is for.
        #[arg(required_unless_present = "any", conflicts_with = "any")]
        domain: Option<String>,
        /// For any domain; you confirm its fingerprint afterwards with `peer accept DOMAIN`.
        #[arg(long)]
        any: bool,
        /// When it ends: 30m, 1h, 7d.
        #[arg(long, value_name = "SPAN", default_value = "1h")]
        expires: String,
    },
    /// Finish a peering with the other domain's token, or confirm a domain that used an unbound invite.
    Accept {
        /// The token, or the waiting domain.
        token: String,
    },
    /// All peers.
    List,
    /// One peer, with its link and its queue.
    Show {
        /// The domain.
        domain: String,
    },
    /// End a peering; rows that wait for it are dropped.
    Remove {
        /// The domain.
        domain: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
