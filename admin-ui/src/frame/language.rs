//! Which language a page is in: the one that was chosen, else the one that the browser asks for.

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Redirect, Response},
};

use super::{cookies, entry::Posted, problem::Problem};
use crate::pages::Language;

/// The language of a request.
pub(super) fn of(headers: &HeaderMap) -> Language {
    let chosen = cookies::get(headers, cookies::LANGUAGE).and_then(named);
    chosen.unwrap_or_else(|| {
        let asked = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        preferred(asked.unwrap_or_default())
    })
}

/// Remembers which language was chosen.
pub(super) fn switch(posted: &Posted) -> Result<Response, Problem> {
    let code = posted.fields.get("language");
    if named(code).is_none() {
        return Err(Problem::malformed("the console speaks `en` and `de`"));
    }
    let mut response = Redirect::to(&posted.back()).into_response();
    cookies::keep(response.headers_mut(), cookies::LANGUAGE, code);
    Ok(response)
}

fn named(code: &str) -> Option<Language> {
    match code {
        "en" => Some(Language::English),
        "de" => Some(Language::German),
        _ => None,
    }
}

/// The first of the most wanted languages that we speak; English if there is none.
fn preferred(accepted: &str) -> Language {
    let mut best = (Language::English, 0);
    for wanted in accepted.split(',').take(32) {
        let mut parts = wanted.split(';');
        let tag = parts.next().unwrap_or_default().trim();
        let code = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.trim().strip_prefix("q=")).map_or(1_000, thousandths);
        if let (Some(language), true) = (named(&code), weight > best.1) {
            best = (language, weight);
        }
    }
    best.0
}

/// `0.8` as 800.
fn thousandths(weight: &str) -> u16 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let whole: u16 = whole.trim().parse().unwrap_or_default();
    whole.min(1) * 1_000 + digits.parse::<u16>().unwrap_or_default() * u16::from(whole == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_wanted_language_that_we_speak_is_taken() {
        for (asked, language) in [
            ("", Language::English),
            ("de", Language::German),
            ("de-AT,en;q=0.5", Language::German),
            ("fr,de;q=0.4,en;q=0.6", Language::English),
            ("en;q=0.5, de;q=0.75", Language::German),
            ("de;q=0", Language::English),
            ("*;q=x,,;", Language::English),
        ] {
            assert_eq!(preferred(asked), language, "{asked}");
        }
    }
}
