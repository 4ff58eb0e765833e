//! A real name server on loopback: Debian's knot, which signs the zones too, so that the checks aren't made by the same
//! hands as the signatures. Below a root of our own.

#![expect(clippy::expect_used, clippy::panic, reason = "the functions around the tests are tests too")]

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// How a zone is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    /// By its keys, which its parent vouches for.
    Yes,
    /// The parent says that it isn't.
    No,
    /// Its parent vouches for keys, and the signatures are gone.
    Stripped,
    /// Signed, and an address was changed afterwards.
    Forged,
    /// Signed long ago.
    Expired,
}

/// A zone below the root: its name without the dot at the end, and records with names relative to it.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) name: &'static str,
    pub(crate) signed: Signed,
    pub(crate) records: String,
}

/// A name server that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct NameServer {
    process: Child,
    /// Where it listens, UDP and TCP.
    pub(crate) address: SocketAddr,
    /// The root's key.
    pub(crate) anchors: PathBuf,
    _directory: TempDir,
}

/// In 2020.
const LONG_AGO: &str = "1600000000";
/// What forging turns into what.
const GENUINE: &str = "127.0.0.1";
const FORGED: &str = "127.0.0.66";

impl NameServer {
    pub(crate) fn start(zones: &[Zone]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for folder in ["plain", "served", "keys", "run"] {
            fs::create_dir(root.join(folder)).unwrap();
        }
        let mut delegations = String::new();
        for zone in zones {
            let file = format!("{}.zone", zone.name);
            let text = format!("$ORIGIN {}.\n{}{}", zone.name, apex(zone.name), zone.records);
            fs::write(root.join("plain").join(&file), text).unwrap();
            writeln!(delegations, "{0}. 300 NS ns.{0}.\nns.{0}. 300 A 127.0.0.1", zone.name).unwrap();
            if zone.signed == Signed::No {
                fs::copy(root.join("plain").join(&file), root.join("served").join(&file)).unwrap();
                continue;
            }
            sign(root, zone.name, zone.signed);
            delegations.push_str(&keys(root, zone.name, "ds"));
            let served = root.join("served").join(&file);
            match zone.signed {
                Signed::Stripped => drop(fs::copy(root.join("plain").join(&file), &served).unwrap()),
                Signed::Forged => {
                    let text = fs::read_to_string(&served).unwrap();
                    let forged: Vec<String> = text
                        .lines()
                        .map(|line| {
                            if line.starts_with("ns.") {
                                line.to_owned()
                            } else {
                                line.replace(GENUINE, FORGED)
                            }
                        })
                        .collect();
                    fs::write(&served, forged.join("\n")).unwrap();
                }
                Signed::Yes | Signed::No | Signed::Expired => {}
            }
        }
        fs::write(root.join("plain/.zone"), format!("$ORIGIN .\n{}{delegations}", apex(""))).unwrap();
        sign(root, "", Signed::Yes);
        let anchors = root.join("anchors");
        fs::write(&anchors, keys(root, "", "dnskey").replace(" DNSKEY", " IN DNSKEY")).unwrap();
        let address = free();
        let process = serve(root, address, zones);
        Self { process, address, anchors, _directory: directory }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn apex(zone: &str) -> String {
    let ns = if zone.is_empty() { "ns.".to_owned() } else { format!("ns.{zone}.") };
    format!("@ 300 SOA {ns} admin. 1 300 300 86400 300\n@ 300 NS {ns}\n{ns} 300 A 127.0.0.1\n")
}

/// One configuration for the tools that sign: a key per zone that does everything.
fn signing(root: &Path, zone: &str) -> PathBuf {
    let at = root.display();
    let name = if zone.is_empty() { "." } else { zone };
    let text = format!(
        "database:\n    storage: {at}/keys\npolicy:\n  - id: own\n    algorithm: ecdsap256sha256\n    \
         single-type-signing: on\nzone:\n  - domain: {name}\n    storage: {at}/plain\n    file: {zone}.zone\n    \
         dnssec-signing: on\n    dnssec-policy: own\n"
    );
    let path = root.join("sign.conf");
    fs::write(&path, text).unwrap();
    path
}

fn sign(root: &Path, zone: &str, signed: Signed) {
    let config = signing(root, zone);
    let mut command = tool("kzonesign");
    command.arg("-c").arg(config).arg("-o").arg(root.join("served"));
    if signed == Signed::Expired {
        command.args(["-t", LONG_AGO]);
    }
    let done = command.arg(if zone.is_empty() { "." } else { zone }).output().expect(MISSING);
    assert!(done.status.success(), "{done:?}");
}

fn keys(root: &Path, zone: &str, what: &str) -> String {
    let config = signing(root, zone);
    let name = if zone.is_empty() { "." } else { zone };
    let done = tool("keymgr").arg("-c").arg(config).args([name, what]).output().expect(MISSING);
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

fn serve(root: &Path, address: SocketAddr, zones: &[Zone]) -> Child {
    let at = root.display();
    let mut config = format!(
        "server:\n    rundir: {at}/run\n    listen: {}@{}\nlog:\n  - target: stderr\n    any: info\ndatabase:\n    \
         storage: {at}/run\ntemplate:\n  - id: default\n    storage: {at}/served\nzone:\n  - domain: .\n    \
         file: .zone\n",
        address.ip(),
        address.port()
    );
    for zone in zones {
        writeln!(config, "  - domain: {0}\n    file: {0}.zone", zone.name).unwrap();
    }
    let path = root.join("serve.conf");
    fs::write(&path, config).unwrap();
    let mut process = tool("knotd").arg("-c").arg(path).stderr(Stdio::piped()).spawn().expect(MISSING);
    let mut log = BufReader::new(process.stderr.take().unwrap());
    let (mut line, mut said) = (String::new(), String::new());
    while log.read_line(&mut line).unwrap() > 0 {
        said.push_str(&line);
        if line.contains("server started") {
            assert!(!said.contains("error"), "{said}");
            // It must not be stopped by a pipe that nobody reads.
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return process;
        }
        line.clear();
    }
    process.wait().unwrap();
    panic!("the name server doesn't start: {said}");
}

const MISSING: &str = "Debian's packages knot and knot-dnssecutils are needed";

/// Debian keeps some of them where only root's path looks.
#[expect(clippy::disallowed_methods, reason = "the tests' own environment, extended")]
fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    command.env("PATH", path);
    command
}

/// A port that is free for both protocols.
fn free() -> SocketAddr {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
