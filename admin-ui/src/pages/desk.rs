//! What a page has at hand: the actions with who asks, the language, what its forms must carry, the time.

use std::{fmt, sync::Arc};

use askama::Template;
use async_trait::async_trait;
use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    response::{Html, IntoResponse, Response},
};
use qpq_core::{ErrorCode, Timestamp};
use qpq_service::{Action, Actions, Answered, Caller, Kind, Refusal};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Words, ask,
    shown::{self, Count, NOTHING},
};

/// Who answers a page's questions: the actions, or a test's planted answers.
#[async_trait]
pub(crate) trait Answers: Send + Sync + fmt::Debug {
    /// Performs an action.
    async fn answer(&self, caller: &Caller, verb: &str, arguments: Value) -> Answered<Value>;
}

#[async_trait]
impl Answers for Actions {
    async fn answer(&self, caller: &Caller, verb: &str, arguments: Value) -> Answered<Value> {
        self.perform_value(caller, verb, arguments).await
    }
}

/// What a page has at hand; the frame puts it into each request of somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    /// The actions.
    pub(crate) actions: Arc<dyn Answers>,
    /// Who asks.
    pub(crate) caller: Caller,
    /// The texts.
    pub(crate) words: Words,
    /// What every form carries, so that other sites can't post in the admin's name.
    pub(crate) form_token: String,
    /// The path and query of this page, to which a form's result leads back.
    pub(crate) here: String,
    /// The time of the request.
    pub(crate) now: Timestamp,
}

/// What a page shows, without the frame around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Its title.
    pub(crate) title: String,
    /// Its content: HTML.
    pub(crate) content: String,
}

/// Why there is no page; the frame makes one of it that says so.
#[derive(Clone, Debug)]
pub(crate) struct Refused(pub(crate) Refusal);

/// HTML that a page made of escaped parts.
pub(crate) type Markup = askama::filters::Safe<String>;

impl Desk {
    /// Performs a reading action and reads its answer.
    pub(super) async fn read<T: DeserializeOwned>(&self, verb: &str, arguments: Value) -> Result<T, Refused> {
        let answer = self.actions.answer(&self.caller, verb, arguments).await.map_err(Refused)?;
        serde_json::from_value(answer).map_err(|error| {
            Refused(Refusal::new(
                ErrorCode::Internal,
                format!("the answer of `{verb}` can't be shown: {error}"),
            ))
        })
    }

    /// A page from its template.
    pub(super) fn page(&self, title: &str, template: &impl Template) -> Result<Page, Refused> {
        Ok(Page { title: self.t(title), content: rendered(template)? })
    }

    /// A text.
    pub(super) fn t(&self, key: &str) -> String {
        self.words.say(key, &[])
    }

    /// A text about a number.
    pub(super) fn tn(&self, key: &str, n: &impl Count) -> String {
        let n = n.count().unwrap_or_default();
        self.words.say(key, &[("n", n.into()), ("shown", shown::number(n).into())])
    }

    /// A text about a name.
    pub(super) fn ts(&self, key: &str, name: &str) -> String {
        self.words.say(key, &[("name", name.into())])
    }

    /// The text of one of several values: `users-state-banned`; a value without text as it is.
    pub(super) fn tv(&self, prefix: &str, value: &str) -> String {
        let key = format!("{prefix}-{value}");
        if self.words.knows(&key) { self.t(&key) } else { value.to_owned() }
    }

    /// Whether the caller's role may perform this action.
    pub(super) fn may(&self, verb: &str) -> bool {
        action(verb).is_some_and(|action| self.caller.role >= action.role)
    }

    /// Where the form of an action posts to, or where a page is.
    #[expect(clippy::unused_self, reason = "templates have nothing but the desk at hand")]
    pub(super) fn route(&self, verb: &str) -> &'static str {
        action(verb).map_or("", |action| action.route)
    }

    /// What an argument can be.
    #[expect(clippy::unused_self, reason = "templates have nothing but the desk at hand")]
    pub(super) fn choices(&self, verb: &str, name: &str) -> &'static [&'static str] {
        let arguments = action(verb).map(|action| action.arguments).unwrap_or_default();
        match arguments.iter().find(|argument| argument.name == name).map(|argument| argument.kind) {
            Some(Kind::Choice(choices)) => choices,
            _ => &[],
        }
    }
}

#[expect(clippy::unused_self, reason = "templates have nothing but the desk at hand")]
impl Desk {
    /// A number.
    pub(super) fn n(&self, number: &impl Count) -> String {
        number.count().map_or_else(|| NOTHING.to_owned(), shown::number)
    }

    /// A size.
    pub(super) fn bytes(&self, size: &impl Count) -> String {
        size.count().map_or_else(|| NOTHING.to_owned(), shown::bytes)
    }

    /// A span of milliseconds.
    pub(super) fn span(&self, millis: &impl Count) -> String {
        millis.count().map_or_else(|| NOTHING.to_owned(), shown::span)
    }

    /// A time.
    pub(super) fn time(&self, time: &impl shown::Words) -> Markup {
        time.words().map_or_else(|| askama::filters::Safe(NOTHING.to_owned()), moment)
    }

    /// A text from outside that may be long: its beginning.
    pub(super) fn short(&self, text: &impl shown::Words) -> String {
        let text = text.words().unwrap_or(NOTHING);
        let mut chars = text.chars();
        let mut short: String = chars.by_ref().take(200).collect();
        if chars.next().is_some() {
            short.push('…');
        }
        short
    }

    /// A text as it stands in an address.
    pub(super) fn url(&self, text: &str) -> String {
        ask::encoded(text)
    }
}

/// A time: in UTC here, which the frame's script turns into the browser's zone.
pub(crate) fn moment(time: &str) -> Markup {
    let (exact, shown) = (escaped(time), escaped(&shown::minute(time)));
    askama::filters::Safe(format!(r#"<time datetime="{exact}" title="{exact}">{shown}</time>"#))
}

/// A sentence with `code` in it: what stands between backticks is shown as code.
pub(crate) fn coded(text: &str) -> Markup {
    let mut shown = String::with_capacity(text.len());
    let parts: Vec<&str> = text.split('`').collect();
    for (place, part) in parts.iter().enumerate() {
        // The last part is code only if its backtick is closed, and then it is not the last.
        let (open, close) = match (place % 2 == 1, place + 1 < parts.len()) {
            (true, true) => ("<code>", "</code>"),
            (true, false) => ("`", ""),
            (false, _) => ("", ""),
        };
        shown.extend([open, &escaped(part), close]);
    }
    askama::filters::Safe(shown)
}

/// A page or a part of one from its template.
pub(super) fn rendered(template: &impl Template) -> Result<String, Refused> {
    template.render().map_err(|error| Refused(Refusal::new(ErrorCode::Internal, error.to_string())))
}

fn action(verb: &str) -> Option<&'static Action> {
    Actions::all().find(|action| action.verb == verb)
}

/// Text as it stands between tags or quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl<S: Sync> FromRequestParts<S> for Desk {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        // Nobody is signed in: the frame has sent them to the door before.
        parts.extensions.get::<Self>().cloned().ok_or(StatusCode::UNAUTHORIZED)
    }
}

impl IntoResponse for Page {
    /// The bare content, with the page itself beside it for the frame to put around.
    fn into_response(self) -> Response {
        let mut response = Html(self.content.clone()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.0.code {
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::Malformed => StatusCode::BAD_REQUEST,
            ErrorCode::RoleRefused => StatusCode::FORBIDDEN,
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = (status, self.0.text.clone()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code_and_all_of_it_is_text() {
        assert_eq!(coded("type `a <b>` now").0, "type <code>a &lt;b&gt;</code> now");
        assert_eq!(coded("one ` <only").0, "one ` &lt;only");
        assert_eq!(coded("`<script>`").0, "<code>&lt;script&gt;</code>");
    }
}
