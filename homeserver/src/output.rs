//! The one place that prints: results for people or as JSON, errors with their causes.

#![expect(clippy::print_stderr, reason = "this is the program's output")]

use std::{
    error::Error,
    io::{IsTerminal as _, Write as _},
};

use serde_json::Value;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lines and tables.
    Text,
    /// One JSON document.
    Json,
}

/// Prints a result. Nobody who reads any more (`| head`) is no error; a full disk is.
pub(crate) fn result(format: Format, value: &Value) -> std::io::Result<()> {
    match format {
        Format::Json => whole(&format!("{value:#}\n")),
        Format::Text => whole(&text(value)),
    }
}

/// Prints a text, if somebody reads it.
pub(crate) fn whole(text: &str) -> std::io::Result<()> {
    match raw(text) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Prints a text as it is, without waiting for more; whether somebody still reads.
pub(crate) fn raw(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints a line for people beside what matters: a homeserver does not end because nobody reads it.
pub(crate) fn line(text: &str) {
    drop(raw(&format!("{text}\n")));
}

/// Says how far something is, where a person looks on; each call writes over the one before.
pub(crate) fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}

/// Prints an error and what caused it.
pub(crate) fn error(error: &(dyn Error + 'static)) {
    eprintln!("qpq-server: {}", with_causes(error));
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

/// An object as `key: value` lines, a list of objects as a table.
fn text(value: &Value) -> String {
    match value {
        Value::Array(rows) => table(rows),
        Value::Object(fields) => {
            let width = fields.keys().map(String::len).max().unwrap_or(0);
            fields
                .iter()
                .map(|(key, value)| match value {
                    // A list that has a name and nothing beside it, such as `tokens`, is all there is to say.
                    Value::Array(rows) if fields.len() == 1 => table(rows),
                    Value::Array(rows) if rows.iter().any(Value::is_object) => {
                        format!("{key}\n{}", indented(&table(rows)))
                    }
                    Value::Object(_) => format!("{key}\n{}", indented(&text(value))),
                    plain => format!("{key:width$}  {}\n", cell(plain)),
                })
                .collect()
        }
        plain => format!("{}\n", cell(plain)),
    }
}

fn table(rows: &[Value]) -> String {
    let Some(Value::Object(first)) = rows.first() else {
        return if rows.is_empty() {
            "none\n".to_owned()
        } else {
            rows.iter().map(|row| cell(row) + "\n").collect()
        };
    };
    let columns: Vec<&String> = first.keys().collect();
    let mut lines = vec![columns.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>()];
    for row in rows {
        lines
            .push(columns.iter().map(|name| row.get(name.as_str()).map_or_else(String::new, cell)).collect());
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            lines
                .iter()
                .filter_map(|line| line.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    lines
        .iter()
        .map(|line| {
            let padded: Vec<String> =
                line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            padded.join("  ").trim_end().to_owned() + "\n"
        })
        .collect()
}

fn indented(text: &str) -> String {
    text.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_become_tables() {
        let rows = json!([{"id": "tok_1", "used": 0, "expires": null}, {"id": "tok_22", "used": 10, "expires": "soon"}]);
        assert_eq!(text(&rows), "EXPIRES  ID      USED\n-        tok_1   0\nsoon     tok_22  10\n");
        assert_eq!(text(&json!([])), "none\n");
        assert_eq!(text(&json!({ "tokens": [] })), "none\n");
        assert_eq!(text(&json!({ "tokens": [{"id": "tok_1"}] })), "ID\ntok_1\n");
    }
}
