//! Text that is shown as it was written, however long it is and whatever it holds: cut into pieces that are laid out one at a time, with
//! marks for what has no shape of its own.

mod marks;
mod pieces;

pub use marks::{body_job, display, mono_job};
pub use pieces::Pieces;
