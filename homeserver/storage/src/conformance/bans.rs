//! Who is banned from this domain, why, and until when.
