//! The console's cookies. All are `__Host-`: only this host sets them, for itself alone, never over a plain connection
//! (browsers count `localhost` as safe).

use axum::http::{HeaderMap, HeaderValue, header};

/// Who is signed in.
pub(super) const SESSION: &str = "__Host-quicproquo";
/// The form token of who isn't.
pub(super) const VISITOR: &str = "__Host-quicproquo-visitor";
/// The language that was chosen.
pub(super) const LANGUAGE: &str = "__Host-quicproquo-language";
/// What the next page says has happened.
pub(super) const SAID: &str = "__Host-quicproquo-said";

/// A year.
const YEAR: u32 = 31_536_000;

/// The value of a cookie that the browser sent.
pub(super) fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let (known, value) = pair.trim().split_once('=')?;
        (known == name).then_some(value)
    })
}

/// Sets a cookie that lasts as long as the browser's window.
pub(super) fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    add(headers, format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Strict"));
}

/// Sets a cookie for a year.
pub(super) fn keep(headers: &mut HeaderMap, name: &str, value: &str) {
    add(headers, format!("{name}={value}; Path=/; Max-Age={YEAR}; Secure; HttpOnly; SameSite=Strict"));
}

/// Takes a cookie back.
pub(super) fn remove(headers: &mut HeaderMap, name: &str) {
    add(headers, format!("{name}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"));
}

fn add(headers: &mut HeaderMap, cookie: String) {
    // Values are base64url, hexadecimal or percent-encoded: a value that is no header can only be a fault of ours.
    if let Ok(value) = HeaderValue::try_from(cookie) {
        headers.append(header::SET_COOKIE, value);
    }
}
