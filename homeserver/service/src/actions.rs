//! What an admin can do: one list of actions, each with its verb, its arguments, its line of documentation and its
//! audit text. The command line and the console perform the same entries.
//!
//! An action that changes something writes a plain audit row in the transaction of the change; one that reads writes
//! none. Arguments and results are JSON objects; an unknown verb or argument is answered with the nearest known one.

mod devices;
mod info;
mod peers;
mod sessions;
mod tokens;
mod users;

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use qpq_core::ErrorCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Accounts, Actor, Answered, Devices, Ground, Peering, Refusal, Sessions, Tokens, UseCases, WriteJob,
    audit::Audited,
};

pub use info::DomainFacts;

/// Something an admin can do.
#[derive(Clone, Copy)]
pub struct Action {
    /// Its name: `area.verb`.
    pub verb: &'static str,
    /// One line of documentation.
    pub doc: &'static str,
    /// What it takes.
    pub arguments: &'static [Argument],
    /// What the audit log says it did; `None`: it changes nothing.
    pub audit: Option<&'static str>,
    run: Run,
}

/// An argument of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The field in the JSON object.
    pub name: &'static str,
    /// One line of documentation.
    pub doc: &'static str,
    /// Whether it can be left out.
    pub need: Need,
}

/// Whether an argument can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must be there.
    Required,
    /// It may be left out, or be null.
    Optional,
}

type Run = for<'a> fn(&'a Actions, Call<'a>) -> BoxFuture<'a, Answered<Value>>;

/// One performance of an action.
#[derive(Debug)]
struct Call<'a> {
    action: &'static Action,
    actor: &'a Actor,
    arguments: Value,
}

/// The actions, ready to be performed.
#[derive(Debug)]
pub struct Actions {
    ground: Arc<Ground>,
    facts: DomainFacts,
    tokens: Tokens,
    accounts: Accounts,
    sessions: Sessions,
    devices: Devices,
    peering: Peering,
}

/// Every action, area by area.
const AREAS: &[&[Action]] =
    &[info::ACTIONS, tokens::ACTIONS, users::ACTIONS, sessions::ACTIONS, devices::ACTIONS, peers::ACTIONS];

impl Actions {
    /// The actions on these use cases.
    pub fn new(use_cases: &UseCases, peering: Peering, facts: DomainFacts) -> Self {
        Self {
            ground: Arc::clone(&use_cases.ground),
            facts,
            tokens: use_cases.tokens.clone(),
            accounts: use_cases.accounts.clone(),
            sessions: use_cases.sessions.clone(),
            devices: use_cases.devices.clone(),
            peering,
        }
    }

    /// The list.
    pub fn all() -> impl Iterator<Item = &'static Action> {
        AREAS.iter().copied().flatten()
    }

    /// Performs an action: `arguments` is a JSON object, or empty for none; the result is one, too.
    pub async fn perform(&self, actor: &Actor, verb: &str, arguments: &str) -> Answered<String> {
        let action = find(verb)?;
        let call = Call { action, actor, arguments: object(action, arguments)? };
        let result = (action.run)(self, call).await?;
        Ok(result.to_string())
    }

    /// Runs a job with its audit row, which is written only if the job changed something.
    async fn audited<J: WriteJob>(
        &self,
        call: &Call<'_>,
        target: impl fmt::Display,
        job: J,
        changed: fn(&J::Output) -> bool,
    ) -> Answered<J::Output> {
        let entry = call.actor.entry(&self.ground, call.action.verb, target.to_string());
        self.ground.write(Audited { job, entry, changed }).await
    }
}

impl Action {
    const fn new(verb: &'static str, doc: &'static str, arguments: &'static [Argument], run: Run) -> Self {
        Self { verb, doc, arguments, audit: None, run }
    }

    const fn audited(self, text: &'static str) -> Self {
        Self { audit: Some(text), ..self }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Action").field("verb", &self.verb).finish_non_exhaustive()
    }
}

impl Argument {
    const fn required(name: &'static str, doc: &'static str) -> Self {
        Self { name, doc, need: Need::Required }
    }

    const fn optional(name: &'static str, doc: &'static str) -> Self {
        Self { name, doc, need: Need::Optional }
    }
}

impl Call<'_> {
    /// The arguments as their type; a value of another kind is refused with the field's name.
    fn arguments<T: DeserializeOwned>(&mut self) -> Answered<T> {
        serde_json::from_value(self.arguments.take())
            .map_err(|error| Refusal::malformed(format!("`{}`: {error}", self.action.verb)))
    }
}

/// The action of a verb.
fn find(verb: &str) -> Answered<&'static Action> {
    let found = Actions::all().find(|action| action.verb == verb);
    found.ok_or_else(|| {
        let known = Actions::all().map(|action| action.verb);
        Refusal::new(ErrorCode::NotFound, format!("there is no action `{verb}`{}", nearest(verb, known)))
    })
}

/// The arguments as an object that has what it must have and nothing else.
fn object(action: &'static Action, text: &str) -> Answered<Value> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let malformed =
        || Refusal::malformed(format!("the arguments of `{}` are not a JSON object", action.verb));
    let arguments: Value = serde_json::from_str(text).map_err(|_| malformed())?;
    let fields = arguments.as_object().ok_or_else(malformed)?;
    for name in fields.keys() {
        if !action.arguments.iter().any(|argument| argument.name == name) {
            let near = nearest(name, action.arguments.iter().map(|argument| argument.name));
            return Err(Refusal::malformed(format!("`{}` has no argument `{name}`{near}", action.verb)));
        }
    }
    for argument in action.arguments.iter().filter(|argument| argument.need == Need::Required) {
        if fields.get(argument.name).is_none_or(Value::is_null) {
            let text = format!("`{}` needs `{}`: {}", action.verb, argument.name, argument.doc);
            return Err(Refusal::malformed(text));
        }
    }
    Ok(arguments)
}

/// "; did you mean …?", if anything is near enough.
fn nearest(given: &str, known: impl Iterator<Item = &'static str>) -> String {
    let given: String = given.chars().take(64).collect();
    let best = known.map(|name| (strsim::damerau_levenshtein(&given, name), name)).min();
    best.filter(|(distance, name)| *distance <= name.len().div_ceil(2))
        .map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests;
