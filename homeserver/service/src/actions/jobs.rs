//! `job.*`: what runs by itself.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, Actions, Argument, Call, info::json};
use crate::Answered;

pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        "job.list",
        "Lists what runs by itself: when, and what came of the last run.",
        &[],
        |actions, _| Box::pin(async move { Ok(json!({ "jobs": actions.jobs.list().await })) }),
    )
    .at("/health/jobs"),
    Action::new(
        "job.run",
        "Runs a job now, and says what came of it.",
        &[Argument::required("id", "the job: its name in `job list`")],
        |actions, call| Box::pin(run(actions, call)),
    )
    .audited("ran a job")
    .at("/health/jobs/run"),
];

#[derive(Deserialize)]
struct Run {
    id: String,
}

async fn run(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Run { id } = call.arguments()?;
    actions.jobs.known(&id)?;
    actions.record(&call, &id).await?;
    json(&actions.jobs.run_now(&id).await?)
}
