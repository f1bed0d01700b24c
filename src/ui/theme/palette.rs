//! Colour roles and their values: the only file with colour literals.

use egui::{Color32, Visuals};

/// The colours of one theme, by what they are for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Palette {
    /// Behind everything.
    pub page: Color32,
    /// Bars, rails, cards.
    pub panel: Color32,
    /// Controls, bubbles, selected rows.
    pub raised: Color32,
    /// A raised surface under the pointer.
    pub hover: Color32,
    /// The one border.
    pub hairline: Color32,
    /// Type.
    pub text: Color32,
    /// Labels, units, second lines.
    pub muted: Color32,
    /// Edges that are to be seen: of a control under the pointer, of a head of a table. Too faint for type, which it must not be used for.
    pub faint: Color32,
    /// Running, and the primary action.
    pub accent: Color32,
    /// Type on the accent.
    pub accent_ink: Color32,
    /// A surface that is selected or running.
    pub accent_tint: Color32,
    /// Events and warnings.
    pub event: Color32,
    /// A surface that carries a warning.
    pub event_tint: Color32,
    /// Limits, errors and stop.
    pub limit: Color32,
    /// A surface that stops something or carries an error.
    pub limit_tint: Color32,
    /// Trusted, within the limits.
    pub good: Color32,
    /// Weights, KV cache, compute, engine other, window.
    pub data: [Color32; 5],
    /// Behind selected text.
    pub selection: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// Light text on near black: the values of the look.
pub const DARK: Palette = Palette {
    page: rgb(0x0E1116),
    panel: rgb(0x11161C),
    raised: rgb(0x1C232C),
    hover: rgb(0x242D38),
    hairline: rgb(0x232B35),
    text: rgb(0xE6EBF2),
    muted: rgb(0x8A97A8),
    faint: rgb(0x66748A),
    accent: rgb(0x3CC8B4),
    accent_ink: rgb(0x062724),
    accent_tint: rgb(0x0F3B3A),
    event: rgb(0xE8B04B),
    event_tint: rgb(0x2B2415),
    limit: rgb(0xE5636B),
    limit_tint: rgb(0x371B21),
    good: rgb(0x4CC38A),
    data: [rgb(0x5B8DEF), rgb(0xB583F0), rgb(0xF0A35B), rgb(0x6B7785), rgb(0x3F4A59)],
    selection: rgb(0x1B4F58),
};

/// Dark text on near white, from the same roles.
pub const LIGHT: Palette = Palette {
    page: rgb(0xF4F6F8),
    panel: rgb(0xFCFDFE),
    raised: rgb(0xE9EDF2),
    hover: rgb(0xDFE5EC),
    hairline: rgb(0xD5DCE4),
    text: rgb(0x131A22),
    muted: rgb(0x525F6F),
    faint: rgb(0x76828F),
    accent: rgb(0x087368),
    accent_ink: rgb(0xFFFFFF),
    accent_tint: rgb(0xCFEDE7),
    event: rgb(0x8A5A00),
    event_tint: rgb(0xFBF0D5),
    limit: rgb(0xB92733),
    limit_tint: rgb(0xFBE3E4),
    good: rgb(0x16754A),
    data: [rgb(0x2F66D8), rgb(0x8B4FD9), rgb(0xD0751D), rgb(0x7B8794), rgb(0xB3BDC9)],
    selection: rgb(0xB5E2DA),
};

/// Black and white with strong borders, for eyes that need it and for projectors in daylight.
pub const HIGH_CONTRAST: Palette = Palette {
    page: rgb(0x000000),
    panel: rgb(0x060606),
    raised: rgb(0x141414),
    hover: rgb(0x2A2A2A),
    hairline: rgb(0x8F8F8F),
    text: rgb(0xFFFFFF),
    muted: rgb(0xD4DAE2),
    faint: rgb(0xAEB7C3),
    accent: rgb(0x55F2DC),
    accent_ink: rgb(0x000000),
    accent_tint: rgb(0x003B36),
    event: rgb(0xFFD166),
    event_tint: rgb(0x241B00),
    limit: rgb(0xFF979C),
    limit_tint: rgb(0x300609),
    good: rgb(0x6FF0AD),
    data: [rgb(0x7DA8FF), rgb(0xD0A6FF), rgb(0xFFB877), rgb(0xA4B0BE), rgb(0x6E7B8B)],
    selection: rgb(0x00615A),
};

impl Palette {
    /// The palette a style was made from, recognised by its panel colour.
    pub fn of(visuals: &Visuals) -> &'static Self {
        match visuals.panel_fill {
            fill if fill == LIGHT.panel => &LIGHT,
            fill if fill == HIGH_CONTRAST.panel => &HIGH_CONTRAST,
            _ => &DARK,
        }
    }

    /// Whether text is light on dark.
    pub fn is_dark(&self) -> bool {
        self.page != LIGHT.page
    }

    /// `ink`, or the colour of type where `ink` would be too faint to read on `surface`.
    pub fn legible(&self, ink: Color32, surface: Color32) -> Color32 {
        let least = if self.page == HIGH_CONTRAST.page { 7.0 } else { 4.5 };
        if contrast(ink, surface) >= least { ink } else { self.text }
    }

    /// The lines of a chart's grid: quieter than borders, which are strong in high contrast.
    pub fn grid(&self) -> Color32 {
        if self.page == HIGH_CONTRAST.page { on_surface(self.panel, self.hairline, 0.45) } else { self.hairline }
    }

    /// Width of the border around controls and cards, in points: doubled where contrast matters most.
    pub fn border_width(&self) -> f32 {
        if self.page == HIGH_CONTRAST.page { 1.5 } else { 1.0 }
    }
}

/// Contrast ratio of two opaque colours, 1 to 21 (WCAG 2.2, "contrast ratio").
pub fn contrast(a: Color32, b: Color32) -> f32 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// `tint` at `strength` (0 to 1) over `surface`, as one opaque colour.
pub fn on_surface(surface: Color32, tint: Color32, strength: f32) -> Color32 {
    surface.lerp_to_gamma(tint, strength)
}

/// Relative luminance, 0 to 1 (WCAG 2.2).
fn luminance(color: Color32) -> f32 {
    let channel = |value: u8| {
        let value = f32::from(value) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(color.r()) + 0.7152 * channel(color.g()) + 0.0722 * channel(color.b())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AA: f32 = 4.5;
    const AAA: f32 = 7.0;

    /// Every pair of type and surface that the widgets use.
    fn pairs(p: &Palette) -> Vec<(&'static str, Color32, Color32)> {
        let mut pairs = Vec::new();
        for surface in [p.page, p.panel, p.raised] {
            for (name, color) in [("text", p.text), ("muted", p.muted), ("accent", p.accent), ("event", p.event), ("good", p.good)] {
                pairs.push((name, color, surface));
            }
        }
        pairs.push(("limit on page", p.limit, p.page));
        pairs.push(("limit on panel", p.limit, p.panel));
        pairs.push(("accent ink", p.accent_ink, p.accent));
        pairs.push(("text on accent tint", p.text, p.accent_tint));
        pairs.push(("text on limit tint", p.text, p.limit_tint));
        pairs.push(("text on event tint", p.text, p.event_tint));
        pairs.push(("text on selection", p.text, p.selection));
        pairs.push(("text on hover", p.text, p.hover));
        pairs
    }

    #[test]
    fn type_reaches_aa_on_every_surface_and_aaa_in_high_contrast() {
        for (theme, palette, least) in [("dark", &DARK, AA), ("light", &LIGHT, AA), ("high contrast", &HIGH_CONTRAST, AAA)] {
            for (name, ink, surface) in pairs(palette) {
                let ratio = contrast(ink, surface);
                assert!(ratio >= least, "{theme}: {name} {ink:?} on {surface:?} is {ratio:.2}, less than {least}");
            }
        }
    }

    #[test]
    fn what_would_be_too_faint_is_written_as_text() {
        assert_eq!(DARK.legible(DARK.muted, DARK.panel), DARK.muted);
        for palette in [&DARK, &LIGHT, &HIGH_CONTRAST] {
            for ink in [palette.muted, palette.event, palette.limit, palette.good] {
                let least = if palette == &HIGH_CONTRAST { AAA } else { AA };
                assert!(contrast(palette.legible(ink, palette.accent_tint), palette.accent_tint) >= least);
            }
        }
    }

    #[test]
    fn contrast_follows_the_published_formula() {
        assert!((contrast(Color32::WHITE, Color32::BLACK) - 21.0).abs() < 1e-3);
        assert!((contrast(rgb(0x777777), Color32::WHITE) - 4.48).abs() < 0.01);
    }

    #[test]
    fn data_colours_and_edges_stand_out_from_their_surface() {
        for palette in [&DARK, &LIGHT, &HIGH_CONTRAST] {
            for color in palette.data {
                assert!(contrast(color, palette.panel) >= 1.8, "{color:?} is lost on the panel");
            }
            assert!(contrast(palette.faint, palette.page) >= 3.0);
        }
    }
}
