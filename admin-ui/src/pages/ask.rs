//! What a page is asked for: the fields behind the `?` of its address, turned into an action's arguments by the
//! action's own list. Fields left empty count as not there, because that is what a form sends for them.

use std::{collections::BTreeMap, convert::Infallible, fmt::Write};

use axum::{extract::FromRequestParts, http::request::Parts};
use qpq_service::{Actions, Kind};
use serde_json::{Map, Value};

/// The fields of a page's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ask(BTreeMap<String, String>);

impl Ask {
    /// From the part of an address behind the `?`; a field that is there twice counts once, the last.
    pub(super) fn of(query: &str) -> Self {
        let fields = query.split('&').filter_map(|field| {
            let (name, value) = field.split_once('=')?;
            let (name, value) = (decoded(name), decoded(value));
            let value = value.trim();
            (!value.is_empty()).then(|| (name, value.to_owned()))
        });
        Self(fields.collect())
    }

    /// A field; empty if it is not there.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Whether a field has this value.
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == value
    }

    /// Whether anything but the page's number is asked for.
    pub(super) fn filters(&self) -> bool {
        self.0.keys().any(|name| name != "page" && name != "sort" && name != "before")
    }

    /// The arguments that a reading action takes from these fields.
    pub(super) fn arguments(&self, verb: &str) -> Value {
        let mut arguments = Map::new();
        let action = Actions::all().find(|action| action.verb == verb);
        for argument in action.map(|action| action.arguments).unwrap_or_default() {
            let Some(text) = self.0.get(argument.name) else { continue };
            let value = match argument.kind {
                Kind::Number | Kind::Span => {
                    text.parse().map_or_else(|_| Value::from(text.as_str()), u64::into)
                }
                Kind::Flag => Value::from(text == "true"),
                Kind::Texts => Value::from(vec![text.as_str()]),
                Kind::Text | Kind::Choice(_) | Kind::Time => Value::from(text.as_str()),
            };
            arguments.insert(argument.name.to_owned(), value);
        }
        Value::Object(arguments)
    }

    /// The same fields with another value for one: `?search=a&page=2`.
    pub(super) fn with(&self, name: &str, value: &str) -> String {
        let mut fields = self.0.clone();
        fields.insert(name.to_owned(), value.to_owned());
        let fields = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        format!("?{}", fields.collect::<Vec<_>>().join("&"))
    }
}

impl<S: Sync> FromRequestParts<S> for Ask {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts.uri.query().unwrap_or_default()))
    }
}

/// Text as it stands in an address.
pub(crate) fn encoded(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(written, "%{byte:02X}");
        }
    }
    written
}

/// The text that stands in an address; what is not well written stays as it is.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let code = if byte == b'%' { digit(ahead.next()).zip(digit(ahead.next())) } else { None };
        match code.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(code) => {
                bytes.push(code);
                rest = ahead;
            }
            None if byte == b'+' => bytes.push(b' '),
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_left_empty_count_as_not_there() {
        let ask = Ask::of("search=a%20b%26c&state=&page=3&&x&odd=%zz%");
        assert_eq!(ask.get("search"), "a b&c");
        assert_eq!(ask.get("state"), "");
        assert_eq!(ask.get("odd"), "%zz%");
        assert_eq!(ask.with("page", "4"), "?odd=%25zz%25&page=4&search=a%20b%26c");
    }

    #[test]
    fn an_action_takes_only_its_own_arguments_with_their_kinds() {
        let arguments = Ask::of("search=x&page=2&other=1").arguments("user.list");
        assert_eq!(arguments, serde_json::json!({ "search": "x", "page": 2 }));
    }
}
