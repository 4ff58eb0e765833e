//! The suite, run on the in-memory store; and stores with planted bugs, which it must catch.

use async_trait::async_trait;

use super::{Outcome, Subject};
use crate::{
    Storage,
    memory::{MemoryStorage, planted::Bug},
};

/// The store in memory. Its "disk" is what was committed.
#[derive(Debug, Default)]
struct InMemory(MemoryStorage);

impl InMemory {
    fn with(bug: Bug) -> Self {
        Self(MemoryStorage::with_bug(bug))
    }
}

#[async_trait]
impl Subject for InMemory {
    fn storage(&self) -> &dyn Storage {
        &self.0
    }

    async fn reopen(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.0 = self.0.clone();
        Ok(())
    }
}

crate::conformance::suite!(InMemory::default());

async fn fails(case: impl Future<Output = Outcome>) {
    assert!(case.await.is_err(), "the suite did not notice the bug");
}

#[tokio::test]
async fn a_commit_that_keeps_nothing_is_noticed() {
    let mut subject = InMemory::with(Bug::CommitForgotten);
    fails(super::transactions::a_crash_after_the_commit_keeps_all(&mut subject)).await;
}

#[tokio::test]
async fn a_write_that_is_kept_without_commit_is_noticed() {
    let mut subject = InMemory::with(Bug::DropCommits);
    fails(super::transactions::dropping_undoes(&mut subject)).await;
    let mut subject = InMemory::with(Bug::DropCommits);
    fails(super::transactions::a_crash_before_the_commit_leaves_nothing(&mut subject)).await;
}

#[tokio::test]
async fn a_dedup_that_forgets_is_noticed() {
    let mut subject = InMemory::with(Bug::SubmitsForgotten);
    fails(super::submits::a_submit_is_remembered(&mut subject)).await;
    let mut subject = InMemory::with(Bug::SubmitsForgotten);
    fails(super::transactions::a_repeat_after_a_lost_answer_finds_the_first(&mut subject)).await;
}

#[tokio::test]
async fn an_epoch_that_is_not_compared_is_noticed() {
    let mut subject = InMemory::with(Bug::EpochIgnored);
    fails(super::groups::a_commit_wins_its_epoch_once(&mut subject)).await;
    let mut subject = InMemory::with(Bug::EpochIgnored);
    fails(super::groups::concurrent_commits_have_one_winner(&mut subject)).await;
}

#[tokio::test]
async fn an_acknowledgement_of_one_too_many_is_noticed() {
    let mut subject = InMemory::with(Bug::OneTooMany);
    fails(super::outbox::acknowledging_moves_forward_only(&mut subject)).await;
    let mut subject = InMemory::with(Bug::OneTooMany);
    fails(super::feeds::positions_never_go_back(&mut subject)).await;
}

#[tokio::test]
async fn an_admins_secret_that_works_twice_is_noticed() {
    let mut subject = InMemory::with(Bug::LinksRepeat);
    fails(super::admins::a_link_works_once(&mut subject)).await;
    let mut subject = InMemory::with(Bug::CodesRepeat);
    fails(super::admins::a_recovery_code_works_once(&mut subject)).await;
    let mut subject = InMemory::with(Bug::StepsRepeat);
    fails(super::admins::a_totp_step_is_used_once(&mut subject)).await;
}

#[tokio::test]
async fn a_new_identity_key_beside_old_certificates_is_noticed() {
    let mut subject = InMemory::with(Bug::CertificatesStay);
    fails(super::accounts::another_identity_key_brings_its_certificates(&mut subject)).await;
}

#[tokio::test]
async fn a_log_that_forgets_or_remembers_the_wrong_thing_is_noticed() {
    let mut subject = InMemory::with(Bug::SeenReplaced);
    fails(super::transparency::the_first_checkpoint_that_was_seen_stays(&mut subject)).await;
    let mut subject = InMemory::with(Bug::FormerVersionsStay);
    fails(super::transparency::what_a_label_said_can_be_erased(&mut subject)).await;
}

#[tokio::test]
async fn a_witness_that_forgets_what_it_said_is_noticed() {
    let mut subject = InMemory::with(Bug::PinsReplaced);
    fails(super::witnesses::the_first_key_of_a_log_stays(&mut subject)).await;
    let mut subject = InMemory::with(Bug::WitnessesGoBack);
    fails(super::witnesses::cosigning_moves_forward_only(&mut subject)).await;
    let mut subject = InMemory::with(Bug::WitnessesGoBack);
    fails(super::witnesses::what_is_cosigned_moves_forward_only(&mut subject)).await;
}

/// The same stores pass where their bug is not looked at.
#[tokio::test]
async fn a_bug_does_not_fail_what_it_does_not_touch() {
    let mut subject = InMemory::with(Bug::EpochIgnored);
    super::accounts::an_account_reads_back(&mut subject).await.unwrap();
    let mut subject = InMemory::with(Bug::OneTooMany);
    super::groups::a_commit_wins_its_epoch_once(&mut subject).await.unwrap();
}
