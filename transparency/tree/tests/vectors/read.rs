//! Fields of a vector as what they are. A field that is missing or of another form fails the test with its name.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use data_encoding::HEXLOWER;
use qpq_core::{Digest, Timestamp};
use qpq_transparency_tree::TreeHead;
use serde_json::Value;

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata")
}

/// The parts of a file, which has no others.
pub(crate) fn parts<const N: usize>(name: &str, parts: [&str; N]) -> [Value; N] {
    let text = fs::read_to_string(folder().join(name)).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let there: BTreeSet<&str> = file.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(there, parts.into_iter().collect(), "the parts of {name}");
    parts.map(|part| file[part].clone())
}

/// The vectors of a part, of which there are some.
pub(crate) fn each(part: &Value) -> &[Value] {
    let vectors = part.as_array().unwrap();
    assert!(!vectors.is_empty());
    vectors
}

pub(crate) fn field<'a>(vector: &'a Value, name: &str) -> &'a Value {
    vector.get(name).unwrap_or_else(|| panic!("`{name}` is missing in {vector}"))
}

pub(crate) fn list<'a>(vector: &'a Value, name: &str) -> &'a [Value] {
    field(vector, name).as_array().unwrap_or_else(|| panic!("`{name}` is no list in {vector}"))
}

pub(crate) fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    field(vector, name).as_str().unwrap_or_else(|| panic!("`{name}` is no text in {vector}"))
}

pub(crate) fn yes(vector: &Value, name: &str) -> bool {
    field(vector, name).as_bool().unwrap_or_else(|| panic!("`{name}` is no truth in {vector}"))
}

pub(crate) fn number<T: TryFrom<u64, Error: Debug>>(vector: &Value, name: &str) -> T {
    let number = field(vector, name).as_u64().unwrap_or_else(|| panic!("`{name}` is no number in {vector}"));
    number.try_into().unwrap()
}

/// What a field has, if it isn't `null`.
pub(crate) fn there<T>(vector: &Value, name: &str, read: impl FnOnce(&Value, &str) -> T) -> Option<T> {
    (!field(vector, name).is_null()).then(|| read(vector, name))
}

pub(crate) fn time(vector: &Value, name: &str) -> Timestamp {
    Timestamp::from_millis(number(vector, name))
}

pub(crate) fn parsed<T: FromStr<Err: Debug>>(vector: &Value, name: &str) -> T {
    text(vector, name).parse().unwrap()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

pub(crate) fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    unhex(text(vector, name))
}

pub(crate) fn array<const N: usize>(vector: &Value, name: &str) -> [u8; N] {
    bytes(vector, name).try_into().unwrap()
}

pub(crate) fn digest(vector: &Value, name: &str) -> Digest {
    Digest::from_bytes(array(vector, name))
}

pub(crate) fn digests(vector: &Value, name: &str) -> Vec<Digest> {
    let digest = |hash: &Value| Digest::from_slice(&unhex(hash.as_str().unwrap())).unwrap();
    list(vector, name).iter().map(digest).collect()
}

pub(crate) fn head(vector: &Value, name: &str) -> TreeHead {
    let head = field(vector, name);
    TreeHead { size: number(head, "size"), root: digest(head, "root") }
}

/// That something is refused with the error that the vector names.
pub(crate) fn refused<T: Debug, E: Debug>(vector: &Value, result: Result<T, E>) {
    let name = text(vector, "name");
    match result {
        Ok(read) => panic!("{name}: {read:?}"),
        Err(error) => assert_eq!(variant(&error), text(vector, "error"), "{name}: {error:?}"),
    }
}

/// The name of an error's variant, or of its type if it has none.
fn variant(error: &impl Debug) -> String {
    let text = format!("{error:?}");
    text.chars().take_while(char::is_ascii_alphanumeric).collect()
}
