//! What the log says of the domain itself: its CONFIG entries.

use qpq_core::Timestamp;
use qpq_storage::{LogHead, LogRow, Stored, TransparencyRead, WriteTx};
use qpq_transparency_tree::{
    VerifierKey,
    commitment::Opening,
    config::{CONFIG_KEYS, Config, ConfigError, DomainKey, KeyUse},
    entry::Kind,
    label::LabelId,
};

use crate::{
    Appended, LogKeys, NewEntry, append, cosigning,
    sequence::{commits_to, corrupt, read_entry},
};

/// The newest CONFIG; `None` before the first entry. `Corrupt` if it is not what its entry commits to.
pub async fn newest(tx: &mut (dyn TransparencyRead + '_)) -> Stored<Option<Config>> {
    match tx.kt_latest(LabelId::CONFIG.as_bytes()).await? {
        Some(row) => read(tx, &row).await.map(Some),
        None => Ok(None),
    }
}

/// The newest CONFIG in the tree of the first `size` entries.
pub async fn within(tx: &mut (dyn TransparencyRead + '_), size: u64) -> Stored<Option<Config>> {
    match tx.kt_latest_within(LabelId::CONFIG.as_bytes(), size).await? {
        Some(row) => read(tx, &row).await.map(Some),
        None => Ok(None),
    }
}

async fn read(tx: &mut (dyn TransparencyRead + '_), row: &LogRow) -> Stored<Config> {
    let contents = tx.kt_contents(row.index).await?;
    let fault = |what: &str| corrupt("kt_contents", format!("the CONFIG of entry {} {what}", row.index));
    let contents = contents.ok_or_else(|| fault("is missing"))?;
    if !commits_to(&read_entry(row)?, &contents) {
        return Err(fault("is not what the entry commits to"));
    }
    Config::from_bytes(&contents.value).map_err(|_| fault("can't be read"))
}

/// What the CONFIG should say after `before`, if these are the domain's keys now.
///
/// A key that stays keeps its time; one that is gone ends now, and stays named, so that what it signed can be judged.
pub fn next(
    before: Option<&Config>,
    keys: &[(KeyUse, [u8; 32])],
    witnesses: Vec<VerifierKey>,
    now: Timestamp,
) -> Result<Config, ConfigError> {
    let known = before.map_or(&[] as &[DomainKey], Config::keys);
    let is_now = |key: &DomainKey| keys.contains(&(key.key_use, key.public));
    let counts = |key: &DomainKey| key.not_after.is_none_or(|end| now < end);
    let kept = known.iter().map(|key| {
        if is_now(key) || !counts(key) { *key } else { DomainKey { not_after: Some(now), ..*key } }
    });
    let stays = |(key_use, public): &(KeyUse, [u8; 32])| {
        known.iter().any(|key| key.key_use == *key_use && key.public == *public && counts(key))
    };
    let new = keys.iter().filter(|key| !stays(key));
    let new = new.map(|(key_use, public)| DomainKey {
        key_use: *key_use,
        public: *public,
        not_before: now,
        not_after: None,
    });
    let mut all: Vec<DomainKey> = kept.chain(new).collect();
    // Older CONFIGs stay in the log, so what is left out here is not forgotten.
    all.sort_unstable_by_key(|key| key.not_after.is_some().then_some(std::cmp::Reverse(key.not_after)));
    all.truncate(CONFIG_KEYS);
    let mut config = Config::new(all, witnesses)?;
    if let Some(before) = before {
        config.successor.clone_from(&before.successor);
        config.predecessor.clone_from(&before.predecessor);
        config.audit = before.audit;
    }
    Ok(config)
}

/// Logs what the domain's keys are, unless the newest CONFIG says so already; entry 0 of a log is made so. The witnesses stay.
///
/// `Corrupt` if it would give the origin another VRF key: every label would have another place.
pub async fn log(
    tx: &mut dyn WriteTx,
    keys: &LogKeys,
    domain_keys: &[(KeyUse, [u8; 32])],
    opening: Opening,
    now: Timestamp,
) -> Stored<Option<Appended>> {
    let before = newest(tx).await?;
    let vrf = domain_keys.iter().find(|(key_use, _)| *key_use == KeyUse::Vrf).map(|(_, public)| *public);
    if before.as_ref().is_some_and(|before| before.vrf().map(|vrf| *vrf.as_bytes()) != vrf) {
        let what = "`keys/vrf` was replaced: it is not the key of the log's first entry, and no log has a second one";
        return Err(corrupt("kt_contents", what.to_owned()));
    }
    let witnesses = before.as_ref().map_or_else(Vec::new, |config| config.witnesses().to_vec());
    let config = next(before.as_ref(), domain_keys, witnesses, now)
        .map_err(|error| corrupt("kt_contents", format!("the next CONFIG: {error}")))?;
    if before.as_ref() == Some(&config) {
        return Ok(None);
    }
    append_config(tx, keys, &config, opening, now).await.map(Some)
}

/// Why witnesses were not named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNamed {
    /// There is no log yet.
    #[error("the log has no CONFIG yet")]
    NoLog,
    /// The list can't be one.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Logs who witnesses from now on, in any order, unless the newest CONFIG says so already; the domain's keys stay.
///
/// From a CONFIG that names witnesses on, lookups are answered at checkpoints that these have cosigned. So that there is one while
/// the first is waited for, the checkpoint before a CONFIG that is the first to name witnesses counts as one: its own CONFIG asks
/// for no cosignatures.
pub async fn name_witnesses(
    tx: &mut dyn WriteTx,
    keys: &LogKeys,
    witnesses: Vec<VerifierKey>,
    opening: Opening,
    now: Timestamp,
) -> Stored<Result<Option<Appended>, NotNamed>> {
    let (Some(head), Some(before)) = (tx.kt_head().await?, newest(tx).await?) else {
        return Ok(Err(NotNamed::NoLog));
    };
    let mut config = match Config::new(before.keys().to_vec(), witnesses) {
        Ok(config) => config,
        Err(error) => return Ok(Err(error.into())),
    };
    config.successor.clone_from(&before.successor);
    config.predecessor.clone_from(&before.predecessor);
    config.audit = before.audit;
    if config == before {
        return Ok(Ok(None));
    }
    if before.witnesses().is_empty() {
        tx.kt_keep_cosigned(&head).await?;
    }
    let appended = append_config(tx, keys, &config, opening, now).await?;
    if config.witnesses().is_empty() {
        // What waited for cosignatures gets none any more.
        let seen = LogHead { size: appended.head.size, note: appended.note.clone() };
        let cosigned = tx.kt_cosigned().await?.map_or(0, |cosigned| cosigned.size);
        cosigning::keep_seen(tx, cosigned, &seen).await?;
    }
    Ok(Ok(Some(appended)))
}

async fn append_config(
    tx: &mut dyn WriteTx,
    keys: &LogKeys,
    config: &Config,
    opening: Opening,
    now: Timestamp,
) -> Stored<Appended> {
    let entry = NewEntry {
        kind: Kind::Config,
        label_id: LabelId::CONFIG,
        label: LabelId::CONFIG.as_bytes().to_vec(),
        opening,
        value: config.to_bytes(),
    };
    append(tx, keys, &[entry], now).await
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use qpq_core::{Millis, Secret};

    use super::*;
    use crate::LogSeeds;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn keys() -> Vec<(KeyUse, [u8; 32])> {
        let seeds = LogSeeds { log: Secret::new([1; 32]), vrf: Secret::new([2; 32]) };
        LogKeys::new(&"alpha.test".parse().unwrap(), &seeds).public().to_vec()
    }

    fn federation(n: u8) -> (KeyUse, [u8; 32]) {
        (KeyUse::Federation, SigningKey::from_bytes(&[n; 32]).verifying_key().to_bytes())
    }

    #[test]
    fn keys_keep_their_time_and_end_when_they_are_replaced() {
        let with = |key| [keys(), vec![federation(key)]].concat();
        let first = next(None, &with(3), vec![], NOW).unwrap();
        let later = NOW.after(Millis::from_days(1));
        assert_eq!(next(Some(&first), &with(3), vec![], later), Ok(first.clone()));
        let second = next(Some(&first), &with(4), vec![], later).unwrap();
        let valid = |config: &Config, n: u8, at| config.has_key(KeyUse::Federation, &federation(n).1, at);
        assert!(valid(&second, 3, NOW) && !valid(&second, 3, later));
        assert!(valid(&second, 4, later) && !valid(&second, 4, NOW));
        let much_later = later.after(Millis::from_days(1));
        assert_eq!(next(Some(&second), &with(4), vec![], much_later), Ok(second.clone()));
        // The first key comes back: it has a second time of its own, and its first one stays as it was.
        let third = next(Some(&second), &with(3), vec![], much_later).unwrap();
        assert!(valid(&third, 3, NOW) && !valid(&third, 3, later) && valid(&third, 3, much_later));
    }
    #[test]
    fn the_oldest_keys_that_have_ended_make_room() {
        let mut config = None;
        for n in 0..60_u8 {
            let now = NOW.after(Millis::from_days(u64::from(n)));
            let keys = [keys(), vec![federation(n.wrapping_add(100))]].concat();
            config = Some(next(config.as_ref(), &keys, vec![], now).unwrap());
        }
        let config = config.unwrap();
        assert_eq!(config.keys().len(), CONFIG_KEYS);
        let valid = |n: u8, day| {
            config.has_key(KeyUse::Federation, &federation(n).1, NOW.after(Millis::from_days(day)))
        };
        assert!(valid(159, 59) && valid(158, 58) && !valid(100, 0));
    }
}
