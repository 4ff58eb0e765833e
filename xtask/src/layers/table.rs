//! Which crate lives on which layer. A new crate gets its line here, and ARCHITECTURE.md its room.

/// Where a crate of the workspace stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Its dependencies must lie on lower layers.
    Layer(u8),
    /// Tools, and the stand-in for another project's crate: no room of the house.
    Outside,
}

/// Up to this layer crates hold rules without a clock, a runtime, a socket or a disk.
pub(super) const HIGHEST_SANS_IO: u8 = 1;

/// What such a crate must not reach, directly or through another.
pub(super) const IO: &[&str] = &[
    "axum",
    "hickory-resolver",
    "hyper",
    "mio",
    "quinn",
    "quinn-proto",
    "rusqlite",
    "sqlx",
    "sqlx-core",
    "tokio",
];

const LAYERS: &[&[&str]] = &[
    &["qpq-core", "qpq-schemas"],
    &["qpq-delivery", "qpq-federation-proto", "qpq-transparency-tree", "qpq-metrics"],
    &["qpq-storage", "qpq-transport", "qpq-proof", "qpq-transparency-wire"],
    &["qpq-transparency", "qpq-storage-sqlite", "qpq-hub", "qpq-backup", "qpq-certs", "qpq-client"],
    &["qpq-service"],
    &["qpq-admin-ui", "qpq-web", "qpq-rpc", "qpq-federation"],
    &["qpq-homeserver", "qpq-tests", "qpq-sim", "qpq-client-cli"],
    // It sends what the suites send.
    &["qpq-bench"],
];

const OUTSIDE: &[&str] = &["xtask", "qpq-codegen", "libsqlite3-sys"];

/// Crates that only some may name: a backend is chosen in one place, SQL is written in one room per program.
const OWNED: &[(&str, &[&str])] = &[
    ("qpq-storage-sqlite", &["qpq-homeserver", "qpq-tests", "qpq-bench"]),
    ("sqlx", &["qpq-storage-sqlite", "qpq-client", "qpq-tests", "qpq-bench"]),
    ("axum", &["qpq-web", "qpq-admin-ui"]),
    ("axum-server", &["qpq-web"]),
    ("askama", &["qpq-admin-ui"]),
];

pub(super) fn place(name: &str) -> Option<Place> {
    if OUTSIDE.contains(&name) {
        return Some(Place::Outside);
    }
    (0_u8..).zip(LAYERS).find(|(_, crates)| crates.contains(&name)).map(|(layer, _)| Place::Layer(layer))
}

/// Who may depend on it, if that is restricted.
pub(super) fn owners(name: &str) -> Option<&'static [&'static str]> {
    OWNED.iter().find(|(owned, _)| *owned == name).map(|(_, owners)| *owners)
}
