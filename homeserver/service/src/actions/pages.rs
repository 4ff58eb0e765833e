//! Lists a page at a time: the arguments that ask for a page, and the fields that answer.

use qpq_storage::{Page, Window};
use serde_json::{Value, json};

use super::{Argument, Kind};
use crate::{Answered, Refusal};

/// Lines of one page.
const LINES: u32 = 50;

/// Which page.
pub(super) const PAGE: Argument = Argument::optional("page", "which page, from 1").of(Kind::Number);
/// What to look for.
pub(super) const SEARCH: Argument = Argument::optional("search", "only lines with this text");

/// The part of the list that a page is.
pub(super) fn window(page: Option<u32>) -> Answered<Window> {
    match page.unwrap_or(1) {
        0 => Err(Refusal::malformed("`page` counts from 1")),
        page => Ok(Window {
            offset: u64::from(page - 1) * u64::from(LINES),
            limit: usize::try_from(LINES).unwrap_or(usize::MAX),
        }),
    }
}

/// The answer with a page's lines under their name.
pub(super) fn answer<T>(name: &str, page: Option<u32>, found: &Page<T>, line: impl Fn(&T) -> Value) -> Value {
    let mut answer = json!({
        "total": found.total,
        "page": page.unwrap_or(1),
        "pages": found.total.div_ceil(u64::from(LINES)).max(1),
    });
    let lines = Value::Array(found.rows.iter().map(line).collect());
    if let Some(fields) = answer.as_object_mut() {
        fields.insert(name.to_owned(), lines);
    }
    answer
}
