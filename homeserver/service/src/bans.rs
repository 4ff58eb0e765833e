//! Who is banned: local users, remote users, remote domains.
