//! The library room against files on disk: faults of the format, ladders, forecasts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests, outside of test functions

mod support;

#[path = "library/faults.rs"]
mod faults;
#[path = "library/forecasts.rs"]
mod forecasts;
#[path = "library/ladders.rs"]
mod ladders;
#[path = "library/mutants.rs"]
mod mutants;
