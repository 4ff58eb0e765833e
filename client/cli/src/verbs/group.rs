//! `group create`, `add`, `list`, `show`.

use qpq_client::{Client, GroupDetails, GroupSummary, InLog};
use qpq_core::ErrorCode;

use crate::{
    args::GroupVerb,
    output::{self, Format, note, safe},
};

/// Makes, enlarges, lists or shows groups.
pub(crate) async fn run(client: &Client, format: Format, verb: GroupVerb) -> anyhow::Result<()> {
    match verb {
        GroupVerb::Create { name } => {
            client.sync().await?;
            let id = client.group_create(&name).await?.to_string();
            format.show(&client.group_show(&id).await?, details)
        }
        GroupVerb::Add { group, users } => {
            client.sync().await?;
            let added = client.group_add(&group, &users).await;
            if added.as_ref().is_err_and(|error| error.code() == Some(ErrorCode::Requested)) {
                note("nobody was added; give the same command again after they have accepted");
            }
            let id = added?.to_string();
            // The name for the newcomers, and what waited behind the commit.
            client.flush().await?;
            format.show(&client.group_show(&id).await?, details)
        }
        GroupVerb::List => {
            refresh(client).await;
            format.each(&client.groups().await?, line)
        }
        GroupVerb::Show { group } => {
            refresh(client).await;
            format.show(&client.group_show(&group).await?, details)
        }
    }
}

/// Shows what is known here when the homeserver can't be reached, and says so.
async fn refresh(client: &Client) {
    if let Err(error) = client.sync().await {
        note(&format!("as known here, the homeserver was not asked: {error}"));
    }
}

fn line(summary: &GroupSummary) -> String {
    let what = match (&summary.name, &summary.peer) {
        (Some(name), _) => output::name(name),
        (None, Some(peer)) => format!("with {peer}"),
        (None, None) => String::from("(no name)"),
    };
    let state = match &summary.reason {
        Some(reason) => format!("{}: {}", summary.state, safe(reason)),
        None => summary.state.to_owned(),
    };
    format!("{}  {what}  {state}", summary.group)
}

fn details(details: &GroupDetails) -> String {
    let epoch = details.epoch.map(|epoch| format!("  epoch {epoch}"));
    let members = details.members.iter().map(|member| {
        let signed = if member.signed { "" } else { "  NOT SIGNED by its account" };
        let logged = if member.in_log == InLog::Unlogged { "  UNLOGGED" } else { "" };
        format!("  {}  {}{signed}{logged}", member.address, member.device)
    });
    let lines: Vec<_> = std::iter::once(line(&details.summary)).chain(epoch).chain(members).collect();
    lines.join("\n")
}
