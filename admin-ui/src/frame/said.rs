//! What the next page says has happened: the form's answer leads back to its page, and a cookie carries the sentence's name
//! and whom it is about. The sentence itself is ours, and the name is printed as text.

use axum::response::{IntoResponse, Redirect, Response};
use fluent_bundle::FluentValue;

use super::cookies;
use crate::pages::{Words, ask};

/// The longest name in a sentence.
const NAME: usize = 200;

/// Leads back to a page, which then says so. `what` is `user.ban`: the text is `said-user-ban`.
pub(super) fn back(to: &str, what: &str, name: &str) -> Response {
    let mut short: String = name.chars().take(NAME).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    let mut response = Redirect::to(to).into_response();
    let value = format!("{}:{}", ask::encoded(what), ask::encoded(&short));
    cookies::set(response.headers_mut(), cookies::SAID, &value);
    response
}

/// The sentence that a cookie stands for; none if there is no such sentence.
pub(super) fn text(words: Words, cookie: &str) -> Option<String> {
    let (what, name) = cookie.split_once(':')?;
    let key = key(&ask::decoded(what));
    let name = ask::decoded(name);
    let name: String = name.chars().filter(|letter| !letter.is_control()).take(NAME + 1).collect();
    words.knows(&key).then(|| words.say(&key, &[("name", FluentValue::from(name))]))
}

/// The name of the sentence.
pub(super) fn key(what: &str) -> String {
    format!("said-{}", what.replace('.', "-"))
}
