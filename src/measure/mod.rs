//! Pure mathematics of measuring: no I/O, no threads, no clock. Every figure that a person or a script is shown is computed here, once,
//! with its formula in the docstring.

pub mod bench;
pub mod board;
pub mod cost;
pub mod format;
pub mod kept;
pub mod lanes;
pub mod limit;
pub mod order;
pub mod pareto;
pub mod plan;
pub mod quality;
pub mod roofline;
pub mod scaling;
pub mod search;
pub mod series;
pub mod stats;
pub mod sweep;
pub mod verdict;
pub mod versus;

pub use bench::BenchReport;
pub use board::Board;
pub use limit::MetricLimit;
pub use roofline::Roofline;
pub use series::{Point, Series};
pub use stats::{Interval, Summary};
