//! `config.*`: the configuration of the running process. On the command line `config show` and `config check` look at
//! the file without a server, and win over the action of the same name.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, Actions, Argument, Call, info::json};
use crate::Answered;

pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        "config.show",
        "Shows every setting with the value that counts now and where it came from.",
        &[],
        |actions, _| {
            Box::pin(async move { Ok(json!({ "settings": actions.appliance.configuration.settings() })) })
        },
    )
    .at("/settings"),
    Action::new(
        "config.set",
        "Changes a setting that takes no restart, in the file and at once.",
        &[
            Argument::required("key", "the setting, for example log.filter"),
            Argument::required("value", "its new value"),
        ],
        |actions, call| Box::pin(set(actions, call)),
    )
    .audited("changed a setting")
    .for_owners()
    .at("/settings/set"),
];

#[derive(Deserialize)]
struct Set {
    key: String,
    value: String,
}

async fn set(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Set { key, value } = call.arguments()?;
    let view = actions.appliance.configuration.set(&key, &value).await?;
    actions.record(&call, format!("{key} = {value}")).await?;
    json(&view)
}
