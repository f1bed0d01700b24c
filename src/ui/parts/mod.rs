//! What several panels are made of: larger than a widget, because it knows the application's state, and shared, because panels do not
//! know each other.

pub mod design_editor;
pub mod folders;
pub mod keep_warm;
pub mod ladder;
pub mod library_rows;
pub mod model_menu;
pub mod sampler_rows;
pub mod saved_designs;
pub mod telemetry_memory;
pub mod telemetry_rates;
pub mod when;

/// How many seconds the plots can show, and what that is called.
pub const PLOT_WINDOWS: [(f32, &str); 3] = [(60.0, "60 s"), (300.0, "5 min"), (1800.0, "30 min")];
