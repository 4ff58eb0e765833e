//! A peer that lies: trusted, under its own key, and against everybody. It has no database and keeps no promise.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use qpq_core::{Digest, FederationKey, Incarnation, MessageId, Millis, Seq, Timestamp};
use qpq_federation_proto::{
    Batch, BatchDigest, Hello, PeerHead, Position, Row, RowKind, SignedHeader, StreamAnswer, StreamId,
};

use super::{
    disk::{UNKNOWN_KIND, control},
    world::{CallKey, Due, Letter, Proof, World},
};
use crate::{dice::Dice, faults::Fault, history::DomainNo};

/// What it mostly does; a peer that is found out early does nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Sends true batches, old ones again, gaps and wrong headers.
    Sends,
    /// Answers what isn't so.
    Answers,
    /// Says in `hello` what isn't so.
    Introduces,
}

impl Manner {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        match dice.below(3) {
            0 => Self::Sends,
            1 => Self::Answers,
            _ => Self::Introduces,
        }
    }
}

/// The hostile peer.
#[derive(Debug)]
pub(crate) struct Hostile {
    no: DomainNo,
    manner: Manner,
    key: SigningKey,
    life: Incarnation,
    /// Links that it has, by the domain at their other end.
    links: BTreeMap<DomainNo, u64>,
    /// How many true rows each domain was sent, and all true batches.
    sent: BTreeMap<DomainNo, (u64, Digest, Vec<Batch>)>,
}

impl Hostile {
    pub(crate) fn key(&self) -> FederationKey {
        FederationKey::from_bytes(self.key.verifying_key().to_bytes())
    }
}

impl World {
    pub(crate) fn hostile_begins(&mut self, no: DomainNo) {
        let (Some(manner), Some(node)) = (self.plan.manner, self.nodes.get(no)) else { return };
        let life = node.life;
        let [one, two] = [self.dice.bytes16(), self.dice.bytes16()];
        let mut seed = [0; 32];
        for (byte, drawn) in seed.iter_mut().zip(one.into_iter().chain(two)) {
            *byte = drawn;
        }
        let key = SigningKey::from_bytes(&seed);
        self.hostile = Some(Hostile { no, manner, key, life, links: BTreeMap::new(), sent: BTreeMap::new() });
        self.after(1_000, Due::HostileActs);
    }

    /// It picks somebody and does what it does.
    pub(crate) fn hostile_acts(&mut self) {
        let Some(hostile) = &self.hostile else { return };
        let (no, manner) = (hostile.no, hostile.manner);
        if self.healed {
            return;
        }
        let wait = self.dice.between(1_000, 15_000);
        self.after(wait, Due::HostileActs);
        let victim = self.dice.index(no);
        let link = self.hostile.as_ref().and_then(|hostile| hostile.links.get(&victim).copied());
        if let (Some(session), Manner::Sends) = (link, manner) {
            return self.hostile_sends(no, victim, session);
        }
        self.sessions = self.sessions.saturating_add(1);
        let session = self.sessions;
        if let Some(hello) = self.hostile_hello(no, victim).map(Box::new) {
            self.send(no, victim, Letter::Hello { session, hello });
        }
    }

    fn hostile_hello(&mut self, no: DomainNo, victim: DomainNo) -> Option<Hello> {
        let mut hello = self.hello(no, victim)?;
        let manner = self.hostile.as_ref().map(|hostile| hostile.manner);
        if manner != Some(Manner::Introduces) || self.dice.per_mille(600) {
            return Some(hello);
        }
        self.counts.add(Fault::HostileHello);
        let entropy = self.dice.entropy();
        if let Some(claims) = &mut hello.trusted {
            let later = Timestamp::from_millis(claims.clock.as_millis().saturating_mul(2));
            if entropy.below(2) == 0 {
                claims.yours = Some(Incarnation::begin(later, entropy));
            } else {
                claims.incarnation = Incarnation::begin(Timestamp::from_millis(1), entropy);
            }
        }
        Some(hello)
    }

    fn hostile_sends(&mut self, no: DomainNo, victim: DomainNo, session: u64) {
        let stream = control(no, victim);
        let rows = self.dice.between(1, 4);
        let what = self.dice.below(6);
        let Some(hostile) = &mut self.hostile else { return };
        let (last, before, batches) = hostile.sent.entry(victim).or_insert((0, Digest::ZERO, Vec::new()));
        let batch = match what {
            0 | 1 if !batches.is_empty() => {
                self.counts.add(Fault::HostileReplay);
                batches.get(self.dice.index(batches.len())).cloned()
            }
            2 => {
                self.counts.add(Fault::HostileGap);
                batch(stream, *before, last.saturating_add(2), rows)
            }
            // The same numbers with other rows.
            3 if !batches.is_empty() => {
                self.counts.add(Fault::HostileReplay);
                batch(stream, Digest::from_bytes([9; 32]), *last, rows)
            }
            _ => {
                let batch = batch(stream, *before, last.saturating_add(1), rows);
                if let Some(batch) = &batch {
                    *last = batch.last().0;
                    *before = batch.chain_after().unwrap_or(Digest::ZERO);
                    batches.push(batch.clone());
                }
                batch
            }
        };
        let Some(batch) = batch else { return };
        let Some(proof) = self.hostile_header(no, victim, &batch, what == 4) else { return };
        let Some(life) = self.hostile.as_ref().map(|hostile| hostile.life) else { return };
        let call = CallKey { boot: 0, call: None };
        self.send(no, victim, Letter::Relay { session, call, life, batches: vec![batch], proof });
    }

    fn hostile_header(
        &mut self,
        no: DomainNo,
        victim: DomainNo,
        batch: &Batch,
        wrong: bool,
    ) -> Option<Proof> {
        let hostile = self.hostile.as_ref()?;
        let (mut origin, mut destination) = (self.names.get(no)?.clone(), self.names.get(victim)?.clone());
        let (mut key, mut digests) = (hostile.key.clone(), vec![BatchDigest::of(batch)]);
        if wrong {
            self.counts.add(Fault::HostileHeader);
            match self.dice.below(4) {
                0 => origin = destination.clone(),
                1 => destination = origin.clone(),
                2 => key = SigningKey::from_bytes(&[7; 32]),
                _ => digests.iter_mut().for_each(|digest| digest.last = digest.last.next()),
            }
        }
        let header = SignedHeader::sign(&key, origin, destination, hostile.life, digests).ok()?;
        Some(Proof::Signed(Box::new(header)))
    }

    /// Something arrives at the hostile peer.
    pub(crate) fn hostile_hears(&mut self, from: DomainNo, letter: Letter) {
        let Some(no) = self.hostile.as_ref().map(|hostile| hostile.no) else { return };
        match letter {
            Letter::Hello { session, .. } => {
                let Some(hello) = self.hostile_hello(no, from).map(Box::new) else { return };
                self.hostile_linked(from, session);
                self.send(no, from, Letter::Welcome { session, hello });
            }
            Letter::Welcome { session, .. } => self.hostile_linked(from, session),
            Letter::Gone { .. } => {
                if let Some(hostile) = &mut self.hostile {
                    hostile.links.remove(&from);
                }
            }
            Letter::Relay { session, call, batches, .. } => {
                let answers =
                    batches.iter().map(|batch| (batch.stream(), self.hostile_answer(batch))).collect();
                self.send(no, from, Letter::Answer { session, call, answers: Some(answers) });
            }
            Letter::AskHeads { boot, .. } => {
                let heads = self.hostile_heads(from);
                self.send(no, from, Letter::Heads { boot, heads });
            }
            Letter::Heads { .. }
            | Letter::Refused { .. }
            | Letter::Answer { .. }
            | Letter::Commit { .. }
            | Letter::Committed { .. } => {}
        }
    }

    /// It says that it has lost everything, or has more than it was ever sent.
    fn hostile_heads(&mut self, from: DomainNo) -> Vec<PeerHead> {
        let (Some(hostile), Some(node)) = (&self.hostile, self.nodes.get(from)) else { return Vec::new() };
        let (no, life) = (hostile.no, node.life);
        if hostile.manner != Manner::Answers || self.dice.per_mille(700) {
            return Vec::new();
        }
        self.counts.add(Fault::HostileAnswer);
        let applied = Seq(self.dice.between(50, 1_000));
        let at = Position { incarnation: life, applied, chain: Digest::from_bytes([5; 32]) };
        vec![PeerHead { stream: control(from, no), at, backed_up: Seq::ZERO }]
    }

    fn hostile_linked(&mut self, with: DomainNo, session: u64) {
        if let Some(hostile) = &mut self.hostile {
            hostile.links.insert(with, session);
        }
    }

    fn hostile_answer(&mut self, batch: &Batch) -> StreamAnswer {
        let truth = (batch.last(), batch.chain_after().unwrap_or(Digest::ZERO));
        let applied = |through, chain| StreamAnswer::Applied { through, chain, refusals: Vec::new() };
        let manner = self.hostile.as_ref().map(|hostile| hostile.manner);
        if manner != Some(Manner::Answers) || self.dice.per_mille(400) {
            return applied(truth.0, truth.1);
        }
        self.counts.add(Fault::HostileAnswer);
        match self.dice.below(7) {
            0 => applied(truth.0.plus(5), truth.1),
            1 => applied(Seq(truth.0.0.saturating_sub(1)), truth.1),
            2 => applied(truth.0, Digest::from_bytes([3; 32])),
            3 => StreamAnswer::ExpectSeq(Seq(1)),
            4 => StreamAnswer::ExpectSeq(Seq(u64::MAX)),
            5 => StreamAnswer::ChainDiffers { header: vec![0; 64] },
            _ => StreamAnswer::NotNow { retry_after: Millis(3_000) },
        }
    }
}

fn batch(stream: StreamId, before: Digest, first: u64, rows: u64) -> Option<Batch> {
    let row = |seq: u64| {
        let mut id = [0; 16];
        for (byte, part) in id.iter_mut().zip(seq.to_be_bytes()) {
            *byte = part;
        }
        Row {
            seq: Seq(seq),
            id: MessageId::from_bytes(id),
            kind: RowKind::from_number(UNKNOWN_KIND),
            ttl: None,
            payload: vec![0],
            request: None,
        }
    };
    let first = first.max(1);
    Batch::new(stream, Some(before), (first..first.saturating_add(rows)).map(row).collect()).ok()
}
