//! `qpq-server doctor`: the running homeserver looks; where none runs, this process looks at what needs no server.
//!
//! Alone, it holds the lock of the directory while it looks, so that no server starts meanwhile, and opens the database
//! only then, read-only and through SQLite. A server that holds the lock and does not answer keeps its database to
//! itself.

mod text;

use std::net::{SocketAddr, TcpListener, UdpSocket};

use qpq_core::{Clock as _, Domain, SystemClock};
use qpq_service::{DatabaseFact, Facts, Integrity, ServerFact, SocketFact, SocketState, judge};
use qpq_storage_sqlite::{Inspection, SqliteStorage};
use serde_json::Value;

use crate::{
    admin::{self, AdminError},
    config::{Config, Layers},
    data_dir::{DataDir, DataDirError},
    environment::Environment,
    keys,
    machine::{Place, configuration_alone, judged, words},
    output::{self, Format},
};

/// Looks, prints what was found, and says whether nothing is wrong.
pub(crate) async fn run(
    directory: &DataDir,
    arguments: &Value,
    environment: &Environment,
    format: Format,
) -> anyhow::Result<bool> {
    let report = match admin::perform(&directory.admin_socket(), "doctor", arguments).await {
        Ok(report) => report,
        Err(AdminError::NotRunning { .. } | AdminError::Broken(_) | AdminError::Deadline) => {
            serde_json::to_value(judge(&alone(directory, environment).await))?
        }
        Err(error @ (AdminError::Refused { .. } | AdminError::Unreadable(_))) => return Err(error.into()),
    };
    match format {
        Format::Json => output::result(format, &report)?,
        Format::Text => output::whole(&format!("{}\n", text::written(&report)))?,
    }
    Ok(report.get("ok") == Some(&Value::Bool(true)))
}

/// What can be seen without a server.
async fn alone(directory: &DataDir, environment: &Environment) -> Facts {
    let now = SystemClock.now();
    let mut facts = Facts { now, ..Facts::default() };
    let (config, unusable) = configuration(directory, environment);
    let lock = directory.hold();
    facts.server = match &lock {
        Err(DataDirError::Locked(_)) => ServerFact::Silent("its admin socket is dead".to_owned()),
        Ok(_) | Err(_) => ServerFact::Stopped,
    };
    facts.machine = Place::new(directory, environment).look().await;
    facts.machine.configuration = Some(configuration_alone(&directory.config(), unusable));
    if lock.is_ok() {
        if directory.database().exists() {
            let domain = config.as_ref().map(|config| &config.domain);
            let (integrity, rolled_back_by) = database(directory, environment, domain).await;
            facts.database = Some(DatabaseFact { integrity, at: now });
            facts.rolled_back_by = rolled_back_by;
        }
        facts.machine.sockets = config.iter().flat_map(sockets).collect();
    }
    drop(lock);
    facts
}

fn configuration(directory: &DataDir, environment: &Environment) -> (Option<Config>, Option<String>) {
    let layers = Layers::read(&directory.config(), environment.settings.iter().cloned());
    match layers.and_then(|layers| Config::parse(&layers)) {
        Ok(config) => (Some(config), None),
        Err(error) => (None, Some(words(&error))),
    }
}

/// Opens the database, if there is a key for it, and reads all of it.
async fn database(
    directory: &DataDir,
    environment: &Environment,
    domain: Option<&Domain>,
) -> (Integrity, Option<Domain>) {
    let path = keys::database_key_path(
        directory,
        environment.database_key_file.as_deref(),
        environment.credentials.as_deref(),
    );
    let key = match keys::database_key(&path) {
        Ok(key) => key,
        Err(error) => return (Integrity::Closed(words(&error)), None),
    };
    let inspected = SqliteStorage::inspect(&directory.database(), &key).await;
    let rolled_back_by = inspected.as_ref().ok().and_then(|found| found.rolled_back_by.clone());
    let integrity = match inspected {
        Ok(Inspection { integrity, .. }) if !integrity.faults.is_empty() => judged(integrity),
        Ok(Inspection { domain: Some(found), .. }) if domain.is_some_and(|domain| *domain != found) => {
            Integrity::Closed(format!(
                "the database belongs to `{found}`, and the configuration says another domain"
            ))
        }
        Ok(Inspection { domain: None, .. }) => {
            Integrity::Closed("the database holds no domain: it was never completed".to_owned())
        }
        Ok(Inspection { integrity, .. }) => judged(integrity),
        Err(error) => Integrity::Closed(words(&error)),
    };
    (integrity, rolled_back_by)
}

/// Whether the configured ports can be had. The console's default one moves where it is taken.
fn sockets(config: &Config) -> Vec<SocketFact> {
    let tried = |setting, address: SocketAddr, bound: std::io::Result<()>| {
        let state = bound.map_or_else(|error| SocketState::Taken(error.to_string()), |()| SocketState::Free);
        SocketFact { setting, address: address.to_string(), state }
    };
    let udp = |setting, address| tried(setting, address, UdpSocket::bind(address).map(drop));
    let tcp = |setting, address| tried(setting, address, TcpListener::bind(address).map(drop));
    let mut all =
        vec![udp("client.listen", config.client_listen), udp("federation.listen", config.federation_listen)];
    all.extend(config.admin_listen.map(|address| tcp("admin.listen", address)));
    all.extend(config.public_listen.map(|address| tcp("public.listen", address)));
    all
}
