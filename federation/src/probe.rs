//! A probe of a peer: a connection of its own, looked at step by step. The link stays as it is: nothing is dialled back,
//! nothing is stored, and a backoff goes on.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use qpq_core::{Domain, ErrorCode, Millis};
use qpq_federation_proto::{
    CertificateSeen, DialSeen, HealthSeen, Hello, HelloSeen, HelloVerdict, OwnView, PROBE_FEATURE,
    Peer as Introduced, PeersView, Presented, Probe, ProbeReport, StopReason, Target, TrustedLink,
    judge_link,
};
use qpq_schemas::federation_capnp::{federation_health, link, peering};
use qpq_service::{
    Answered, Known, Refusal, Standing,
    wire::{read_failure, unreadable},
};
use qpq_storage::Peer;
use qpq_transport::{
    CloseCode, Connection, DialError, DialTls, Profile, Rpc, RpcLimits, Verdict, WorkerContext,
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    core::{Core, VERSIONS, address_of},
    dial::sendable,
    discovery::Memory,
    wire,
};

/// How long a probe takes at most.
const LONGEST: Duration = Duration::from_secs(14);
/// How long all its dials may take together, and each at most.
const DIALS: Duration = Duration::from_secs(6);
const DIAL: Duration = Duration::from_secs(4);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(3);
/// When it makes sense to try again while others are probing.
const SOON: Millis = Millis::from_secs(5);

/// Looks at a peer; `None`: it is none.
pub(crate) async fn probe(
    core: Arc<Core>,
    domain: Domain,
    context: WorkerContext,
) -> Answered<Option<ProbeReport>> {
    let Ok(_turn) = core.probes.try_acquire() else {
        return Err(Refusal::retry(ErrorCode::Overloaded, "other probes are running: try again soon", SOON));
    };
    let known = Known::read(core.ground.read().await?.as_mut(), &domain, core.ground.now()).await?;
    let Some(record) = known.peer.clone() else { return Ok(None) };
    let begun = Instant::now();
    let mut probe = Probe::new(core.ground.domain().clone(), domain);
    let mut way = Way { core: &core, known, record, context, connection: None };
    if timeout_at(begun + LONGEST, way.look(&mut probe)).await.is_err() {
        probe.handle_timeout(since(begun));
    }
    if let Some(connection) = way.connection {
        connection.close(CloseCode::Done, "the probe is over");
    }
    Ok(Some(probe.finish(since(begun))))
}

fn since(begun: Instant) -> Millis {
    Millis(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// The way to one peer.
struct Way<'a> {
    core: &'a Arc<Core>,
    known: Known,
    record: Peer,
    context: WorkerContext,
    connection: Option<Connection>,
}

impl Way<'_> {
    async fn look(&mut self, probe: &mut Probe) {
        let Some(targets) = self.discover(probe).await else { return };
        let Some(connection) = self.dial(probe, targets).await else { return };
        self.connection = Some(connection.clone());
        let Some(trusted) = self.judge(probe, &connection) else { return };
        let Some(link) = self.hello(probe, &connection, trusted).await else { return };
        self.health(probe, &link).await;
    }

    /// Where it is: name servers are asked anew, whatever is known.
    async fn discover(&self, probe: &mut Probe) -> Option<Vec<Target>> {
        let begun = Instant::now();
        // What is stored was parsed when it was stored.
        let address = address_of(&self.record).ok().flatten();
        let (ground, local) = (&self.core.ground, self.core.endpoint.local_addr());
        let (asked, found) = self
            .core
            .discovery
            .find(ground, &self.record.domain, address.as_ref(), local, Memory::Unused)
            .await;
        let asked: Vec<_> = asked.into_iter().map(|asked| (asked.question, asked.heard)).collect();
        probe.handle_discovery(&asked, &found, since(begun));
        found.ok()
    }

    async fn dial(&self, probe: &mut Probe, targets: Vec<Target>) -> Option<Connection> {
        let begun = Instant::now();
        let tls = DialTls::federation(&self.core.leaf, &self.record.domain);
        let each = (DIALS / u32::try_from(targets.len()).unwrap_or(1).max(1)).min(DIAL);
        let (mut dials, mut up): (Vec<(SocketAddr, DialSeen)>, _) = (Vec::new(), None);
        for target in targets {
            let to = sendable(self.core.endpoint.local_addr().ip(), target.address);
            match self.core.endpoint.dial(to, &tls, Profile::Peer, each).await {
                Ok(connection) => {
                    let key_exchange = connection.key_exchange().unwrap_or_default().to_owned();
                    dials.push((target.address, DialSeen::Connected(key_exchange)));
                    up = Some(connection);
                    break;
                }
                Err(error) => dials.push((target.address, seen(error))),
            }
        }
        probe.handle_dials(&dials, since(begun));
        up
    }

    fn judge(&self, probe: &mut Probe, connection: &Connection) -> Option<TrustedLink> {
        let domain = &self.record.domain;
        let Some(certificate) = connection.peer_certificate() else {
            probe.handle_dials(&[(connection.remote_address(), DialSeen::NoCertificate)], Millis(0));
            return None;
        };
        let presented = self.core.presented(&certificate, domain, Some(&self.record));
        probe.handle_certificate(&CertificateSeen {
            presented,
            pin: certificate.ca_pin,
            pinned: self.record.pin,
            not_before: certificate.not_before,
            not_after: certificate.not_after,
        });
        if presented != Presented::Trusted {
            return None;
        }
        let judged = judge_link(domain, presented, self.known.state(), self.core.peering.policy());
        if let Err(untrusted) = &judged {
            let kept_out = self.known.kept_out(self.core.peering.policy(), domain, self.core.ground.domain());
            let withheld = HelloSeen::Withheld {
                cause: kept_out.unwrap_or_else(|| untrusted.to_string()),
                remedy: format!(
                    "`peer would-allow {domain}` says why; `peer unblock` or `peer confirm` lets it in, `peer policy` all peers"
                ),
            };
            probe.handle_hello(withheld, VERSIONS, Millis(0));
        }
        judged.ok()
    }

    async fn hello(
        &self,
        probe: &mut Probe,
        connection: &Connection,
        trusted: TrustedLink,
    ) -> Option<link::Client> {
        let begun = Instant::now();
        let said = timeout(ANSWER, self.say_hello(connection, trusted)).await;
        let (seen, link) = match said {
            Err(_) => (HelloSeen::NoAnswer, None),
            Ok(Ok((seen, link))) => (seen, link),
            Ok(Err(broken)) => (HelloSeen::Broken(broken.text), None),
        };
        probe.handle_hello(seen, VERSIONS, since(begun));
        link
    }

    async fn say_hello(
        &self,
        connection: &Connection,
        trusted: TrustedLink,
    ) -> Answered<(HelloSeen, Option<link::Client>)> {
        let (reader, writer) = connection.open_stream().await.map_err(|error| broken(&error.to_string()))?;
        let mut rpc = Rpc::calling(reader, writer, None, RpcLimits::peer());
        let other: peering::Client = rpc.other_side();
        // It ends with the connection.
        self.context.spawn(async move { drop(rpc.run().await) });
        let ours = self.core.trusted_hello(&self.record).await?;
        let ours = Hello { features: vec![PROBE_FEATURE.to_owned()], ..ours };
        let mut request = other.hello_request();
        wire::write_hello(&ours, request.get().init_hello());
        let response = request.send().promise.await.map_err(|error| broken(&error.to_string()))?;
        let results = response.get().map_err(unreadable)?;
        let theirs = results.get_hello().map_err(unreadable)?;
        if results.has_failure() {
            let failure = read_failure(results.get_failure().map_err(unreadable)?)?;
            let theirs = wire::read_hello(theirs).ok().map(|hello| hello.versions);
            let refused = HelloSeen::Refused { code: failure.code, text: plain(&failure.text), theirs };
            return Ok((refused, None));
        }
        let mut hello = wire::read_hello(theirs)?;
        hello.trusted = wire::read_claims(theirs)?;
        let verdict = Introduced::new(trusted, self.record.incarnation).handle_hello(
            &hello,
            self.core.ground.incarnation(),
            VERSIONS,
            self.core.ground.now(),
        );
        Ok(match verdict {
            HelloVerdict::Welcome { version, .. } => {
                (HelloSeen::Welcome(version), Some(results.get_link().map_err(unreadable)?))
            }
            HelloVerdict::Stop(reason) => (HelloSeen::Unacceptable(reason), None),
        })
    }

    async fn health(&self, probe: &mut Probe, link: &link::Client) {
        let begun = Instant::now();
        let asked_at = self.core.ground.now();
        let seen = match timeout(ANSWER, ask_health(link)).await {
            Err(_) => HealthSeen::NoAnswer,
            Ok(Err(error)) => HealthSeen::Broken(error.text),
            Ok(Ok(Err(refusal))) => HealthSeen::Refused(refusal.text),
            Ok(Ok(Ok(view))) => {
                let half = Millis(self.core.ground.now().since(asked_at).0 / 2);
                HealthSeen::View(Box::new(view), asked_at.after(half))
            }
        };
        let took = since(begun);
        probe.handle_health(seen, &self.ours().await, took);
    }

    async fn ours(&self) -> OwnView {
        let domain = &self.record.domain;
        let slot = self.core.slot(domain).map(|slot| slot.health(self.core.ground.now()));
        let queued =
            async { Ok::<_, Refusal>(self.core.ground.read().await?.outbox_depth(domain).await?.rows) };
        let refused = self.record.refused.as_deref();
        let stored = refused.map(|reason| {
            reason
                .parse::<StopReason>()
                .map_or_else(|_| reason.to_owned(), |reason| reason.words().to_owned())
        });
        let paused = slot.as_ref().is_some_and(|seen| seen.standing == Standing::Paused);
        let stopped = slot.filter(|seen| seen.standing == Standing::Refused).map(|seen| seen.state);
        OwnView {
            stopped: stored.or(stopped),
            paused,
            // What can't be read is not the peer's fault.
            queued: queued.await.unwrap_or(0),
            pin: self.core.leaf.certificate().ca_pin,
        }
    }
}

/// What a dial that failed has met.
fn seen(error: DialError) -> DialSeen {
    match error {
        DialError::Untrusted { verdict: Verdict::WrongDomain, showed, .. } => DialSeen::OtherDomain(showed),
        DialError::Untrusted { .. } => DialSeen::NoCertificate,
        DialError::OtherProtocol => DialSeen::OtherProtocol,
        DialError::NoAnswer { .. } => DialSeen::NoAnswer,
        DialError::Refused { reason } => DialSeen::Refused(reason),
        DialError::Start { source, .. } => DialSeen::NotSent(source.to_string()),
        DialError::Tls(error) => DialSeen::NotSent(error.to_string()),
    }
}

fn broken(text: &str) -> Refusal {
    Refusal::malformed(plain(text))
}

/// Text of a peer: bounded, and nothing that could play with a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(300).collect()
}

async fn ask_health(link: &link::Client) -> Answered<Answered<PeersView>> {
    let response =
        link.federation_health_request().send().promise.await.map_err(|error| broken(&error.to_string()))?;
    let results = response.get().map_err(unreadable)?;
    if results.has_failure() {
        return Ok(Err(read_failure(results.get_failure().map_err(unreadable)?)?));
    }
    Ok(Ok(read_health(results.get_health().map_err(unreadable)?)))
}

fn read_health(health: federation_health::Reader<'_>) -> PeersView {
    // Words for people: what can't be read is left out.
    let said = |reader: capnp::Result<capnp::text::Reader<'_>>| {
        reader.ok().and_then(|text| text.to_str().ok()).map(plain).unwrap_or_default()
    };
    let time = |millis: u64| (millis > 0).then(|| qpq_core::Timestamp::from_millis(millis));
    let pin: Option<[u8; 32]> = health.get_pin().ok().and_then(|pin| pin.try_into().ok());
    PeersView {
        reachable: health.get_reachable(),
        state: said(health.get_state()),
        standing: said(health.get_standing()),
        trouble: said(health.get_trouble()),
        retry_at: time(health.get_retry_at()),
        queued: health.get_queued(),
        oldest_queued: Millis(health.get_oldest_queued_ms()),
        clock: qpq_core::Timestamp::from_millis(health.get_clock()),
        pin: pin.map(|pin| qpq_core::Pin::from_digest(qpq_core::Digest::from_bytes(pin))),
    }
}
