//! What the frame is made of: texts in both languages, templates and scripts that the policy lets through, vendored files
//! that are what they were.

use std::{collections::BTreeMap, fs, path::Path};

use data_encoding::HEXLOWER;
use qpq_service::Actions;
use sha2::{Digest, Sha256};

use super::super::{once, said};
use crate::pages::{Language, Words};

const ENGLISH: Words = Words(Language::English);
const GERMAN: Words = Words(Language::German);

/// Texts that are the same word in both languages.
const SAME: &[&str] = &["account-browser", "field-code"];

fn read(path: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let files =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The messages of a language: names and what they say.
fn messages(language: &str) -> BTreeMap<String, String> {
    let mut messages: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for (file, text) in read(&format!("locales/{language}")) {
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            match line.split_once(" = ") {
                Some((key, value)) if !key.starts_with(' ') => {
                    last = key.to_owned();
                    let before = messages.insert(last.clone(), value.to_owned());
                    assert!(before.is_none(), "{language}/{file}: `{key}` is there twice");
                }
                _ => messages.get_mut(&last).unwrap().push_str(line),
            }
        }
    }
    messages
}

#[test]
fn both_languages_have_the_same_texts_and_say_them_differently() {
    let (english, german) = (messages("en"), messages("de"));
    let keys = |messages: &BTreeMap<String, String>| messages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&english), keys(&german));
    for (key, text) in &english {
        assert!(ENGLISH.knows(key) && GERMAN.knows(key), "`{key}` can't be read");
        let same = german[key] == *text;
        assert_eq!(same, SAME.contains(&key.as_str()), "`{key}`: {text}");
        let place = |text: &str| text.matches("{ $name }").count();
        assert_eq!(place(text), place(&german[key]), "`{key}` names another number of names");
    }
}

#[test]
fn every_text_of_the_frame_is_there() {
    let sources = read("src/frame").into_iter().chain(read("templates/frame"));
    for (file, text) in sources {
        for call in [
            "s.t(\"",
            "s.ts(\"",
            "s.rich(\"",
            "s.tn(\"",
            "scene.t(\"",
            "scene.ts(\"",
            "sign_in::page(scene, \"",
            "sign_in::page(&scene, \"",
        ] {
            for rest in text.split(call).skip(1) {
                let key = rest.split('"').next().unwrap();
                assert!(key.contains('{') || ENGLISH.knows(key), "{file}: `{key}` has no text");
            }
        }
        for rest in text.split("\"error-").skip(1) {
            let key = format!("error-{}", rest.split('"').next().unwrap());
            assert!(
                ENGLISH.knows(&key) && ENGLISH.knows(&format!("{key}-do")),
                "{file}: `{key}` has no text"
            );
        }
    }
    for action in Actions::all().filter(|action| action.audit.is_some()) {
        assert!(ENGLISH.knows(&said::key(action.verb)), "nothing says that `{}` was done", action.verb);
        for argument in action.arguments {
            let key = format!("field-{}", argument.flag());
            assert!(ENGLISH.knows(&key), "`{key}` has no text");
        }
    }
    for title in ["once-token", "once-invite", "once-admin", "once-recover", "once-link"] {
        assert!(ENGLISH.knows(title) && ENGLISH.knows(&format!("{title}-hint")), "{title}");
    }
    for verb in once::SHOWN {
        assert!(Actions::all().any(|action| action.verb == *verb), "there is no `{verb}`");
    }
}

#[test]
fn no_template_and_no_script_needs_what_the_policy_forbids() {
    for (file, text) in read("templates/frame").into_iter().chain(read("templates/pages")) {
        for forbidden in [
            "style=",
            "<style",
            "onclick",
            "onload",
            "onsubmit",
            "hx-on",
            "hx-vals",
            "hx-headers",
            "js:",
            "javascript:",
            "http://",
            "https://",
            "<script>",
        ] {
            assert!(!text.contains(forbidden), "{file}: {forbidden}");
        }
        // A filter expression of htmx: `every 1s [condition]`.
        for trigger in text.split("hx-trigger=\"").skip(1) {
            assert!(!trigger.split('"').next().unwrap().contains('['), "{file}: a filter expression");
        }
        for script in text.split("<script").skip(1) {
            let (tag, rest) = script.split_once('>').unwrap();
            assert!(tag.contains(" src=") && rest.starts_with("</script>"), "{file}: an inline script");
        }
        let safe = text.matches("|safe").count();
        let whole = ["layout.html", "overview.html"].contains(&file.as_str());
        assert_eq!(safe, usize::from(whole), "{file}: only whole rendered parts are safe");
    }
    let script = include_str!("../../../assets/console.js");
    for forbidden in [
        "eval(",
        "new Function",
        "innerHTML",
        "insertAdjacentHTML",
        "document.write",
        ".style",
        "setAttribute(\"style",
    ] {
        assert!(!script.contains(forbidden), "console.js: {forbidden}");
    }
}

#[test]
fn vendored_files_are_what_they_were_and_the_style_stays_small() {
    let vendor = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/vendor");
    let sums = fs::read_to_string(vendor.join("SHA256SUMS")).unwrap();
    let mut known = Vec::new();
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        assert_eq!(HEXLOWER.encode(&Sha256::digest(fs::read(vendor.join(name)).unwrap())), sum, "{name}");
        known.push(name);
    }
    for entry in fs::read_dir(&vendor).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "SHA256SUMS" || known.contains(&name.as_str()), "nobody vouches for {name}");
    }
    assert!(include_bytes!("../../../assets/console.css").len() < 18_000);
}
