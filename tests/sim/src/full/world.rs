//! One run: domains whose protocol code is the one that people run, in one thread, on a network and disks of ours.

#![expect(clippy::future_not_send, reason = "a run and all of its domains live on one thread")]

use std::{cell::RefCell, rc::Rc, time::Duration};

use async_trait::async_trait;
use qpq_core::{Domain, Seq, Timestamp};
use qpq_federation_proto::StreamId;
use qpq_service::{Effects, Ground, WriteJob};
use qpq_storage::{NewOutboxRow, Stored, WriteTx};
use tokio::{
    task::{JoinHandle, LocalSet},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    disk::Health,
    hostile::Hostile,
    net::Net,
    node::{Home, Process},
    plan::{Plan, Send, Trouble},
    watch::{Watch, message_id, pair},
};
use crate::{
    dice::Dice,
    faults::{Counts, Fault},
    history::{DomainNo, Event},
    run::Run,
};

/// A kind of row that no version knows: it is parked, whatever groups do.
pub(crate) const KIND: u16 = 900;
/// The longest backoff is 30 minutes; this long after the faults everything has gone through.
const DRAINED_AFTER: Duration = Duration::from_mins(35);
/// Nothing waits for so long: then it is over. A peer of a domain that was put back learns what that has lost only when the two
/// have met.
const QUIET: Duration = Duration::from_secs(90);
/// Whoever sends asks again after this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// A domain with the process that runs it, if one does.
struct Place {
    home: Rc<Home>,
    process: RefCell<Option<Process>>,
}

/// A run.
struct World {
    net: Net,
    watch: Watch,
    dice: RefCell<Dice>,
    counts: Rc<RefCell<Counts>>,
    hostile: Option<DomainNo>,
    places: Vec<Place>,
    /// What domains have accepted, in that order.
    accepted: RefCell<Vec<Send>>,
}

/// Plays a seed; everything happens in this future and the tasks of its local set.
pub(crate) async fn play(seed: u64, traced: bool) -> Run {
    let mut dice = Dice::new(seed);
    let plan = Plan::draw(&mut dice);
    let setting = plan.setting.clone();
    let local = LocalSet::new();
    match local.run_until(World::run(plan, dice, traced)).await {
        Ok((history, counts, trace, packets)) => {
            Run::judged(&setting, &history, counts, trace).marked(packets)
        }
        Err(why) => Run::broken(why),
    }
}

type Told = (Vec<Event>, Counts, Vec<String>, u64);

impl World {
    async fn run(plan: Plan, mut dice: Dice, traced: bool) -> Result<Told, String> {
        let names: Vec<Domain> = (0..plan.setting.domains)
            .map(|no| format!("d{no}.test").parse().map_err(|error| format!("{error}")))
            .collect::<Result<_, _>>()?;
        let watch = Watch::new(names.clone(), traced);
        let net = Net::new(dice.fork(), plan.weather);
        let mut counts = Counts::default();
        let mut places = Vec::new();
        for (no, (name, skew)) in names.into_iter().zip(plan.skews).enumerate() {
            if skew.unsigned_abs() > 60_000 {
                counts.add(Fault::ClockSkew);
            }
            let home = Rc::new(Home::new(no, name, skew, &mut dice, &watch)?);
            places.push(Place { home, process: RefCell::new(None) });
        }
        for one in &places {
            for other in places.iter().filter(|other| other.home.no != one.home.no) {
                one.home.knows(&other.home).await?;
            }
        }
        let (dice, counts) = (RefCell::new(dice), Rc::new(RefCell::new(counts)));
        let hostile = plan.setting.hostile;
        let world = Rc::new(Self { net, watch, dice, counts, hostile, places, accepted: RefCell::default() });
        let mut tasks = vec![tokio::task::spawn_local(world.net.clone().carry())];
        let began = Instant::now();
        for no in (0..world.places.len()).filter(|no| hostile != Some(*no)) {
            world.start(no);
        }
        let liar = world.hostile_begins()?;
        for (at, send) in plan.sends {
            let here = Rc::clone(&world);
            tasks.push(tokio::task::spawn_local(async move {
                sleep_until(began + at).await;
                here.sends(send).await;
            }));
        }
        for (at, trouble) in plan.troubles {
            let here = Rc::clone(&world);
            tasks.push(tokio::task::spawn_local(async move {
                sleep_until(began + at).await;
                here.trouble(trouble).await;
            }));
        }
        sleep_until(began + plan.heals_at).await;
        world.heal();
        liar.iter().for_each(JoinHandle::abort);
        let end = Instant::now() + DRAINED_AFTER;
        let (carrier, works) = tasks.split_first().ok_or("no tasks")?;
        let mut quiet_since = None;
        while Instant::now() < end {
            sleep(Duration::from_millis(500)).await;
            if !works.iter().all(JoinHandle::is_finished) || !world.watch.is_drained() {
                quiet_since = None;
            } else if quiet_since.get_or_insert_with(Instant::now).elapsed() >= QUIET {
                break;
            }
        }
        carrier.abort();
        Ok(world.end().await)
    }

    /// The hostile peer begins, if there is one; its task ends with the faults.
    fn hostile_begins(&self) -> Result<Option<JoinHandle<()>>, String> {
        let Some(place) = self.hostile.and_then(|no| self.place(no)) else { return Ok(None) };
        let seed = self.dice.borrow_mut().entropy().bytes32();
        let dice = self.dice.borrow_mut().fork();
        let endpoint = place.home.endpoint(&self.net, seed)?;
        let honest = self.places.iter().filter(|place| self.hostile != Some(place.home.no));
        let victims = honest.map(|place| Rc::clone(&place.home)).collect();
        let hostile = Hostile::new(Rc::clone(&place.home), endpoint, dice, Rc::clone(&self.counts));
        Ok(Some(tokio::task::spawn_local(hostile.acts(victims))))
    }

    async fn end(&self) -> Told {
        for place in &self.places {
            for (peer, why) in place.home.stopped().await {
                let peer = self.places.iter().position(|place| place.home.domain == peer);
                if let Some(peer) = peer {
                    self.watch.tell(Event::Alarm { domain: place.home.no, peer, why });
                }
            }
        }
        let mut counts = self.counts.borrow().clone();
        counts.merge(&self.net.counts());
        for place in &self.places {
            counts.merge(&place.home.disk.counts());
            let process = place.process.borrow_mut().take();
            if let Some(process) = process {
                process.ended().await;
            }
        }
        let (history, trace) = self.watch.take();
        (history, counts, trace, self.net.trace())
    }

    fn place(&self, domain: DomainNo) -> Option<&Place> {
        self.places.get(domain)
    }

    fn start(&self, domain: DomainNo) {
        let Some(place) = self.place(domain) else { return };
        self.watch.note(&format!("d{domain} starts"));
        let process = place.home.start(&self.net, &mut self.dice.borrow_mut(), &self.watch);
        place.process.borrow_mut().replace(process);
    }

    /// From now on nothing goes wrong any more; what is down comes back by itself.
    fn heal(&self) {
        self.net.heal();
        for place in &self.places {
            place.home.disk.becomes(Health::Well);
        }
        let at = self.watch.at();
        self.watch.tell(Event::Healed { at });
    }

    async fn trouble(&self, trouble: Trouble) {
        self.watch.note(&format!("{trouble:?}"));
        match trouble {
            Trouble::Cut { from, to, both, lasts } => {
                self.count(if both { Fault::TwoWayPartition } else { Fault::OneWayPartition });
                let ways = [(from, to), (to, from)];
                let ways = ways.iter().take(if both { 2 } else { 1 });
                ways.clone().for_each(|(from, to)| self.net.cut(*from, *to));
                sleep(lasts).await;
                ways.for_each(|(from, to)| self.net.mend(*from, *to));
            }
            Trouble::Crash { domain, polls, away } => self.crash(domain, polls, away).await,
            Trouble::SlowDisk { domain, lasts } => self.disk(domain, Health::Slow, lasts).await,
            Trouble::BadDisk { domain, lasts } => self.disk(domain, Health::Bad, lasts).await,
            Trouble::ClockJump { domain, by } => {
                self.count(Fault::ClockJump);
                self.places
                    .iter()
                    .filter(|place| place.home.no == domain)
                    .for_each(|place| place.home.clock.jump(by));
            }
            Trouble::BackUp { domain } => {
                self.place(domain).into_iter().for_each(|place| place.home.back_up(&self.watch));
            }
            Trouble::Restore { domain, away } => self.restore(domain, away).await,
        }
    }

    async fn disk(&self, domain: DomainNo, health: Health, lasts: Duration) {
        let Some(place) = self.place(domain) else { return };
        place.home.disk.becomes(health);
        sleep(lasts).await;
        place.home.disk.becomes(Health::Well);
    }

    async fn crash(&self, domain: DomainNo, polls: u64, away: Duration) {
        let Some(place) = self.place(domain) else { return };
        let Some(process) = place.process.borrow_mut().take() else { return };
        process.crash_after(polls);
        // One that has nothing to do isn't polled so often.
        sleep(Duration::from_secs(2)).await;
        process.ended().await;
        self.net.unplug(domain);
        self.count(Fault::Crash);
        self.watch.note(&format!("d{domain} has crashed"));
        sleep(away).await;
        self.start(domain);
    }

    async fn restore(&self, domain: DomainNo, away: Duration) {
        let Some(place) = self.place(domain) else { return };
        let Some(process) = place.process.borrow_mut().take() else { return };
        process.ended().await;
        self.net.unplug(domain);
        sleep(away).await;
        // A disk that fails during a restore is another story: its admin begins again.
        place.home.disk.becomes(Health::Well);
        let mut dice = self.dice.borrow_mut().fork();
        match place.home.restore(&mut dice, &self.watch).await {
            Ok(()) => self.count(Fault::Restore),
            Err(why) => self.watch.note(&format!("d{domain} could not be restored: {why}")),
        }
        self.start(domain);
        self.offer_again(domain).await;
    }

    /// The users of a domain hand in again what it had accepted.
    async fn offer_again(&self, domain: DomainNo) {
        let accepted = self.accepted.borrow().clone();
        for send in accepted.into_iter().filter(|send| send.from == domain) {
            self.watch.offers_again(send.id);
            self.hand_in(send).await;
        }
    }

    fn count(&self, fault: Fault) {
        self.counts.borrow_mut().add(fault);
    }

    /// A user sends a message.
    async fn sends(&self, send: Send) {
        self.hand_in(send).await;
        self.accepted.borrow_mut().push(send);
        let group = pair(send.from, send.to, self.places.len());
        self.watch.tell(Event::Accepted { domain: send.from, group, id: send.id });
    }

    /// Hands a message in, as often as it takes until it is accepted.
    async fn hand_in(&self, send: Send) {
        let Some(to) = self.place(send.to).map(|place| place.home.domain.clone()) else { return };
        loop {
            if let Some(ground) = self.ground(send.from) {
                let job = Row { send, to: to.clone(), now: ground.now(), effects: Effects::default() };
                if let Ok(Ok(())) = timeout(PATIENCE, ground.write(job)).await {
                    return;
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn ground(&self, domain: DomainNo) -> Option<std::sync::Arc<Ground>> {
        self.place(domain)?.process.borrow().as_ref().and_then(Process::ground)
    }
}

/// Queues one row for a peer, once.
struct Row {
    send: Send,
    to: Domain,
    now: Timestamp,
    effects: Effects,
}

/// A stream between two domains.
fn stream(send: Send) -> StreamId {
    let [from, to] = [send.from, send.to].map(|no| u8::try_from(no).unwrap_or(u8::MAX));
    StreamId::from_bytes([send.stream, from, to, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7])
}

#[async_trait]
impl WriteJob for Row {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        self.effects = Effects::default();
        let (stream, id) = (*stream(self.send).as_bytes(), message_id(self.send.id));
        for head in tx.outbox_lanes(&self.to).await?.into_iter().filter(|head| head.lane.stream == stream) {
            let known = tx.outbox_rows(&self.to, &head.lane, Seq(1), usize::MAX, usize::MAX).await?;
            if known.iter().any(|row| row.row.id == id) {
                return Ok(());
            }
        }
        let row = NewOutboxRow {
            destination: self.to.clone(),
            stream,
            id,
            kind: KIND,
            expires_at: None,
            payload: vec![7; 200],
            at: self.now,
            request: None,
        };
        tx.outbox_append(&[row]).await?;
        self.effects.send(self.to.clone());
        Ok(())
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}
