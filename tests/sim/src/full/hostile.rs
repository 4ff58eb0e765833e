//! A peer that lies, over the same wire as everybody: it dials, introduces itself truly or falsely, and hands over old
//! batches, gaps, and headers of other origins, destinations and keys. It answers nobody.
#![expect(clippy::future_not_send, reason = "Cap'n Proto is `!Send`: calls live on one thread")]

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use ed25519_dalek::SigningKey;
use qpq_core::{Clock as _, Domain, Incarnation, Millis, Seq, Timestamp};
use qpq_federation_proto::{Batch, BatchDigest, Row, RowKind, SignedHeader, StreamId};
use qpq_schemas::federation_capnp::{link, peering};
use qpq_transport::{DialTls, Endpoint, Profile, Rpc, RpcLimits};
use tokio::time::{sleep, timeout};

use super::{net::address, node::Home, watch::message_id, world::KIND};
use crate::{
    dice::Dice,
    faults::{Counts, Fault},
    history::DomainNo,
};

/// It waits so long for anything.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ids of its rows, which nobody else's messages have.
const IDS: u64 = 1 << 40;

/// The hostile peer.
pub(crate) struct Hostile {
    home: Rc<Home>,
    endpoint: Endpoint,
    dice: RefCell<Dice>,
    counts: Rc<RefCell<Counts>>,
    /// True batches that each victim was sent.
    sent: RefCell<BTreeMap<DomainNo, Vec<Batch>>>,
}

/// What it calls one link.
struct Links {
    peering: peering::Client,
    rpc: tokio::task::JoinHandle<()>,
    connection: qpq_transport::Connection,
}

impl Hostile {
    pub(crate) fn new(home: Rc<Home>, endpoint: Endpoint, dice: Dice, counts: Rc<RefCell<Counts>>) -> Self {
        Self { home, endpoint, dice: RefCell::new(dice), counts, sent: RefCell::default() }
    }

    /// Does what it does to one after the other, for ever.
    pub(crate) async fn acts(self, victims: Vec<Rc<Home>>) {
        loop {
            let wait = self.dice.borrow_mut().between(500, 8_000);
            sleep(Duration::from_millis(wait)).await;
            let victim = self.dice.borrow_mut().index(victims.len());
            let Some(victim) = victims.get(victim) else { return };
            // That something was refused, or never answered, is as it should be.
            let _refused = self.visits(victim).await;
        }
    }

    async fn visits(&self, victim: &Home) -> Option<()> {
        let tls = DialTls::federation(self.home.leaf(), &victim.domain);
        let connection = self.endpoint.dial(address(victim.no), &tls, Profile::Peer, PATIENCE).await.ok()?;
        let (reader, writer) = connection.open_stream().await.ok()?;
        let mut rpc = Rpc::calling(reader, writer, None, RpcLimits::peer());
        let peering: peering::Client = rpc.other_side();
        let rpc = tokio::task::spawn_local(async move { drop(rpc.run().await) });
        let links = Links { peering, rpc, connection };
        let link = timeout(PATIENCE, self.hello(&links.peering)).await.ok()??;
        let calls = self.dice.borrow_mut().between(1, 5);
        for _ in 0..calls {
            let (header, batch) = self.draw(victim)?;
            timeout(PATIENCE, relay(&link, &header, &batch)).await.ok()?;
        }
        Some(())
    }

    async fn hello(&self, peering: &peering::Client) -> Option<link::Client> {
        let mut incarnation = self.home.incarnation();
        let mut yours = None;
        if self.dice.borrow_mut().per_mille(60) {
            self.counts.borrow_mut().add(Fault::HostileHello);
            let mut dice = self.dice.borrow_mut();
            let later = self.home.clock.now().after(Millis::from_days(4_000));
            if dice.per_mille(500) {
                yours = Some(Incarnation::begin(later, dice.entropy()));
            } else {
                incarnation = Incarnation::begin(Timestamp::from_millis(1), dice.entropy());
            }
        }
        let mut request = peering.hello_request();
        let mut hello = request.get().init_hello();
        hello.set_min_version(1);
        hello.set_max_version(1);
        hello.set_domain(self.home.domain.as_str());
        let mut trusted = hello.init_trusted();
        trusted.set_incarnation(&incarnation.to_bytes());
        if let Some(yours) = yours {
            trusted.set_yours(&yours.to_bytes());
        }
        trusted.set_heads_digest(&[0; 32]);
        trusted.set_clock(self.home.clock.now().as_millis());
        let response = request.send().promise.await.ok()?;
        response.get().ok()?.get_link().ok()
    }

    /// A batch, true or not, and its header.
    fn draw(&self, victim: &Home) -> Option<(SignedHeader, Batch)> {
        let mut dice = self.dice.borrow_mut();
        let mut sent = self.sent.borrow_mut();
        let sent = sent.entry(victim.no).or_default();
        let next = sent.last().map_or(1, |batch| batch.last().0.saturating_add(1));
        let what = dice.below(6);
        let batch = match what {
            0 | 1 if !sent.is_empty() => {
                self.counts.borrow_mut().add(Fault::HostileReplay);
                sent.get(dice.index(sent.len()))?.clone()
            }
            2 => {
                self.counts.borrow_mut().add(Fault::HostileGap);
                self.batch(victim, next.saturating_add(1), dice.between(1, 3))?
            }
            3 => self.batch(victim, next, 1)?,
            _ => {
                let batch = self.batch(victim, next, dice.between(1, 3))?;
                sent.push(batch.clone());
                batch
            }
        };
        let (us, them) = (self.home.domain.clone(), victim.domain.clone());
        let sign = |key: &SigningKey, origin: &Domain, destination: &Domain| {
            let digests = vec![BatchDigest::of(&batch)];
            let (origin, destination) = (origin.clone(), destination.clone());
            SignedHeader::sign(key, origin, destination, self.home.incarnation(), digests).ok()
        };
        let header = if what == 3 {
            self.counts.borrow_mut().add(Fault::HostileHeader);
            match dice.below(3) {
                0 => sign(self.home.key(), &them, &them),
                1 => sign(self.home.key(), &us, &us),
                _ => sign(&SigningKey::from_bytes(&[7; 32]), &us, &them),
            }
        } else {
            sign(self.home.key(), &us, &them)
        };
        Some((header?, batch))
    }

    fn batch(&self, victim: &Home, first: u64, rows: u64) -> Option<Batch> {
        let place = |no: DomainNo| u8::try_from(no).unwrap_or(u8::MAX);
        let stream = StreamId::from_bytes([
            9,
            place(self.home.no),
            place(victim.no),
            9,
            9,
            9,
            9,
            9,
            9,
            9,
            9,
            9,
            9,
            9,
            9,
            9,
        ]);
        let row = |seq: u64| Row {
            seq: Seq(seq),
            id: message_id(IDS.saturating_add(seq)),
            kind: RowKind::from_number(KIND),
            ttl: None,
            payload: vec![9; 100],
            request: None,
        };
        Batch::new(stream, None, (first..first.saturating_add(rows)).map(row).collect()).ok()
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.rpc.abort();
        self.connection.close(qpq_transport::CloseCode::Done, "");
    }
}

/// Hands over one batch under whatever header.
async fn relay(link: &link::Client, header: &SignedHeader, batch: &Batch) {
    let mut request = link.relay_enqueue_request();
    let mut params = request.get();
    let mut builder = params.reborrow().init_header();
    builder.set_origin(header.origin().as_str());
    builder.set_destination(header.destination().as_str());
    builder.set_incarnation(&header.incarnation().to_bytes());
    builder.set_signature(header.signature());
    let mut builder = params.init_batches(1).get(0);
    builder.set_stream(batch.stream().as_bytes());
    builder.set_first(batch.first().0);
    let mut rows = builder.init_rows(u32::try_from(batch.rows().len()).unwrap_or(0));
    for (index, row) in (0..).zip(batch.rows()) {
        let mut builder = rows.reborrow().get(index);
        builder.set_id(row.id.as_bytes());
        builder.set_kind(row.kind.number());
        builder.set_payload(&row.payload);
    }
    drop(request.send().promise.await);
}
