//! `qpq-server incarnation begin`: lets a database go on that a peer has shown to be older than what was sent from it.
//!
//! The server doesn't run then, so this acts on the files. It is for the admin to know that no other copy runs: two lives
//! that both go on would fight.

use anyhow::{Context as _, bail, ensure};
use qpq_core::{Clock as _, Incarnation, Millis, OsEntropy, RequestId, SystemClock};
use qpq_service::{Actor, relay};
use qpq_storage::{AuditEntry, Storage as _};
use qpq_storage_sqlite::{Options, SqliteStorage};
use serde_json::{Value, json};

use crate::{
    cli::{BeginIncarnation, IncarnationVerb},
    data_dir::DataDir,
    environment::Environment,
    keys,
};

/// Does what the verb says.
pub(crate) async fn run(
    directory: &DataDir,
    verb: &IncarnationVerb,
    environment: &Environment,
) -> anyhow::Result<Value> {
    match verb {
        IncarnationVerb::Begin(flags) => begin(directory, flags, environment).await,
    }
}

async fn begin(
    directory: &DataDir,
    flags: &BeginIncarnation,
    environment: &Environment,
) -> anyhow::Result<Value> {
    directory.check()?;
    let _lock = directory.lock()?;
    let path = keys::database_key_path(
        directory,
        environment.database_key_file.as_deref(),
        environment.credentials.as_deref(),
    );
    let key = keys::database_key(&path)?;
    let storage = SqliteStorage::open(&directory.database(), &key, &Options::default())
        .await
        .with_context(|| format!("could not open the database with the key in `{}`", path.display()))?;
    let mut tx = storage.write().await?;
    let Some(vault) = tx.vault().await? else {
        bail!("`{}` holds no domain", directory.database().display());
    };
    ensure!(
        flags.confirm == vault.domain.as_str(),
        "this database belongs to `{}`: type that name after `--confirm`",
        vault.domain
    );
    let Some(rollback) = tx.rollback().await? else {
        bail!(
            "nobody has shown that this database is older than what was sent from it: it can be served as it is"
        );
    };
    let now = SystemClock.now();
    // Later than every life that has spoken, whatever this machine's clock says.
    let after = rollback.later.unwrap_or(vault.incarnation).max(vault.incarnation).time();
    let begins = now.max(after.after(Millis(1)));
    let mut entropy = OsEntropy::new()?;
    let incarnation = Incarnation::begin(begins, &mut entropy);
    let moved = relay::begin_life(tx.as_mut(), incarnation).await?;
    let entry = AuditEntry {
        at: now,
        actor: Actor::Uid(rustix::process::geteuid().as_raw()).to_string(),
        action: "incarnation.begin".to_owned(),
        target: vault.domain.to_string(),
        reason: flags.reason.clone(),
        request: RequestId::random(&mut entropy),
    };
    tx.audit_append(&entry).await?;
    keys::forget_witness(directory)?;
    tx.commit().await?;
    storage.close().await?;
    Ok(json!({
        "domain": vault.domain,
        "incarnation": incarnation.to_string(),
        "rows_numbered_anew": moved,
        "shown_by": rollback.shown_by,
    }))
}
