//! What was filled can be listed, page by page, and is as large as was asked.

use qpq_core::{Incarnation, SeededEntropy};
use qpq_storage::{
    AuditFilter, BansQuery, PeersQuery, TokensQuery, UserFilter, UserSort, UsersQuery, Vault, Window,
};

use super::*;

#[tokio::test]
async fn a_filled_store_lists_everything_that_was_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let key = DatabaseKey::new([3; 32]);
    let storage =
        SqliteStorage::create(&place.path().join("homeserver.db"), &key, &Options::default()).await.unwrap();
    let (name, now): (Domain, _) =
        ("crowded.test".parse().unwrap(), Timestamp::from_millis(1_800_000_000_000));
    let incarnation = Incarnation::begin(now, &mut SeededEntropy::new(8));
    let mut tx = storage.write().await.unwrap();
    tx.vault_create(&Vault { domain: name.clone(), incarnation, created_at: now }).await.unwrap();
    tx.commit().await.unwrap();
    let size = Size::small();
    store(&storage, &name, size, now, &mut SeededEntropy::new(7)).await.unwrap();

    let mut view = storage.read().await.unwrap();
    let window = Window { offset: 50, limit: 50 };
    let users =
        UsersQuery { domain: &name, search: "", filter: UserFilter::All, sort: UserSort::Name, now, window };
    let page = view.users(&users).await.unwrap();
    assert_eq!((page.rows.len(), page.total), (50, u64::from(size.users)));
    let peers = PeersQuery { search: "", filter: qpq_storage::PeerFilter::All, now, window };
    assert_eq!(view.peers_page(&peers).await.unwrap().total, u64::from(size.peers));
    let tokens = TokensQuery { state: None, now, window };
    assert_eq!(view.registration_tokens(&tokens).await.unwrap().total, u64::from(size.tokens));
    let bans = BansQuery { search: "", kind: None, window };
    let banned = size.users.div_ceil(BANNED) + size.peers.div_ceil(BANNED);
    assert_eq!(view.bans(&bans).await.unwrap().total, u64::from(banned));
    assert_eq!(view.audit_count(&AuditFilter::default()).await.unwrap(), u64::from(size.audit_rows));
    let waiting = view.outbox_depth_of_all().await.unwrap();
    assert_eq!(waiting.rows, u64::from(size.peers.div_ceil(WAITED_FOR)));
    drop(view);
    storage.close().await.unwrap();
}
