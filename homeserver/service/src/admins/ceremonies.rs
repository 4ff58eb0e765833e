//! What was begun in a browser and is not finished: for five minutes, in memory, bounded, used once.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use qpq_core::{AdminId, Digest, ErrorCode, Millis, Timestamp};
use qpq_storage::AdminName;
use webauthn_rs::prelude::{DiscoverableAuthentication, PasskeyAuthentication, PasskeyRegistration};

use super::totp::TotpSecret;
use crate::{Answered, Refusal};

/// How long something may be under way.
const LIFETIME: Millis = Millis::from_secs(300);
/// How many may be under way; the oldest goes for a new one.
const MOST: usize = 1_000;

/// Something that was begun.
pub(super) enum Pending {
    /// A passkey, with a link.
    SetupPasskey { link: Digest, admin: AdminId, name: AdminName, state: Box<PasskeyRegistration> },
    /// A TOTP secret, with a link.
    SetupTotp { link: Digest, secret: TotpSecret },
    /// A sign-in with whichever passkey the browser finds.
    SignIn(Box<DiscoverableAuthentication>),
    /// A proof of who is signed in.
    Proof { admin: AdminId, state: Box<PasskeyAuthentication> },
    /// Another passkey.
    AddPasskey { admin: AdminId, state: Box<PasskeyRegistration> },
    /// A TOTP secret for a new password.
    OwnTotp { admin: AdminId, secret: TotpSecret },
}

/// All that is under way.
#[derive(Default)]
pub(super) struct Ceremonies(Mutex<BTreeMap<String, (Timestamp, Pending)>>);

impl Ceremonies {
    /// Something begins.
    pub(super) fn begin(&self, id: &str, pending: Pending, now: Timestamp) {
        let mut all = self.lock();
        all.retain(|_, (begun, _)| is_fresh(*begun, now));
        if all.len() >= MOST {
            let oldest = all.iter().min_by_key(|(_, (begun, _))| *begun).map(|(id, _)| id.clone());
            oldest.and_then(|id| all.remove(&id));
        }
        all.insert(id.to_owned(), (now, pending));
    }

    /// Takes what was begun; it can't be finished twice.
    pub(super) fn take(&self, id: &str, now: Timestamp) -> Answered<Pending> {
        let (begun, pending) = self.lock().remove(id).ok_or_else(gone)?;
        if is_fresh(begun, now) { Ok(pending) } else { Err(gone()) }
    }

    /// The TOTP secret that was offered with a link; it stays.
    pub(super) fn setup_totp(&self, id: &str, link: &Digest, now: Timestamp) -> Answered<TotpSecret> {
        match self.lock().get(id) {
            Some((begun, Pending::SetupTotp { link: of, secret })) if of == link && is_fresh(*begun, now) => {
                Ok(secret.clone())
            }
            _ => Err(gone()),
        }
    }

    /// The TOTP secret that was offered to an admin; it stays.
    pub(super) fn own_totp(&self, id: &str, admin: &AdminId, now: Timestamp) -> Answered<TotpSecret> {
        match self.lock().get(id) {
            Some((begun, Pending::OwnTotp { admin: of, secret })) if of == admin && is_fresh(*begun, now) => {
                Ok(secret.clone())
            }
            _ => Err(gone()),
        }
    }

    /// Forgets what is done.
    pub(super) fn end(&self, id: &str) {
        self.lock().remove(id);
    }

    /// No change is ever half done under this lock, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Timestamp, Pending)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was begun in the future was begun before the clock was set back: nobody knows how long ago.
fn is_fresh(begun: Timestamp, now: Timestamp) -> bool {
    begun <= now && now.since(begun) < LIFETIME
}

/// It can't be finished any more.
pub(super) fn gone() -> Refusal {
    Refusal::new(ErrorCode::Gone, "this took longer than five minutes, or was finished before: begin again")
}
