//! The typed metrics registry: every number that the homeserver tells.
