//! What views may not be.

use capnp::struct_list;
use qpq_core::limits;
use qpq_schemas::transparency_capnp::log_view;

use crate::samples::{viewed, views, views_of};

const TOO_MANY: &str = "`views` has 257 items, 256 are allowed";

fn refused(change: fn(log_view::Builder<'_>)) -> String {
    let mut message = viewed(&views(2));
    change(message.get_root::<struct_list::Builder<'_, log_view::Owned>>().unwrap().get(1));
    views_of(&message).map_or_else(|error| error.to_string(), |_| "taken".to_owned())
}

#[test]
fn a_call_has_at_most_its_items() {
    let most = views(limits::BATCH_ITEMS);
    assert_eq!(views_of(&viewed(&most)).unwrap(), most);
    let more = viewed(&views(limits::BATCH_ITEMS + 1));
    assert_eq!(views_of(&more).unwrap_err().to_string(), TOO_MANY);
}

#[test]
fn a_user_is_named_once_whatever_the_spelling() {
    let twice = "`views.address` names a user twice";
    assert_eq!(refused(|mut view| view.set_address("user0@alpha.test")), twice);
    assert_eq!(refused(|mut view| view.set_address("USER0@Alpha.test")), twice);
}

#[test]
fn addresses_are_addresses() {
    let long = "`views.address` has 1025 bytes, 1024 are allowed";
    assert_eq!(refused(|mut view| view.set_address("x".repeat(1_025))), long);
    let no_address = "`views.address` can't be read: `nobody` is not an address of the form user@domain";
    assert_eq!(refused(|mut view| view.set_address("nobody")), no_address);
    let no_text = "`views.address` is not UTF-8";
    assert_eq!(refused(|view| view.get_address().unwrap().as_bytes_mut()[0] = 0xff), no_text);
}

#[test]
fn versions_end_with_the_last() {
    assert_eq!(refused(|mut view| view.set_config(1 << 32)), "taken");
    assert_eq!(refused(|mut view| view.set_version(1 << 32)), "taken");
    let config = "`views.config` is 4294967297, 4294967296 is the most";
    assert_eq!(refused(|mut view| view.set_config((1 << 32) + 1)), config);
    let version = "`views.version` is 18446744073709551615, 4294967296 is the most";
    assert_eq!(refused(|mut view| view.set_version(u64::MAX)), version);
}
