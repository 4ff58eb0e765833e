//! `send` and `recv`.

use std::{collections::HashMap, time::Duration};

use anyhow::Context as _;
use qpq_client::{Client, Message, SendState};
use qpq_core::GroupId;

use crate::{
    output::{self, Format, note, safe},
    verbs::requests,
};

/// Messages printed before they are marked as shown; after a crash at most so many are printed again.
const CHUNK: u32 = 32;
/// A lost connection doesn't say why it was lost (a session that was revoked, say): asking again does.
const ASK_WHY: Duration = Duration::from_secs(1);

/// Sends a text.
pub(crate) async fn send(client: &Client, format: Format, target: &str, text: &str) -> anyhow::Result<()> {
    let sent = client.send(target, text).await?;
    match (sent.state, &sent.waits) {
        (SendState::Queued, Some(why)) => {
            note(&format!("queued, it goes out with the next command that reaches the homeserver: {why}"));
        }
        (SendState::Requested, Some(why)) => {
            note(&format!(
                "kept here, it goes out by itself after they have accepted (`qpq recv` looks): {why}"
            ));
        }
        (SendState::Queued | SendState::Requested | SendState::Accepted, _) => {}
    }
    for reader in &sent.unlogged {
        note(&format!(
            "{reader} is UNLOGGED: their domain keeps a log and they are not in it, so nobody proves their key"
        ));
    }
    format.show(&sent, |sent| match sent.state {
        SendState::Queued => format!("queued {}", sent.message_id),
        SendState::Requested => format!("requested {}", sent.message_id),
        SendState::Accepted => format!("sent {}", sent.message_id),
    })
}

/// Prints what has come and was not printed yet; each message is printed, then marked.
pub(crate) async fn recv(
    client: &Client,
    format: Format,
    wait: u64,
    max: Option<usize>,
) -> anyhow::Result<()> {
    let mut left = max.unwrap_or(usize::MAX);
    let outcome = if wait == 0 {
        // What came earlier is shown even if the homeserver can't be reached.
        let synced = client.sync().await;
        print(client, format, &mut left).await?;
        synced
    } else {
        wait_and_print(client, format, Duration::from_secs(wait), max.is_some(), &mut left).await?
    };
    tell_undelivered(client).await?;
    requests::tell(client).await?;
    outcome.context("could not ask the homeserver for new messages")
}

/// Prints until there is enough, or the time is over. Without a limit: the first that come, and what came with them.
async fn wait_and_print(
    client: &Client,
    format: Format,
    wait: Duration,
    limited: bool,
    left: &mut usize,
) -> anyhow::Result<Result<(), qpq_client::ClientError>> {
    let deadline = tokio::time::Instant::now() + wait;
    let mut live = client.go_live();
    let (mut printed_any, mut over) = (false, false);
    loop {
        let rest = deadline.saturating_duration_since(tokio::time::Instant::now());
        let any = tokio::select! {
            unread = client.wait_unread(1, rest) => !unread?.is_empty(),
            () = live.over() => {
                over = true;
                false
            }
        };
        print(client, format, left).await?;
        printed_any |= any;
        if *left == 0 || !any || !limited {
            break;
        }
    }
    // The connection may be lost at this very moment; that matters only if nothing came over it.
    let reached = if printed_any && !over { Ok(()) } else { client.session().map(drop) };
    drop(live);
    let reached = match reached {
        Err(lost) => tokio::time::timeout(ASK_WHY, client.connect()).await.unwrap_or(Err(lost)),
        Ok(()) => Ok(()),
    };
    Ok(reached)
}

/// Tells which own messages were refused after the homeserver had taken them, with the reason of who refused.
async fn tell_undelivered(client: &Client) -> anyhow::Result<()> {
    for undelivered in client.undelivered().await? {
        note(&format!(
            "not delivered to {}: {} (message {})",
            undelivered.to,
            output::name(&undelivered.reason),
            undelivered.message_id
        ));
        client.mark_told(&undelivered).await?;
    }
    Ok(())
}

async fn print(client: &Client, format: Format, left: &mut usize) -> anyhow::Result<()> {
    while *left > 0 {
        let chunk = u32::try_from(*left).unwrap_or(CHUNK).min(CHUNK);
        let messages = client.unread(chunk).await?;
        let Some(last) = messages.last() else { return Ok(()) };
        // Looked up anew each time: the name of a group comes with a message.
        let names = if format == Format::Text { group_names(client).await? } else { HashMap::new() };
        format.each(&messages, |message| text(message, names.get(&message.group)))?;
        output::flush()?;
        client.mark_shown(last).await?;
        *left = left.saturating_sub(messages.len());
    }
    Ok(())
}

async fn group_names(client: &Client) -> anyhow::Result<HashMap<GroupId, String>> {
    let groups = client.groups().await?;
    Ok(groups.into_iter().filter_map(|group| Some((group.group, group.name?))).collect())
}

/// `TIME  SENDER: TEXT`, with ` in NAME` behind the sender when the group has a name.
fn text(message: &Message, group: Option<&String>) -> String {
    let place = group.map(|group| format!(" in {}", output::name(group))).unwrap_or_default();
    format!("{}  {}{place}: {}", message.sent_at, message.from, safe(&message.text))
}
