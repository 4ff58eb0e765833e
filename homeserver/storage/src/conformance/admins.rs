//! Admins of the console: accounts, factors, sessions, one-time links.
