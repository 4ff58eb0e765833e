//! What banning or deleting a user would do, in numbers and in sentences, before anybody does it.

use std::collections::BTreeSet;

use qpq_core::{Address, DeviceId, limits};
use qpq_storage::Feed;

use super::Bans;
use crate::{Answered, accounts};

/// The most sessions that are counted.
const COUNTED: usize = 10_000;

/// What is thought of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A ban.
    Ban,
    /// Deletion.
    Delete,
}

/// What it would do. Of a user of another domain nothing is counted here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Sessions that could be resumed.
    pub sessions: usize,
    /// Of these, those that a connection holds now.
    pub live_sessions: usize,
    /// Active devices.
    pub devices: usize,
    /// Groups that they are in, or have yet to read.
    pub groups: usize,
    /// Messages that they have not fetched.
    pub waiting_messages: u64,
    /// KeyPackages in stock.
    pub key_packages: u64,
    /// The effects in words.
    pub text: Vec<String>,
}

impl Bans {
    /// What banning or deleting this user would do.
    pub async fn preview(&self, address: &Address, effect: Effect) -> Answered<Preview> {
        let (us, now) = (self.ground.domain(), self.ground.now());
        if address.domain() != us && effect == Effect::Ban {
            return Ok(Preview { text: words_elsewhere(address), ..Preview::default() });
        }
        let mut tx = self.ground.read().await?;
        let account = accounts::find(&self.ground, tx.as_mut(), address).await?;
        let sessions = tx.sessions(Some(&account.id), COUNTED).await?;
        let live = sessions.iter().filter(|session| self.sessions.live().is_live(&session.id)).count();
        let active = tx.devices(&account.id).await?.into_iter().filter(|device| device.revoked_at.is_none());
        let devices: Vec<DeviceId> = active.map(|device| device.certificate.device.device).collect();
        let backlogs = tx.backlogs(&devices).await?;
        let waiting = backlogs.iter().map(|backlog| backlog.messages).fold(0, u64::saturating_add);
        let (mut groups, mut key_packages) = (BTreeSet::new(), 0_u64);
        for device in &devices {
            let stock = tx.key_package_stock(device, now.after(limits::KEY_PACKAGE_REMAINING)).await?;
            key_packages = key_packages.saturating_add(stock.one_time);
            let feeds = tx.feeds(device).await?.into_iter().map(|state| state.feed);
            groups.extend(feeds.filter(|feed| matches!(feed, Feed::Group(_))));
        }
        let mut preview = Preview {
            sessions: sessions.len(),
            live_sessions: live,
            devices: devices.len(),
            groups: groups.len(),
            waiting_messages: waiting,
            key_packages,
            text: Vec::new(),
        };
        preview.text = match effect {
            Effect::Ban => words_of_ban(&preview),
            Effect::Delete => words_of_deletion(address, &preview),
        };
        Ok(preview)
    }
}

fn words_elsewhere(address: &Address) -> Vec<String> {
    vec![
        format!("Messages, commits and invitations of {address} to groups that this domain orders are refused, and its client is told why."),
        format!("{address} gets no KeyPackages of this domain's users and can't begin new conversations with them."),
        "In groups that other domains order nothing changes: messages there don't tell this domain who wrote them, and without the commits nobody could follow. Who is bothered there leaves the group.".to_owned(),
    ]
}

fn words_of_ban(preview: &Preview) -> Vec<String> {
    vec![
        format!("{} end within a second.", counted(preview.live_sessions, "live session", "live sessions")),
        "Logging in and resuming are refused with the reason until the ban ends.".to_owned(),
        format!(
            "{} and {} stay as they are; {} wait until their time is over.",
            counted(preview.devices, "device", "devices"),
            counted(preview.sessions, "session", "sessions"),
            counted(preview.waiting_messages, "message", "messages")
        ),
        format!("The user stays a member of {}.", counted(preview.groups, "group", "groups")),
    ]
}

fn words_of_deletion(address: &Address, preview: &Preview) -> Vec<String> {
    vec![
        format!(
            "{} and {} are gone for good, and with them {} and {} that were not fetched.",
            counted(preview.devices, "device", "devices"),
            counted(preview.sessions, "session", "sessions"),
            counted(preview.key_packages, "KeyPackage", "KeyPackages"),
            counted(preview.waiting_messages, "message", "messages")
        ),
        format!(
            "In {} the devices stay members until somebody removes them, and read nothing any more.",
            counted(preview.groups, "group", "groups")
        ),
        format!(
            "The name is free again: whoever registers {address} next has another identity key, which contacts are warned of."
        ),
    ]
}

fn counted(number: impl TryInto<u64>, one: &str, many: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}
