//! How a sender hears that its message is in no log, or that a member's domain could not take it.
//!
//! The one that refuses writes a row of its own: the hub to the sender's home, a member's domain to the hub. A member's
//! domain can't know who sent an application message, so its row names nobody and the hub finds the sender by what it
//! remembers of submits. Wherever a refusal passes, the submit is forgotten: the device may send the id again.

use qpq_core::{DeviceAddress, Domain, ErrorCode, GroupId, MessageId, Millis, Seq, Timestamp};
use qpq_federation_proto::{RowKind, StreamId, StreamName};
use qpq_storage::{
    EntryBody, Feed, LogEntry, NewOutboxRow, Notice, SeenSubmit, Stored, SubmitOutcome, WriteTx,
    payload_digest,
};

use super::{
    Place,
    behind::audience,
    records::{GroupEntry, GroupSubmit, SubmitRefused},
};
use crate::{
    Answered, Effects, Ground, Refusal,
    relay::quota::{QueueRoom, queue_answer},
    request,
};

/// How soon a message that found a full queue may be tried again, whatever the full domain says.
const SOONEST: Millis = Millis::from_secs(1);
/// How late at most.
const LATEST: Millis = Millis::from_secs(3_600);

/// Something that waited for a peer goes nowhere: its sender hears why. A submit of our user is in no log; of an entry of a log
/// that is ordered here the sender hears if nobody follows the group elsewhere. Of all other rows nobody here must hear.
pub(crate) async fn give_back(
    ground: &Ground,
    tx: &mut dyn WriteTx,
    row: &NewOutboxRow,
    text: &str,
    effects: &mut Effects,
) -> Stored<()> {
    let now = ground.now();
    let refusal = Refusal::new(ErrorCode::PeerUnreachable, text.to_owned());
    // What can't be read was never written by this domain.
    match RowKind::from_number(row.kind) {
        RowKind::GroupSubmit => {
            let Ok(submit) = GroupSubmit::from_bytes(&row.payload) else { return Ok(()) };
            tell(tx, &submit.sender, &submit.group, row.id, &refusal, now, effects).await
        }
        RowKind::GroupEntry => {
            let Ok(entry) = GroupEntry::from_bytes(&row.payload) else { return Ok(()) };
            if entry.committer.is_some() {
                return Ok(());
            }
            // What is remembered of submits outlives the entry in the log, which is let go when everybody here has read it.
            let (submitters, payload) = (tx.submitters(&[row.id]).await?, payload_digest(&entry.message));
            let Some((_, sender, _)) = submitters.into_iter().find(|(_, _, digest)| *digest == payload)
            else {
                return Ok(());
            };
            let mut readers = audience(&tx.members(&entry.group).await?, &sender.user);
            readers.remove(&row.destination);
            if !readers.is_empty() {
                return Ok(());
            }
            let (place, of) = (Place::of(ground), (&entry.group, row.id));
            hand_back(tx, &place, &sender, of, &refusal, now, effects).await
        }
        RowKind::Welcome
        | RowKind::SubmitRefused
        | RowKind::Tombstone
        | RowKind::ContactAccepted
        | RowKind::Receipt
        | RowKind::Unknown(_) => Ok(()),
    }
}

/// The hub refused a submit of another domain's user.
pub(super) async fn refuse_submit(
    tx: &mut dyn WriteTx,
    place: &Place,
    submit: &GroupSubmit,
    id: MessageId,
    refusal: &Refusal,
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<()> {
    let record = SubmitRefused {
        group: submit.group.clone(),
        sender: Some(submit.sender.clone()),
        refusal: refusal.clone(),
    };
    send(tx, place, submit.sender.user.domain(), id, &record, now, effects).await
}

/// This member's domain could not take an entry of the hub's log.
pub(super) async fn refuse_entry(
    tx: &mut dyn WriteTx,
    place: &Place,
    group: &GroupId,
    id: MessageId,
    refusal: &Refusal,
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<()> {
    let record = SubmitRefused { group: group.clone(), sender: None, refusal: refusal.clone() };
    send(tx, place, group.hub(), id, &record, now, effects).await
}

/// A refusal arrived from `origin`: from the hub for our user, or from a member's domain for our log.
pub(super) async fn refused(
    tx: &mut dyn WriteTx,
    place: &Place,
    origin: &Domain,
    record: &SubmitRefused,
    id: MessageId,
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<Answered<()>> {
    if record.group.hub() == origin {
        let not_ours =
            || Refusal::new(ErrorCode::PolicyRefused, "the refused submit is not one of this domain's");
        let sender = record.sender.as_ref().filter(|sender| *sender.user.domain() == place.domain);
        let Some(sender) = sender else { return Ok(Err(not_ours())) };
        // What a device sent elsewhere is none of this hub's business, and a second word about one submit neither.
        let member = tx.member(&record.group, &sender.device).await?;
        let on_its_way = |seen: SeenSubmit| matches!(seen.outcome, SubmitOutcome::AtHome { .. });
        let known = tx.submits_seen(sender, &[id]).await?.into_iter().flatten().next();
        if member.is_none_or(|member| member.device != *sender) || !known.is_some_and(on_its_way) {
            return Ok(Err(not_ours()));
        }
        tell(tx, sender, &record.group, id, &record.refusal, now, effects).await?;
        return Ok(Ok(()));
    }
    if *record.group.hub() != place.domain {
        return Ok(Err(Refusal::new(
            ErrorCode::PolicyRefused,
            "the refused message is of a group ordered elsewhere",
        )));
    }
    let members = tx.members(&record.group).await?;
    // Only a domain with a member gets entries, and only it can refuse them.
    if !members.iter().any(|member| member.device.user.domain() == origin) {
        return Ok(Err(Refusal::new(
            ErrorCode::PolicyRefused,
            "the refusing domain has no member in the group",
        )));
    }
    let refusal = no_room(origin, &record.refusal);
    for member in members {
        let Some(seen) = tx.submits_seen(&member.device, &[id]).await?.into_iter().flatten().next() else {
            continue;
        };
        if is_entry(tx, &record.group, id, &seen).await? {
            hand_back(tx, place, &member.device, (&record.group, id), &refusal, now, effects).await?;
            break;
        }
    }
    Ok(Ok(()))
}

/// An entry of a log that is ordered here was not taken: who had submitted it hears of it, here or by their home.
async fn hand_back(
    tx: &mut dyn WriteTx,
    place: &Place,
    sender: &DeviceAddress,
    (group, id): (&GroupId, MessageId),
    refusal: &Refusal,
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<()> {
    let home = sender.user.domain();
    if *home == place.domain {
        return tell(tx, sender, group, id, refusal, now, effects).await;
    }
    tx.submit_forget(sender, &id).await?;
    let record =
        SubmitRefused { group: group.clone(), sender: Some(sender.clone()), refusal: refusal.clone() };
    send(tx, place, home, id, &record, now, effects).await
}

/// A full queue is the only reason for which a member's domain may hand an entry back, and the only one that its
/// sender can do something about.
fn no_room(origin: &Domain, theirs: &Refusal) -> Refusal {
    let wait = theirs.retry_after.unwrap_or(SOONEST).clamp(SOONEST, LATEST);
    let text = format!("a device at `{origin}` has too many undelivered messages");
    Refusal::retry(ErrorCode::MailboxFull, text, wait)
}

/// Whether the submit stands in this group's log as an application message: a commit can't be handed back, and neither
/// can what its sender said in another group.
async fn is_entry(tx: &mut dyn WriteTx, group: &GroupId, id: MessageId, seen: &SeenSubmit) -> Stored<bool> {
    let SubmitOutcome::AtHub { seq, .. } = seen.outcome else { return Ok(false) };
    let before = Seq(seq.0.saturating_sub(1));
    let entry = tx.log_after(group, before, 1, usize::MAX).await?.into_iter().next();
    let is_it = |entry: LogEntry| {
        entry.seq == seq && entry.id == id && !matches!(entry.body, EntryBody::Commit { .. })
    };
    Ok(entry.is_some_and(is_it))
}

/// Tells a device of ours.
async fn tell(
    tx: &mut dyn WriteTx,
    sender: &DeviceAddress,
    group: &GroupId,
    id: MessageId,
    refusal: &Refusal,
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<()> {
    tx.submit_forget(sender, &id).await?;
    let notice = Notice::Refused {
        group: group.clone(),
        id,
        code: refusal.code.number(),
        text: refusal.text.clone(),
        retry_after_ms: refusal.retry_after.map_or(0, |span| span.0),
    };
    for device in tx.mailbox_append(&[(sender.device, notice)], now).await? {
        effects.wake(device, Feed::Mailbox);
    }
    Ok(())
}

async fn send(
    tx: &mut dyn WriteTx,
    place: &Place,
    destination: &Domain,
    id: MessageId,
    record: &SubmitRefused,
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<()> {
    let row = NewOutboxRow {
        destination: destination.clone(),
        stream: *StreamId::of(&place.domain, destination, &StreamName::Control).as_bytes(),
        id,
        kind: RowKind::SubmitRefused.number(),
        expires_at: Some(now.after(place.ttl)),
        payload: record.to_bytes(),
        at: now,
        request: request::current(),
    };
    let room = QueueRoom::with_reserve(tx, destination, place.peer_queue).await?;
    queue_answer(tx, room, row, effects).await
}
