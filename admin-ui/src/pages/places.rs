//! Sessions and devices, found by their user's address. Without an address nothing is listed: all of a large domain
//! would be no page to read.

use askama::Template;
use serde::Deserialize;

use super::{Desk, Page, Refused, ask::Ask};

/// Lines of the page; who has more sees the newest.
const LINES: usize = 50;

#[derive(Debug, Default, Deserialize)]
struct Sessions {
    sessions: Vec<Session>,
}

#[derive(Debug, Deserialize)]
struct Session {
    id: String,
    address: String,
    device: String,
    opened: Option<String>,
    resumed: Option<String>,
    live: bool,
}

#[derive(Template)]
#[template(path = "pages/sessions.html")]
struct SessionsPage<'a> {
    d: &'a Desk,
    ask: &'a Ask,
    view: Sessions,
}

/// The sessions of a user.
pub(super) async fn sessions(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let mut view = Sessions::default();
    if !ask.is("address", "") {
        view = d.read("session.list", ask.arguments("session.list")).await?;
    }
    view.sessions.truncate(LINES);
    d.page("sessions-title", &SessionsPage { d: &d, ask: &ask, view })
}

#[derive(Debug, Default, Deserialize)]
struct Devices {
    devices: Vec<Device>,
}

#[derive(Debug, Deserialize)]
struct Device {
    id: String,
    address: String,
    enrolled: Option<String>,
    last_seen: Option<String>,
    revoked: Option<String>,
    key_packages: Option<u64>,
}

#[derive(Template)]
#[template(path = "pages/devices.html")]
struct DevicesPage<'a> {
    d: &'a Desk,
    ask: &'a Ask,
    view: Devices,
}

/// The devices of a user.
pub(super) async fn devices(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let mut view = Devices::default();
    if !ask.is("address", "") {
        view = d.read("device.list", ask.arguments("device.list")).await?;
    }
    view.devices.truncate(LINES);
    d.page("devices-title", &DevicesPage { d: &d, ask: &ask, view })
}
