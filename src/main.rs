//! The `inferscope` program: a window, a command line, or (hidden) an engine.

fn main() {}
