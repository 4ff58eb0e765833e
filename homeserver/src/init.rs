//! `qpq-server init`: makes a new domain in an empty data directory, or changes nothing.

use anyhow::Context as _;
use qpq_core::{Clock as _, Incarnation, OsEntropy, Secret, SystemClock};
use qpq_service::OpaqueSetup;
use qpq_storage::{Storage as _, Vault};
use qpq_storage_sqlite::{Options, SqliteStorage};
use serde_json::{Value, json};

use crate::{
    cli::Init,
    config::{Config, Layers},
    data_dir::DataDir,
    environment::Environment,
    keys,
};

/// Makes the domain and says what it is.
pub(crate) async fn run(
    directory: &DataDir,
    flags: &Init,
    environment: &Environment,
) -> anyhow::Result<Value> {
    let file = configuration(flags);
    let mut layers = Layers::default();
    layers.add_file(&directory.config(), &file)?;
    // The same values once more, so that a bad one is said to come from its flag.
    layers.add_flag("domain", Some(flags.domain.clone()));
    layers.add_flag("client.listen", flags.client_listen.clone());
    layers.add_flag("client.address", flags.client_address.clone());
    layers.add_flag("federation.listen", flags.federation_listen.clone());
    layers.add_flag("federation.address", flags.federation_address.clone());
    layers.add_flag("admin.listen", flags.admin_listen.clone());
    layers.add_flag("public.listen", flags.public_listen.clone());
    let config = Config::parse(&layers)?;

    let was_empty = directory.is_empty();
    directory.create()?;
    let made = make(directory, &config, &file, environment).await;
    if made.is_err() && was_empty {
        directory.clear();
    }
    made
}

/// Fills the directory tree.
async fn make(
    directory: &DataDir,
    config: &Config,
    file: &str,
    environment: &Environment,
) -> anyhow::Result<Value> {
    let mut entropy = OsEntropy::new()?;
    let now = SystemClock.now();
    let opaque = Secret::new(OpaqueSetup::generate(&mut entropy).to_bytes());
    let authority = keys::generate(directory, &config.domain, now, &mut entropy, &opaque)?;
    let key_path = keys::database_key_path(
        directory,
        environment.database_key_file.as_deref(),
        environment.credentials.as_deref(),
    );
    let inside = key_path.starts_with(directory.root());
    let key = if inside {
        keys::generate_database_key(&key_path, &mut entropy)?
    } else {
        keys::database_key(&key_path)?
    };
    let storage = SqliteStorage::create(&directory.database(), &key, &Options::default())
        .await
        .context("could not make the database")?;
    let mut tx = storage.write().await?;
    let incarnation = Incarnation::begin(now, &mut entropy);
    tx.vault_create(&Vault { domain: config.domain.clone(), incarnation, created_at: now }).await?;
    tx.commit().await?;
    storage.close().await?;
    // Last of all: the file is what tells a complete domain from a broken attempt.
    DataDir::write_new(&directory.config(), file.as_bytes())?;

    Ok(json!({
        "domain": config.domain,
        "data_dir": directory.root(),
        "client_address": config.client_address.clone().unwrap_or_else(|| config.client_listen.to_string()),
        "federation_address":
            config.federation_address.shown(config.federation_listen),
        "client_pin": authority.pin(),
        "database_key": if inside {
            format!("{}: protects copies of the database, not of the whole directory", key_path.display())
        } else {
            key_path.display().to_string()
        },
        "next": format!("qpq-server serve --data-dir {}", directory.root().display()),
    }))
}

/// The configuration file of a new domain.
fn configuration(flags: &Init) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = format!(
        "# The configuration of one domain. `qpq-server config show` lists every setting, its value and its origin.\n\
         domain = {}\n",
        quoted(&flags.domain)
    );
    for (section, settings) in [
        ("client", [("listen", &flags.client_listen), ("address", &flags.client_address)]),
        ("federation", [("listen", &flags.federation_listen), ("address", &flags.federation_address)]),
        ("admin", [("listen", &flags.admin_listen), ("listen", &None)]),
        ("public", [("listen", &flags.public_listen), ("listen", &None)]),
    ] {
        if settings.iter().all(|(_, value)| value.is_none()) {
            continue;
        }
        text.extend(["\n[", section, "]\n"]);
        for (name, value) in settings {
            if let Some(value) = value {
                text.extend([name, " = ", quoted(value).as_str(), "\n"]);
            }
        }
    }
    text
}
