//! An owner with an open session, put into the store of a domain that does not run: what is measured is pages, not signing in.

use anyhow::ensure;
use data_encoding::BASE64URL_NOPAD;
use qpq_core::{AdminId, Clock as _, ConsoleSessionId, Digest, Entropy, OsEntropy, SystemClock};
use qpq_storage::{Admin, AdminRole, ConsoleSession, Storage};

/// The cookie's name (`admin-ui/src/frame/cookies.rs`) and the label of its hash (`homeserver/service/src/admins/secrets.rs`).
const COOKIE: &str = "__Host-quicproquo";
const LABEL: &[u8] = b"quicproquo console cookie 1";

/// Adds the owner; answers with the header that their browser sends.
pub(super) async fn owner(storage: &dyn Storage) -> anyhow::Result<String> {
    let (now, mut entropy) = (SystemClock.now(), OsEntropy::new()?);
    let cookie = BASE64URL_NOPAD.encode(&entropy.bytes32());
    let admin = Admin {
        id: AdminId::random(&mut entropy),
        name: "bench".parse()?,
        role: AdminRole::Owner,
        created_at: now,
        created_by: "bench".to_owned(),
        last_sign_in_at: Some(now),
        password: None,
    };
    let session = ConsoleSession {
        id: ConsoleSessionId::random(&mut entropy),
        admin: admin.id,
        opened_at: now,
        proved_at: now,
        seen_at: now,
        address: "127.0.0.1".to_owned(),
        agent: "the bench".to_owned(),
    };
    let mut tx = storage.write().await?;
    ensure!(tx.admin_create(&admin).await?, "there is an admin `bench` already");
    tx.console_session_open(&session, &Digest::of(&[LABEL, cookie.as_bytes()])).await?;
    tx.commit().await?;
    Ok(format!("Cookie: {COOKIE}={cookie}\r\n"))
}
