//! Labels, of which each user has one spelling.

use qpq_transparency_tree::label::Label;
use serde_json::{Value, json};

use super::{hex, unread_text};

pub(crate) fn labels() -> Value {
    let addresses = [
        "alice@alpha.test",
        "Alice@Alpha.TEST",
        "j\u{fc}rgen@alpha.test",
        "JU\u{308}RGEN@alpha.test",
        "a.b-c_d9@xn--mnchen-3ya.example",
    ];
    let labels = addresses.map(|address| {
        let label = Label::of(&address.parse().unwrap());
        json!({ "address": address, "label": label.to_string(), "bytes": hex(label.as_bytes()) })
    });
    let long = format!("u/{}@alpha.test", "n".repeat(65));
    let unread = vec![
        unread_text("nothing", "", "Form"),
        unread_text("an address", "alice@alpha.test", "Form"),
        unread_text("another kind", "g/alice@alpha.test", "Form"),
        unread_text("a space before", " u/alice@alpha.test", "Form"),
        unread_text("no domain", "u/alice", "Address"),
        unread_text("outside of the alphabet", "u/al ice@alpha.test", "Address"),
        unread_text("two domains", "u/alice@alpha.test@beta.test", "Address"),
        unread_text("a number for a domain", "u/alice@10.0.0.1", "Address"),
        unread_text("a name of 65 bytes", &long, "Address"),
        unread_text("a capital in the name", "u/Alice@alpha.test", "Spelling"),
        unread_text("a capital in the domain", "u/alice@Alpha.test", "Spelling"),
        unread_text("a letter in two code points", "u/ju\u{308}rgen@alpha.test", "Spelling"),
    ];
    json!({ "labels": labels, "unread": unread })
}
