//! Finding a domain: runs a search (`federation/proto/src/discovery.rs`) against name servers and what is known already.

mod resolver;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use qpq_core::Domain;
use qpq_federation_proto::{
    Answer, Cache, Families, FederationAddress, Heard, PrivateTargets, Question, Search, Step, Target,
    Undiscovered, Vouched,
};
use qpq_metrics::DiscoveryFailure;
use qpq_service::Ground;
use tokio::time::{Instant, timeout_at};

use resolver::Resolvers;
pub use resolver::{AnchorError, Dnssec};

/// How long a search may take, all its questions together.
const SEARCH: Duration = Duration::from_secs(5);

/// How peers are found that have no address in their record, and names that their addresses have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoverySettings {
    /// Whom to ask; nobody: the name servers of this machine.
    pub servers: Vec<SocketAddr>,
    /// Whether signatures are checked.
    pub dnssec: Dnssec,
    /// The keys that are believed to begin with, as DNSKEY records; `None`: those of the root.
    pub anchors: Option<PathBuf>,
    /// Whether DNS may lead into private networks.
    pub private: PrivateTargets,
}

impl Default for DiscoverySettings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            dnssec: Dnssec::Validate,
            anchors: None,
            private: PrivateTargets::Refused,
        }
    }
}

/// Finds domains. Clones share what is known.
#[derive(Clone, Debug)]
pub struct Discovery(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    private: PrivateTargets,
    resolvers: Resolvers,
    cache: Mutex<Cache>,
}

/// A question and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) heard: Heard,
}

/// Whether what is known may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    Used,
    /// Name servers are asked in any case; what they say is kept.
    Unused,
}

impl Discovery {
    /// Reads the trust anchors, if they are not the root's.
    pub fn new(settings: &DiscoverySettings) -> Result<Self, AnchorError> {
        Ok(Self(Arc::new(Shared {
            private: settings.private,
            resolvers: Resolvers::new(settings)?,
            cache: Mutex::default(),
        })))
    }

    /// Looks for a domain. `known` is the address in its record, `local` that of our socket.
    pub(crate) async fn find(
        &self,
        ground: &Ground,
        domain: &Domain,
        known: Option<&FederationAddress>,
        local: SocketAddr,
        memory: Memory,
    ) -> (Vec<Asked>, Result<Vec<Target>, Undiscovered>) {
        let end = Instant::now() + SEARCH;
        let families = Families::of(local.ip());
        let mut search = Search::new(domain.clone(), known, self.0.private, families);
        let mut asked = Vec::new();
        loop {
            let question = match search.step() {
                Step::Ask(question) => question,
                Step::Done(found) => return (asked, found),
            };
            let heard = self.ask(ground, &question, memory, end).await;
            ground.draw(|entropy| search.handle_answer(&heard, entropy));
            asked.push(Asked { question, heard });
        }
    }

    async fn ask(&self, ground: &Ground, question: &Question, memory: Memory, end: Instant) -> Heard {
        if memory == Memory::Used {
            let known = self.cache().known(question, ground.now()).cloned();
            if let Some(known) = known {
                return known;
            }
        }
        let heard = timeout_at(end, self.0.resolvers.look_up(question)).await.unwrap_or(Heard {
            answer: Answer::Failed(qpq_federation_proto::LookupFailure::NoAnswer),
            ttl: qpq_core::Millis(0),
            proof: Vouched::Unsigned,
        });
        self.cache().keep(question.clone(), heard.clone(), ground.now());
        heard
    }

    /// Nobody was found where name servers led us: they are asked again next time.
    pub(crate) fn doubt(&self, ground: &Ground, asked: &[Asked]) {
        let (mut cache, now) = (self.cache(), ground.now());
        for asked in asked {
            cache.doubt(&asked.question, now);
        }
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As it is counted.
pub(crate) const fn counted(undiscovered: &Undiscovered) -> DiscoveryFailure {
    use qpq_federation_proto::LookupFailure;
    match undiscovered {
        Undiscovered::Lookup { failure, .. } => match failure {
            LookupFailure::Bogus => DiscoveryFailure::Bogus,
            LookupFailure::NoAnswer | LookupFailure::NoNameServer => DiscoveryFailure::NoAnswer,
            LookupFailure::ServerFailed | LookupFailure::Malformed => DiscoveryFailure::ServerFailed,
        },
        Undiscovered::NoRecords { .. }
        | Undiscovered::NotOffered { .. }
        | Undiscovered::NoAddress { .. }
        | Undiscovered::OtherFamily { .. } => DiscoveryFailure::NotFound,
        Undiscovered::Refused { .. } => DiscoveryFailure::RefusedTarget,
        Undiscovered::AnotherDomain { .. } => DiscoveryFailure::AnotherDomain,
    }
}
