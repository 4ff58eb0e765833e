//! The conformance suite that every implementation passes.
