//! Engines

pub mod backend;
