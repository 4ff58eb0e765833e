//! Whether the file is whole: every page carries a MAC that only the key makes, and the trees of the pages must fit.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use qpq_core::Domain;
use qpq_storage::Stored;
use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};

use crate::{DatabaseKey, OpenError, error::storage, lane::Lane, open};

/// A page that is written while it is looked at fails once; one that fails so often in a row is damaged.
const LOOKS: usize = 3;
/// Faults that are told; whoever mends one looks again.
const TOLD: usize = 8;
/// The schema that first knows proofs that the database is old.
const KNOWS_ROLLBACKS: usize = 8;

/// Whether a database is whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Integrity {
    /// What is damaged, in SQLite's words; empty: nothing.
    pub faults: Vec<String>,
}

/// What a database that no server uses is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Whose it is; `None`: it was never completed.
    pub domain: Option<Domain>,
    /// Whether it is whole.
    pub integrity: Integrity,
    /// The peer that has shown that it is older than what was sent from it.
    pub rolled_back_by: Option<Domain>,
}

/// Looks at the database of a running server.
pub(crate) async fn of_running(lane: &Arc<Lane>) -> Stored<Integrity> {
    let what = "check the database";
    let mut lease = Lane::begin(lane, what).await?;
    look(lease.connection(what, false)?).await.map_err(|error| storage(what, error))
}

/// Looks at a database that no server uses.
pub(crate) async fn of_file(path: &Path, key: &DatabaseKey) -> Result<Inspection, OpenError> {
    open::plausible(path)?;
    let unusable = |source: sqlx::Error| OpenError::Unusable { path: path.to_owned(), source: source.into() };
    let connect = open::encrypted(path, key).read_only(true);
    let (mut connection, version) = open::unlocked(path, &connect).await?;
    let integrity = look(&mut connection).await.map_err(unusable)?;
    let domain = if version == 0 { Ok(None) } else { owner(&mut connection).await };
    // As with the domain: what can't be read is damaged, and that is told.
    let rolled_back_by =
        if version < KNOWS_ROLLBACKS { None } else { prover(&mut connection).await.unwrap_or_default() };
    // A damaged page may be just this one; then the damage is what there is to say.
    let domain = domain.or_else(|error| if integrity.faults.is_empty() { Err(error) } else { Ok(None) });
    let domain = domain.map_err(unusable)?;
    connection.close().await.map_err(unusable)?;
    Ok(Inspection { domain, integrity, rolled_back_by })
}

async fn owner(connection: &mut SqliteConnection) -> sqlx::Result<Option<Domain>> {
    let name: Option<String> =
        sqlx::query_scalar("SELECT domain FROM vault").fetch_optional(connection).await?;
    Ok(name.and_then(|name| name.parse().ok()))
}

async fn prover(connection: &mut SqliteConnection) -> sqlx::Result<Option<Domain>> {
    let name: Option<String> =
        sqlx::query_scalar("SELECT shown_by FROM rollbacks").fetch_optional(connection).await?;
    Ok(name.and_then(|name| name.parse().ok()))
}

async fn look(connection: &mut SqliteConnection) -> sqlx::Result<Integrity> {
    let mut pages = broken(connection, "PRAGMA cipher_integrity_check").await?;
    for _ in 1..LOOKS {
        if pages.is_empty() {
            break;
        }
        let again = broken(connection, "PRAGMA cipher_integrity_check").await?;
        pages.retain(|page| again.contains(page));
    }
    let mut faults: Vec<String> = pages.into_iter().collect();
    if faults.is_empty() {
        // Stops at the first damage; its words say where.
        match broken(connection, "PRAGMA quick_check(8)").await {
            Ok(found) => faults.extend(found.into_iter().filter(|line| line != "ok")),
            Err(sqlx::Error::Database(error)) if damage(error.code().as_deref()) => {
                faults.push(error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    faults.truncate(TOLD);
    Ok(Integrity { faults })
}

/// SQLite's primary codes for a file that is not what it should be.
fn damage(code: Option<&str>) -> bool {
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| matches!(code & 0xff, 11 | 26))
}

async fn broken(connection: &mut SqliteConnection, pragma: &'static str) -> sqlx::Result<BTreeSet<String>> {
    let rows = sqlx::query(AssertSqlSafe(pragma)).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get::<String, _>(0)).collect()
}
