//! Sweeps: many designs measured fairly against each other, and what follows from it.
//!
//! [`Grid`] makes designs of lists of values. [`SweepPlan`] says what is measured and what a design must keep to. [`Sweep`] is the machine
//! that says what is next and takes what came of it; it is plain data, so that it can be kept at any time and resumed. [`Conductor`] puts it
//! into an engine's commands and reads the engine's events: the window and the command line drive the same one. [`SweepResult`] is what was
//! found.
//!
//! **Fair**: every block holds each design once, in the order of `order::schedule`; a design is warmed up before it is measured, starts with an
//! empty cache, and what the machine did meanwhile is kept with it. Designs are said to differ by `verdict::compare`, corrected for all
//! pairs of designs that can be chosen.

mod conductor;
mod cooling;
pub mod grid;
mod machine;
pub mod once;
mod plan;
mod result;
mod samples;
mod seek;
mod step;
#[cfg(test)]
mod tests;
mod trust;

pub use conductor::{Conductor, Heard, Order};
pub use cooling::Cooling;
pub use grid::{Grid, GridError, Key, RungFile};
pub use machine::Sweep;
pub use plan::{BLOCKS, Candidate, Facts, SweepPlan, SweepQuality};
pub use result::{BestFound, Infeasible, SweepResult};
pub use seek::{Found, Other};
pub use step::{End, Loss, Outcome, Row, Step};
