//! Servers are killed with `kill -9` while messages are on their way: all of them arrive once, in order.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use qpq_client::SendState;
use qpq_tests::{HomeDomain, Resident, World, eventually, told};

const MESSAGES: usize = 2_000;
const KILLS: usize = 10;
/// A kill counts only if so many messages were accepted and not delivered at that moment.
const ON_THEIR_WAY: usize = 20;
const GROUP: &str = "everybody";
const PATIENCE: Duration = Duration::from_mins(4);
const WHOLE: Duration = Duration::from_mins(20);

/// No limit but the disk's: what is tested here is not how limits bite.
const UNLIMITED: &[(&str, &str)] =
    &[("QPQ_LIMITS_SUBMITS_PER_MINUTE", "1000000"), ("QPQ_LIMITS_MAILBOX_MESSAGES", "100000")];

/// What a user has sent and heard.
struct Participant {
    resident: Resident,
    sent: usize,
    accepted: usize,
    /// How many were sent when this round began.
    begun: usize,
    /// Numbers heard, by sender.
    heard: BTreeMap<String, Vec<usize>>,
}

impl Participant {
    async fn new(world: &World, name: &str, domain: &HomeDomain) -> anyhow::Result<Self> {
        let resident = Resident::register(world, name, domain).await?;
        Ok(Self { resident, sent: 0, accepted: 0, begun: 0, heard: BTreeMap::new() })
    }

    async fn send_one(&mut self) -> anyhow::Result<()> {
        let sent = self.resident.send(GROUP, &self.sent.to_string()).await?;
        self.sent += 1;
        // A later acceptance implies the earlier ones: messages of a conversation leave in order.
        if sent.state == SendState::Accepted {
            self.accepted = self.sent;
        }
        Ok(())
    }

    /// Messages of this round that the domain has accepted.
    const fn accepted_now(&self) -> usize {
        self.accepted.saturating_sub(self.begun)
    }

    async fn listen(&mut self) -> anyhow::Result<()> {
        for message in self.resident.take().await? {
            self.heard.entry(message.from.to_string()).or_default().push(message.text.parse()?);
        }
        Ok(())
    }

    fn heard_from(&self, other: &Self) -> usize {
        self.heard.get(&other.resident.address().to_string()).map_or(0, Vec::len)
    }

    /// Everything that the others sent, once and in order.
    fn check(&self, other: &Self) -> anyhow::Result<()> {
        let name = other.resident.address().to_string();
        let heard = self.heard.get(&name).cloned().unwrap_or_default();
        let expected: Vec<_> = (0..other.sent).collect();
        ensure!(heard == expected, "{} heard {heard:?} from {name}", self.resident.address());
        Ok(())
    }
}

#[test]
fn two_thousand_messages_survive_ten_kills_of_the_servers() -> anyhow::Result<()> {
    told(WHOLE, async |world| {
        let (alpha, beta) = world.two_domains_with(UNLIMITED).await?;
        let mut alice = Participant::new(world, "alice", &alpha).await?;
        let mut bob = Participant::new(world, "bob", &beta).await?;
        let mut carol = Participant::new(world, "carol", &beta).await?;
        alice.resident.client().group_create(GROUP).await?;
        let members = [bob.resident.address().clone(), carol.resident.address().clone()];
        alice.resident.client().group_add(GROUP, &members).await?;
        for participant in [&alice, &bob, &carol] {
            participant.resident.wake();
        }
        for participant in [&bob, &carol] {
            eventually("the invited are in the group", PATIENCE, async || {
                Ok(participant.resident.client().group_show(GROUP).await.ok().map(drop))
            })
            .await?;
        }

        let mut kills = 0;
        for round in 0..KILLS {
            // Who speaks and who is killed take turns, so that each server dies as sender's and as receivers' home.
            let alpha_speaks = round % 2 == 0;
            let victim = if round % 4 < 2 {
                if alpha_speaks { &alpha } else { &beta }
            } else if alpha_speaks {
                &beta
            } else {
                &alpha
            };
            let quota = MESSAGES / KILLS;
            let mut killed = false;
            // Listeners are away, so what is accepted stays undelivered.
            if alpha_speaks {
                bob.resident.sleep().await;
                carol.resident.sleep().await;
            } else {
                alice.resident.sleep().await;
            }
            for participant in [&mut alice, &mut bob, &mut carol] {
                participant.begun = participant.sent;
            }
            for n in 0..quota {
                match (alpha_speaks, n % 2) {
                    (true, _) => alice.send_one().await?,
                    (false, 0) => bob.send_one().await?,
                    (false, _) => carol.send_one().await?,
                }
                // Sent and accepted since the listeners went away: nobody can have got them.
                let undelivered: usize =
                    [&alice, &bob, &carol].iter().map(|speaker| speaker.accepted_now()).sum();
                if !killed && n >= quota / 2 && undelivered >= ON_THEIR_WAY {
                    victim.kill().await?;
                    killed = true;
                    kills += 1;
                    println!(
                        "kill {kills}: {} with {undelivered} messages accepted but undelivered",
                        victim.name()
                    );
                }
                // Some are written while the server is down; then it comes back.
                if killed && n == quota * 3 / 4 {
                    victim.start().await?;
                }
            }
            ensure!(killed, "round {round}: fewer than {ON_THEIR_WAY} messages were on their way");
            for participant in [&alice, &bob, &carol] {
                participant.resident.wake();
            }
            for participant in [&mut alice, &mut bob, &mut carol] {
                participant.listen().await?;
            }
        }

        let total = alice.sent + bob.sent + carol.sent;
        ensure!(kills == KILLS && total == MESSAGES, "{kills} kills, {total} messages");
        let everything = [alice.sent, bob.sent, carol.sent];
        eventually("everything arrives", PATIENCE, async || {
            for participant in [&mut alice, &mut bob, &mut carol] {
                participant.listen().await?;
            }
            let [from_alice, from_bob, from_carol] = everything;
            let complete = alice.heard_from(&bob) >= from_bob
                && alice.heard_from(&carol) >= from_carol
                && bob.heard_from(&alice) >= from_alice
                && bob.heard_from(&carol) >= from_carol
                && carol.heard_from(&alice) >= from_alice
                && carol.heard_from(&bob) >= from_bob;
            Ok(complete.then_some(()))
        })
        .await?;
        for (listener, speaker) in [
            (&alice, &bob),
            (&alice, &carol),
            (&bob, &alice),
            (&bob, &carol),
            (&carol, &alice),
            (&carol, &bob),
        ] {
            listener.check(speaker)?;
        }
        println!("{total} messages, {kills} kills: all arrived once, in order");
        Ok(())
    })
}
