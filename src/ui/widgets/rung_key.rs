//! A key of the ladder: one quantization level, and what pressing it would do.

use egui::{Color32, Rect, Response, Role, Sense, Shape, Stroke, StrokeKind, Ui, Widget, WidgetInfo, pos2, vec2};

use super::chrome::focus_ring;
use super::text;
use crate::ui::theme::{self, CONTROL_RADIUS, Palette};

/// Height of a key, in points.
const HEIGHT: f32 = 40.0;
const PADDING: f32 = 10.0;
const MIN_WIDTH: f32 = 52.0;

/// Where a rung stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RungState {
    /// It answers now.
    Active,
    /// Loaded next to the active one: flipping to it costs no load.
    Warm,
    /// Its file is here.
    OnDisk,
    /// It can be made from a better rung.
    CanMake,
    /// Neither here nor makeable.
    Unavailable,
    /// Being read into memory, 0 to 1.
    Loading(f32),
    /// Being quantized, 0 to 1.
    Making(f32),
}

impl RungState {
    /// The state in words, for those who cannot see the key.
    pub fn words(self) -> &'static str {
        match self {
            Self::Active => "running",
            Self::Warm => "kept warm",
            Self::OnDisk => "on disk",
            Self::CanMake => "can be made",
            Self::Unavailable => "unavailable",
            Self::Loading(_) => "loading",
            Self::Making(_) => "being made",
        }
    }

    fn fraction(self) -> Option<f32> {
        match self {
            Self::Loading(fraction) | Self::Making(fraction) => Some(fraction.clamp(0.0, 1.0)),
            _ => None,
        }
    }
}

struct Look {
    fill: Color32,
    border: Option<Color32>,
    dashed: bool,
    name: Color32,
    detail: Color32,
}

/// One key. Its accessible name is "Q4_K_M, 99 MB, on disk".
#[must_use = "add it with ui.add"]
pub struct RungKey<'a> {
    name: &'a str,
    detail: &'a str,
    state: RungState,
    hint: Option<&'a str>,
}

impl<'a> RungKey<'a> {
    /// `detail` is what stands under the name: a size, or "make".
    pub fn new(name: &'a str, detail: &'a str, state: RungState) -> Self {
        Self { name, detail, state, hint: None }
    }

    /// Shown under the pointer.
    pub fn hint(mut self, hint: &'a str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Width the key will take, in points: lets a bar decide how many fit.
    pub fn width(&self, ui: &Ui) -> f32 {
        let width = |text: &str, font| text::elided(ui, text, font, Color32::PLACEHOLDER, f32::INFINITY).size().x;
        let detail = if self.state.fraction().is_some() { "100 %" } else { self.detail };
        let widest = width(self.name, theme::mono()).max(width(detail, theme::small()));
        (widest + 2.0 * PADDING).max(MIN_WIDTH).ceil()
    }

    fn look(&self, p: &Palette, response: &Response) -> Look {
        let hovered = response.hovered() || response.has_focus();
        let rest = if hovered { p.hover } else { p.raised };
        match self.state {
            RungState::Active => Look {
                fill: p.accent_tint,
                border: Some(p.accent),
                dashed: false,
                name: p.text,
                detail: theme::on_surface(p.accent_tint, p.text, 0.75),
            },
            RungState::Warm => Look { fill: rest, border: Some(p.data[0]), dashed: false, name: p.text, detail: p.muted },
            RungState::OnDisk => {
                Look { fill: rest, border: Some(if hovered { p.faint } else { p.hairline }), dashed: false, name: p.text, detail: p.muted }
            }
            RungState::CanMake => {
                let fill = if hovered { p.raised } else { Color32::TRANSPARENT };
                let ink = if hovered { p.text } else { p.muted };
                Look { fill, border: Some(if hovered { p.muted } else { p.faint }), dashed: true, name: ink, detail: p.muted }
            }
            RungState::Unavailable => Look { fill: Color32::TRANSPARENT, border: None, dashed: false, name: p.muted, detail: p.muted },
            RungState::Loading(_) => Look { fill: p.raised, border: Some(p.accent), dashed: false, name: p.text, detail: p.accent },
            RungState::Making(_) => Look { fill: p.raised, border: Some(p.faint), dashed: true, name: p.text, detail: p.accent },
        }
    }
}

impl Widget for RungKey<'_> {
    fn ui(self, ui: &mut Ui) -> Response {
        let palette = theme::palette(ui);
        let sense = if self.state == RungState::Unavailable { Sense::hover() } else { Sense::click() };
        let (rect, response) = ui.allocate_exact_size(vec2(self.width(ui), HEIGHT), sense);
        response.widget_info(|| {
            let name = format!("{}, {}, {}", self.name, self.detail, self.state.words());
            WidgetInfo::selected(Role::Button, ui.is_enabled(), self.state == RungState::Active, name)
        });
        if ui.is_rect_visible(rect) {
            let look = self.look(palette, &response);
            let painter = ui.painter();
            let stroke = Stroke::new(palette.border_width(), look.border.unwrap_or(Color32::TRANSPARENT));
            painter.rect_filled(rect, CONTROL_RADIUS, look.fill);
            if let Some(fraction) = self.state.fraction() {
                paint_progress(ui, rect, fraction);
            }
            if look.dashed {
                painter.extend(Shape::dashed_line(&rounded_outline(rect.shrink(0.5), f32::from(CONTROL_RADIUS)), stroke, 3.0, 3.0));
            } else {
                painter.rect_stroke(rect, CONTROL_RADIUS, stroke, StrokeKind::Inside);
            }
            let percent = self.state.fraction().map(|fraction| format!("{:.0} %", fraction * 100.0));
            let detail = percent.as_deref().unwrap_or(self.detail);
            let name = text::elided(ui, self.name, theme::mono(), look.name, rect.width());
            let detail = text::elided(ui, detail, theme::small(), look.detail, rect.width());
            let lines = name.size().y + detail.size().y;
            let top = (rect.center().y - lines / 2.0).round();
            let detail_top = top + name.size().y;
            painter.galley(pos2(rect.center().x - name.size().x / 2.0, top), name, look.name);
            painter.galley(pos2(rect.center().x - detail.size().x / 2.0, detail_top), detail, look.detail);
            focus_ring(ui, &response, CONTROL_RADIUS);
        }
        match self.hint {
            Some(hint) => response.on_hover_text(hint),
            None => response,
        }
    }
}

/// Fills the key from the left, and its lower edge in the accent.
fn paint_progress(ui: &Ui, rect: Rect, fraction: f32) {
    let palette = theme::palette(ui);
    let done = Rect::from_min_max(rect.min, pos2(rect.left() + rect.width() * fraction, rect.bottom()));
    let painter = ui.painter().with_clip_rect(done.intersect(ui.clip_rect()));
    painter.rect_filled(rect, CONTROL_RADIUS, palette.accent_tint);
    painter.with_clip_rect(Rect::from_min_max(pos2(rect.left(), rect.bottom() - 3.0), done.max).intersect(ui.clip_rect())).rect_filled(
        rect,
        CONTROL_RADIUS,
        palette.accent,
    );
}

/// The outline of a rounded rectangle as a closed run of points, for a dashed border.
fn rounded_outline(rect: Rect, radius: f32) -> Vec<egui::Pos2> {
    let inner = rect.shrink(radius);
    let corners = [inner.right_top(), inner.right_bottom(), inner.left_bottom(), inner.left_top()];
    let mut points = Vec::with_capacity(25);
    for (quarter, corner) in corners.into_iter().enumerate() {
        for step in 0..=5_u8 {
            let angle = std::f32::consts::FRAC_PI_2 * (quarter as f32 - 1.0 + f32::from(step) / 5.0);
            points.push(corner + radius * vec2(angle.cos(), angle.sin()));
        }
    }
    points.extend(points.first().copied());
    points
}
