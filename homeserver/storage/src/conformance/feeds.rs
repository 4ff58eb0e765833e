//! What waits for a device.

use qpq_core::{DeviceAddress, DeviceId, GroupId, Seq};

use super::{
    Failure, Outcome, Subject,
    fixtures::{
        at, commit, device_address, device_id, enrol, foreign_device, foreign_group_id, granted, group_id,
        group_of, message, message_id, placed, waiting,
    },
    read, same, write,
};
use crate::{
    ContactEvent, EntryBody, Feed, FeedState, KeyPackageStock, LogEntry, MailboxRow, Member, Notice, WriteTx,
};

fn removed(number: u8) -> Result<Notice, Failure> {
    Ok(Notice::Removed { group: group_id(number)? })
}

fn row(seq: u64, notice: Notice) -> MailboxRow {
    MailboxRow { seq: Seq(seq), at: at(1), notice }
}

fn state(feed: Feed, acknowledged: u64, last: u64) -> FeedState {
    FeedState { feed, acknowledged: Seq(acknowledged), last: Seq(last) }
}

/// A group of alice (1) and bob (2), both here, with `messages` messages after the commit at position 1.
async fn conversation(subject: &dyn Subject, messages: u8) -> Result<GroupId, Failure> {
    let alice = enrol(subject, "alice", 1).await?;
    let bob = enrol(subject, "bob", 2).await?;
    let id = group_of(subject, 1, &[alice, bob]).await?;
    let mut tx = write(subject).await?;
    let entries: Vec<_> = (1..=messages).map(message).collect();
    tx.log_append(&id, &entries).await?;
    tx.commit().await?;
    Ok(id)
}

/// Notices count from 1 per device, are read from a position on, and go when they are acknowledged.
pub async fn notices_are_numbered_and_forgotten(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?.device;
    let bob = enrol(subject, "bob", 2).await?.device;
    let mut tx = write(subject).await?;
    let notices = [(alice, removed(1)?), (bob, removed(2)?), (alice, removed(3)?)];
    same("reached", tx.mailbox_append(&notices, at(1)).await?, vec![alice, bob])?;
    tx.mailbox_append(&[(alice, removed(4)?)], at(1)).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    let all = vec![row(1, removed(1)?), row(2, removed(3)?), row(3, removed(4)?)];
    same("alice's", tx.mailbox_after(&alice, Seq::ZERO, 10).await?, all)?;
    same("a page", tx.mailbox_after(&alice, Seq(1), 1).await?, vec![row(2, removed(3)?)])?;
    tx.feeds_acknowledge(&alice, &[(Feed::Mailbox, Seq(2))]).await?;
    same("left", tx.mailbox_after(&alice, Seq::ZERO, 10).await?, vec![row(3, removed(4)?)])?;
    same("feed", tx.feed(&alice, &Feed::Mailbox).await?, Some(state(Feed::Mailbox, 2, 3)))?;
    tx.feeds_acknowledge(&alice, &[(Feed::Mailbox, Seq(99))]).await?;
    same("feed at its end", tx.feeds(&alice).await?, vec![state(Feed::Mailbox, 3, 3)])?;
    same("bob's", tx.mailbox_after(&bob, Seq::ZERO, 10).await?, vec![row(1, removed(2)?)])
}

/// Nobody's mailbox takes nothing, and disturbs nobody.
pub async fn unknown_devices_get_no_notices(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?.device;
    let mut tx = write(subject).await?;
    let notices = [(device_id(9), removed(1)?), (alice, removed(2)?)];
    same("reached", tx.mailbox_append(&notices, at(1)).await?, vec![alice])?;
    same("feed", tx.feed(&device_id(9), &Feed::Mailbox).await?, None)?;
    same("feeds", tx.feeds(&device_id(9)).await?, vec![])
}

/// A newer notice of low stock replaces the unread one, and takes a place of its own.
pub async fn a_low_stock_is_told_once(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?.device;
    let low = |one_time| Notice::KeyPackagesLow(KeyPackageStock { one_time, last_resort_until: None });
    let mut tx = write(subject).await?;
    tx.mailbox_append(&[(alice, low(9)), (alice, removed(1)?)], at(1)).await?;
    tx.mailbox_append(&[(alice, low(8)), (alice, low(7))], at(1)).await?;
    let expected = vec![row(2, removed(1)?), row(4, low(7))];
    same("mailbox", tx.mailbox_after(&alice, Seq::ZERO, 10).await?, expected)
}

/// A newer notice about a user replaces the unread one about the same, and no other.
pub async fn a_contact_is_told_once(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?.device;
    let about = |name: &str, event| -> Result<Notice, Failure> {
        Ok(Notice::Contact { address: foreign_device(name, 2)?.user, event })
    };
    let (asks, accepts) = (ContactEvent::Requested, ContactEvent::Accepted);
    let mut tx = write(subject).await?;
    let both = [(alice, about("bob", asks)?), (alice, about("carol", asks)?)];
    tx.mailbox_append(&both, at(1)).await?;
    tx.mailbox_append(&[(alice, about("bob", asks)?), (alice, about("bob", accepts)?)], at(1)).await?;
    let expected = vec![row(2, about("carol", asks)?), row(4, about("bob", accepts)?)];
    same("mailbox", tx.mailbox_after(&alice, Seq::ZERO, 10).await?, expected)
}

/// Every kind of notice comes back with all that it says.
pub async fn all_notices_read_back(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?.device;
    let notices = vec![
        Notice::Welcome {
            group: foreign_group_id(1)?,
            epoch: 7,
            welcome: vec![3; 5_000],
            sender: foreign_device("bob", 2)?,
            start: Seq(12),
        },
        Notice::Refused {
            group: group_id(1)?,
            id: message_id(4),
            code: 17,
            text: "mailbox full".to_owned(),
            retry_after_ms: 60_000,
        },
        Notice::KeyPackagesLow(KeyPackageStock { one_time: 3, last_resort_until: Some(at(9)) }),
        Notice::NeedsResync { group: group_id(2)? },
        removed(3)?,
        Notice::Contact { address: foreign_device("bob", 2)?.user, event: ContactEvent::Requested },
        Notice::Contact { address: foreign_device("carol", 2)?.user, event: ContactEvent::Accepted },
        Notice::Receipt { receipt: vec![8; 300] },
        Notice::Receipt { receipt: vec![9; 300] },
    ];
    let mut tx = write(subject).await?;
    let addressed: Vec<_> = notices.iter().cloned().map(|notice| (alice, notice)).collect();
    tx.mailbox_append(&addressed, at(1)).await?;
    tx.commit().await?;
    let expected: Vec<_> = notices.into_iter().zip(1..).map(|(notice, seq)| row(seq, notice)).collect();
    same("mailbox", read(subject).await?.mailbox_after(&alice, Seq::ZERO, 10).await?, expected)
}

/// A position only moves forward, for the one device only.
pub async fn positions_never_go_back(subject: &mut dyn Subject) -> Outcome {
    let feed = Feed::Group(conversation(subject, 4).await?);
    let mut tx = write(subject).await?;
    tx.feeds_acknowledge(&device_id(1), &[(feed.clone(), Seq(2)), (feed.clone(), Seq(4))]).await?;
    tx.feeds_acknowledge(&device_id(1), &[(feed.clone(), Seq(3))]).await?;
    same("alice", tx.feed(&device_id(1), &feed).await?, Some(state(feed.clone(), 4, 5)))?;
    same("bob", tx.feed(&device_id(2), &feed).await?, Some(state(feed.clone(), 1, 5)))?;
    same("backlogs", waiting(tx.as_mut(), &[device_id(2), device_id(1), device_id(2)]).await?, vec![4, 1, 4])
}

/// Nobody acknowledges what isn't there.
pub async fn positions_stop_at_the_end(subject: &mut dyn Subject) -> Outcome {
    let id = conversation(subject, 2).await?;
    let feed = Feed::Group(id.clone());
    let mut tx = write(subject).await?;
    let strange = Feed::Group(group_id(8)?);
    tx.feeds_acknowledge(&device_id(1), &[(feed.clone(), Seq(u64::MAX)), (strange, Seq(3))]).await?;
    same("alice", tx.feed(&device_id(1), &feed).await?, Some(state(feed.clone(), 3, 3)))?;
    tx.log_append(&id, &[message(9)]).await?;
    same("backlogs", waiting(tx.as_mut(), &[device_id(1)]).await?, vec![1])?;
    let feeds = vec![state(Feed::Mailbox, 0, 0), state(feed, 3, 4)];
    same("feeds", tx.feeds(&device_id(1)).await?, feeds)
}

/// A removed device still reads up to the commit that removed it, and then its feed is gone.
pub async fn members_read_up_to_their_removal(subject: &mut dyn Subject) -> Outcome {
    let id = conversation(subject, 2).await?;
    let feed = Feed::Group(id.clone());
    let (alice, bob) = (device_address("alice", 1)?, device_address("bob", 2)?);
    let mut tx = write(subject).await?;
    tx.group_commit(&granted(&id, &commit(1, 9, &alice), &[], &[bob])).await?;
    tx.log_append(&id, &[message(5)]).await?;
    let feeds = vec![state(Feed::Mailbox, 0, 0), state(feed.clone(), 1, 4)];
    same("before", tx.feeds(&device_id(2)).await?, feeds)?;
    tx.feeds_acknowledge(&device_id(2), &[(feed.clone(), Seq(5))]).await?;
    same("after", tx.feeds(&device_id(2)).await?, vec![state(Feed::Mailbox, 0, 0)])?;
    same("one", tx.feed(&device_id(2), &feed).await?, Some(state(feed.clone(), 4, 4)))?;
    same("of a stranger", tx.feed(&device_id(9), &feed).await?, None)
}

/// A cut-off device reads up to where it was cut off, nothing more.
pub async fn cut_off_feeds_stop(subject: &mut dyn Subject) -> Outcome {
    let id = conversation(subject, 2).await?;
    let feed = Feed::Group(id.clone());
    let mut tx = write(subject).await?;
    tx.members_cut_off(&id, &[device_id(2)]).await?;
    tx.log_append(&id, &[message(5)]).await?;
    tx.members_cut_off(&id, &[device_id(2)]).await?;
    let resync = tx.member(&id, &device_id(2)).await?.and_then(|member| member.needs_resync);
    same("where", resync, Some(Seq(3)))?;
    same("feed", tx.feed(&device_id(2), &feed).await?, Some(state(feed.clone(), 1, 3)))?;
    same("the other", tx.feed(&device_id(1), &feed).await?, Some(state(feed, 0, 4)))
}

/// A member of another domain is left behind by its address; a device of ours under the same id is not.
pub async fn members_elsewhere_are_left_behind(subject: &mut dyn Subject) -> Outcome {
    let id = conversation(subject, 2).await?;
    let bob = device_address("bob", 2)?;
    let theirs = foreign_device("carl", 2)?;
    let mut tx = write(subject).await?;
    let added = [theirs.clone()];
    tx.group_commit(&granted(&id, &commit(1, 9, &bob), &added, &[])).await?;
    tx.members_left_behind(&id, &[theirs.clone(), bob.clone()]).await?;
    let behind = |members: Vec<Member>| -> Vec<(DeviceAddress, Seq)> {
        members.into_iter().filter_map(|member| Some((member.device, member.needs_resync?))).collect()
    };
    let last = tx.group(&id).await?.map(|group| group.last_seq).unwrap_or_default();
    same("behind", behind(tx.members(&id).await?), vec![(theirs.clone(), last)])?;
    tx.group_commit(&granted(&id, &commit(2, 10, &bob), &added, &added)).await?;
    same("added again", behind(tx.members(&id).await?), vec![])
}

/// Handshakes don't count, acknowledged messages don't count, all groups do.
pub async fn a_backlog_counts_messages_only(subject: &mut dyn Subject) -> Outcome {
    let id = conversation(subject, 3).await?;
    let (alice, bob) = (device_address("alice", 1)?, device_address("bob", 2)?);
    let second = group_of(subject, 2, &[bob, alice.clone()]).await?;
    let mut tx = write(subject).await?;
    tx.group_commit(&granted(&id, &commit(1, 9, &alice), &[], &[])).await?;
    tx.log_append(&second, &[message(7)]).await?;
    same("backlogs", waiting(tx.as_mut(), &[device_id(1), device_id(2)]).await?, vec![4, 4])?;
    tx.feeds_acknowledge(&device_id(1), &[(Feed::Group(id), Seq(3)), (Feed::Group(second), Seq(2))]).await?;
    same("after", waiting(tx.as_mut(), &[device_id(1), device_id(2), device_id(9)]).await?, vec![1, 4, 0])
}

/// An application message of so many bytes.
fn of_size(number: u8, bytes: usize) -> LogEntry {
    LogEntry { body: EntryBody::Application { message: vec![7; bytes] }, ..message(number) }
}

async fn bytes(tx: &mut dyn WriteTx, numbers: &[u8]) -> Result<Vec<u64>, Failure> {
    let devices: Vec<DeviceId> = numbers.iter().map(|number| device_id(*number)).collect();
    Ok(tx.backlogs(&devices).await?.into_iter().map(|backlog| backlog.bytes).collect())
}

/// Bytes wait like messages do: through acknowledgement, expiry, copies, commits and a Welcome that overtakes them.
pub async fn a_backlog_has_a_weight(subject: &mut dyn Subject) -> Outcome {
    let (alice, bob) = (enrol(subject, "alice", 1).await?, enrol(subject, "bob", 2).await?);
    let ours = group_of(subject, 1, &[alice.clone(), bob.clone()]).await?;
    let theirs = foreign_group_id(2)?;
    let mut tx = write(subject).await?;
    tx.log_append(&ours, &[of_size(1, 100), of_size(2, 20), of_size(3, 3)]).await?;
    tx.group_commit(&granted(&ours, &commit(1, 9, &alice), &[], &[])).await?;
    same("appended", bytes(tx.as_mut(), &[1, 2]).await?, vec![123, 123])?;
    tx.members_join(&theirs, std::slice::from_ref(&alice), 1, Seq(1), 2, at(1)).await?;
    tx.members_join(&theirs, &[bob], 2, Seq(3), 3, at(1)).await?;
    let copied =
        [placed(of_size(4, 4_000), 2), placed(of_size(5, 50_000), 3), placed(of_size(6, 600_000), 4)];
    tx.log_copy(&theirs, &copied, &[], 3, at(1)).await?;
    same("copied", bytes(tx.as_mut(), &[1, 2]).await?, vec![654_123, 600_123])?;
    let feed = Feed::Group(ours.clone());
    tx.feeds_acknowledge(&device_id(1), &[(feed.clone(), Seq(2))]).await?;
    same("acknowledged", bytes(tx.as_mut(), &[1, 2]).await?, vec![654_023, 600_123])?;
    tx.log_expire(at(1_000), 10).await?;
    same("expired", bytes(tx.as_mut(), &[1, 2]).await?, vec![0, 0])?;
    tx.log_append(&ours, &[of_size(7, 7)]).await?;
    tx.feeds_acknowledge(&device_id(2), &[(feed.clone(), Seq(3))]).await?;
    same("underway", bytes(tx.as_mut(), &[1, 2]).await?, vec![7, 7])?;
    tx.feeds_acknowledge(&device_id(1), &[(feed, Seq(6))]).await?;
    same("read", bytes(tx.as_mut(), &[1, 2, 9]).await?, vec![0, 7, 0])
}

/// Who left a larger group unread for too long is found.
pub async fn the_absent_are_found(subject: &mut dyn Subject) -> Outcome {
    let (alice, bob) = (enrol(subject, "alice", 1).await?, enrol(subject, "bob", 2).await?);
    let carol = enrol(subject, "carol", 3).await?;
    let (direct, theirs) = (foreign_group_id(1)?, foreign_group_id(2)?);
    let mut tx = write(subject).await?;
    tx.members_join(&direct, &[alice.clone(), bob.clone()], 1, Seq(1), 2, at(1)).await?;
    tx.log_copy(&direct, &[placed(message(1), 2)], &[], 2, at(1)).await?;
    tx.members_join(&theirs, &[alice, bob, carol.clone()], 1, Seq(1), 2, at(1)).await?;
    let stored = |seq, number, when| placed(LogEntry { at: at(when), ..message(number) }, seq);
    tx.log_copy(&theirs, &[stored(2, 2, 3_600), stored(3, 3, 3_700)], &[], 3, at(3_700)).await?;
    let feed = Feed::Group(theirs.clone());
    tx.feeds_acknowledge(&device_id(2), &[(feed.clone(), Seq(2))]).await?;
    tx.members_cut_off(&theirs, &[carol.device]).await?;
    let absent = |numbers: &[u8]| numbers.iter().map(|n| (theirs.clone(), device_id(*n))).collect::<Vec<_>>();
    same("nobody", tx.members_absent(at(3_600), 10).await?, absent(&[]))?;
    same("one", tx.members_absent(at(3_601), 10).await?, absent(&[1]))?;
    same("both", tx.members_absent(at(3_701), 10).await?, absent(&[1, 2]))?;
    same("a page", tx.members_absent(at(3_701), 1).await?, absent(&[1]))?;
    tx.feeds_acknowledge(&device_id(1), &[(feed, Seq(3))]).await?;
    same("read", tx.members_absent(at(3_701), 10).await?, absent(&[2]))
}

/// What expired unread no longer waits, and is not subtracted twice when it is passed.
pub async fn a_backlog_follows_expiry(subject: &mut dyn Subject) -> Outcome {
    let id = conversation(subject, 3).await?;
    let feed = Feed::Group(id.clone());
    let mut tx = write(subject).await?;
    tx.feeds_acknowledge(&device_id(1), &[(feed.clone(), Seq(2))]).await?;
    tx.log_expire(at(1_000), 2).await?;
    same("after expiry", waiting(tx.as_mut(), &[device_id(1), device_id(2)]).await?, vec![1, 1])?;
    tx.log_append(&id, &[message(9)]).await?;
    tx.feeds_acknowledge(&device_id(1), &[(feed.clone(), Seq(3))]).await?;
    tx.feeds_acknowledge(&device_id(2), &[(feed.clone(), Seq(2))]).await?;
    same("underway", waiting(tx.as_mut(), &[device_id(1), device_id(2)]).await?, vec![2, 2])?;
    tx.feeds_acknowledge(&device_id(2), &[(feed, Seq(4))]).await?;
    same("further", waiting(tx.as_mut(), &[device_id(1), device_id(2)]).await?, vec![2, 1])
}

/// Nothing waits where nothing more is delivered.
pub async fn a_backlog_follows_cut_off_and_removal(subject: &mut dyn Subject) -> Outcome {
    let id = conversation(subject, 3).await?;
    let (alice, bob) = (device_address("alice", 1)?, device_address("bob", 2)?);
    let bobs = std::slice::from_ref(&bob);
    let mut tx = write(subject).await?;
    tx.members_cut_off(&id, &[bob.device]).await?;
    same("cut off", waiting(tx.as_mut(), &[bob.device]).await?, vec![0])?;
    tx.group_commit(&granted(&id, &commit(1, 9, &alice), bobs, bobs)).await?;
    same("back", waiting(tx.as_mut(), &[bob.device]).await?, vec![0])?;
    tx.log_append(&id, &[message(9)]).await?;
    same("new messages", waiting(tx.as_mut(), &[bob.device]).await?, vec![1])?;
    tx.group_commit(&granted(&id, &commit(2, 10, &alice), &[], bobs)).await?;
    same("removed", waiting(tx.as_mut(), &[bob.device]).await?, vec![0])
}

/// Who joins a conversation in the middle has no backlog of what came before.
pub async fn a_late_joiner_starts_with_nothing(subject: &mut dyn Subject) -> Outcome {
    let (alice, bob) = (enrol(subject, "alice", 1).await?, enrol(subject, "bob", 2).await?);
    let id = foreign_group_id(1)?;
    let mut tx = write(subject).await?;
    tx.members_join(&id, &[alice], 1, Seq(1), 2, at(1)).await?;
    let entries: Vec<_> = (2..=6).map(|seq| placed(message(1), seq)).collect();
    tx.log_copy(&id, &entries, &[], 2, at(1)).await?;
    tx.members_join(&id, std::slice::from_ref(&bob), 2, Seq(4), 3, at(1)).await?;
    same("in the middle", waiting(tx.as_mut(), &[device_id(1), device_id(2)]).await?, vec![5, 2])?;
    let feed = Feed::Group(id);
    tx.feeds_acknowledge(&device_id(2), &[(feed.clone(), Seq(2))]).await?;
    same("not back", tx.feed(&bob.device, &feed).await?, Some(state(feed.clone(), 4, 6)))
}

/// A foreign device that bears the id of one of ours gives it nothing and takes nothing from it.
pub async fn ids_of_other_domains_read_nothing(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let bob = enrol(subject, "bob", 2).await?;
    let mallory = foreign_device("mallory", 1)?;
    let theirs = group_of(subject, 1, &[bob.clone(), mallory.clone()]).await?;
    let shared = group_of(subject, 2, &[bob.clone(), alice.clone(), mallory.clone()]).await?;
    let mut tx = write(subject).await?;
    tx.log_append(&theirs, &[message(1)]).await?;
    tx.log_append(&shared, &[message(2)]).await?;
    same("their group", tx.feed(&alice.device, &Feed::Group(theirs)).await?, None)?;
    let member = tx.member(&shared, &alice.device).await?.map(|member| member.device);
    same("ours is meant", member, Some(alice.clone()))?;
    same("backlog", waiting(tx.as_mut(), &[alice.device]).await?, vec![1])?;
    tx.group_commit(&granted(&shared, &commit(1, 9, &bob), &[], &[mallory])).await?;
    let left = tx.member(&shared, &alice.device).await?.and_then(|member| member.left_seq);
    same("ours stays", left, None)
}
