//! What a database is opened with.

use std::time::Duration;

use data_encoding::HEXLOWER;
use qpq_core::Secret;

/// The raw key that encrypts the file.
#[derive(Clone, Debug)]
pub struct DatabaseKey(Secret<[u8; 32]>);

impl DatabaseKey {
    /// Takes the key's 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// As `PRAGMA key` takes a raw key: no passphrase stretching, which would cost most of a second per connection.
    pub(crate) fn pragma(&self) -> String {
        format!("\"x'{}'\"", HEXLOWER.encode(self.0.expose()))
    }
}

/// When a commit waits for the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// A commit returns after its flush: what was committed survives a power cut.
    #[default]
    Full,
    /// Never: the last commits may be lost with the power. Only the durability test sets it, by hand, to see that
    /// it would notice.
    Off,
}

impl Synchronous {
    pub(crate) const fn pragma(self) -> &'static str {
        match self {
            Self::Full => "PRAGMA synchronous = FULL",
            Self::Off => "PRAGMA synchronous = OFF",
        }
    }
}

/// How the database is used; the default is what production uses.
#[derive(Clone, Debug)]
pub struct Options {
    /// When a commit waits for the disk.
    pub synchronous: Synchronous,
    /// How many connections read.
    pub readers: usize,
    /// How long one statement may compute. Jobs over whole tables have ten times as much.
    pub statement_deadline: Duration,
    /// How long a transaction waits for its turn.
    pub turn_deadline: Duration,
    /// The most pages (4 KiB) that the file may have; `None`: as many as fit. Commits beyond it are refused.
    pub most_pages: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Full,
            readers: 4,
            statement_deadline: Duration::from_secs(10),
            turn_deadline: Duration::from_secs(30),
            most_pages: None,
        }
    }
}
