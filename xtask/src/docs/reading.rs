//! Finds in Markdown what points somewhere: code spans and links outside fences, task verbs everywhere.

/// Endings by which a bare file name is a claim about this repository.
const OURS: &[&str] = &[".rs", ".md", ".capnp", ".toml", ".py", ".sh"];

/// What `qpq-server` writes, and names by which people mean a kind of file, not one of ours.
const NOT_CLAIMED: &[&str] = &["quicproquo.toml", "build.rs", "mod.rs"];

/// Something that a document points at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mention {
    /// Text in backticks.
    Code(String),
    /// A link to another place of the repository, without its fragment.
    Link(String),
    /// The word behind `cargo xtask`.
    Verb(String),
}

/// With line numbers, from 1.
pub(super) fn mentions(text: &str) -> Vec<(usize, Mention)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let mut here = verbs(line);
        if !fenced {
            here.extend(code_spans(line));
            here.extend(links(line));
        }
        found.extend(here.into_iter().map(|mention| (number, mention)));
    }
    found
}

/// `a/{b,c}.rs:12` names `a/b.rs` and `a/c.rs`; what cannot be a path names nothing.
pub(super) fn spelled_out(span: &str) -> Vec<String> {
    let span = without_line_number(span);
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-/{},*+".contains(letter);
    if span.is_empty() || span.starts_with(['/', '-', '*']) || !span.chars().all(fits) {
        return Vec::new();
    }
    let Some((before, rest)) = span.split_once('{') else { return vec![span.to_owned()] };
    let Some((choices, after)) = rest.split_once('}') else { return Vec::new() };
    choices.split(',').flat_map(|choice| spelled_out(&format!("{before}{choice}{after}"))).collect()
}

pub(super) fn has_an_ending_of_ours(path: &str) -> bool {
    OURS.iter().any(|ending| path.len() > ending.len() && path.ends_with(ending))
        && !NOT_CLAIMED.contains(&path)
}

fn without_line_number(span: &str) -> &str {
    match span.rsplit_once(':') {
        Some((path, line)) if !line.is_empty() && line.chars().all(|letter| letter.is_ascii_digit()) => path,
        _ => span,
    }
}

fn code_spans(line: &str) -> Vec<Mention> {
    // Every second piece between backticks is code; an odd backtick at the end opens nothing.
    let pieces: Vec<&str> = line.split('`').collect();
    let closed = pieces.len().saturating_sub(1);
    pieces
        .into_iter()
        .take(closed)
        .skip(1)
        .step_by(2)
        .map(|span| Mention::Code(span.trim().to_owned()))
        .collect()
}

fn links(line: &str) -> Vec<Mention> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or(target))
        .filter(|target| !target.is_empty() && !target.contains(':'))
        .map(|target| Mention::Link(target.to_owned()))
        .collect()
}

fn verbs(line: &str) -> Vec<Mention> {
    line.split("cargo xtask ")
        .skip(1)
        .map(|rest| {
            rest.chars()
                .take_while(|letter| letter.is_ascii_lowercase() || *letter == '-')
                .collect::<String>()
        })
        .filter(|verb| !verb.is_empty() && !verb.starts_with('-'))
        .map(Mention::Verb)
        .collect()
}
