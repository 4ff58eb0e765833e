//! A form's fields as the arguments of an action, each by its kind. What is not given is left out, for the action's own
//! judgement.

use qpq_core::Millis;
use qpq_service::{Action, Argument, Kind, Need, Refusal};
use serde_json::{Map, Value};

use super::fields::{Fields, TYPED, cut};

/// The arguments that the form means.
pub(super) fn of(action: &Action, fields: &Fields) -> Result<Value, Refusal> {
    let mut arguments = Map::new();
    // Names that the action doesn't have go along: it refuses them, and says which was meant.
    for (name, _) in fields.own() {
        if !action.arguments.iter().any(|argument| argument.name == name) {
            arguments.insert(cut(name), Value::Null);
        }
    }
    for argument in action.arguments {
        if let Some(value) = value(argument, fields)? {
            arguments.insert(argument.name.to_owned(), value);
        }
    }
    Ok(Value::Object(arguments))
}

/// Whether what can't be undone was confirmed by typing its name.
pub(super) fn typed(name: &str, arguments: &Value, fields: &Fields) -> bool {
    let typed = fields.get(TYPED).trim();
    match arguments.get(name) {
        Some(Value::String(meant)) => meant == typed,
        Some(Value::Number(meant)) => typed.parse() == Ok(meant.as_u64().unwrap_or_default()),
        _ => false,
    }
}

fn value(argument: &Argument, fields: &Fields) -> Result<Option<Value>, Refusal> {
    let mut given = fields.all(argument.name);
    let wrong = |what: &str| Refusal::malformed(format!("`{}`: {what}", argument.flag()));
    if argument.kind == Kind::Texts {
        let texts: Vec<&str> = given.map(str::trim).filter(|text| !text.is_empty()).collect();
        return Ok((!texts.is_empty()).then(|| Value::from(texts)));
    }
    let Some(text) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(wrong("it is there twice"));
    }
    let text = text.trim();
    // A field that was left empty is not given; one that must be there is the action's to refuse, or to take.
    if text.is_empty() && argument.need != Need::Required {
        return Ok(None);
    }
    let value = match argument.kind {
        Kind::Text | Kind::Time | Kind::Texts => Value::from(text),
        Kind::Choice(choices) if choices.contains(&text) => Value::from(text),
        Kind::Choice(choices) => return Err(wrong(&format!("choose one of {}", choices.join(", ")))),
        Kind::Number => Value::from(text.parse::<u64>().map_err(|_| wrong("give a whole number"))?),
        Kind::Span => Value::from(text.parse::<Millis>().map_err(|error| wrong(&error.to_string()))?.0),
        Kind::Flag if text == "true" => Value::from(true),
        Kind::Flag => return Err(wrong("a box that is ticked says `true`")),
    };
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use qpq_service::Actions;
    use serde_json::json;

    use super::*;

    fn read(verb: &str, form: &str) -> Result<Value, Refusal> {
        let action = Actions::all().find(|action| action.verb == verb);
        let fields = Fields::of(form).map_err(|problem| Refusal::malformed(problem.to_string()))?;
        of(action.ok_or_else(|| Refusal::malformed(verb))?, &fields)
    }

    #[test]
    fn each_kind_is_read_as_forms_write_it() {
        assert_eq!(
            read("user.ban", "addresses=a%40b&addresses=c%40d&reason=spam&expires_ms=7d&_token=x").unwrap(),
            json!({ "addresses": ["a@b", "c@d"], "reason": "spam", "expires_ms": 604_800_000 })
        );
        assert_eq!(read("token.create", "uses=3&expires_ms=&note=").unwrap(), json!({ "uses": 3 }));
        assert_eq!(read("peer.invite", "domain=&any=true").unwrap(), json!({ "any": true }));
    }

    #[test]
    fn what_no_form_of_ours_sends_is_refused_or_left_to_the_action() {
        assert!(read("token.create", "uses=many").is_err());
        assert!(read("token.create", "uses=1&uses=2").is_err());
        assert!(read("token.create", "expires_ms=soon").unwrap_err().text.contains("7d"));
        assert!(read("peer.policy", "policy=open").is_err());
        assert!(read("peer.invite", "any=1").is_err());
        assert_eq!(read("token.create", "use=1").unwrap(), json!({ "use": null }));
    }

    #[test]
    fn what_was_typed_must_be_the_very_name() {
        let fields = Fields::of("address=a%40b&_typed=a%40b").unwrap();
        assert!(typed("address", &json!({ "address": "a@b" }), &fields));
        assert!(!typed("address", &json!({ "address": "a@c" }), &fields));
        assert!(!typed("address", &json!({}), &Fields::of("_typed=").unwrap()));
    }
}
