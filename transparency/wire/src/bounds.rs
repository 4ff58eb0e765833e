//! The bounds of what is read, where the types themselves have none.

use qpq_transparency_tree::{
    config::CONFIG_BYTES, lookup::LOOKUP_LINKS, name::NAME_BYTES, value::VALUE_BYTES,
};

/// The most bytes of a verifier key: name, `+`, its id in hex, `+`, 33 bytes in base64.
pub const KEY_TEXT_BYTES: usize = NAME_BYTES + 1 + 8 + 1 + 44;

/// The most bytes of what an entry commits to: an account's keys, or a CONFIG.
pub const LOGGED_VALUE_BYTES: usize = if VALUE_BYTES > CONFIG_BYTES { VALUE_BYTES } else { CONFIG_BYTES };

/// The most resets that an answer shows the announcements of: each link may be one, and the newest version.
pub const LOOKUP_RESETS: usize = LOOKUP_LINKS + 1;

/// The most bytes of a user's address, in any spelling.
pub(crate) const ADDRESS_BYTES: usize = 1_024;
