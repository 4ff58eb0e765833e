//! What places and versions may not be.

use qpq_schemas::transparency_capnp::{log_place, logged_version};
use qpq_transparency_tree::{name::NAME_BYTES, value::VALUE_BYTES};
use qpq_transparency_wire::{LOGGED_VALUE_BYTES, LogPlace, LoggedVersion};

use crate::samples::{logged, place, place_of, placed, version, version_of};

type OfPlace = fn(log_place::Builder<'_>);
type OfVersion = fn(logged_version::Builder<'_>);

fn place_refused(change: OfPlace) -> String {
    let mut message = placed(&place(1));
    change(message.get_root().unwrap());
    place_of(&message).map_or_else(|error| error.to_string(), |_| "taken".to_owned())
}

fn version_refused(change: OfVersion) -> String {
    let mut message = logged(&version());
    change(message.get_root().unwrap());
    version_of(&message).map_or_else(|error| error.to_string(), |_| "taken".to_owned())
}

#[test]
fn fields_of_a_place_have_their_length() {
    let cases: [(OfPlace, &str); 8] = [
        (|mut p| p.set_label_id(&[0; 31]), "`labelId` has 31 bytes, not 32"),
        (|mut p| p.set_label_id(&[0; 33]), "`labelId` has 33 bytes, not 32"),
        (|mut p| p.set_prev(&[]), "`prev` has 0 bytes, not 32"),
        (|mut p| p.set_prev(&[0; 33]), "`prev` has 33 bytes, not 32"),
        (|mut p| p.set_account(&[0; 15]), "`account` has 15 bytes, not 16"),
        (|mut p| p.set_account(&[0; 17]), "`account` has 17 bytes, not 16"),
        (|mut p| p.set_origin("x".repeat(NAME_BYTES + 1)), "`origin` has 301 bytes, 300 are allowed"),
        (|mut p| p.set_value(&[1; VALUE_BYTES + 1]), "`value` has 1014 bytes, 1013 are allowed"),
    ];
    for (change, expected) in cases {
        assert_eq!(place_refused(change), expected);
    }
}

#[test]
fn fields_of_a_place_keep_their_rules() {
    let value = "`value` can't be read: the value's format is malformed";
    assert_eq!(place_refused(|mut p| p.set_value(&[9; 200])), value);
    let origin = "`origin` can't be read: a key's name has 1 to 300 bytes, no spaces, no `+` and no control characters";
    assert_eq!(place_refused(|mut p| p.set_origin("a log")), origin);
    let text = "`origin` is not UTF-8";
    assert_eq!(place_refused(|p| p.get_origin().unwrap().as_bytes_mut()[0] = 0xff), text);
}

#[test]
fn fields_of_a_version_are_those_of_an_entry() {
    let cases: [(OfVersion, &str); 5] = [
        (|mut v| v.set_entry(&[1; 111]), "`entry` can't be read: an entry has 110 bytes, not 111"),
        (|mut v| v.set_opening(&[1; 15]), "`opening` has 15 bytes, not 16"),
        (|mut v| v.set_opening(&[1; 17]), "`opening` has 17 bytes, not 16"),
        (|mut v| v.set_opening(&[]), "`value` is there without its opening"),
        (|mut v| v.set_value(&[0; LOGGED_VALUE_BYTES + 1]), "`value` has 16001 bytes, 16000 are allowed"),
    ];
    for (change, expected) in cases {
        assert_eq!(version_refused(change), expected);
    }
}

#[test]
fn the_largest_are_read() {
    let place = LogPlace { origin: "x".repeat(NAME_BYTES).parse().unwrap(), ..place(1) };
    assert_eq!(place_of(&placed(&place)).unwrap(), place);
    let (opening, _) = version().contents.unwrap();
    let version = LoggedVersion { contents: Some((opening, vec![0; LOGGED_VALUE_BYTES])), ..version() };
    assert_eq!(version_of(&logged(&version)).unwrap(), version);
}
