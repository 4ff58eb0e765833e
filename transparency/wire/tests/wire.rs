//! What is written is read again, the published lookups among it; what is too large, cut or bent is refused with its field.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the functions around the tests are tests too")]

#[path = "wire/bounds.rs"]
mod bounds;
#[path = "wire/bounds_of_own.rs"]
mod bounds_of_own;
#[path = "wire/bounds_of_views.rs"]
mod bounds_of_views;
#[path = "wire/cosigned.rs"]
mod cosigned;
#[path = "wire/mutations.rs"]
mod mutations;
#[expect(dead_code, reason = "the vectors' own test needs more of it")]
#[path = "../../tree/tests/vectors/read.rs"]
mod read;
#[path = "wire/round_trips.rs"]
mod round_trips;
#[path = "wire/samples.rs"]
mod samples;
#[path = "wire/vectors.rs"]
mod vectors;
