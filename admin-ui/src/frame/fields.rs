//! The fields of a form as they were sent. Their names are looked at by who takes them; names that begin with `_` belong
//! to the frame.

use axum::{
    body::to_bytes,
    extract::Request,
    http::{
        HeaderMap,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
};

use super::problem::Problem;
use crate::pages::ask;

/// The longest form.
const BYTES: usize = 64 * 1024;
/// The most fields.
const FIELDS: usize = 256;

/// What the form carries so that other sites can't post in the admin's name.
pub(super) const TOKEN: &str = "_token";
/// The page that the form is on.
pub(super) const BACK: &str = "_back";
/// What was typed once more.
pub(super) const TYPED: &str = "_typed";
/// A passkey's ceremony and its answer.
pub(super) const CEREMONY: &str = "_ceremony";
pub(super) const ANSWER: &str = "_answer";
/// The other proof of who somebody is.
pub(super) const PASSWORD: &str = "_password";
pub(super) const CODE: &str = "_code";

const FRAME: [&str; 7] = [TOKEN, BACK, TYPED, CEREMONY, ANSWER, PASSWORD, CODE];

/// The fields in their order.
#[derive(Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl std::fmt::Debug for Fields {
    /// Their names only: passwords are among the values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Fields {
    /// Reads a form's body.
    pub(super) async fn read(request: Request) -> Result<Self, Problem> {
        judged(request.headers())?;
        let body = to_bytes(request.into_body(), BYTES).await.map_err(|_| Problem::too_large())?;
        let text = std::str::from_utf8(&body).map_err(|_| Problem::malformed("the form is not UTF-8"))?;
        Self::of(text)
    }

    /// From the text of a form's body.
    pub(super) fn of(text: &str) -> Result<Self, Problem> {
        let mut fields = Vec::new();
        for field in text.split('&').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let (name, value) = (ask::decoded(name), ask::decoded(value));
            if name.starts_with('_') && !FRAME.contains(&name.as_str()) {
                return Err(Problem::malformed(&format!("a form has no field `{}`", cut(&name))));
            }
            if fields.len() == FIELDS {
                return Err(Problem::too_large());
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    /// A field; empty if it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// A field that can be there several times.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What the form is about: all but the frame's own fields.
    pub(super) fn own(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(name, _)| !name.starts_with('_'))
    }

    /// What is sent again after a proof: what the form is about, what was typed, where it leads.
    pub(super) fn kept(&self) -> Vec<(&str, &str)> {
        let frame = [TYPED, BACK].into_iter().filter_map(|name| Some((name, self.all(name).next()?)));
        self.own().chain(frame).collect()
    }
}

/// Refuses by what the headers say what is too long or no form.
fn judged(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text(CONTENT_LENGTH).parse().is_ok_and(|length: usize| length > BYTES) {
        return Err(Problem::too_large());
    }
    let kind = text(CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(());
    }
    Err(Problem::malformed("a form is sent as application/x-www-form-urlencoded"))
}

/// The beginning of a name that came from outside.
pub(super) fn cut(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_repeat() {
        let fields = Fields::of("a=1&b=x+y&a=%C3%BC&_back=%2Fusers&_token=t&c").unwrap();
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1", "ü"]);
        assert_eq!(fields.get("b"), "x y");
        assert_eq!(fields.own().count(), 4);
        assert_eq!(fields.kept().last(), Some(&("_back", "/users")));
        assert!(!format!("{fields:?}").contains("x y"));
    }

    #[test]
    fn a_field_of_the_frame_that_it_does_not_know_is_refused() {
        assert!(Fields::of("_role=owner").is_err());
        assert!(Fields::of(&"a=1&".repeat(FIELDS + 1)).is_err());
    }
}
