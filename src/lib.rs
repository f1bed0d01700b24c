//! Inferscope: a native desktop workbench for choosing how to run a language model.
//!
//! The rooms, and who may import whom, are described in `ARCHITECTURE.md`; `tests/architecture.rs` holds the rules.

pub mod app;
pub mod cli;
pub mod engine;
pub mod library;
pub mod measure;
pub mod protocol;
pub mod store;
pub mod ui;
