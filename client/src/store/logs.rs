//! What is pinned of key-transparency logs: the logs, the accounts in them, and the account's own history.

use qpq_core::{Address, Digest, IdentityKey, Timestamp};
use qpq_transparency_tree::{
    KeyName, TreeHead,
    config::Config,
    entry::Entry,
    lookup::{KnownConfig, KnownLabel, PinnedLog},
    policy::Level,
    value::{Reason, SignedValue, Status},
};
use sqlx::sqlite::SqliteRow;

use super::{
    StoreError, Tx,
    row::{Columns, failed, sql_number, sql_time},
};

const LEVELS: [Level; 3] = [Level::Logged, Level::Peer, Level::Quorum];

/// A log with the times of its last answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// What is pinned of it.
    pub log: PinnedLog,
    /// When its last answer was verified.
    pub seen: Timestamp,
    /// When that answer was witnessed or claimed.
    pub trusted_at: Timestamp,
}

/// What the last look at the account's own history found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCheck {
    /// When it was read and looked at; the epoch if a look is owed.
    pub checked_at: Timestamp,
    /// When the log was found last to show others what it shows the owner; before the first time, when that was first tried.
    pub looked_at: Timestamp,
    /// What is wrong: nothing is sent meanwhile.
    pub alarm: Option<Alarm>,
}

/// Something that is wrong with what is logged in the account's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Of which kind: what ends it.
    pub kind: AlarmKind,
    /// The version that raised it, if one did.
    pub version: Option<u32>,
    /// What is wrong, in words.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
}

/// What kind of alarm it is, the lightest first: a graver one takes the place of a lighter one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// For a day nobody could look whether the log shows others the same (0). A look ends it.
    Unlooked,
    /// Somebody announced a reset (1). The owner's no, the next version, ends it.
    ResetPending,
    /// The log names another identity key than this device has (2). A login that brings that key ends it.
    OtherIdentity,
    /// A version is not what it must be (3). A reset to the key that this device has ends it.
    Version,
    /// The log shows others something else, or can't be believed (4). A person's word ends it.
    Shown,
    /// Versions are gone, or others than they were (5). A person's word ends it.
    Forgotten,
}

impl AlarmKind {
    const ALL: [Self; 6] = [
        Self::Unlooked,
        Self::ResetPending,
        Self::OtherIdentity,
        Self::Version,
        Self::Shown,
        Self::Forgotten,
    ];

    const fn number(self) -> i64 {
        match self {
            Self::Unlooked => 0,
            Self::ResetPending => 1,
            Self::OtherIdentity => 2,
            Self::Version => 3,
            Self::Shown => 4,
            Self::Forgotten => 5,
        }
    }
}

/// A version of the account's own keys that this device has judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnVersion {
    /// Its entry.
    pub entry: Entry,
    /// Why there is this version, as it says.
    pub reason: Reason,
    /// How many devices it says it has.
    pub devices: u32,
    /// What counts after it: what it says, or what counted before if that is not right; `None` of an account whose values are
    /// erased.
    pub counts: Option<SignedValue>,
}

impl Tx<'_> {
    /// What is pinned of a log; `None` before the first answer.
    pub async fn pinned_log(&mut self, origin: &KeyName) -> Result<Option<PinnedLog>, StoreError> {
        let row = sqlx::query("SELECT * FROM logs WHERE origin = ?")
            .bind(origin.as_str())
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read what is pinned of a log"))?;
        row.map(|row| read_log(&row).map(|read| read.log)).transpose()
    }

    /// Every pinned log, by origin.
    pub async fn pinned_logs(&mut self) -> Result<Vec<LogRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM logs ORDER BY origin")
            .fetch_all(self.sql())
            .await
            .map_err(failed("read the pinned logs"))?;
        rows.iter().map(read_log).collect()
    }

    /// Pins a log as an answer left it, over what was pinned before: that this is no step back was the verifier's to see.
    pub async fn save_log(
        &mut self,
        log: &PinnedLog,
        seen: Timestamp,
        trusted_at: Timestamp,
    ) -> Result<(), StoreError> {
        let (head, config) = (log.head.as_ref(), log.config.as_ref());
        sqlx::query(
            "REPLACE INTO logs (origin, key, size, root, config_version, config_leaf, config, level, seen,
                 trusted_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(log.origin.as_str())
        .bind(log.key.to_string())
        .bind(head.map(|head| sql_number(head.size)))
        .bind(head.map(|head| head.root.as_bytes().as_slice()))
        .bind(config.map(|known| known.version))
        .bind(config.map(|known| known.leaf.as_bytes().as_slice()))
        .bind(config.map(|known| known.config.to_bytes()))
        .bind(level_number(log.level))
        .bind(sql_time(seen))
        .bind(sql_time(trusted_at))
        .execute(self.sql())
        .await
        .map_err(failed("pin a log"))?;
        Ok(())
    }

    /// What is known of a user's label; `None` before the first answer about it.
    pub async fn known_label(&mut self, address: &Address) -> Result<Option<KnownLabel>, StoreError> {
        let row = sqlx::query("SELECT * FROM labels WHERE address = ?")
            .bind(address.to_string())
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read what a log says of a user"))?;
        row.map(|row| read_label(&row)).transpose()
    }

    /// Keeps what is known of a user's label, over what was known before.
    pub async fn save_label(&mut self, address: &Address, known: &KnownLabel) -> Result<(), StoreError> {
        sqlx::query("REPLACE INTO labels (address, version, leaf, status, identity) VALUES (?, ?, ?, ?, ?)")
            .bind(address.to_string())
            .bind(known.version)
            .bind(known.leaf.as_bytes().as_slice())
            .bind(known.status.number())
            .bind(known.identity.as_ref().map(|key| key.as_bytes().as_slice()))
            .execute(self.sql())
            .await
            .map_err(failed("keep what a log says of a user"))?;
        Ok(())
    }

    /// What the last look at the account's own history found; `None` before the first.
    pub async fn own_check(&mut self) -> Result<Option<OwnCheck>, StoreError> {
        let row = sqlx::query("SELECT * FROM own_keys")
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read how the own keys were"))?;
        row.map(|row| read_own_check(&row)).transpose()
    }

    /// Keeps what a look at the account's own history found, over what the one before did.
    pub async fn save_own_check(&mut self, check: &OwnCheck) -> Result<(), StoreError> {
        let alarm = check.alarm.as_ref();
        sqlx::query(
            "REPLACE INTO own_keys (one, checked_at, looked_at, alarm, alarm_since, alarm_kind, alarm_version)
             VALUES (1, ?, ?, ?, ?, ?, ?)",
        )
            .bind(sql_time(check.checked_at))
            .bind(sql_time(check.looked_at))
            .bind(alarm.map(|alarm| alarm.what.as_str()))
            .bind(alarm.map(|alarm| sql_time(alarm.since)))
            .bind(alarm.map(|alarm| alarm.kind.number()))
            .bind(alarm.and_then(|alarm| alarm.version))
            .execute(self.sql())
            .await
            .map_err(failed("keep how the own keys are"))?;
        Ok(())
    }

    /// The judged versions of the account's own keys, ascending.
    pub async fn own_versions(&mut self) -> Result<Vec<OwnVersion>, StoreError> {
        let rows = sqlx::query("SELECT * FROM own_versions ORDER BY version")
            .fetch_all(self.sql())
            .await
            .map_err(failed("read the versions of the own keys"))?;
        rows.iter().map(read_own_version).collect()
    }

    /// The newest of them.
    pub async fn newest_own_version(&mut self) -> Result<Option<OwnVersion>, StoreError> {
        let row = sqlx::query("SELECT * FROM own_versions ORDER BY version DESC LIMIT 1")
            .fetch_optional(self.sql())
            .await
            .map_err(failed("read the newest version of the own keys"))?;
        row.map(|row| read_own_version(&row)).transpose()
    }

    /// Forgets what was judged of the own keys, to keep what was read anew in the same transaction.
    pub async fn forget_own_versions(&mut self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM own_versions")
            .execute(self.sql())
            .await
            .map_err(failed("forget the versions of the own keys"))?;
        Ok(())
    }

    /// Keeps a version of the account's own keys, over the same one if it is there.
    pub async fn save_own_version(&mut self, own: &OwnVersion) -> Result<(), StoreError> {
        sqlx::query(
            "REPLACE INTO own_versions (version, entry, reason, devices, counts)
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(own.entry.version)
        .bind(own.entry.to_bytes().as_slice())
        .bind(own.reason.number())
        .bind(own.devices)
        .bind(own.counts.as_ref().map(SignedValue::to_bytes))
        .execute(self.sql())
        .await
        .map_err(failed("keep a version of the own keys"))?;
        Ok(())
    }
}

fn read_log(row: &SqliteRow) -> Result<LogRow, StoreError> {
    let columns = Columns { table: "logs", row };
    let level = columns.take::<i64>("level")?;
    let level = LEVELS.into_iter().find(|known| level_number(*known) == level);
    let log = PinnedLog {
        origin: columns.text("origin")?,
        key: columns.text("key")?,
        head: read_head(&columns)?,
        config: read_config(&columns)?,
        level: level.ok_or_else(|| columns.damaged("level"))?,
    };
    Ok(LogRow { log, seen: columns.time("seen")?, trusted_at: columns.time("trusted_at")? })
}

fn read_head(columns: &Columns<'_>) -> Result<Option<TreeHead>, StoreError> {
    if columns.take::<Option<i64>>("size")?.is_none() {
        return Ok(None);
    }
    let root = Digest::from_bytes(columns.bytes("root")?);
    Ok(Some(TreeHead { size: columns.number("size")?, root }))
}

fn read_config(columns: &Columns<'_>) -> Result<Option<KnownConfig>, StoreError> {
    let Some(bytes) = columns.take::<Option<&[u8]>>("config")? else { return Ok(None) };
    Ok(Some(KnownConfig {
        version: columns.small("config_version")?,
        leaf: Digest::from_bytes(columns.bytes("config_leaf")?),
        config: Config::from_bytes(bytes).map_err(|_| columns.damaged("config"))?,
    }))
}

fn read_label(row: &SqliteRow) -> Result<KnownLabel, StoreError> {
    let columns = Columns { table: "labels", row };
    let status = u8::try_from(columns.take::<i64>("status")?).ok().and_then(Status::from_number);
    let identity = match columns.take::<Option<&[u8]>>("identity")? {
        Some(_) => Some(IdentityKey::from_bytes(columns.bytes("identity")?)),
        None => None,
    };
    Ok(KnownLabel {
        version: columns.small("version")?,
        leaf: Digest::from_bytes(columns.bytes("leaf")?),
        status: status.ok_or_else(|| columns.damaged("status"))?,
        identity,
    })
}

fn read_own_check(row: &SqliteRow) -> Result<OwnCheck, StoreError> {
    let columns = Columns { table: "own_keys", row };
    let alarm = match columns.take::<Option<String>>("alarm")? {
        Some(what) => {
            let number = columns.take::<i64>("alarm_kind")?;
            let kind = AlarmKind::ALL.into_iter().find(|known| known.number() == number);
            let version = match columns.take::<Option<i64>>("alarm_version")? {
                Some(_) => Some(columns.small("alarm_version")?),
                None => None,
            };
            let kind = kind.ok_or_else(|| columns.damaged("alarm_kind"))?;
            Some(Alarm { kind, version, what, since: columns.time("alarm_since")? })
        }
        None => None,
    };
    Ok(OwnCheck { checked_at: columns.time("checked_at")?, looked_at: columns.time("looked_at")?, alarm })
}

fn read_own_version(row: &SqliteRow) -> Result<OwnVersion, StoreError> {
    let columns = Columns { table: "own_versions", row };
    let reason = u8::try_from(columns.take::<i64>("reason")?).ok().and_then(Reason::from_number);
    let entry = Entry::from_bytes(columns.take("entry")?).map_err(|_| columns.damaged("entry"))?;
    let counts = columns.take::<Option<&[u8]>>("counts")?.map(SignedValue::from_bytes).transpose();
    Ok(OwnVersion {
        entry,
        reason: reason.ok_or_else(|| columns.damaged("reason"))?,
        devices: columns.small("devices")?,
        counts: counts.map_err(|_| columns.damaged("counts"))?,
    })
}

const fn level_number(level: Level) -> i64 {
    match level {
        Level::Logged => 0,
        Level::Peer => 1,
        Level::Quorum => 2,
    }
}
