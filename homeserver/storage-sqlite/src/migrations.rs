//! The schema's versions: forward only; `PRAGMA user_version` says which one a file has.

mod audit_chain;

use sqlx::{Connection as _, SqliteConnection};

/// Each brings the schema from the version before it to its own number, counted from 1. A released one never changes.
const MIGRATIONS: [Migration; 14] = [
    Migration {
        sql: include_str!("../migrations/0001_first.sql"),
        then: Step::Nothing,
        mark: "PRAGMA user_version = 1",
    },
    Migration {
        sql: include_str!("../migrations/0002_audit_chain.sql"),
        then: Step::ChainAudit,
        mark: "PRAGMA user_version = 2",
    },
    Migration {
        sql: include_str!("../migrations/0003_moderation.sql"),
        then: Step::Nothing,
        mark: "PRAGMA user_version = 3",
    },
    Migration {
        sql: include_str!("../migrations/0004_admins.sql"),
        then: Step::Nothing,
        mark: "PRAGMA user_version = 4",
    },
    Migration {
        sql: include_str!("../migrations/0005_jobs_and_samples.sql"),
        then: Step::Nothing,
        mark: "PRAGMA user_version = 5",
    },
    Migration {
        sql: include_str!("../migrations/0006_requests.sql"),
        then: Step::Nothing,
        mark: "PRAGMA user_version = 6",
    },
    Migration {
        sql: include_str!("../migrations/0007_consent.sql"),
        then: Step::Nothing,
        mark: "PRAGMA user_version = 7",
    },
    Migration {
        sql: include_str!("../migrations/0008_lives.sql"),
        then: Step::Nothing,
        mark: "PRAGMA user_version = 8",
    },
    Migration {
        sql: include_str!("../migrations/0009_receipts.sql"),
        then: Step::Nothing,
        mark: "PRAGMA user_version = 9",
    },
    Migration {
        sql: include_str!("../migrations/0010_queues.sql"),
        then: Step::Nothing,
        mark: "PRAGMA user_version = 10",
    },
    Migration {
        sql: include_str!("../migrations/0011_backlogs.sql"),
        then: Step::Nothing,
        mark: "PRAGMA user_version = 11",
    },
    Migration {
        sql: include_str!("../migrations/0012_transparency.sql"),
        then: Step::Nothing,
        mark: "PRAGMA user_version = 12",
    },
    Migration {
        sql: include_str!("../migrations/0013_accounts_in_the_log.sql"),
        then: Step::Nothing,
        mark: "PRAGMA user_version = 13",
    },
    Migration {
        sql: include_str!("../migrations/0014_witnesses.sql"),
        then: Step::Nothing,
        mark: "PRAGMA user_version = 14",
    },
];

struct Migration {
    sql: &'static str,
    then: Step,
    mark: &'static str,
}

/// What SQL alone can't do.
enum Step {
    Nothing,
    ChainAudit,
}

/// The version that this program writes.
pub(crate) const NEWEST: usize = MIGRATIONS.len();

/// Which version a file has.
pub(crate) async fn version(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await
}

/// Applies what a file of version `from` lacks, each migration in a transaction of its own.
pub(crate) async fn migrate(connection: &mut SqliteConnection, from: usize) -> sqlx::Result<()> {
    for migration in MIGRATIONS.iter().skip(from) {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(migration.sql).execute(&mut *transaction).await?;
        if let Step::ChainAudit = migration.then {
            audit_chain::apply(&mut transaction).await?;
        }
        sqlx::raw_sql(migration.mark).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}
