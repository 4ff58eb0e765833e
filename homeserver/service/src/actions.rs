//! What an admin can do: one list of actions. Each entry has all its faces: the verb of the command line, the route of
//! the console, the role it needs, whether the admin must have proved lately who they are, its audit text and its line
//! of documentation.
//!
//! An action that changes something writes an audit row in the transaction of the change; one that reads writes none.
//! Arguments and results are JSON objects; an unknown verb or argument is answered with the nearest known one.

mod admins;
mod audit;
mod bans;
mod configuration;
mod devices;
mod info;
mod jobs;
mod pages;
mod peers;
mod sessions;
mod status;
mod tokens;
mod transparency;
mod users;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures::future::BoxFuture;
use qpq_core::{ErrorCode, RequestId};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use qpq_storage::{AdminRole, Stored, WriteTx};

use crate::{
    Accounts, Admins, Answered, Appliance, Bans, Caller, Checks, Devices, Ground, Jobs, Peering, Refusal,
    Sessions, Tokens, UseCases, WriteJob, audit::Audited,
};

pub use info::DomainFacts;

/// Something an admin can do.
#[derive(Clone, Copy)]
pub struct Action {
    /// Its name: `area.verb`; on the command line `area verb`.
    pub verb: &'static str,
    /// One line of documentation.
    pub doc: &'static str,
    /// What it takes.
    pub arguments: &'static [Argument],
    /// What the audit log says it did; `None`: it changes nothing.
    pub audit: Option<&'static str>,
    /// The least role that may perform it.
    pub role: AdminRole,
    /// How careful the console is before it performs it.
    pub guard: Guard,
    /// Where the console has it: a page for what reads, the target of a form for what changes.
    pub route: &'static str,
    run: Run,
}

/// How careful the console is before it performs an action. The admin socket is the owner's own terminal, where typing
/// the verb is proof enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It reads: a session is enough.
    Session,
    /// It changes something: the admin proved who they are in the last ten minutes.
    Reauthentication,
    /// It can't be undone: besides, the value of this argument is typed once more.
    Typed(&'static str),
}

/// An argument of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The field in the JSON object, and the long flag on the command line (`_` becomes `-`).
    pub name: &'static str,
    /// One line of documentation.
    pub doc: &'static str,
    /// Whether it can be left out.
    pub need: Need,
    /// What it holds.
    pub kind: Kind,
}

/// What an argument holds, and how forms and the command line write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A JSON string.
    Text,
    /// A JSON string whose value is one of these.
    Choice(&'static [&'static str]),
    /// A JSON list of strings; on the command line and in forms it is repeated.
    Texts,
    /// A whole JSON number from 1 on.
    Number,
    /// A JSON number of milliseconds; people write `90s`, `30m`, `12h`, `7d`. Its name ends in `_ms`, which people don't
    /// write.
    Span,
    /// A JSON string with a time as RFC 3339 in UTC, or a date, which means its first moment.
    Time,
    /// A JSON boolean; on the command line a flag without value.
    Flag,
}

/// Whether an argument can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must be there; on the command line it is positional.
    Required,
    /// It must be there; on the command line it is written with its flag all the same (`--reason`).
    RequiredFlag,
    /// It must be there unless this other one is; both are too much. On the command line it is positional.
    Unless(&'static str),
    /// It may be left out, or be null.
    Optional,
    /// The same; on the command line it is positional.
    OptionalPositional,
}

type Run = for<'a> fn(&'a Actions, Call<'a>) -> BoxFuture<'a, Answered<Value>>;

/// One performance of an action.
#[derive(Debug)]
struct Call<'a> {
    action: &'static Action,
    caller: &'a Caller,
    /// What the admin gave as `reason`; empty if nothing.
    reason: String,
    arguments: Value,
}

/// The actions, ready to be performed.
#[derive(Debug)]
pub struct Actions {
    ground: Arc<Ground>,
    facts: DomainFacts,
    tokens: Tokens,
    accounts: Accounts,
    bans: Bans,
    sessions: Sessions,
    devices: Devices,
    peering: Peering,
    admins: Admins,
    checks: Checks,
    jobs: Jobs,
    appliance: Appliance,
}

/// Every action, area by area.
const AREAS: &[&[Action]] = &[
    info::ACTIONS,
    status::ACTIONS,
    users::ACTIONS,
    bans::ACTIONS,
    sessions::ACTIONS,
    devices::ACTIONS,
    tokens::ACTIONS,
    peers::ACTIONS,
    admins::ACTIONS,
    audit::ACTIONS,
    transparency::ACTIONS,
    jobs::ACTIONS,
    configuration::ACTIONS,
];

/// What each area is about; the command line shows it.
const ABOUT: &[(&str, &str)] = &[
    ("admin", "Who may use the console."),
    ("audit", "What admins did."),
    ("ban", "Who is kept out."),
    ("config", "The configuration."),
    ("dead-letters", "Messages that a peer could not take."),
    ("device", "Devices of accounts."),
    ("job", "What runs by itself."),
    ("log", "The key-transparency log."),
    ("peer", "Other domains."),
    ("session", "Sessions of devices."),
    ("token", "Registration tokens."),
    ("user", "Accounts."),
];

impl Actions {
    /// The actions on these use cases.
    pub fn new(
        use_cases: &UseCases,
        admins: Admins,
        peering: Peering,
        facts: DomainFacts,
        appliance: Appliance,
    ) -> Self {
        let machine = Arc::clone(&appliance.machine);
        let checks = Checks::new(Arc::clone(&use_cases.ground), peering.clone(), machine);
        Self {
            ground: Arc::clone(&use_cases.ground),
            facts,
            tokens: use_cases.tokens.clone(),
            accounts: use_cases.accounts.clone(),
            bans: use_cases.bans.clone(),
            sessions: use_cases.sessions.clone(),
            devices: use_cases.devices.clone(),
            jobs: Jobs::new(use_cases, peering.clone(), checks.clone()),
            checks,
            peering,
            admins,
            appliance,
        }
    }

    /// A new request's id.
    pub fn new_request(&self) -> RequestId {
        self.ground.new_request()
    }

    /// The checks.
    pub const fn checks(&self) -> &Checks {
        &self.checks
    }

    /// What runs by itself.
    pub const fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// What they stand on.
    pub const fn ground(&self) -> &Arc<Ground> {
        &self.ground
    }

    /// The list.
    pub fn all() -> impl Iterator<Item = &'static Action> {
        AREAS.iter().copied().flatten()
    }

    /// What an area is about: `user` of `user.ban`.
    pub fn about(area: &str) -> Option<&'static str> {
        ABOUT.iter().find(|(name, _)| *name == area).map(|(_, about)| *about)
    }

    /// Performs an action: `arguments` is the text of a JSON object, or empty for none; so is the result.
    pub async fn perform(&self, caller: &Caller, verb: &str, arguments: &str) -> Answered<String> {
        let text = if arguments.trim().is_empty() { "{}" } else { arguments };
        let malformed = |_| Refusal::malformed(format!("the arguments of `{verb}` are not a JSON object"));
        let arguments: Value = serde_json::from_str(text).map_err(malformed)?;
        Ok(self.perform_value(caller, verb, arguments).await?.to_string())
    }

    /// The same with JSON values.
    pub async fn perform_value(&self, caller: &Caller, verb: &str, arguments: Value) -> Answered<Value> {
        let action = find(verb)?;
        caller.may(action, self.ground.now())?;
        let arguments = object(action, arguments)?;
        let reason = arguments.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
        let call = Call { action, caller, reason, arguments };
        (action.run)(self, call).await
    }

    /// Runs a job with its audit row, which is written only if the job changed something.
    async fn audited<J: WriteJob>(
        &self,
        call: &Call<'_>,
        target: impl fmt::Display,
        job: J,
        changed: fn(&J::Output) -> bool,
    ) -> Answered<J::Output> {
        let entry =
            call.caller.entry(&self.ground, call.action.verb, target.to_string(), call.reason.clone());
        self.ground.write(Audited { job, entry, changed }).await
    }

    /// Writes the audit row of a change that was made elsewhere than in the store.
    async fn record(&self, call: &Call<'_>, target: impl fmt::Display) -> Answered<()> {
        self.audited(call, target, Nothing, |()| true).await
    }
}

/// A job that changes nothing itself.
struct Nothing;

#[async_trait]
impl WriteJob for Nothing {
    type Output = ();

    async fn run(&mut self, _tx: &mut dyn WriteTx) -> Stored<()> {
        Ok(())
    }
}

impl Action {
    const fn new(verb: &'static str, doc: &'static str, arguments: &'static [Argument], run: Run) -> Self {
        Self {
            verb,
            doc,
            arguments,
            audit: None,
            role: AdminRole::Auditor,
            guard: Guard::Session,
            route: "",
            run,
        }
    }

    /// What the audit log says; a change needs an operator who proved lately who they are.
    const fn audited(self, text: &'static str) -> Self {
        Self { audit: Some(text), role: AdminRole::Operator, guard: Guard::Reauthentication, ..self }
    }

    /// Where the console has it.
    const fn at(self, route: &'static str) -> Self {
        Self { route, ..self }
    }

    /// Only owners may.
    const fn for_owners(self) -> Self {
        Self { role: AdminRole::Owner, ..self }
    }

    /// It can't be undone: the console wants this argument typed once more.
    const fn typed(self, argument: &'static str) -> Self {
        Self { guard: Guard::Typed(argument), ..self }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Action").field("verb", &self.verb).finish_non_exhaustive()
    }
}

impl Argument {
    const fn required(name: &'static str, doc: &'static str) -> Self {
        Self { name, doc, need: Need::Required, kind: Kind::Text }
    }

    const fn optional(name: &'static str, doc: &'static str) -> Self {
        Self { name, doc, need: Need::Optional, kind: Kind::Text }
    }

    const fn of(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    const fn with_flag(self) -> Self {
        Self { need: Need::RequiredFlag, ..self }
    }

    const fn positional(self) -> Self {
        Self { need: Need::OptionalPositional, ..self }
    }

    const fn unless(self, other: &'static str) -> Self {
        Self { need: Need::Unless(other), ..self }
    }

    /// Its flag on the command line, without dashes: people write `--expires 7d` for `expires_ms`.
    pub fn flag(&self) -> String {
        let name = if self.kind == Kind::Span { self.name.trim_end_matches("_ms") } else { self.name };
        name.replace('_', "-")
    }
}

impl Call<'_> {
    /// The arguments as their type; a value of another kind is refused with the field's name.
    fn arguments<T: DeserializeOwned>(&mut self) -> Answered<T> {
        serde_json::from_value(self.arguments.clone())
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
fn object(action: &'static Action, arguments: Value) -> Answered<Value> {
    let malformed =
        || Refusal::malformed(format!("the arguments of `{}` are not a JSON object", action.verb));
    let fields = arguments.as_object().ok_or_else(malformed)?;
    for name in fields.keys() {
        if !action.arguments.iter().any(|argument| argument.name == name) {
            let near = nearest(name, action.arguments.iter().map(|argument| argument.name));
            return Err(Refusal::malformed(format!("`{}` has no argument `{name}`{near}", action.verb)));
        }
    }
    let given = |name: &str| fields.get(name).is_some_and(|value| !value.is_null() && *value != json!(false));
    for argument in action.arguments {
        let missing = match argument.need {
            Need::Required | Need::RequiredFlag => !given(argument.name),
            Need::Unless(other) if given(argument.name) && given(other) => {
                let text = format!("`{}` takes `{}` or `{other}`, and not both", action.verb, argument.name);
                return Err(Refusal::malformed(text));
            }
            Need::Unless(other) => !given(argument.name) && !given(other),
            Need::Optional | Need::OptionalPositional => false,
        };
        if missing {
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
