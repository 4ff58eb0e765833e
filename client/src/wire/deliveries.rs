//! What a mailbox delivers: positions in feeds, and what stands there.

use qpq_core::{Address, Cursor, DeviceAddress, GroupId, Incarnation, MessageId, Seq, Timestamp};
use qpq_schemas::client_capnp::{ContactEvent as Event, delivery, feed_position};

use super::{Receipt, Stock, bytes, group, message_id, parsed, read_stock, readable_receipt, refusal, text};
use crate::{ClientError, error::Refusal, store::Feed};

/// A place in a feed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which feed.
    pub feed: Feed,
    /// Where in it.
    pub cursor: Cursor,
}

/// One row of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its place.
    pub position: Position,
    /// When the domain stored it.
    pub stored_at: Timestamp,
    /// What it is.
    pub body: DeliveryBody,
}

/// What a row of a feed is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryBody {
    /// An application message of the group.
    Application {
        /// The id that its sender gave it.
        id: MessageId,
        /// The MLS message.
        message: Vec<u8>,
    },
    /// A commit that the hub granted.
    Commit {
        /// The id that its sender gave it.
        id: MessageId,
        /// The epoch that it starts from.
        epoch: u64,
        /// The MLS message.
        commit: Vec<u8>,
        /// The device that submitted it.
        sender: DeviceAddress,
        /// The device's signature over id and commit.
        signature: [u8; 64],
    },
    /// An invitation into a group.
    Welcome {
        /// Which group.
        group: GroupId,
        /// The epoch that the joiner starts in.
        epoch: u64,
        /// The MLS message.
        welcome: Vec<u8>,
        /// The device that added this one.
        sender: DeviceAddress,
        /// What follows this position of the group's log is readable.
        start: Seq,
    },
    /// A message of this device was refused; it is in no log.
    Refused {
        /// Which group it was for.
        group: GroupId,
        /// Its id.
        id: MessageId,
        /// Why.
        refusal: Refusal,
    },
    /// The device should upload KeyPackages.
    KeyPackagesLow(Stock),
    /// This device fell too far behind and was cut off.
    NeedsResync {
        /// From which group.
        group: GroupId,
        /// In words.
        reason: String,
    },
    /// This device was removed.
    Removed {
        /// From which group.
        group: GroupId,
    },
    /// A message that outlived its time.
    Expired {
        /// Its id.
        id: MessageId,
    },
    /// Something about a user of another domain.
    Contact {
        /// Whom.
        address: Address,
        /// What.
        event: ContactEvent,
    },
    /// A domain has stored messages of this device.
    Receipt(Receipt),
    /// Something that a newer domain knows.
    Unknown,
}

/// What is said about a user of another domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactEvent {
    /// They ask to be accepted.
    Requested,
    /// They have accepted.
    Accepted,
}

pub(crate) fn read_delivery(reader: delivery::Reader<'_>) -> Result<Delivery, ClientError> {
    let body = match reader.which() {
        Ok(delivery::Application(row)) => {
            let row = row?;
            DeliveryBody::Application { id: message_id(row.get_id()?)?, message: row.get_message()?.to_vec() }
        }
        Ok(delivery::Commit(row)) => {
            let row = row?;
            DeliveryBody::Commit {
                id: message_id(row.get_id()?)?,
                epoch: row.get_epoch(),
                commit: row.get_commit()?.to_vec(),
                sender: parsed(row.get_sender()?, "a sender")?,
                signature: bytes(row.get_signature()?, "a signature")?,
            }
        }
        Ok(delivery::Welcome(row)) => {
            let row = row?;
            DeliveryBody::Welcome {
                group: group(row.get_group()?)?,
                epoch: row.get_epoch(),
                welcome: row.get_welcome()?.to_vec(),
                sender: parsed(row.get_sender()?, "a sender")?,
                start: Seq(row.get_start_seq()),
            }
        }
        Ok(delivery::Refused(row)) => {
            let row = row?;
            DeliveryBody::Refused {
                group: group(row.get_group()?)?,
                id: message_id(row.get_id()?)?,
                refusal: refusal(row.get_failure()?)?,
            }
        }
        Ok(delivery::KeyPackagesLow(stock)) => DeliveryBody::KeyPackagesLow(read_stock(stock?)),
        Ok(delivery::NeedsResync(row)) => {
            let row = row?;
            DeliveryBody::NeedsResync { group: group(row.get_group()?)?, reason: text(row.get_reason()?)? }
        }
        Ok(delivery::Removed(row)) => DeliveryBody::Removed { group: group(row?.get_group()?)? },
        Ok(delivery::Expired(row)) => DeliveryBody::Expired { id: message_id(row?.get_id()?)? },
        Ok(delivery::Contact(row)) => {
            let row = row?;
            let event = match row.get_event() {
                Ok(Event::Requested) => Some(ContactEvent::Requested),
                Ok(Event::Accepted) => Some(ContactEvent::Accepted),
                Err(capnp::NotInSchema(_)) => None,
            };
            let address = parsed(row.get_address()?, "an address")?;
            event.map_or(DeliveryBody::Unknown, |event| DeliveryBody::Contact { address, event })
        }
        Ok(delivery::Receipt(receipt)) => {
            readable_receipt(receipt?).map_or(DeliveryBody::Unknown, DeliveryBody::Receipt)
        }
        Err(capnp::NotInSchema(_)) => DeliveryBody::Unknown,
    };
    Ok(Delivery {
        position: read_position(reader.get_position()?)?,
        stored_at: Timestamp::from_millis(reader.get_stored_at()),
        body,
    })
}

pub(crate) fn read_position(reader: feed_position::Reader<'_>) -> Result<Position, ClientError> {
    let feed = match reader.get_feed().which() {
        Ok(feed_position::feed::Mailbox(())) => Feed::Mailbox,
        Ok(feed_position::feed::Group(id)) => Feed::Group(group(id?)?),
        Err(capnp::NotInSchema(_)) => return Err(ClientError::protocol("a feed of an unknown kind")),
    };
    let incarnation = Incarnation::from_slice(reader.get_incarnation()?)
        .ok_or_else(|| ClientError::protocol("an incarnation has not 16 bytes"))?;
    Ok(Position { feed, cursor: Cursor { incarnation, seq: Seq(reader.get_seq()) } })
}

pub(crate) fn write_position(mut builder: feed_position::Builder<'_>, position: &Position) {
    builder.set_incarnation(&position.cursor.incarnation.to_bytes());
    builder.set_seq(position.cursor.seq.0);
    let mut feed = builder.init_feed();
    match &position.feed {
        Feed::Mailbox => feed.set_mailbox(()),
        Feed::Group(group) => feed.set_group(&group.to_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_round_trip() {
        let incarnation = Incarnation::from_slice(&[7; 16]).unwrap();
        let group = GroupId::new([1; 16], 1, "alpha.test".parse().unwrap());
        for feed in [Feed::Mailbox, Feed::Group(group)] {
            let position = Position { feed, cursor: Cursor { incarnation, seq: Seq(9) } };
            let mut message = capnp::message::Builder::new_default();
            write_position(message.init_root(), &position);
            let read = read_position(message.get_root_as_reader().unwrap()).unwrap();
            assert_eq!(read, position);
        }
    }

    #[test]
    fn a_malformed_delivery_is_refused_in_words() {
        let mut message = capnp::message::Builder::new_default();
        let mut delivery = message.init_root::<delivery::Builder<'_>>();
        delivery.reborrow().init_application().set_id(&[1; 3]);
        let error = read_delivery(delivery.into_reader()).unwrap_err();
        assert!(error.to_string().contains("16 bytes"), "{error}");
    }
}
