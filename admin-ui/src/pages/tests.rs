//! The pages: every reading action has one, texts exist in both languages, every template is well formed, hostile text
//! stays text, and forms are there only for who may send them.

use std::collections::BTreeSet;

use qpq_service::Actions;

use super::words::{Language, Words};

mod rendered;

const ENGLISH: Words = Words(Language::English);
const GERMAN: Words = Words(Language::German);

/// Texts that are the same word in both languages.
const SAME: &[&str] = &[];

/// Actions whose pages are here before they are: the line goes when its action comes.
const AWAITED: &[&str] = &[];

fn files() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/pages");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// What follows each occurrence of `before`, up to `end`.
fn between<'a>(text: &'a str, before: &'a str, end: char) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(move |rest| rest.split(end).next())
}

#[test]
fn every_text_that_a_template_asks_for_exists_in_both_languages() {
    for (path, template) in files() {
        for call in ["d.t(\"", "d.tn(\"", "d.ts(\""] {
            for key in between(&template, call, '"') {
                assert!(ENGLISH.knows(key) && GERMAN.knows(key), "{path}: `{key}` has no text");
                assert!(
                    SAME.contains(&key) || ENGLISH.say(key, &[]) != GERMAN.say(key, &[]),
                    "`{key}` is not translated"
                );
            }
        }
        for call in between(&template, "{% call parts::", '%') {
            for (place, key) in call.split('"').enumerate() {
                let a_key =
                    place % 2 == 1 && key.contains('-') && !call.starts_with("start") && !key.contains(' ');
                let an_id = call.split('"').nth(1) == Some(key) && !call.starts_with("nothing");
                if a_key && !an_id && !call.starts_with("select") && !call.starts_with("search") {
                    assert!(ENGLISH.knows(key) && GERMAN.knows(key), "{path}: `{key}` has no text");
                }
            }
        }
    }
}

#[test]
fn forms_and_links_name_only_actions_that_exist() {
    let verbs: BTreeSet<&str> = Actions::all().map(|action| action.verb).collect();
    let mut unknown = BTreeSet::new();
    for (_, template) in files() {
        for call in ["d.route(\"", "d.may(\"", "parts::start(d, \""] {
            unknown.extend(
                between(&template, call, '"').filter(|verb| !verbs.contains(verb)).map(str::to_owned),
            );
        }
    }
    let awaited: BTreeSet<String> = AWAITED.iter().map(|verb| (*verb).to_owned()).collect();
    assert_eq!(unknown, awaited);
}

#[test]
fn nothing_in_a_template_needs_script_or_style_inside_the_page() {
    for (path, template) in files() {
        for forbidden in ["<script", "style=", "onclick", "hx-on", "javascript:", "http://", "https://"] {
            assert!(!template.contains(forbidden), "{path}: {forbidden}");
        }
        let safe = template.matches("|safe").count();
        assert_eq!(
            safe,
            usize::from(path.ends_with("overview.html")),
            "{path}: only whole rendered parts are safe"
        );
    }
}
