//! The pages' texts in English and German, from Fluent files embedded in the program. Texts that come from outside are
//! put between marks that keep their writing direction to themselves.

use std::sync::LazyLock;

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use unic_langid::LanguageIdentifier;

/// A language of the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    /// English.
    #[default]
    English,
    /// German.
    German,
}

/// The texts of one language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) Language);

type Bundle = FluentBundle<FluentResource>;

macro_rules! files {
    ($language:literal) => {
        [
            include_str!(concat!("../../locales/", $language, "/pages.ftl")),
            include_str!(concat!("../../locales/", $language, "/overview.ftl")),
            include_str!(concat!("../../locales/", $language, "/users.ftl")),
            include_str!(concat!("../../locales/", $language, "/tokens.ftl")),
            include_str!(concat!("../../locales/", $language, "/federation.ftl")),
            include_str!(concat!("../../locales/", $language, "/audit.ftl")),
            include_str!(concat!("../../locales/", $language, "/transparency.ftl")),
            include_str!(concat!("../../locales/", $language, "/settings.ftl")),
            include_str!(concat!("../../locales/", $language, "/admins.ftl")),
            include_str!(concat!("../../locales/", $language, "/health.ftl")),
            include_str!(concat!("../../locales/", $language, "/frame.ftl")),
        ]
    };
}

static ENGLISH: LazyLock<Bundle> = LazyLock::new(|| bundle("en", &files!("en")));
static GERMAN: LazyLock<Bundle> = LazyLock::new(|| bundle("de", &files!("de")));

fn bundle(language: &str, files: &[&str]) -> Bundle {
    let language: LanguageIdentifier = language.parse().unwrap_or_default();
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    for file in files {
        // What can't be read is left out; a test reads every file strictly.
        let read = FluentResource::try_new((*file).to_owned()).unwrap_or_else(|(read, _)| read);
        bundle.add_resource_overriding(read);
    }
    bundle
}

impl Words {
    /// As `lang` attributes write it.
    pub(crate) const fn code(self) -> &'static str {
        match self.0 {
            Language::English => "en",
            Language::German => "de",
        }
    }

    /// A text; the key itself if there is none.
    pub(crate) fn say(self, key: &str, arguments: &[(&'static str, FluentValue<'_>)]) -> String {
        let bundle: &Bundle = match self.0 {
            Language::English => &ENGLISH,
            Language::German => &GERMAN,
        };
        let Some(pattern) = bundle.get_message(key).and_then(|message| message.value()) else {
            return key.to_owned();
        };
        let mut named = FluentArgs::new();
        for (name, value) in arguments {
            named.set(*name, value.clone());
        }
        bundle.format_pattern(pattern, Some(&named), &mut Vec::new()).into_owned()
    }

    /// Whether there is a text for this key.
    pub(crate) fn knows(self, key: &str) -> bool {
        match self.0 {
            Language::English => ENGLISH.has_message(key),
            Language::German => GERMAN.has_message(key),
        }
    }
}
