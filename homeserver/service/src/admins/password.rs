//! Passwords: Argon2id on blocking threads, few at once, and the same time for names that nobody has.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use data_encoding::BASE64_NOPAD;
use qpq_core::{ErrorCode, Millis, Secret};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use crate::{Answered, Ground, Refusal};

/// Bytes of a salt.
const SALT: usize = 16;
/// Bytes of a hash.
const HASH: usize = 32;
/// Computed at once: each takes 19 MiB and a core for some tens of milliseconds.
const AT_ONCE: usize = 2;
/// Computed or waited for; who comes then is sent away.
const WAITING: usize = 32;
/// The shortest and the longest password, in characters; nothing else is asked of one.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=1024;

/// Hashes and verifies passwords.
pub(super) struct Passwords {
    params: Params,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// What was computed in before: taken again, because memory that ever new threads let go of comes back slowly.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Passwords {
    /// OWASP's first choice of 2024: m = 19 MiB, t = 2, p = 1.
    pub(super) fn new() -> Self {
        Self::with(Params::new(19 * 1024, 2, 1, Some(HASH)).unwrap_or_default())
    }

    /// So cheap that tests can wait for it.
    #[cfg(test)]
    pub(super) fn cheap() -> Self {
        Self::with(Params::new(8, 1, 1, Some(HASH)).unwrap())
    }

    fn with(params: Params) -> Self {
        let semaphore = |places| Arc::new(Semaphore::new(places));
        Self { params, turns: semaphore(AT_ONCE), places: semaphore(WAITING), memory: Arc::default() }
    }

    /// The password as it is stored: PHC form.
    pub(super) async fn hash(&self, ground: &Ground, password: &Secret<String>) -> Answered<String> {
        let count = password.expose().chars().count();
        if !LENGTH.contains(&count) {
            return Err(Refusal::malformed(format!(
                "the password has {count} characters: take {} to {}",
                LENGTH.start(),
                LENGTH.end()
            )));
        }
        let mut salt = [0; SALT];
        ground.draw(|entropy| entropy.fill(&mut salt));
        let hash = self.compute(self.params.clone(), salt, password).await?;
        let (m, t, p) = (self.params.m_cost(), self.params.t_cost(), self.params.p_cost());
        let (salt, hash) = (BASE64_NOPAD.encode(&salt), BASE64_NOPAD.encode(&hash));
        Ok(format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${hash}"))
    }

    /// Whether it is the password. Without a stored one it takes as long, and is not.
    pub(super) async fn verify(&self, stored: Option<&str>, password: &Secret<String>) -> Answered<bool> {
        let known = stored.and_then(Phc::parse);
        let (params, salt) = match &known {
            Some(known) => (known.params.clone(), known.salt),
            None => (self.params.clone(), [0; SALT]),
        };
        let hash = self.compute(params, salt, password).await?;
        let wanted = known.as_ref().map_or([0; HASH], |known| known.hash);
        Ok(bool::from(hash.ct_eq(&wanted)) && known.is_some())
    }

    async fn compute(
        &self,
        params: Params,
        salt: [u8; SALT],
        password: &Secret<String>,
    ) -> Answered<[u8; HASH]> {
        let busy = |_| {
            let text = "too many sign-ins at once, try again in a moment";
            Refusal::retry(ErrorCode::RateLimited, text, Millis::from_secs(2))
        };
        let failed = || Refusal::new(ErrorCode::Internal, "the password could not be computed");
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| failed())?;
        let (password, memory) = (password.clone(), Arc::clone(&self.memory));
        // Both go with the computation: a caller that goes away doesn't make room for another one.
        let work = move || {
            let (_place, _turn) = (place, turn);
            let mut hash = [0; HASH];
            let spare = || memory.lock().unwrap_or_else(PoisonError::into_inner);
            let mut blocks = spare().pop().unwrap_or_default();
            blocks.resize(params.block_count(), Block::default());
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let password = password.expose().as_bytes();
            let done = argon.hash_password_into_with_memory(password, &salt, &mut hash, &mut blocks);
            // What is left in it tells about the password.
            blocks.fill(Block::default());
            spare().push(blocks);
            done.map(|()| hash)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| failed())?.map_err(|_| failed())
    }
}

/// A stored hash, taken apart.
struct Phc {
    params: Params,
    salt: [u8; SALT],
    hash: [u8; HASH],
}

impl Phc {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
        let (costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        let mut costs = costs.split(',');
        let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.parse::<u32>().ok();
        let (m, t, p) = (cost("m=")?, cost("t=")?, cost("p=")?);
        Some(Self {
            params: Params::new(m, t, p, Some(HASH)).ok()?,
            salt: BASE64_NOPAD.decode(salt.as_bytes()).ok()?.try_into().ok()?,
            hash: BASE64_NOPAD.decode(hash.as_bytes()).ok()?.try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_hashes_are_read() {
        let salt = BASE64_NOPAD.encode(&[1; SALT]);
        let hash = BASE64_NOPAD.encode(&[2; HASH]);
        let read = |text: String| Phc::parse(&text).map(|phc| (phc.params.m_cost(), phc.salt, phc.hash));
        let whole = format!("$argon2id$v=19$m=64,t=2,p=1${salt}${hash}");
        assert_eq!(read(whole), Some((64, [1; SALT], [2; HASH])));
        for broken in [
            String::new(),
            format!("$argon2i$v=19$m=64,t=2,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=64,t=2${salt}${hash}"),
            format!("$argon2id$v=19$m=0,t=2,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=64,t=2,p=1${salt}"),
            format!("$argon2id$v=19$m=64,t=2,p=1${salt}${salt}"),
        ] {
            assert_eq!(read(broken.clone()), None, "{broken}");
        }
    }

    #[test]
    fn the_costs_are_those_that_the_document_names() {
        let params = Passwords::new().params;
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (19_456, 2, 1));
    }
}
