//! The conformance suite that every implementation passes.
//!
//! A case is an async function that gets a fresh store and says what differs from the contract. `suite!` turns all
//! cases into tests of an implementation; cases can also be run singly, which is how the tests of the suite itself
//! show that a store with a planted bug fails.

pub mod accounts;
pub mod admins;
pub mod bans;
pub mod contacts;
pub mod feeds;
pub mod fixtures;
pub mod groups;
pub mod jobs;
pub mod key_packages;
pub mod losses;
pub mod outbox;
pub mod peers;
pub mod small;
pub mod submits;
pub mod transactions;
pub mod transparency;
pub mod witnesses;

use std::fmt::Debug;

use async_trait::async_trait;
use qpq_core::{DomainError, NameError};

use crate::{AdminNameError, ReadTx, Storage, StorageError, WriteTx};

/// A store under test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The store.
    fn storage(&self) -> &dyn Storage;

    /// Ends the process as far as the store can tell, and opens what was committed.
    async fn reopen(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Why a store does not conform.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It answered something else.
    #[error("{what}: expected {expected}, found {found}")]
    Differs {
        /// What was looked at.
        what: &'static str,
        /// What the contract says.
        expected: String,
        /// What the store said.
        found: String,
    },
    /// It refused.
    #[error("the store refused")]
    Storage(#[from] StorageError),
    /// It could not be opened again.
    #[error("the store did not open again")]
    Reopen(#[from] Box<dyn std::error::Error + Send + Sync>),
    /// A fixture's name is no name: a mistake in the suite.
    #[error("a fixture is wrong")]
    Name(#[from] NameError),
    /// A fixture's domain is no domain: a mistake in the suite.
    #[error("a fixture is wrong")]
    Domain(#[from] DomainError),
    /// A fixture's name is no admin's name: a mistake in the suite.
    #[error("a fixture is wrong")]
    AdminName(#[from] AdminNameError),
}

/// What a case says.
pub type Outcome = Result<(), Failure>;

/// Compares.
#[expect(clippy::needless_pass_by_value, reason = "cases read as a list of facts, without ampersands")]
pub(crate) fn same<T: PartialEq + Debug>(what: &'static str, found: T, expected: T) -> Outcome {
    if found == expected {
        return Ok(());
    }
    Err(Failure::Differs { what, expected: format!("{expected:?}"), found: format!("{found:?}") })
}

/// Looks for a contradiction in terms of the caller.
pub(crate) fn conflicts<T: Debug>(what: &'static str, found: Result<T, StorageError>) -> Outcome {
    match found {
        Err(StorageError::Conflict { .. }) => Ok(()),
        found => Err(Failure::Differs { what, expected: "Conflict".to_owned(), found: format!("{found:?}") }),
    }
}

/// Opens a read transaction.
pub(crate) async fn read(subject: &dyn Subject) -> Result<Box<dyn ReadTx>, Failure> {
    Ok(subject.storage().read().await?)
}

/// Opens a write transaction.
pub(crate) async fn write(subject: &dyn Subject) -> Result<Box<dyn WriteTx>, Failure> {
    Ok(subject.storage().write().await?)
}

/// Makes every case a test: `qpq_storage::conformance::suite!(fresh().await)`, where the expression gives a
/// [`Subject`] with an empty store. The caller needs tokio with its test macro.
#[macro_export]
macro_rules! conformance_suite {
    ($fresh:expr) => {
        $crate::conformance_suite! { @cases $fresh;
            transactions: dropping_undoes, a_view_stays_as_it_was, a_write_sees_itself,
                writers_take_turns, a_failed_transaction_cannot_commit, a_crash_before_the_commit_leaves_nothing,
                a_crash_after_the_commit_keeps_all, a_repeat_after_a_lost_answer_finds_the_first;
            small: the_vault_is_written_once, lives_follow_each_other, audit_entries_are_numbered_and_chained, the_inbox_head_never_goes_back,
                heads_are_listed_per_origin, parking_is_accepted, parked_rows_are_taken_up_in_order, tokens_are_found_by_their_secret,
                a_token_is_revoked_once, tokens_are_listed_by_how_they_stand;
            accounts: an_account_reads_back, a_name_is_taken_once, a_token_makes_as_many_accounts_as_it_says,
                a_token_is_judged_before_the_name, accounts_are_paged_by_name, devices_are_found_again,
                devices_are_limited, revoked_devices_stay_revoked, devices_are_paged_by_age,
                a_resumption_token_works_once, an_old_resumption_token_is_expired, revoking_ends_sessions,
                sessions_expire, deleting_an_account_takes_all_along,
                another_identity_key_brings_its_certificates, another_identity_key_is_for_ones_own_devices,
                another_identity_key_of_nobody_changes_nothing;
            key_packages: stock_is_counted, uploads_are_limited_and_repeatable, a_claim_is_repeatable,
                the_first_to_end_goes_first, the_last_resort_stays, two_claims_get_two_packages,
                a_replaced_last_resort_is_lent_no_more, expiry_takes_packages_and_claims,
                what_was_handed_out_for_a_group_is_known;
            groups: a_group_is_made_once, a_commit_wins_its_epoch_once, concurrent_commits_have_one_winner,
                membership_follows_commits, state_is_kept_in_chunks, trees_go_when_their_time_is_over,
                messages_are_numbered_in_order, a_leap_leaves_a_hole, pages_are_cut_by_count_and_bytes,
                copies_skip_what_is_known, a_copied_commit_raises_the_epoch, a_welcome_may_overtake_the_commit, an_old_welcome_changes_nothing,
                expiry_reports_the_unread, what_is_needed_survives_pruning, hubs_keep_recent_commits;
            feeds: notices_are_numbered_and_forgotten, unknown_devices_get_no_notices,
                a_low_stock_is_told_once, a_contact_is_told_once, all_notices_read_back, positions_never_go_back,
                positions_stop_at_the_end, members_read_up_to_their_removal, cut_off_feeds_stop,
                members_elsewhere_are_left_behind,
                a_backlog_counts_messages_only, a_backlog_has_a_weight, the_absent_are_found, a_backlog_follows_expiry, a_backlog_follows_cut_off_and_removal,
                a_late_joiner_starts_with_nothing, ids_of_other_domains_read_nothing;
            submits: a_submit_is_remembered, many_submits_keep_their_order, a_repeat_is_a_conflict,
                submits_are_forgotten, submits_expire, submitters_are_found_by_their_ids, receipts_are_news_once;
            outbox: rows_are_numbered_per_stream, pages_are_cut, acknowledging_moves_forward_only,
                kept_rows_are_purged_by_age, kept_rows_are_purged_by_size, expired_rows_become_tombstones,
                depth_counts_what_waits, backoff_is_stored, what_waits_is_taken_away,
                the_weight_follows_the_queue, handshakes_that_wait_too_long_are_found, rewound_rows_wait_again,
                what_is_safe_elsewhere_is_forgotten, a_row_is_buried_once, lives_number_for_themselves,
                the_queue_is_shown_by_lane;
            losses: a_dead_letter_is_taken_once, gaps_are_noted, a_pause_ends_once, the_first_proof_stays;
            admins: an_admin_reads_back, an_admins_name_is_taken_once, removing_an_admin_takes_all_along,
                a_passkey_reads_back, a_passkey_is_known_once, clearing_factors_leaves_the_account,
                a_totp_step_is_used_once, a_clock_set_back_does_not_lock_totp_out, a_recovery_code_works_once,
                a_link_works_once, an_old_link_is_void, a_new_link_voids_the_one_before,
                a_session_reads_back_while_it_lives, sessions_end_singly_and_together, what_is_over_is_forgotten,
                admins_are_listed_with_what_they_have;
            bans: a_ban_reads_back, a_ban_takes_the_place_of_another, bans_are_listed_and_searched,
                bans_end_in_order, users_are_paged_sorted_and_searched, banned_users_are_told_apart,
                peers_are_listed_by_where_they_stand;
            contacts: a_contact_reads_back, requests_are_listed_while_they_wait, crowds_are_counted,
                asks_are_noted_once_and_bounded, what_is_over_is_forgotten, deleting_an_account_takes_its_contacts;
            jobs: the_last_run_of_a_job_is_kept, samples_are_a_ring;
            transparency: a_log_reads_back, a_log_has_one_history, versions_are_paged_in_order,
                what_has_no_label_has_no_versions, the_first_checkpoint_that_was_seen_stays,
                no_checkpoint_is_kept_for_no_entry, what_a_label_said_can_be_erased;
            witnesses: the_first_key_of_a_log_stays, cosigning_moves_forward_only, a_mirror_follows_what_was_cosigned,
                evidence_is_kept_for_ever, what_is_cosigned_moves_forward_only, the_newest_checkpoints_collect,
                witnesses_are_remembered, the_newest_within_a_size_is_found;
            peers: a_peer_reads_back, incarnations_only_grow, a_refusal_is_set_and_cleared,
                an_invite_is_used_once, bound_and_late_invites_are_refused;
        }
    };
    (@cases $fresh:expr; $($area:ident: $($case:ident),*;)*) => {
        $(mod $area {
            use super::*;
            $(#[tokio::test]
            async fn $case() {
                let mut subject = $fresh;
                if let Err(failure) = $crate::conformance::$area::$case(&mut subject).await {
                    panic!("{failure}: {failure:?}");
                }
            })*
        })*
    };
}

pub use conformance_suite as suite;

#[cfg(test)]
mod tests;
