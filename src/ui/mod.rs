//! How it looks
