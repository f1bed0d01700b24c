//! From colour roles to an egui style.

use egui::epaint::FontColorTransferFunction;
use egui::style::{
    KineticScrollStyle, ScrollAnimation, ScrollFadeStyle, ScrollStyle, Selection, Spacing, TextCursorStyle, WidgetVisuals, Widgets,
};
use egui::{Color32, CornerRadius, FontId, Margin, Shadow, Stroke, Style, TextStyle, ThemePreference, Visuals, vec2};

use super::palette::{DARK, HIGH_CONTRAST, LIGHT, Palette};
use super::{CONTROL_HEIGHT, CONTROL_RADIUS, PANEL_RADIUS, Theme, fonts};

/// Sets both egui styles, and which of them is used, for `theme`.
pub fn apply(ctx: &egui::Context, theme: Theme) {
    let (dark, light) = if theme == Theme::HighContrast { (&HIGH_CONTRAST, &HIGH_CONTRAST) } else { (&DARK, &LIGHT) };
    ctx.set_style_of(egui::Theme::Dark, style(dark));
    ctx.set_style_of(egui::Theme::Light, style(light));
    ctx.set_theme(match theme {
        Theme::System => ThemePreference::System,
        Theme::Dark | Theme::HighContrast => ThemePreference::Dark,
        Theme::Light => ThemePreference::Light,
    });
}

fn style(palette: &Palette) -> Style {
    let mut style = Style {
        text_styles: text_styles(),
        spacing: spacing(),
        visuals: visuals(palette),
        animation_time: 0.0,
        scroll_animation: ScrollAnimation::none(),
        url_in_tooltip: true,
        ..Style::default()
    };
    style.interaction.tooltip_delay = 0.35;
    style.interaction.selectable_labels = false;
    style
}

fn text_styles() -> std::collections::BTreeMap<TextStyle, FontId> {
    [
        (TextStyle::Small, fonts::small()),
        (TextStyle::Body, fonts::body()),
        (TextStyle::Button, fonts::body()),
        (TextStyle::Monospace, fonts::mono()),
        (TextStyle::Heading, fonts::title()),
        (TextStyle::Name("page".into()), fonts::page_title()),
        (TextStyle::Name("display".into()), fonts::display()),
        (TextStyle::Name("strong".into()), fonts::body_strong()),
    ]
    .into()
}

fn spacing() -> Spacing {
    Spacing {
        item_spacing: vec2(8.0, 8.0),
        window_margin: Margin::same(20),
        menu_margin: Margin::same(6),
        button_padding: vec2(12.0, 6.0),
        indent: 16.0,
        // the least height of a line of anything; fields and buttons of this crate bring their own
        interact_size: vec2(CONTROL_HEIGHT, 24.0),
        slider_width: 160.0,
        slider_rail_height: 4.0,
        combo_width: 120.0,
        icon_width: 16.0,
        icon_width_inner: 8.0,
        icon_spacing: 8.0,
        tooltip_width: 360.0,
        menu_width: 280.0,
        combo_height: 320.0,
        scroll: scroll(),
        ..Spacing::default()
    }
}

fn scroll() -> ScrollStyle {
    ScrollStyle {
        bar_width: 8.0,
        handle_min_length: 24.0,
        // no gradients, and nothing that goes on moving by itself past an edge
        fade: ScrollFadeStyle { strength: 0.0, ..ScrollFadeStyle::default() },
        kinetic: KineticScrollStyle { rubber_band: false, ..KineticScrollStyle::default() },
        ..ScrollStyle::floating()
    }
}

fn visuals(p: &Palette) -> Visuals {
    let border = Stroke::new(p.border_width(), p.hairline);
    let base = if p.is_dark() { Visuals::dark() } else { Visuals::light() };
    let mut text_options = base.text_options;
    if p.is_dark() {
        // egui's own curve thickens light type; this keeps the stems of the design, except where contrast is all
        text_options.color_transfer_function = FontColorTransferFunction::Gamma(if p.border_width() > 1.0 { 0.6 } else { 0.8 });
    }
    Visuals {
        dark_mode: p.is_dark(),
        text_options,
        weak_text_color: Some(p.muted),
        widgets: widgets(p),
        selection: Selection { bg_fill: p.selection, stroke: Stroke::new(1.0, p.accent) },
        hyperlink_color: p.accent,
        faint_bg_color: p.raised,
        extreme_bg_color: p.page,
        text_edit_bg_color: Some(p.page),
        code_bg_color: p.raised,
        warn_fg_color: p.event,
        error_fg_color: p.limit,
        window_corner_radius: CornerRadius::same(PANEL_RADIUS),
        window_shadow: Shadow::NONE,
        window_fill: p.panel,
        window_stroke: border,
        window_highlight_topmost: false,
        menu_corner_radius: CornerRadius::same(8),
        panel_fill: p.panel,
        popup_shadow: Shadow::NONE,
        text_cursor: TextCursorStyle { stroke: Stroke::new(2.0, p.accent), blink: false, ..TextCursorStyle::default() },
        slider_trailing_fill: true,
        handle_shape: egui::style::HandleShape::Circle,
        indent_has_left_vline: false,
        interact_cursor: None,
        disabled_alpha: 0.45,
        ..base
    }
}

fn widgets(p: &Palette) -> Widgets {
    let look = |fill: Color32, border: Color32, ink: Color32| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: Stroke::new(p.border_width(), border),
        corner_radius: CornerRadius::same(CONTROL_RADIUS),
        fg_stroke: Stroke::new(1.0, ink),
        expansion: 0.0,
    };
    Widgets {
        noninteractive: look(p.panel, p.hairline, p.text),
        inactive: look(p.raised, p.hairline, p.text),
        hovered: look(p.hover, p.faint, p.text),
        // egui uses this look for keyboard focus too, so its border is the focus colour
        active: look(p.hover, p.accent, p.text),
        open: look(p.raised, p.faint, p.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_theme_is_recognised_by_its_palette_and_nothing_animates() {
        let ctx = egui::Context::default();
        for (theme, egui_theme, expected) in [
            (Theme::Dark, egui::Theme::Dark, &DARK),
            (Theme::Light, egui::Theme::Light, &LIGHT),
            (Theme::HighContrast, egui::Theme::Dark, &HIGH_CONTRAST),
            (Theme::HighContrast, egui::Theme::Light, &HIGH_CONTRAST),
        ] {
            apply(&ctx, theme);
            let style = ctx.style_of(egui_theme);
            assert_eq!(Palette::of(&style.visuals), expected, "{theme:?}");
            assert!(style.animation_time == 0.0 && !style.visuals.text_cursor.blink);
            assert_eq!(style.visuals.window_shadow, Shadow::NONE);
        }
    }
}
