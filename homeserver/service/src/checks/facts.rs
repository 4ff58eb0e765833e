//! What the checks judge: plain values, so that a test can write down any state of a homeserver.

use qpq_core::{Domain, Timestamp};
use qpq_storage::JobRun;

use crate::PeerStanding;

/// Everything that is judged. What nobody could look at is absent, and is not judged.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The time.
    pub now: Timestamp,
    /// Whether a server runs.
    pub server: ServerFact,
    /// What only the machine knows.
    pub machine: MachineFacts,
    /// Whether the database is whole, as far as anybody looked.
    pub database: Option<DatabaseFact>,
    /// Why the store can't be read, if it can't.
    pub store: Option<String>,
    /// The peer that has shown that the database is older than what was sent from it.
    pub rolled_back_by: Option<Domain>,
    /// What is wrong with the key-transparency log, if anything is.
    pub log_damaged: Option<String>,
    /// How it stands with the witnesses of logs.
    pub witnessing: WitnessingFact,
    /// The peers.
    pub peers: Vec<PeerFact>,
    /// Messages that peers could not take.
    pub dead_letters: u64,
    /// The last run of each job.
    pub jobs: Vec<JobRun>,
}

/// How it stands with the witnesses of logs: ours, and those that we witness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WitnessingFact {
    /// Why our log is not signed, if it isn't.
    pub halted: Option<String>,
    /// Which named witnesses have not signed for a while, and why.
    pub silent: Vec<(String, String)>,
    /// Logs that show two histories, about which no admin has decided.
    pub two_histories: Vec<String>,
}

/// Whether a server runs on the data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServerFact {
    /// It does, and it is the one that looks.
    #[default]
    Running,
    /// None does.
    Stopped,
    /// One does, and does not answer.
    Silent(String),
}

/// What only the machine knows.
#[derive(Clone, Debug, Default)]
pub struct MachineFacts {
    /// Files that must be there and closed to others.
    pub files: Vec<FileFact>,
    /// The file system of the data directory.
    pub disk: Option<DiskFact>,
    /// The listeners.
    pub sockets: Vec<SocketFact>,
    /// The certificates that are shown to others.
    pub certificates: Vec<CertificateFact>,
    /// The configuration file against what runs.
    pub configuration: Option<ConfigurationFact>,
    /// How large the database is.
    pub database_bytes: Option<u64>,
    /// How large its write-ahead log is.
    pub log_bytes: Option<u64>,
    /// What could not be looked at in time, in words.
    pub unseen: Vec<String>,
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFact {
    /// Where.
    pub path: String,
    /// How it is.
    pub state: FileState,
}

/// How a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// As it should be.
    Fine,
    /// Not there.
    Missing,
    /// Others may open it.
    Loose {
        /// Its permissions.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// It belongs to another user.
    Foreign {
        /// Whose it is.
        owner: u32,
        /// Who we are.
        own: u32,
    },
    /// It does not hold what it should, or can't be read.
    Malformed(String),
}

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Free for us.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFact {
    /// What lies on it.
    pub path: String,
    /// In bytes.
    pub bytes: Room,
    /// In inodes; `None`: it has no fixed number.
    pub inodes: Option<Room>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketFact {
    /// Its setting: `client.listen`.
    pub setting: &'static str,
    /// Its address.
    pub address: String,
    /// How it is.
    pub state: SocketState,
}

/// How a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketState {
    /// Nobody holds the address.
    Free,
    /// It is bound, and the kernel grants it such buffers, in bytes.
    Granted(u64),
    /// The address can't be had.
    Taken(String),
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFact {
    /// What it is for.
    pub purpose: &'static str,
    /// From when until when it counts, or why it can't be read.
    pub validity: Result<(Timestamp, Timestamp), String>,
}

/// The configuration file against what runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigurationFact {
    /// Where it is.
    pub path: String,
    /// Why a start would refuse it.
    pub unusable: Option<String>,
    /// Keys that a reload would change.
    pub not_reloaded: Vec<&'static str>,
    /// Keys that a restart would change.
    pub takes_restart: Vec<&'static str>,
}

/// Whether the database is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseFact {
    /// What was found.
    pub integrity: Integrity,
    /// When somebody looked.
    pub at: Timestamp,
}

/// What a look at the whole database found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Nothing is damaged.
    Whole,
    /// This is.
    Damaged(Vec<String>),
    /// It can't be opened.
    Closed(String),
    /// Nobody could tell.
    Unknown(String),
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFact {
    /// Which.
    pub domain: Domain,
    /// Where it stands.
    pub standing: PeerStanding,
    /// What is wrong, in words.
    pub trouble: Option<String>,
    /// Rows that wait for it.
    pub queued: u64,
    /// How full its queue is, in percent.
    pub queue_percent: u64,
    /// How long the oldest of them has waited.
    pub oldest_ms: Option<u64>,
    /// How far its clock is ahead of ours; negative: behind.
    pub skew_ms: Option<i64>,
}
