//! Which logs are believed, and whose cosignatures they need (C2SP tlog-policy).

use std::{fmt, fmt::Write as _, str::FromStr};

use qpq_core::Timestamp;

use crate::{
    checkpoint::SignedCheckpoint,
    key::{Algorithm, VerifierKey},
    note::NoteError,
};

/// The most logs, witnesses and groups of a policy, each.
pub const POLICY_ITEMS: usize = 32;
/// The most bytes of a policy's text.
pub const POLICY_BYTES: usize = 32 * 1024;

/// Logs, witnesses, and the rule which of the witnesses must have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<(String, VerifierKey)>,
    groups: Vec<Group>,
    quorum: Quorum,
}

/// Something that witnesses a checkpoint: the witness of this place, or the group of this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    name: String,
    threshold: usize,
    /// Witnesses, and groups that stand before this one: so there are no circles.
    members: Vec<Member>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quorum {
    None,
    Of(Member),
}

/// How much the witnesses of a log are worth, by their number (`levels` of the key-transparency design, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nobody cosigns: the log's own signature is all there is.
    Logged,
    /// One or two cosign, all of them.
    Peer,
    /// A majority of at least three cosigns. Only this is called verified.
    Quorum,
}

impl Level {
    /// The level of a log with so many witnesses.
    pub const fn of(witnesses: usize) -> Self {
        match witnesses {
            0 => Self::Logged,
            1 | 2 => Self::Peer,
            _ => Self::Quorum,
        }
    }

    /// How many of so many witnesses must sign: all of two, the majority of more.
    pub const fn needed(witnesses: usize) -> usize {
        match witnesses {
            0..=2 => witnesses,
            more => (more >> 1).saturating_add(1),
        }
    }

    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Logged => "logged",
            Self::Peer => "peer",
            Self::Quorum => "quorum",
        }
    }
}

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{reason}", place = at(*line))]
pub struct PolicyError {
    /// Counted from 1; 0 for the whole.
    pub line: usize,
    /// What is wrong there.
    pub reason: PolicyFault,
}

fn at(line: usize) -> String {
    if line == 0 { "the policy: ".to_owned() } else { format!("line {line} of the policy: ") }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// Over the limit, or with control characters.
    #[error("it is no text of at most {POLICY_BYTES} bytes without control characters")]
    NotText,
    /// It begins with none of the four words, or has too few or too many.
    #[error(
        "it is none of `log VKEY [URL]`, `witness NAME VKEY [URL]`, `group NAME all|any|K NAME…`, `quorum NAME|none`"
    )]
    Form,
    /// The key is no vkey, or of the wrong kind.
    #[error("the key is not a vkey of the kind that belongs here")]
    Key,
    /// The same key twice.
    #[error("the key is there already")]
    DuplicateKey,
    /// The same name twice, or `none`.
    #[error("the name is taken")]
    Name,
    /// A name that no line before defines.
    #[error("`{0}` is not defined above")]
    Undefined(String),
    /// A member of two groups.
    #[error("`{0}` is a member already")]
    Twice(String),
    /// A threshold of none, or of more than there are.
    #[error("the threshold is not between 1 and the number of members")]
    Threshold,
    /// Too many of one kind.
    #[error("there are more than {POLICY_ITEMS}")]
    TooMany,
    /// No quorum line, or a second one.
    #[error("there must be one `quorum` line")]
    Quorum,
}

/// From which end times are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    LatestFirst,
    EarliestFirst,
}

/// What a policy found in a checkpoint that it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// How fresh it is: the latest time that a quorum has not signed before, so that one old signature beside it takes nothing
    /// away. `None` if no signature is needed.
    pub witnessed_at: Option<Timestamp>,
    /// Since when it was seen: the earliest time by which a quorum had signed, so that one witness that says an early time
    /// makes nothing older. `None` if no signature is needed.
    pub seen_by: Option<Timestamp>,
    /// How many witnesses signed.
    pub cosignatures: usize,
}

/// Why a policy refuses a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRefusal {
    /// A signature is bad, or no log of the policy signed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The origin is no log of the policy.
    #[error("`{0}` is no log of the policy")]
    UnknownLog(String),
    /// Too few witnesses signed.
    #[error("{0} witnesses signed, which is not enough for the policy")]
    TooFew(usize),
}

impl Policy {
    /// The policy of one log with its witnesses: all of one or two, a majority of more.
    pub fn of_log(log: VerifierKey, witnesses: &[VerifierKey]) -> Self {
        let named: Vec<(String, VerifierKey)> =
            witnesses.iter().map(|key| (key.name().to_string(), key.clone())).collect();
        let (groups, quorum) = if named.is_empty() {
            (Vec::new(), Quorum::None)
        } else {
            let members = (0..named.len()).map(Member::Witness).collect();
            let group =
                Group { name: "all-witnesses".to_owned(), threshold: Level::needed(named.len()), members };
            (vec![group], Quorum::Of(Member::Group(0)))
        };
        Self { logs: vec![log], witnesses: named, groups, quorum }
    }

    /// The logs that are believed.
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// The witnesses' keys.
    pub fn witnesses(&self) -> impl Iterator<Item = &VerifierKey> {
        self.witnesses.iter().map(|(_, key)| key)
    }

    /// Whether a checkpoint is signed by a log of the policy and cosigned by its quorum.
    pub fn accepts(&self, checkpoint: &SignedCheckpoint) -> Result<Accepted, PolicyRefusal> {
        let origin = &checkpoint.checkpoint().origin;
        // A log may have several keys under one name, as while it is being rotated.
        let mut refused = None;
        for log in self.logs.iter().filter(|log| log.name() == origin) {
            match checkpoint.signed_by(log) {
                Ok(()) => return self.cosigned(checkpoint),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.map_or_else(|| PolicyRefusal::UnknownLog(origin.to_string()), PolicyRefusal::Note))
    }

    /// Whether a checkpoint, whoever signed it as its log, is cosigned by the quorum.
    pub fn cosigned(&self, checkpoint: &SignedCheckpoint) -> Result<Accepted, PolicyRefusal> {
        let keys: Vec<VerifierKey> = self.witnesses().cloned().collect();
        let opened = match checkpoint.note().opened_by(&keys) {
            Ok(opened) => opened,
            Err(NoteError::Unsigned) => Vec::new(),
            Err(bad) => return Err(bad.into()),
        };
        let times: Vec<Option<u64>> =
            keys.iter().map(|key| opened.iter().find(|(signer, _)| *signer == key)?.1.at_secs).collect();
        let cosignatures = times.iter().flatten().count();
        let Quorum::Of(member) = self.quorum else {
            return Ok(Accepted { witnessed_at: None, seen_by: None, cosignatures });
        };
        let at = |order| {
            let seconds = self.witnessed(member, &times, order)?;
            Some(Timestamp::from_millis(seconds.saturating_mul(1_000)))
        };
        let too_few = || PolicyRefusal::TooFew(cosignatures);
        let witnessed_at = Some(at(Order::LatestFirst).ok_or_else(too_few)?);
        Ok(Accepted { witnessed_at, seen_by: at(Order::EarliestFirst), cosignatures })
    }

    /// A member's time: of a group, the k-th of its members' times in this order.
    fn witnessed(&self, member: Member, times: &[Option<u64>], order: Order) -> Option<u64> {
        match member {
            Member::Witness(index) => times.get(index).copied().flatten(),
            Member::Group(index) => {
                let group = self.groups.get(index)?;
                let of_member = |member: &Member| self.witnessed(*member, times, order);
                let mut of_members: Vec<u64> = group.members.iter().filter_map(of_member).collect();
                of_members.sort_unstable();
                if order == Order::LatestFirst {
                    of_members.reverse();
                }
                of_members.get(group.threshold.checked_sub(1)?).copied()
            }
        }
    }

    fn find(&self, name: &str) -> Option<Member> {
        let witness = self.witnesses.iter().position(|(known, _)| known == name).map(Member::Witness);
        witness.or_else(|| self.groups.iter().position(|group| group.name == name).map(Member::Group))
    }

    fn name_of(&self, member: Member) -> &str {
        match member {
            Member::Witness(index) => self.witnesses.get(index).map_or("", |(name, _)| name),
            Member::Group(index) => self.groups.get(index).map_or("", |group| &group.name),
        }
    }

    fn free(&self, name: &str) -> Result<String, PolicyFault> {
        let taken = name == "none" || self.find(name).is_some();
        if taken { Err(PolicyFault::Name) } else { Ok(name.to_owned()) }
    }

    fn read_log(&mut self, key: &str) -> Result<(), PolicyFault> {
        let key = read_key(key, Algorithm::Ed25519)?;
        if self.logs.iter().any(|log| log.public() == key.public()) {
            return Err(PolicyFault::DuplicateKey);
        }
        self.logs.push(key);
        within(self.logs.len())
    }

    fn read_witness(&mut self, name: &str, key: &str) -> Result<(), PolicyFault> {
        let name = self.free(name)?;
        let key = read_key(key, Algorithm::CosignatureV1)?;
        if self.witnesses.iter().any(|(_, witness)| witness.public() == key.public()) {
            return Err(PolicyFault::DuplicateKey);
        }
        self.witnesses.push((name, key));
        within(self.witnesses.len())
    }

    fn read_group(&mut self, name: &str, rule: &str, names: &[&str]) -> Result<(), PolicyFault> {
        let name = self.free(name)?;
        let mut members: Vec<Member> = Vec::new();
        for name in names {
            let member = self.find(name).ok_or_else(|| PolicyFault::Undefined((*name).to_owned()))?;
            let elsewhere = self.groups.iter().any(|group| group.members.contains(&member));
            if elsewhere || members.contains(&member) {
                return Err(PolicyFault::Twice((*name).to_owned()));
            }
            members.push(member);
        }
        let threshold = match rule {
            "any" => 1,
            "all" => members.len(),
            number => crate::text::number(number)
                .and_then(|number| usize::try_from(number).ok())
                .ok_or(PolicyFault::Threshold)?,
        };
        if !(1..=members.len()).contains(&threshold) {
            return Err(PolicyFault::Threshold);
        }
        self.groups.push(Group { name, threshold, members });
        within(self.groups.len())
    }
}

fn read_key(text: &str, algorithm: Algorithm) -> Result<VerifierKey, PolicyFault> {
    let key: VerifierKey = text.parse().map_err(|_| PolicyFault::Key)?;
    if key.algorithm() == algorithm { Ok(key) } else { Err(PolicyFault::Key) }
}

const fn within(count: usize) -> Result<(), PolicyFault> {
    if count > POLICY_ITEMS { Err(PolicyFault::TooMany) } else { Ok(()) }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let at = |line: usize| move |reason: PolicyFault| PolicyError { line, reason };
        let odd = |byte: u8| (byte < b' ' && !matches!(byte, b'\t' | b'\n')) || byte == 0x7f;
        if text.len() > POLICY_BYTES || text.bytes().any(odd) {
            return Err(at(0)(PolicyFault::NotText));
        }
        let mut policy = Self { logs: vec![], witnesses: vec![], groups: vec![], quorum: Quorum::None };
        let mut quorum = None;
        for (number, line) in (1_usize..).zip(text.split('\n')) {
            let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            let read = match words.as_slice() {
                [] => Ok(()),
                [first, ..] if first.starts_with('#') => Ok(()),
                ["log", key] | ["log", key, _] => policy.read_log(key),
                ["witness", name, key] | ["witness", name, key, _] => policy.read_witness(name, key),
                ["group", name, rule, first, rest @ ..] => {
                    policy.read_group(name, rule, &[&[*first], rest].concat())
                }
                ["quorum", _] if quorum.is_some() => Err(PolicyFault::Quorum),
                ["quorum", "none"] => {
                    quorum = Some(Quorum::None);
                    Ok(())
                }
                ["quorum", name] => {
                    quorum = policy.find(name).map(Quorum::Of);
                    quorum.map(|_| ()).ok_or_else(|| PolicyFault::Undefined((*name).to_owned()))
                }
                _ => Err(PolicyFault::Form),
            };
            read.map_err(at(number))?;
        }
        policy.quorum = quorum.ok_or(PolicyFault::Quorum).map_err(at(0))?;
        Ok(policy)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.logs.iter().try_for_each(|log| writeln!(f, "log {log}"))?;
        self.witnesses.iter().try_for_each(|(name, key)| writeln!(f, "witness {name} {key}"))?;
        for Group { name, threshold, members } in &self.groups {
            let mut names = String::new();
            members.iter().try_for_each(|member| write!(names, " {}", self.name_of(*member)))?;
            writeln!(f, "group {name} {threshold}{names}")?;
        }
        match self.quorum {
            Quorum::None => writeln!(f, "quorum none"),
            Quorum::Of(member) => writeln!(f, "quorum {}", self.name_of(member)),
        }
    }
}

#[cfg(test)]
mod tests;
