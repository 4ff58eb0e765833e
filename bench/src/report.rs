//! The one place that prints: tables in Markdown, as they come.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the program's output")]

use std::io::Write as _;

/// A line of text.
pub(crate) fn line(text: &str) {
    println!("{text}");
    drop(std::io::stdout().flush());
}

/// What is being done now, for whoever waits; not part of the result.
pub(crate) fn progress(text: &str) {
    eprintln!("… {text}");
}

/// Why there are no figures.
pub(crate) fn failure(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// Begins a table.
pub(crate) fn table(title: &str, columns: &[&str]) {
    line(&format!("\n### {title}\n"));
    row(columns);
    line(&format!("|{}", "---|".repeat(columns.len())));
}

/// One row of it.
pub(crate) fn row<S: AsRef<str>>(cells: &[S]) {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    line(&format!("| {} |", cells.join(" | ")));
}

/// A number as people read it: `12,345`, `3.1`.
pub(crate) fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_cut_into_thousands() {
        for (value, text) in [(3.26, "3.3"), (100.4, "100"), (1_234.0, "1,234"), (1_234_567.0, "1,234,567")] {
            assert_eq!(number(value), text);
        }
    }
}
