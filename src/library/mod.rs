//! What is on disk: model files and what can be said of them without running them.
//!
//! [`gguf`] reads headers of files that may be hostile, [`scan`] finds them, [`family`] orders them into ladders of quantization levels,
//! [`recipe`] foretells what quantizing would make, [`estimate`] what a design would take in memory, and [`partial`] keeps half-written
//! files from being mistaken for whole ones. Nothing here asks llama.cpp, and nothing here changes a model file.

pub mod environment;
pub mod estimate;
pub mod family;
pub mod fingerprint;
pub mod gguf;
pub mod machine;
mod names;
pub mod partial;
pub mod places;
pub mod recipe;
pub mod scan;
pub mod text;

pub use environment::{environment, machine};
pub use estimate::{Estimate, NearestFit, bytes_read_per_token, default_n_ctx, estimate, fits, nearest_fit};
pub use family::{Family, Rung, RungState, lookup, model_name, suggest_target};
pub use fingerprint::{fingerprint, sha256};
pub use gguf::{Fault, GgufError, Header, read_header, read_model};
pub use machine::MachineMemory;
pub use places::search_dirs;
pub use scan::{Scan, ScanCache, Skipped, scan};
pub use text::{read_text, text_hash};
