//! What a peer, or who pretends to be one, can send that no honest peer sends: refused with a typed reason, said once with
//! its name, counted, and without an effect on anything else. (What it costs others is in `fairness.rs`, what strangers
//! get in `links.rs`.)

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::time::Duration;

use anyhow::{Context as _, ensure};
use qpq_core::{Digest, Incarnation, OsEntropy, Seq, Timestamp};
use qpq_schemas::federation_capnp::link;
use qpq_tests::{
    HomeDomain, Resident, World, eventually,
    hostile::{Answered, Attack, Attacker, Impostor, Target, relays, rows, rows_after},
    lane::Lane,
    peer, story, stranger,
    wire::{self, FederationLink, Refused},
};

const SOON: Duration = Duration::from_secs(30);
/// How long is waited for something that doesn't come.
const SHORT: Duration = Duration::from_millis(100);
/// What is said of a peer that does what it shouldn't, once.
const COMPLAINT: &str = "a peer does what no honest peer does";

/// Gamma, a peer of alpha, is in the wrong hands; beta is an honest one.
struct Scene {
    alpha: HomeDomain,
    beta: HomeDomain,
    gamma: Impostor,
}

impl Scene {
    async fn begin(world: &World) -> anyhow::Result<Self> {
        let alpha = world.domain_with("alpha", &[("QPQ_LOG_FILTER", "info")]).await?;
        let beta = world.domain("beta").await?;
        let gamma = world.domain("gamma").await?;
        peer(&alpha, &beta).await?;
        peer(&alpha, &gamma).await?;
        let gamma = Impostor::of(&gamma).await?;
        Ok(Self { alpha, beta, gamma })
    }

    fn target(&self) -> Target {
        Target::of(&self.alpha)
    }

    /// How often alpha complained about gamma, with these words in the line.
    fn complaints(&self, words: &str) -> usize {
        let said = self.alpha.said();
        let lines = said.lines().filter(|line| line.contains(COMPLAINT) && line.contains(words));
        lines.filter(|line| line.contains(self.gamma.domain().as_str())).count()
    }

    /// Calls of peers that were counted with such labels.
    async fn counted(&self, labels: &[&str]) -> anyhow::Result<f64> {
        let text = self.alpha.asked("/metrics").await?;
        let series = text.lines().filter(|line| line.starts_with("quicproquo_"));
        let lines = series.filter(|line| labels.iter().all(|label| line.contains(label)));
        lines.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>().context("a count")).sum()
    }

    /// An honest peer's users notice nothing.
    async fn others_notice_nothing(&self, world: &World) -> anyhow::Result<()> {
        let alice = Resident::register(world, "alice", &self.alpha).await?;
        let bob = Resident::register(world, "bob", &self.beta).await?;
        let lane = Lane::between(&bob, &alice).await?;
        let sent = lane.submit(20).await?;
        lane.receiver().until(20, SOON).await?;
        ensure!(lane.receiver().delivered() == sent);
        Ok(())
    }
}

/// One bad relay call.
struct Bad {
    what: &'static str,
    expects: Expects,
}

#[derive(Clone, Copy)]
enum Expects {
    Refused(u16),
    Gap(u64),
    Repeat(u64),
    Differs,
}

#[test]
fn bad_rows_are_refused_with_a_reason_said_once_and_counted() -> anyhow::Result<()> {
    story(async |world| {
        let scene = Scene::begin(world).await?;
        let (dialled, calls) = scene.gamma.link(&scene.target()).await?;
        let (us, them) = (scene.gamma.domain().clone(), scene.alpha.name().clone());
        let good = rows(1, 1, 3, 7, 40)?;
        let header = scene.gamma.sign(&us, &them, std::slice::from_ref(&good))?;
        let taken = relays(&calls, &header, header.signature(), &good).await?;
        let Ok(Answered::Applied(through, chain)) = taken else { anyhow::bail!("good rows: {taken:?}") };
        ensure!(through == Seq(3));

        let table = [
            Bad { what: "a signature by nobody", expects: Expects::Refused(206) },
            Bad { what: "another origin in the header", expects: Expects::Refused(206) },
            Bad { what: "another destination in the header", expects: Expects::Refused(206) },
            Bad { what: "rows that the header doesn't sign", expects: Expects::Refused(206) },
            Bad { what: "the same rows again", expects: Expects::Repeat(3) },
            Bad { what: "a gap", expects: Expects::Gap(4) },
            Bad { what: "rows behind others than were sent", expects: Expects::Differs },
        ];
        // Three times each: whatever it is, it is said once.
        for _ in 0..3 {
            for Bad { what, expects } in &table {
                let (batch, origin, destination, signature) = match *what {
                    "a signature by nobody" => (rows(1, 4, 2, 7, 40)?, &us, &them, Some([7; 64])),
                    "another origin in the header" => (rows(1, 4, 2, 7, 40)?, scene.beta.name(), &them, None),
                    "another destination in the header" => {
                        (rows(1, 4, 2, 7, 40)?, &us, scene.beta.name(), None)
                    }
                    "rows that the header doesn't sign" => (rows(1, 4, 2, 9, 40)?, &us, &them, None),
                    "the same rows again" => (good.clone(), &us, &them, None),
                    "a gap" => (rows(1, 9, 2, 7, 40)?, &us, &them, None),
                    _ => (rows_after(Some(Digest::ZERO), 1, 4, 2, 7, 40)?, &us, &them, None),
                };
                // What is signed is what was meant, what is sent may be something else.
                let meant = if *what == "rows that the header doesn't sign" {
                    rows(1, 4, 2, 7, 40)?
                } else {
                    batch.clone()
                };
                let header = scene.gamma.sign(origin, destination, &[meant])?;
                let signature = signature.unwrap_or_else(|| *header.signature());
                let answer = relays(&calls, &header, &signature, &batch).await?;
                let right = match (&answer, *expects) {
                    (Err(Refused { code, text, .. }), Expects::Refused(expected)) => {
                        *code == expected && !text.is_empty()
                    }
                    (Ok(Answered::Expects(next)), Expects::Gap(expected)) => *next == Seq(expected),
                    (Ok(Answered::Applied(through, again)), Expects::Repeat(expected)) => {
                        *through == Seq(expected) && *again == chain
                    }
                    (Ok(Answered::Differs(header)), Expects::Differs) => !header.is_empty(),
                    _ => false,
                };
                ensure!(right, "{what}: {answer:?}");
            }
        }
        ensure!(
            scene.complaints("code=206") == 1,
            "said {} times:\n{}",
            scene.complaints("code=206"),
            scene.alpha.said()
        );
        let refused =
            scene.counted(&["federation_call_duration_seconds_count", "relayEnqueue", "received", "refused"]);
        ensure!(refused.await? >= 12.0, "refused calls are counted");

        // The stream goes on where it was.
        let next = rows(1, 4, 2, 7, 40)?;
        let header = scene.gamma.sign(&us, &them, std::slice::from_ref(&next))?;
        let taken = relays(&calls, &header, header.signature(), &next).await?;
        ensure!(matches!(taken, Ok(Answered::Applied(Seq(5), _))), "{taken:?}");
        dialled.close().await;
        scene.others_notice_nothing(world).await
    })
}

#[test]
fn a_peer_that_does_so_without_end_is_hung_up_on_and_named_once() -> anyhow::Result<()> {
    story(async |world| {
        let scene = Scene::begin(world).await?;
        for attack in [Attack::Hellos, Attack::BadSignatures, Attack::HugeFrames, Attack::Links] {
            let before = scene.alpha.resident_bytes()?;
            let attacker = Attacker::begin(attack, scene.target(), scene.gamma.clone())?;
            attacker.has_begun().await?;
            let words = match attack {
                Attack::Hellos => "introductions without end",
                Attack::BadSignatures => "code=206",
                Attack::HugeFrames => "no conversation",
                Attack::Links | Attack::UnreadCalls | Attack::Rows => "links without end",
            };
            eventually(&format!("alpha complains of {attack:?}"), SOON, async || {
                Ok((scene.complaints(words) > 0).then_some(()))
            })
            .await?;
            let blows = attacker.end().await?;
            ensure!(scene.complaints(words) == 1, "{attack:?}: {} complaints", scene.complaints(words));
            let grown = scene.alpha.resident_bytes()?.saturating_sub(before) >> 20;
            ensure!(grown < 120, "{attack:?}: {blows} blows and alpha grew by {grown} MiB");
        }
        ensure!(scene.counted(&["limit=\"peer-calls\""]).await? > 0.0, "what was refused is counted");
        scene.others_notice_nothing(world).await
    })
}

#[test]
fn a_peer_that_never_reads_does_not_fill_the_memory() -> anyhow::Result<()> {
    story(async |world| {
        let scene = Scene::begin(world).await?;
        let before = scene.alpha.resident_bytes()?;
        let attacker = Attacker::begin(Attack::UnreadCalls, scene.target(), scene.gamma.clone())?;
        attacker.has_begun().await?;
        let mut most = before;
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            most = most.max(scene.alpha.resident_bytes()?);
        }
        let blows = attacker.end().await?;
        ensure!(blows > 1_000, "only {blows} calls were made");
        ensure!((most - before) >> 20 < 60, "alpha grew by {} MiB", (most - before) >> 20);
        scene.others_notice_nothing(world).await
    })
}

#[test]
fn streams_beside_the_one_of_a_link_are_bounded_and_nobody_reads_them() -> anyhow::Result<()> {
    story(async |world| {
        let scene = Scene::begin(world).await?;
        let (dialled, calls) = scene.gamma.link(&scene.target()).await?;
        let before = scene.alpha.resident_bytes()?;
        let mut opened = Vec::new();
        // As many as the other side allows, each filled as far as it lets us.
        while let Ok(stream) = tokio::time::timeout(SHORT, dialled.connection().open_stream()).await {
            let (_reader, mut writer) = stream?;
            drop(tokio::time::timeout(SHORT, writer.write_all(&vec![7; 1 << 20])).await);
            opened.push(writer);
            ensure!(opened.len() <= 64, "{} streams were opened", opened.len());
        }
        let grown = scene.alpha.resident_bytes()?.saturating_sub(before) >> 20;
        ensure!(grown < 40, "{} streams made alpha grow by {grown} MiB", opened.len());
        dialled.close().await;
        drop(calls);
        scene.others_notice_nothing(world).await
    })
}

#[test]
fn a_peer_with_a_certificate_for_another_domain_is_that_domain_to_nobody() -> anyhow::Result<()> {
    story(async |world| {
        let scene = Scene::begin(world).await?;
        // Gamma's authority signs a leaf for beta: the name is right, the authority counts for gamma alone.
        let leaf = stranger::leaf_under(&world.path().join("gamma"), scene.beta.name())?;
        let dialled =
            FederationLink::dial(&scene.alpha.federation_address(), scene.alpha.name(), &leaf).await?;
        let mut request = dialled.peering().hello_request();
        let mut hello = request.get().init_hello();
        hello.set_min_version(1);
        hello.set_max_version(1);
        hello.set_domain(scene.beta.name().as_str());
        let answer = wire::within(request.send().promise).await?;
        let answer = answer.get()?;
        ensure!(!answer.has_link() && !answer.get_hello()?.has_trusted(), "beta's links are open to gamma");
        let refused = wire::refused(answer.get_failure()?)?;
        ensure!(refused.code == 206 && !refused.text.is_empty(), "{refused:?}");
        let forced = link::Client { client: dialled.peering().client.clone() };
        ensure!(wire::within(forced.relay_enqueue_request().send().promise).await.is_err());
        dialled.close().await;
        scene.others_notice_nothing(world).await
    })
}

#[test]
fn two_servers_that_claim_one_domain_are_noticed_and_shown() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let beta = world.domain("beta").await?;
        let gamma = world.domain("gamma").await?;
        peer(&alpha, &beta).await?;
        peer(&alpha, &gamma).await?;
        let scene = Scene { gamma: Impostor::of(&gamma).await?, alpha, beta };
        gamma.start().await?;
        // Another life of the same domain, begun before the one that alpha knows: a clone that was started somewhere else.
        let earlier = Timestamp::from_millis(1_000);
        let life = Incarnation::begin(earlier, &mut OsEntropy::new()?);
        let clone = Impostor::beside(&gamma, life)?;
        let dialled = clone.dial(&scene.target()).await?;
        let introduced = clone.introduces_itself(dialled.peering()).await?;
        ensure!(introduced.link.is_none(), "two lives of one domain are served");
        let refused = introduced.failure.context("no reason was given")?;
        ensure!([206, 209].contains(&refused.code), "{refused:?}");
        eventually("alpha's admin is shown it", SOON, async || {
            let shown = scene.alpha.admin(&["peer", "show", "gamma.test"]).await?.to_string();
            Ok(shown.contains("\"refused\"").then_some(()))
        })
        .await?;
        let said = scene.alpha.said();
        ensure!(said.contains("gamma.test") && said.contains("WARN"), "{said}");
        dialled.close().await;
        scene.others_notice_nothing(world).await
    })
}

#[test]
fn a_peer_takes_no_more_places_than_it_needs() -> anyhow::Result<()> {
    story(async |world| {
        let scene = Scene::begin(world).await?;
        // Links that only look, and those whose other end answers nobody, are links as well.
        let mut held = Vec::new();
        let refused = loop {
            ensure!(held.len() < 30, "thirty links are up at once");
            match scene.gamma.link(&scene.target()).await {
                Ok(link) => held.push(link),
                Err(refused) => break refused,
            }
        };
        ensure!((2..=12).contains(&held.len()), "{} links, then {refused:#}", held.len());
        scene.others_notice_nothing(world).await?;
        // Who lets go of one may have another.
        let (last, _) = held.pop().context("a link")?;
        last.close().await;
        eventually("there is a place again", SOON, async || {
            Ok(scene.gamma.link(&scene.target()).await.ok().map(|link| held.push(link)))
        })
        .await?;
        Ok(())
    })
}
