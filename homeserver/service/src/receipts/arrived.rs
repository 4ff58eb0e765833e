//! A receipt comes back: at the hub on its way to the senders' homes, or at a home for its devices.
//!
//! It counts where the statement speaks of a stream that this domain, or the group's hub, feeds to the signer, and for messages
//! that were submitted here with exactly this ciphertext. Each domain's word about a submit counts once, so repeats fill no
//! mailbox. What doesn't count is taken without a word where the answer would tell who is a peer of whom.

use std::collections::{BTreeMap, BTreeSet};

use qpq_core::{DeviceAddress, DeviceId, Domain, ErrorCode, MessageId, Pin};
use qpq_federation_proto::{Row, StreamId, StreamName};
use qpq_proof::{Message, Role, Terms};
use qpq_storage::{Feed, Notice, PeerState, Stored, WriteTx};
use tracing::debug;

use super::{Proven, Receipt, stored::send};
use crate::{Answered, Effects, Ground, Refusal, peering};

/// Applies a receipt of `origin`.
pub(crate) async fn apply(
    ground: &Ground,
    tx: &mut dyn WriteTx,
    origin: &Domain,
    row: &Row,
    effects: &mut Effects,
) -> Stored<Answered<()>> {
    let mut receipt = match Receipt::from_bytes(&row.payload) {
        Ok(receipt) => receipt,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let terms = receipt.signed.statement().terms.clone();
    if let Err(why) = is_theirs_to_say(ground, origin, &receipt, &terms) {
        return Ok(Err(Refusal::new(ErrorCode::PolicyRefused, why)));
    }
    let Some(pin) = pin_of_signer(tx, &receipt, &terms).await? else {
        debug!(peer.domain = %origin, signer = %terms.domain, "a receipt isn't signed by a key that is known here");
        return Ok(Ok(()));
    };
    receipt.pin = Some(pin);
    let (ours, elsewhere) = news(ground, tx, &receipt, &terms).await?;
    let notices: Vec<(DeviceId, Notice)> = ours
        .into_iter()
        .map(|(device, ids)| (device, Notice::Receipt { receipt: receipt.about(&ids).to_bytes() }))
        .collect();
    if !notices.is_empty() {
        for device in tx.mailbox_append(&notices, ground.now()).await? {
            effects.wake(device, Feed::Mailbox);
        }
    }
    if receipt.group.hub() == ground.domain() {
        receipt.pin = None;
        for (home, ids) in elsewhere {
            // Nothing waits for somebody who is no peer.
            if peering::why_not(tx, ground.domain(), &home, ground.now()).await?.is_none() {
                send(ground, tx, &home, &receipt.about(&ids), effects).await?;
            }
        }
    }
    Ok(Ok(()))
}

/// Whether the statement is one that its signer can make about this stream, and that this origin may bring.
fn is_theirs_to_say(
    ground: &Ground,
    origin: &Domain,
    receipt: &Receipt,
    terms: &Terms,
) -> Result<(), String> {
    let (us, hub) = (ground.domain(), receipt.group.hub());
    let name = |name: StreamName, from: &Domain, to: &Domain| *StreamId::of(from, to, &name).as_bytes();
    let fan_out = || name(StreamName::FanOut(receipt.group.clone()), hub, &terms.domain);
    let submissions = || name(StreamName::Submissions(receipt.group.clone()), us, hub);
    if terms.role != Role::Stored {
        return Err("a peer can prove only what was stored".to_owned());
    }
    let as_hub = terms.domain == *hub && hub == origin && terms.stream == submissions();
    let as_member = terms.domain != *hub && terms.stream == fan_out();
    let brought = if hub == us { terms.domain == *origin } else { hub == origin };
    if (as_hub || as_member) && brought {
        return Ok(());
    }
    Err(format!("`{origin}` can't bring `{}`'s word about this stream", terms.domain))
}

/// The pin of the signer's CA, if the key is the one that is known as the signer's. The word of a domain that is no peer can't
/// be judged here, whoever brings it.
async fn pin_of_signer(tx: &mut dyn WriteTx, receipt: &Receipt, terms: &Terms) -> Stored<Option<Pin>> {
    let peer = tx.peer(&terms.domain).await?.filter(|peer| peer.state == PeerState::Allowed);
    let key = receipt.signed.statement().key;
    Ok(peer.filter(|peer| peer.federation_key == *key.as_bytes()).map(|peer| peer.pin))
}

type Ids<K> = BTreeMap<K, BTreeSet<MessageId>>;

/// The messages that were submitted with the proven ciphertext and that the signer has not proven before: of each device of
/// ours, and of each other home.
async fn news(
    ground: &Ground,
    tx: &mut dyn WriteTx,
    receipt: &Receipt,
    terms: &Terms,
) -> Stored<(Ids<DeviceId>, Ids<Domain>)> {
    let named: BTreeMap<MessageId, &Proven> =
        receipt.messages.iter().map(|proven| (proven.id, proven)).collect();
    let ids: Vec<MessageId> = named.keys().copied().collect();
    let mut proven: Vec<(DeviceAddress, MessageId)> = Vec::new();
    for (id, sender, ciphertext) in tx.submitters(&ids).await? {
        let message = Message { id, ciphertext, recipient: terms.domain.clone() };
        let holds = named.get(&id).is_some_and(|named| receipt.signed.covers(&message, &named.place).is_ok());
        if holds {
            proven.push((sender, id));
        }
    }
    let fresh = tx.receipts_note(&terms.domain, &proven).await?;
    let (mut ours, mut elsewhere): (Ids<DeviceId>, Ids<Domain>) = (BTreeMap::new(), BTreeMap::new());
    for (sender, id) in proven.into_iter().zip(fresh).filter_map(|(proven, fresh)| fresh.then_some(proven)) {
        if sender.user.domain() == ground.domain() {
            ours.entry(sender.device).or_default().insert(id);
        } else {
            elsewhere.entry(sender.user.domain().clone()).or_default().insert(id);
        }
    }
    Ok((ours, elsewhere))
}
