//! The keys of one domain: made at `init`, each in a file of its own under `keys/`.
//!
//! The database key may come from outside: a file named by `QPQ_DATABASE_KEY_FILE`, or the systemd credential
//! `database-key`. Never from a command line, where every user of the machine could read it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use qpq_core::{Domain, Entropy, Secret, Timestamp};
use qpq_storage_sqlite::DatabaseKey;
use qpq_transparency::LogSeeds;
use qpq_transport::{CertificateAuthority, Identity, IdentityError, IdentityPem};

use crate::data_dir::{DataDir, DataDirError};

/// How long a leaf certificate of ours lives, in days.
const LEAF_DAYS: u64 = 365;
/// A leaf with less than this left is issued anew at the next start.
const LEAF_RENEWAL_DAYS: u64 = 90;

/// The files under `keys/` of the key-transparency log: what signs it, and what gives labels their places. They are made
/// with its first entry.
pub(crate) const LOG_KEYS: [&str; 2] = ["log", "vrf"];

/// Why keys can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// A file can't be read.
    #[error("could not read the key `{path}`")]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("`{path}` does not hold what it should: {wanted}")]
    Form {
        /// Where.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
    },
    /// A certificate or its key.
    #[error("the certificates under `keys/` can't be used")]
    Certificate(#[from] IdentityError),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] DataDirError),
}

/// All keys but the database key.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Issues our leaves; clients and peers pin it.
    pub(crate) authority: CertificateAuthority,
    /// The leaf that both listeners show.
    pub(crate) leaf: Identity,
    /// Signs relay batches and peering statements (Ed25519 seed).
    pub(crate) federation: Secret<[u8; 32]>,
    /// OPAQUE's server setup, serialised.
    pub(crate) opaque: Secret<Vec<u8>>,
}

/// Makes every key of a new domain; `opaque` is OPAQUE's server setup, serialised.
pub(crate) fn generate(
    directory: &DataDir,
    domain: &Domain,
    now: Timestamp,
    entropy: &mut dyn Entropy,
    opaque: &Secret<Vec<u8>>,
) -> Result<CertificateAuthority, KeyError> {
    let authority = CertificateAuthority::generate(domain, now)?;
    let IdentityPem { certificates, key } = authority.to_pem();
    DataDir::write_new(&directory.key("ca.crt"), certificates.as_bytes())?;
    DataDir::write_new(&directory.key("ca.key"), key.expose().as_bytes())?;
    let IdentityPem { certificates, key } = authority.issue(domain, now, LEAF_DAYS)?.to_pem();
    DataDir::write_new(&directory.key("tls.crt"), certificates.as_bytes())?;
    DataDir::write_new(&directory.key("tls.key"), key.expose().as_bytes())?;
    let federation = Secret::new(entropy.bytes32());
    DataDir::write_new(&directory.key("federation"), line(HEXLOWER.encode(federation.expose())).as_bytes())?;
    DataDir::write_new(&directory.key("opaque"), line(BASE64.encode(opaque.expose())).as_bytes())?;
    Ok(authority)
}

/// Makes the keys of a log that does not exist yet; those that lie there already stay.
pub(crate) fn generate_log(directory: &DataDir, entropy: &mut dyn Entropy) -> Result<(), KeyError> {
    for name in LOG_KEYS {
        if !directory.key(name).exists() {
            let seed = Secret::new(entropy.bytes32());
            // Whole or not at all: half a key would be taken for one that was damaged.
            DataDir::replace(&directory.key(name), line(HEXLOWER.encode(seed.expose())).as_bytes())?;
        }
    }
    Ok(())
}

/// The file under `keys/` of the key that cosigns the logs of others. It belongs to this database as it is: no backup has it, and
/// a database that went back gets a new one.
pub(crate) const WITNESS_KEY: &str = "witness";

/// Reads the witness's key; makes one where there is none.
pub(crate) fn witness(directory: &DataDir, entropy: &mut dyn Entropy) -> Result<Secret<[u8; 32]>, KeyError> {
    let path = directory.key(WITNESS_KEY);
    if !path.exists() {
        let seed = Secret::new(entropy.bytes32());
        DataDir::replace(&path, line(HEXLOWER.encode(seed.expose())).as_bytes())?;
    }
    hex32(&path, &HEXLOWER)
}

/// Forgets the witness's key, at the beginning of another life of the database: whatever it had cosigned that this database
/// doesn't know of, a new key has not.
pub(crate) fn forget_witness(directory: &DataDir) -> Result<(), KeyError> {
    let path = directory.key(WITNESS_KEY);
    match fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(KeyError::Read { path, source }),
    }
}

/// Reads the keys of the log.
pub(crate) fn log(directory: &DataDir) -> Result<LogSeeds, KeyError> {
    let seed = |name| hex32(&directory.key(name), &HEXLOWER);
    Ok(LogSeeds { log: seed("log")?, vrf: seed("vrf")? })
}

/// Reads every key; issues the leaf anew when it is near its end, which no client or peer notices: they pin the authority.
pub(crate) fn load(directory: &DataDir, domain: &Domain, now: Timestamp) -> Result<Keys, KeyError> {
    let authority = CertificateAuthority::from_pem(
        read(&directory.key("ca.crt"))?.expose(),
        &read(&directory.key("ca.key"))?,
    )?;
    let (certificate_path, key_path) = (directory.key("tls.crt"), directory.key("tls.key"));
    let mut leaf = leaf(directory)?;
    if leaf.certificate().not_after < now.after(qpq_core::Millis::from_days(LEAF_RENEWAL_DAYS)) {
        leaf = authority.issue(domain, now, LEAF_DAYS)?;
        let IdentityPem { certificates, key } = leaf.to_pem();
        // Key first: a crash between the two is a mismatch that the next start mends by issuing again.
        DataDir::replace(&key_path, key.expose().as_bytes())?;
        DataDir::replace(&certificate_path, certificates.as_bytes())?;
        tracing::info!(not_after = %leaf.certificate().not_after, "issued a new certificate for both listeners");
    }
    let federation = hex32(&directory.key("federation"), &HEXLOWER)?;
    let path = directory.key("opaque");
    let opaque = BASE64
        .decode(read(&path)?.expose().trim().as_bytes())
        .map_err(|_| KeyError::Form { path, wanted: "OPAQUE's server setup in base64" })?;
    Ok(Keys { authority, leaf, federation, opaque: Secret::new(opaque) })
}

/// Whether a file under `keys/` holds what a start will want of it; if not, why.
pub(crate) fn readable(directory: &DataDir, name: &str) -> Result<(), String> {
    let path = directory.key(name);
    let text = read(&path).map_err(|error| crate::output::with_causes(&error))?;
    let holds =
        |wanted: &str| if text.expose().contains(wanted) { Ok(()) } else { Err(format!("no {wanted}")) };
    match name {
        "ca.crt" | "tls.crt" => holds("BEGIN CERTIFICATE"),
        "ca.key" | "tls.key" => holds("PRIVATE KEY"),
        "federation" | "log" | "vrf" | WITNESS_KEY => {
            hex32(&path, &HEXLOWER).map(drop).map_err(|error| error.to_string())
        }
        _ => match BASE64.decode(text.expose().trim().as_bytes()) {
            Ok(_) => Ok(()),
            Err(_) => Err("no base64".to_owned()),
        },
    }
}

/// The leaf as it lies on the disk.
pub(crate) fn leaf(directory: &DataDir) -> Result<Identity, KeyError> {
    let (certificate, key) = (directory.key("tls.crt"), directory.key("tls.key"));
    Ok(Identity::from_pem(read(&certificate)?.expose(), &read(&key)?)?)
}

/// Where the database key lies.
pub(crate) fn database_key_path(
    directory: &DataDir,
    outside: Option<&Path>,
    credentials: Option<&Path>,
) -> PathBuf {
    if let Some(path) = outside {
        return path.to_owned();
    }
    match credentials.map(|credentials| credentials.join("database-key")) {
        Some(path) if path.exists() => path,
        Some(_) | None => directory.key("database"),
    }
}

/// Reads the database key: 64 hexadecimal digits.
pub(crate) fn database_key(path: &Path) -> Result<DatabaseKey, KeyError> {
    Ok(DatabaseKey::new(database_key_bytes(path)?))
}

/// The same as bytes, for whoever judges them.
pub(crate) fn database_key_bytes(path: &Path) -> Result<[u8; 32], KeyError> {
    Ok(*hex32(path, &HEXLOWER_PERMISSIVE)?.expose())
}

/// Makes a random database key.
pub(crate) fn generate_database_key(path: &Path, entropy: &mut dyn Entropy) -> Result<DatabaseKey, KeyError> {
    let key = Secret::new(entropy.bytes32());
    DataDir::write_new(path, line(HEXLOWER.encode(key.expose())).as_bytes())?;
    Ok(DatabaseKey::new(*key.expose()))
}

fn hex32(path: &Path, encoding: &data_encoding::Encoding) -> Result<Secret<[u8; 32]>, KeyError> {
    encoding
        .decode(read(path)?.expose().trim().as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .map(Secret::new)
        .ok_or_else(|| KeyError::Form { path: path.to_owned(), wanted: "64 hexadecimal digits" })
}

fn read(path: &Path) -> Result<Secret<String>, KeyError> {
    fs::read_to_string(path)
        .map(Secret::new)
        .map_err(|source| KeyError::Read { path: path.to_owned(), source })
}

fn line(mut text: String) -> String {
    text.push('\n');
    text
}
