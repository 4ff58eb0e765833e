//! What the user sees: text for people, JSON for programs. The one place that prints.

use std::io::{self, Write as _};

use anyhow::Context as _;
use serde::Serialize;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lines for people.
    Text,
    /// One JSON object, or one a line.
    Json,
}

impl Format {
    /// Prints one result in either form.
    pub(crate) fn show<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        let line = match self {
            Self::Text => text(value),
            Self::Json => serde_json::to_string(value).context("could not write the result as JSON")?,
        };
        print(&line)
    }

    /// Prints each of many results on its own.
    pub(crate) fn each<T: Serialize>(self, values: &[T], text: impl Fn(&T) -> String) -> anyhow::Result<()> {
        values.iter().try_for_each(|value| self.show(value, &text))
    }
}

/// Tells the person at the terminal something that is not the result.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// Tells why the command failed, with all causes.
pub(crate) fn failed(error: &anyhow::Error) {
    let mut told = error.to_string();
    eprint!("qpq: {told}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Transparent errors repeat their source.
        if !told.contains(&cause) {
            eprint!(": {cause}");
            told.push_str(&cause);
        }
    }
    eprintln!();
}

/// Makes sure that what was printed has left this process.
pub(crate) fn flush() -> anyhow::Result<()> {
    io::stdout().flush().context("could not write to the standard output")
}

fn print(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if line.is_empty() {
        return Ok(());
    }
    writeln!(out, "{line}").context("could not write to the standard output")
}

/// Text of others, safe to show on a terminal: control characters can't move the cursor or change the title,
/// nothing turns the direction of what follows, and a second line can't pass for another message.
pub(crate) fn safe(text: &str) -> String {
    text.chars().map(visible).collect::<String>().replace('\n', "\n    ")
}

/// A name that others chose, on one line.
pub(crate) fn name(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { '\u{fffd}' } else { visible(c) }).collect()
}

fn visible(c: char) -> char {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if turns || (c.is_control() && c != '\n' && c != '\t') { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_others_are_not_printed() {
        assert_eq!(safe("a\u{1b}[2Jb\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}c");
    }

    #[test]
    fn a_second_line_does_not_look_like_another_message() {
        assert_eq!(safe("a\n2026  carol@beta.test: b"), "a\n    2026  carol@beta.test: b");
        assert_eq!(name("a\nb"), "a\u{fffd}b");
    }
}
