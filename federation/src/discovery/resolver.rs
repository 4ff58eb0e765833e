//! Name servers, asked with hickory: SRV, A and AAAA, with the DNSSEC verdict on each answer.
//!
//! What hickory would keep of answers is switched off: the one cache is the core's, which has our bounds and keeps
//! errors too.

mod answers;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hickory_resolver::{
    Hosts, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::{
        dnssec::TrustAnchors,
        op::Query,
        rr::{Name, RecordType},
    },
    system_conf::read_system_conf,
};
use qpq_core::{Domain, Millis};
use qpq_federation_proto::{Answer, Heard, LookupFailure, Question, Vouched};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::DiscoverySettings;
use answers::{address, alias, both, failed, over, read};

/// How long one packet may take to be answered, and how often it is sent again.
const PACKET: Duration = Duration::from_millis(1_300);
const REPEATS: usize = 2;
/// Aliases that are followed one by one.
const ALIASES: usize = 6;
/// The system's files are read again after this time: an address from DHCP, an edited `/etc/hosts`.
const FILES: Duration = Duration::from_mins(5);

/// Whether signatures are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dnssec {
    /// An answer that should be signed and isn't is not used; zones that are provably unsigned count.
    Validate,
    /// Name servers are believed.
    Off,
}

/// Why trust anchors can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The file can't be read.
    #[error("could not read the trust anchors in `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds none.
    #[error(
        "`{path}` holds no trust anchor: one DNSKEY record a line, for example `. IN DNSKEY 257 3 13 mdss…`"
    )]
    None {
        /// The file.
        path: PathBuf,
    },
}

/// Name servers, and how they are asked; read anew from the system's files now and then.
pub(super) struct Resolvers {
    servers: Vec<SocketAddr>,
    /// `None`: signatures aren't checked.
    anchors: Option<Arc<TrustAnchors>>,
    /// Whether these anchors are ours, and then for every name.
    private_anchors: bool,
    made: Mutex<Option<Made>>,
}

#[derive(Clone)]
struct Made {
    validating: Option<TokioResolver>,
    believing: TokioResolver,
    /// The hosts file of this machine.
    hosts: Arc<Hosts>,
    since: Instant,
    nobody: bool,
}

impl std::fmt::Debug for Resolvers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolvers").field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl Resolvers {
    pub(super) fn new(settings: &DiscoverySettings) -> Result<Self, AnchorError> {
        let anchors = match (settings.dnssec, &settings.anchors) {
            (Dnssec::Off, _) => None,
            (Dnssec::Validate, None) => Some(TrustAnchors::default()),
            (Dnssec::Validate, Some(path)) => Some(read_anchors(path)?),
        };
        Ok(Self {
            servers: settings.servers.clone(),
            anchors: anchors.map(Arc::new),
            private_anchors: settings.anchors.is_some(),
            made: Mutex::default(),
        })
    }

    /// Asks, and says what came of it. Takes as long as it takes: the caller has a deadline.
    pub(super) async fn look_up(&self, question: &Question) -> Heard {
        let Some(made) = self.made() else { return failed(LookupFailure::NoNameServer) };
        let vouched = made.validating.as_ref().filter(|_| self.private_anchors || question.is_public());
        let resolver = vouched.unwrap_or(&made.believing);
        let checked = vouched.is_some();
        let heard = match question {
            Question::Service(_) => match fully(&question.name()) {
                Some(name) => read(resolver.lookup(name, RecordType::SRV).await, checked),
                None => failed(LookupFailure::Malformed),
            },
            Question::Addresses(host) => match written_here(&made.hosts, host) {
                Some(addresses) => {
                    let (answer, ttl) = (Answer::Addresses(addresses), Millis(0));
                    Heard { answer, ttl, proof: Vouched::Unsigned }
                }
                // A name without a dot is completed as this machine completes it.
                None if host.as_str().contains('.') => {
                    addresses(resolver, fully(host.as_str()), checked).await
                }
                None => addresses(resolver, Name::from_utf8(host).ok(), checked).await,
            },
        };
        match &heard.answer {
            Answer::Failed(_) if made.nobody => failed(LookupFailure::NoNameServer),
            _ => heard,
        }
    }

    fn made(&self) -> Option<Made> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.as_ref().is_none_or(|made| made.since.elapsed() >= FILES) {
            match self.make() {
                Ok(new) => *made = Some(new),
                Err(error) => warn!(error = %error, "the name servers of this machine can't be used"),
            }
        }
        made.clone()
    }

    fn make(&self) -> Result<Made, NetError> {
        let (config, mut options) = self.servers();
        let nobody = config.name_servers.is_empty();
        options.timeout = PACKET;
        options.attempts = REPEATS;
        options.cache_size = 0;
        options.edns0 = true;
        // Looked at before, for what it says is never signed.
        options.use_hosts_file = ResolveHosts::Never;
        let build = |anchors: Option<Arc<TrustAnchors>>| {
            let provider = TokioRuntimeProvider::default();
            let builder =
                TokioResolver::builder_with_config(config.clone(), provider).with_options(options.clone());
            match anchors {
                Some(anchors) => builder.with_trust_anchor(anchors).build(),
                None => builder.build(),
            }
        };
        let validating = self.anchors.clone().map(|anchors| build(Some(anchors))).transpose()?;
        let hosts = Arc::new(Hosts::from_system().unwrap_or_default());
        Ok(Made { validating, believing: build(None)?, hosts, since: Instant::now(), nobody })
    }

    fn servers(&self) -> (ResolverConfig, ResolverOpts) {
        if self.servers.is_empty() {
            // A machine without name servers still knows itself and its hosts file.
            return read_system_conf().unwrap_or_else(|error| {
                debug!(%error, "this machine names no name server");
                (ResolverConfig::from_name_servers(Vec::new()), ResolverOpts::default())
            });
        }
        let server = |at: &SocketAddr| {
            let on_port = |mut connection: ConnectionConfig| {
                connection.port = at.port();
                connection
            };
            let connections = vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())];
            NameServerConfig::new(at.ip(), true, connections)
        };
        let servers = self.servers.iter().map(server).collect();
        (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
    }
}

fn read_anchors(path: &Path) -> Result<TrustAnchors, AnchorError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| AnchorError::Read { path: path.to_owned(), source })?;
    let anchors = text.parse::<TrustAnchors>().ok().filter(|anchors| !anchors.is_empty());
    anchors.ok_or_else(|| AnchorError::None { path: path.to_owned() })
}

/// The addresses of both versions.
async fn addresses(resolver: &TokioResolver, name: Option<Name>, checked: bool) -> Heard {
    let Some(mut name) = name else { return failed(LookupFailure::Malformed) };
    let mut way: Option<Heard> = None;
    for _ in 0..ALIASES {
        let (v6, v4) = tokio::join!(
            resolver.lookup(name.clone(), RecordType::AAAA),
            resolver.lookup(name.clone(), RecordType::A)
        );
        let heard = both(read(v6, checked), read(v4, checked));
        let is_bogus = heard.answer == Answer::Failed(LookupFailure::Bogus);
        let next =
            if is_bogus { alias(resolver.lookup(name.clone(), RecordType::CNAME).await) } else { None };
        let Some((target, hop)) = next else { return over(way, heard) };
        // hickory can't prove that the host behind an alias lacks one of the versions: so hop by hop, each one checked.
        way = Some(over(way, hop));
        name = target;
    }
    failed(LookupFailure::Malformed)
}

/// What this machine says itself: its hosts file, and that `localhost` is here (RFC 6761).
fn written_here(hosts: &Hosts, host: &Domain) -> Option<Vec<IpAddr>> {
    let name = fully(host.as_str())?;
    let at = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
    let found = [RecordType::AAAA, RecordType::A].into_iter().filter_map(at);
    let addresses: Vec<IpAddr> =
        found.flat_map(|lookup| lookup.answers().iter().filter_map(address).collect::<Vec<_>>()).collect();
    let local = host.as_str() == "localhost" || host.as_str().ends_with(".localhost");
    match (addresses.is_empty(), local) {
        (false, _) => Some(addresses),
        (true, true) => Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
        (true, false) => None,
    }
}

/// A name that is complete: no search list is tried.
fn fully(name: &str) -> Option<Name> {
    let mut name = Name::from_utf8(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}
