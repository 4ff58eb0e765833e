//! The verbs that act on the running homeserver, generated from the list of actions: a new action has its command line
//! at once, with flags, help and checks of its arguments.

use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser};
use qpq_service::{Action, Actions, Argument, Kind, Need};
use serde_json::{Map, Value, json};

use crate::config::span;

/// Adds a verb for every action that the local command line does not have itself.
pub(crate) fn with_actions(local: Command) -> Command {
    Actions::all().fold(local, |command, action| placed(command, action.verb, action))
}

/// Adds an action below the groups that its verb names; `rest` is the part of the verb from here on.
fn placed(command: Command, rest: &'static str, action: &'static Action) -> Command {
    let Some((area, inner)) = rest.split_once('.') else { return adding(command, rest, action) };
    let command = match command.find_subcommand(area) {
        Some(_) => command,
        None => command.subcommand(group(area)),
    };
    command.mut_subcommand(area, |group| placed(group, inner, action))
}

/// The action that was asked for, and its arguments; `None` for a verb of the local command line.
pub(crate) fn action(local: &Command, matches: &ArgMatches) -> Option<(&'static str, Value)> {
    let (mut local, mut matches, mut verb) = (Some(local), matches, String::new());
    while let Some((name, inner)) = matches.subcommand() {
        local = local.and_then(|command| command.find_subcommand(name));
        matches = inner;
        verb = if verb.is_empty() { name.to_owned() } else { format!("{verb}.{name}") };
    }
    if local.is_some() {
        return None;
    }
    let action = Actions::all().find(|action| action.verb == verb)?;
    let given = |argument: &Argument| Some((argument.name.to_owned(), value(argument, matches)?));
    let arguments: Map<String, Value> = action.arguments.iter().filter_map(given).collect();
    Some(confirming(action.verb, arguments))
}

/// `peer accept DOMAIN` confirms who used a token made for anybody.
fn confirming(verb: &'static str, arguments: Map<String, Value>) -> (&'static str, Value) {
    if verb == "peer.accept"
        && let Some(token) = arguments.get("token").and_then(Value::as_str)
        && !token.starts_with("qpqinvite")
        && let Ok(domain) = token.parse::<qpq_core::Domain>()
    {
        return ("peer.confirm", json!({ "domain": domain }));
    }
    (verb, Value::Object(arguments))
}

fn group(area: &'static str) -> Command {
    Command::new(area)
        .about(Actions::about(area).unwrap_or_default())
        .subcommand_required(true)
        .arg_required_else_help(true)
}

fn adding(command: Command, name: &'static str, action: &'static Action) -> Command {
    if command.find_subcommand(name).is_some() {
        return command;
    }
    command.subcommand(Command::new(name).about(action.doc).args(action.arguments.iter().map(written)))
}

/// How an argument is written.
fn written(argument: &'static Argument) -> Arg {
    let arg = Arg::new(argument.name).help(sentence(argument.doc)).value_name(value_name(argument));
    let arg = match argument.kind {
        Kind::Text | Kind::Time => arg,
        Kind::Choice(choices) => arg.value_parser(PossibleValuesParser::new(choices)),
        Kind::Texts => arg.action(ArgAction::Append).num_args(1..),
        Kind::Number => arg.value_parser(clap::value_parser!(u64).range(1..)),
        Kind::Span => arg.value_parser(|text: &str| span(text).map(|span| span.0)),
        Kind::Flag => arg.action(ArgAction::SetTrue),
    };
    match argument.need {
        Need::Required => arg.required(true),
        Need::RequiredFlag => arg.long(argument.flag()).required(true),
        Need::Unless(other) => arg.required_unless_present(other).conflicts_with(other),
        Need::Optional => arg.long(argument.flag()),
        Need::OptionalPositional => arg,
    }
}

fn value_name(argument: &Argument) -> String {
    match argument.kind {
        Kind::Number => "N".to_owned(),
        Kind::Span => "SPAN".to_owned(),
        Kind::Time => "TIME".to_owned(),
        Kind::Text | Kind::Choice(_) | Kind::Texts | Kind::Flag => argument.flag().to_uppercase(),
    }
}

/// The line of documentation with a capital and a full stop, as clap's own.
fn sentence(doc: &str) -> String {
    let mut letters = doc.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).chain(['.']).collect())
}

fn value(argument: &Argument, matches: &ArgMatches) -> Option<Value> {
    let id = argument.name;
    match argument.kind {
        Kind::Text | Kind::Choice(_) | Kind::Time => matches.get_one::<String>(id).map(|text| json!(text)),
        Kind::Texts => matches.get_many::<String>(id).map(|texts| texts.cloned().collect()),
        Kind::Number | Kind::Span => matches.get_one::<u64>(id).map(|number| json!(number)),
        Kind::Flag => matches.get_flag(id).then_some(Value::Bool(true)),
    }
}
