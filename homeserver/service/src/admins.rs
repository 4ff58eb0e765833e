//! Admins of the console: signing in, factors, sessions, one-time links.
