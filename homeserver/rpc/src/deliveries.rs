//! What devices receive, as the schema says it: written straight from the owned bytes into the message.

use qpq_core::{Incarnation, Seq};
use qpq_schemas::client_capnp::{ContactEvent as Event, delivery, feed_position};
use qpq_service::{
    Answered, ContactEvent, Delivery, DeliveryBody, FeedPosition, Refusal, copy_receipt, wire,
};
use qpq_storage::Feed;

use crate::key_packages::write_stock;

/// The most positions in one call: a device may be in many groups.
const POSITIONS: u32 = 4_096;

/// Reads a list of positions.
pub(crate) fn read_positions(
    list: capnp::Result<capnp::struct_list::Reader<'_, feed_position::Owned>>,
) -> Answered<Vec<FeedPosition>> {
    let list = list.map_err(wire::unreadable)?;
    if list.len() > POSITIONS {
        let text = format!("{} positions in one call, {POSITIONS} are allowed", list.len());
        return Err(Refusal::new(qpq_core::ErrorCode::TooLarge, text));
    }
    list.iter().map(read_position).collect()
}

fn read_position(reader: feed_position::Reader<'_>) -> Answered<FeedPosition> {
    let feed = match reader.get_feed().which().map_err(wire::unreadable)? {
        feed_position::feed::Mailbox(()) => Feed::Mailbox,
        feed_position::feed::Group(group) => Feed::Group(wire::group_id(group)?),
    };
    let incarnation = Incarnation::from_slice(reader.get_incarnation().map_err(wire::unreadable)?)
        .ok_or_else(|| Refusal::malformed("`incarnation` does not have 16 bytes"))?;
    Ok(FeedPosition::new(feed, incarnation, Seq(reader.get_seq())))
}

/// Writes a position.
pub(crate) fn write_position(position: &FeedPosition, mut builder: feed_position::Builder<'_>) {
    builder.set_incarnation(&position.cursor.incarnation.to_bytes());
    builder.set_seq(position.cursor.seq.0);
    let mut feed = builder.init_feed();
    match &position.feed {
        Feed::Mailbox => feed.set_mailbox(()),
        Feed::Group(group) => feed.set_group(&group.to_bytes()),
    }
}

/// Writes deliveries.
pub(crate) fn write_deliveries(
    deliveries: &[Delivery],
    mut list: capnp::struct_list::Builder<'_, delivery::Owned>,
) {
    for (index, delivery) in (0..).zip(deliveries) {
        write_delivery(delivery, list.reborrow().get(index));
    }
}

fn write_delivery(delivery: &Delivery, mut builder: delivery::Builder<'_>) {
    write_position(&delivery.position, builder.reborrow().init_position());
    builder.set_stored_at(delivery.stored_at.as_millis());
    match &delivery.body {
        DeliveryBody::Application { id, epoch, message } => {
            let mut application = builder.init_application();
            application.set_id(id.as_bytes());
            application.set_epoch(*epoch);
            application.set_message(message);
        }
        DeliveryBody::Commit { id, epoch, commit, sender, signature } => {
            let mut granted = builder.init_commit();
            granted.set_id(id.as_bytes());
            granted.set_epoch(*epoch);
            granted.set_commit(commit);
            granted.set_sender(sender.to_string());
            granted.set_signature(signature);
        }
        DeliveryBody::Welcome { group, epoch, welcome, sender, start } => {
            let mut invitation = builder.init_welcome();
            invitation.set_group(&group.to_bytes());
            invitation.set_epoch(*epoch);
            invitation.set_welcome(welcome);
            invitation.set_sender(sender.to_string());
            invitation.set_start_seq(start.0);
        }
        DeliveryBody::Refused { group, id, failure } => {
            let mut refused = builder.init_refused();
            refused.set_group(&group.to_bytes());
            refused.set_id(id.as_bytes());
            wire::write_failure(failure, refused.init_failure());
        }
        DeliveryBody::KeyPackagesLow(stock) => write_stock(stock, builder.init_key_packages_low()),
        DeliveryBody::NeedsResync { group, reason } => {
            let mut resync = builder.init_needs_resync();
            resync.set_group(&group.to_bytes());
            resync.set_reason(reason);
        }
        DeliveryBody::Removed { group } => builder.init_removed().set_group(&group.to_bytes()),
        DeliveryBody::Contact { address, event } => {
            let mut contact = builder.init_contact();
            contact.set_address(address.to_string());
            contact.set_event(match event {
                ContactEvent::Requested => Event::Requested,
                ContactEvent::Accepted => Event::Accepted,
            });
        }
        DeliveryBody::Receipt(receipt) => {
            if let Err(error) = copy_receipt(receipt, |reader| builder.set_receipt(reader)) {
                tracing::warn!(%error, "a stored receipt could not be handed out");
            }
        }
        DeliveryBody::Expired { id } => builder.init_expired().set_id(id.as_bytes()),
    }
}
