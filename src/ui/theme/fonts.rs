//! The type scale and the fonts behind it: Inter for words, JetBrains Mono for names and numbers that line up.
//!
//! Both are subsets (Latin, Greek, Cyrillic, punctuation, arrows, mathematics, box drawing) made from the originals; the digits of Inter are
//! its tabular ones, so a live number does not jitter. Scripts they lack fall back to what egui bundles.

use std::sync::Arc;

use egui::{FontData, FontDefinitions, FontFamily, FontId, FontTweak};

const INTER: &[u8] = include_bytes!("../../../assets/fonts/Inter-Regular.ttf");
const INTER_SEMIBOLD: &[u8] = include_bytes!("../../../assets/fonts/Inter-SemiBold.ttf");
const JETBRAINS_MONO: &[u8] = include_bytes!("../../../assets/fonts/JetBrainsMono-Regular.ttf");

/// Puts the fonts of the look in front of egui's own. Call once, before the first frame.
pub fn install(ctx: &egui::Context) {
    let mut fonts = FontDefinitions::default();
    for (name, bytes) in [("Inter", INTER), ("Inter SemiBold", INTER_SEMIBOLD), ("JetBrains Mono", JETBRAINS_MONO)] {
        // mono is smaller and has other vertical metrics: this puts both on one baseline where they share a line
        let y_offset_factor = if name == "JetBrains Mono" { 0.05 } else { 0.0 };
        let tweak = FontTweak { y_offset_factor, ..FontTweak::default() };
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes).tweak(tweak)));
    }
    let bundled = |family: FontFamily| fonts.families.get(&family).cloned().unwrap_or_default();
    let (proportional, monospace) = (bundled(FontFamily::Proportional), bundled(FontFamily::Monospace));
    let chain = |first: &[&str], rest: &[&Vec<String>]| -> Vec<String> {
        let mut names: Vec<String> = first.iter().map(|name| (*name).to_owned()).collect();
        for name in rest.iter().flat_map(|names| names.iter()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    };
    let regular = chain(&["Inter", "JetBrains Mono"], &[&proportional, &monospace]);
    let strong = chain(&["Inter SemiBold", "Inter", "JetBrains Mono"], &[&proportional, &monospace]);
    let mono = chain(&["JetBrains Mono", "Inter"], &[&monospace, &proportional]);
    fonts.families.insert(FontFamily::Proportional, regular);
    fonts.families.insert(semibold(), strong);
    fonts.families.insert(FontFamily::Monospace, mono);
    ctx.set_fonts(fonts);
}

/// The family of headings and numbers that matter.
pub fn semibold() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// 12: labels, units, second lines.
pub fn small() -> FontId {
    FontId::new(12.0, FontFamily::Proportional)
}

/// 12, semibold: the head of a small table.
pub fn small_strong() -> FontId {
    FontId::new(12.0, semibold())
}

/// 14: running text and controls.
pub fn body() -> FontId {
    FontId::new(14.0, FontFamily::Proportional)
}

/// 14, semibold.
pub fn body_strong() -> FontId {
    FontId::new(14.0, semibold())
}

/// 18, semibold: the title of a card, a number among several.
pub fn title() -> FontId {
    FontId::new(18.0, semibold())
}

/// 22, semibold: the question a page answers.
pub fn page_title() -> FontId {
    FontId::new(22.0, semibold())
}

/// 28, semibold: the one number of a panel.
pub fn display() -> FontId {
    FontId::new(28.0, semibold())
}

/// Names and numbers that line up: 13, which has the optical size of 14 in Inter.
pub fn mono() -> FontId {
    FontId::new(13.0, FontFamily::Monospace)
}

/// 12, mono: keys, lines of a log, values beside small words.
pub fn mono_small() -> FontId {
    FontId::new(12.0, FontFamily::Monospace)
}

/// Running text at the size of a heading or a cell, in points. `mono` is code in it, at the size that goes with it.
pub fn text_at(size: f32, is_mono: bool) -> FontId {
    if is_mono { FontId::new(size * mono().size / body().size, FontFamily::Monospace) } else { FontId::new(size, FontFamily::Proportional) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_hold_what_the_interface_writes() {
        let ctx = egui::Context::default();
        install(&ctx);
        ctx.set_missing_glyph_policy(egui::MissingGlyphPolicy::Panic);
        let text = "Ångström ÄÖÜß łódź naïve Ελληνικά Кириллица … – — • · × ± ≈ ≤ ≥ ° ² µ Δ λ √ → ← ↑ ↓ ▶ ■ ○ ▲ ▼ │ ┌ █ ✓ ✗ ⋮ “quoted”";
        let output = ctx.run_ui(egui::RawInput::default(), |ui| {
            for font in [body(), body_strong(), mono()] {
                ui.label(egui::RichText::new(text).font(font));
            }
        });
        output.drop_without_applying_deltas();
    }

    #[test]
    fn digits_of_both_weights_are_equally_wide() {
        let ctx = egui::Context::default();
        install(&ctx);
        let output = ctx.run_ui(egui::RawInput::default(), |ui| {
            for font in [body(), display(), mono()] {
                let width = |text: &str| ui.painter().layout_no_wrap(text.to_owned(), font.clone(), egui::Color32::WHITE).size().x;
                assert!((width("111111") - width("888888")).abs() < 0.01, "{font:?} has digits of different widths");
            }
        });
        output.drop_without_applying_deltas();
    }
}
