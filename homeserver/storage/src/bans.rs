//! Who is banned from this domain, why, and until when.

/// Reads this area.
pub trait BansRead: Send {}

/// Writes this area.
pub trait BansWrite: Send {}
