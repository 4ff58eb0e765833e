//! Registration tokens: who may make an account.

use askama::Template;
use serde::Deserialize;

use super::{Desk, Page, Refused, ask::Ask};

#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "they are called as in the action's answer")]
struct Tokens {
    tokens: Vec<Token>,
    total: u64,
    page: u64,
    pages: u64,
}

#[derive(Debug, Deserialize)]
struct Token {
    id: String,
    state: String,
    uses: u64,
    pending: u64,
    completed: u64,
    expires: Option<String>,
    created: Option<String>,
    creator: Option<String>,
    note: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/tokens.html")]
struct List<'a> {
    d: &'a Desk,
    ask: &'a Ask,
    view: Tokens,
}

/// The list.
pub(super) async fn list(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view = d.read("token.list", ask.arguments("token.list")).await?;
    d.page("tokens-title", &List { d: &d, ask: &ask, view })
}
