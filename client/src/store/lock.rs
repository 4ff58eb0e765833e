//! One process at a time in a home directory.

use std::{
    fs::{File, TryLockError},
    path::Path,
    time::Duration,
};

use super::{StoreError, key::open_private};

/// How long another process is waited for.
const WAIT: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Holds the home directory; released when dropped, or by the system when the process ends.
#[derive(Debug)]
pub(super) struct HomeLock {
    _file: File,
}

impl HomeLock {
    /// Takes it, waiting some seconds for another process to finish.
    pub(super) async fn take(home: &Path) -> Result<Self, StoreError> {
        Self::take_within(home, WAIT).await
    }

    pub(super) async fn take_within(home: &Path, wait: Duration) -> Result<Self, StoreError> {
        let path = home.join("store.lock");
        let file = open_private(&path)?;
        let looks = wait.as_millis() / LOOK_AGAIN.as_millis();
        for _ in 0..=looks {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                // The kernel offers no waiting with a deadline.
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK_AGAIN).await,
                Err(TryLockError::Error(source)) => {
                    return Err(StoreError::File { what: "lock", path, source });
                }
            }
        }
        Err(StoreError::Busy { home: home.to_owned(), seconds: wait.as_secs() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_process_is_told_that_it_waited_in_vain() {
        let home = tempfile::tempdir().unwrap();
        let first = HomeLock::take(home.path()).await.unwrap();
        let second = HomeLock::take_within(home.path(), Duration::from_millis(60)).await;
        assert!(matches!(second, Err(StoreError::Busy { .. })));
        drop(first);
        HomeLock::take_within(home.path(), Duration::ZERO).await.unwrap();
    }
}
