//! The look in one place: colour roles, type scale, spacing and how they become an egui style.
//!
//! [`install`] puts the fonts in once, [`apply`] sets both egui styles for a [`Theme`], and [`palette`] tells a widget its colours.
//! Everything is drawn flat: three surfaces, one hairline, one accent, no shadows, no gradients, nothing that animates while idle.

mod fonts;
mod palette;
mod style;

pub use fonts::{body, body_strong, display, install, mono, mono_small, page_title, semibold, small, small_strong, text_at, title};
pub use palette::{DARK, HIGH_CONTRAST, LIGHT, Palette, contrast, on_surface};
pub use style::apply;

pub use crate::store::Theme;

/// One step of the spacing grid, in points.
pub const GRID: f32 = 4.0;
/// Margin between the edge of a page and what is on it, in points.
pub const PAGE_MARGIN: f32 = 24.0;
/// Padding inside a card, in points.
pub const CARD_PADDING: f32 = 16.0;
/// Corner radius of panels and cards, in points.
pub const PANEL_RADIUS: u8 = 10;
/// Corner radius of controls, in points.
pub const CONTROL_RADIUS: u8 = 6;
/// Height of a button, a field and a row of a list, in points.
pub const CONTROL_HEIGHT: f32 = 32.0;
/// Distance between two lines of running text at body size, in points.
pub const BODY_LINE_HEIGHT: f32 = 21.0;

/// The colours that fit the style of `ui`. A comparison of one colour, no lock: call it freely.
pub fn palette(ui: &egui::Ui) -> &'static Palette {
    Palette::of(ui.visuals())
}
