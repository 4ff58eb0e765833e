//! What runs by itself, by schedule, with stored results.
