//! A family on the Library page: a card with its facts and a table of its rungs.

use egui::{Align, Layout, Rect, Role, Sense, Stroke, StrokeKind, Ui, UiBuilder, WidgetInfo, pos2, vec2};

use super::ladder::{self, RungView};
use crate::app::{Action, AppState, Making};
use crate::library::{Family, RungState};
use crate::measure::format;
use crate::ui::theme::{self, CONTROL_RADIUS, PANEL_RADIUS};
use crate::ui::widgets::{self, Icon, elided, focus_ring, ghost_button, icon_button, paint_icon, secondary_button};

const HEAD: f32 = 60.0;
const TABLE_HEAD: f32 = 28.0;
const ROW: f32 = 38.0;
const FOOT: f32 = 40.0;
const PADDING: f32 = 16.0;
/// Room for the buttons of a row, points.
const ACTIONS: f32 = 150.0;

/// A family with what of it is shown.
pub(in crate::ui) struct FamilyCard<'a> {
    family: &'a Family,
    rungs: Vec<RungView<'a>>,
    hidden: usize,
    on_disk: usize,
    is_open: bool,
    all: bool,
}

/// What was pressed on a card.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::ui) struct FamilyResponse {
    /// Fold or unfold it
    pub folded: bool,
    /// Show every rung, or only the usual ones
    pub all: bool,
}

impl<'a> FamilyCard<'a> {
    /// `all` shows every rung; else those on disk, those being made, and the usual ones that can be made.
    pub fn new(state: &AppState, family: &'a Family, is_open: bool, all: bool) -> Self {
        let every = ladder::rungs(state, family);
        let on_disk = every.iter().filter(|rung| rung.is_on_disk()).count();
        let count = every.len();
        let is_first = |rung: &RungView<'_>| {
            rung.is_on_disk()
                || matches!(rung.key, widgets::RungState::Making(_))
                || (rung.usual && matches!(rung.state, RungState::CanMake { .. }))
        };
        let rungs: Vec<RungView<'a>> = every.into_iter().filter(|rung| all || is_first(rung)).collect();
        Self { family, hidden: count - rungs.len(), rungs, on_disk, is_open, all }
    }

    /// Names the family from scan to scan.
    pub fn key(&self) -> &str {
        &self.family.key
    }

    /// Whether its rungs are in view.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Points it takes.
    pub fn height(&self) -> f32 {
        if !self.is_open {
            return HEAD;
        }
        let foot = if self.hidden > 0 || self.all { FOOT } else { 8.0 };
        HEAD + TABLE_HEAD + ROW * self.rungs.len() as f32 + foot
    }
}

/// Paints a card into the available room, which must be as high as [`FamilyCard::height`] says.
pub(in crate::ui) fn family(ui: &mut Ui, state: &AppState, card: &FamilyCard<'_>, now: f64, actions: &mut Vec<Action>) -> FamilyResponse {
    let palette = theme::palette(ui);
    let rect = ui.max_rect();
    let mut pressed = FamilyResponse::default();
    ui.painter().rect(rect, PANEL_RADIUS, palette.panel, Stroke::new(palette.border_width(), palette.hairline), StrokeKind::Inside);
    pressed.folded = head(ui, card, rect.with_max_y(rect.top() + HEAD));
    if !card.is_open {
        return pressed;
    }
    let inner = Rect::from_min_max(pos2(rect.left() + PADDING, rect.top() + HEAD), pos2(rect.right() - PADDING, rect.bottom()));
    let columns = Columns::new(inner);
    table_head(ui, &columns, inner.with_max_y(inner.top() + TABLE_HEAD));
    let mut top = inner.top() + TABLE_HEAD;
    for rung in &card.rungs {
        let row = Rect::from_min_max(pos2(rect.left(), top), pos2(rect.right(), top + ROW));
        if ui.is_rect_visible(row) {
            ui.push_id(rung.quant, |ui| self::row(ui, state, card.family, rung, &columns, row, now, actions));
        }
        top += ROW;
    }
    if card.hidden > 0 || card.all {
        let words = if card.all { "Show the usual rungs only".to_owned() } else { format!("Show {} more", card.hidden) };
        let at = Rect::from_min_size(pos2(inner.left() - 8.0, top + 4.0), vec2(240.0, 30.0));
        let builder = UiBuilder::new().max_rect(at).layout(Layout::left_to_right(Align::Center));
        pressed.all = ui.scope_builder(builder, |ui| ui.add(ghost_button(words)).clicked()).inner;
    }
    pressed
}

/// Name and facts; pressing it folds the card.
fn head(ui: &Ui, card: &FamilyCard<'_>, rect: Rect) -> bool {
    let palette = theme::palette(ui);
    let family = card.family;
    let response = ui.interact(rect.shrink(2.0), ui.scope_id().with("head"), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, card.is_open, format!("Model {}", family.name)));
    let ink = if response.hovered() { palette.text } else { palette.muted };
    let icon = if card.is_open { Icon::ChevronDown } else { Icon::ChevronRight };
    paint_icon(ui.painter(), icon, Rect::from_center_size(pos2(rect.left() + 22.0, rect.center().y), vec2(14.0, 14.0)), ink);
    let disk = elided(ui, &format!("{} on disk", card.on_disk), theme::small(), palette.muted, 120.0);
    let room = rect.width() - 40.0 - disk.size().x - 40.0;
    let name = elided(ui, &family.name, theme::body_strong(), palette.text, room);
    let facts = format!(
        "{} · {} weights · {} layers · trained for {} tokens",
        family.arch,
        format::params(family.n_params),
        family.n_layer,
        format::count(u64::from(family.n_ctx_train))
    );
    let facts = elided(ui, &facts, theme::small(), palette.muted, room);
    let top = rect.center().y - (name.size().y + facts.size().y + 2.0) / 2.0;
    let facts_top = top + name.size().y + 2.0;
    let disk_at = pos2(rect.right() - PADDING - disk.size().x, rect.center().y - disk.size().y / 2.0);
    ui.painter().galley(pos2(rect.left() + 40.0, top), name, palette.text);
    ui.painter().galley(pos2(rect.left() + 40.0, facts_top), facts, palette.muted);
    ui.painter().galley(disk_at, disk, palette.muted);
    focus_ring(ui, &response, PANEL_RADIUS);
    response.clicked()
}

/// Where the columns stand, in points of the window.
struct Columns {
    name: f32,
    state: f32,
    state_end: f32,
    size_right: f32,
    bpw_right: f32,
    right: f32,
}

impl Columns {
    fn new(inner: Rect) -> Self {
        let right = inner.right();
        let bpw_right = right - ACTIONS - 16.0;
        let size_right = bpw_right - 74.0;
        Self { name: inner.left(), state: inner.left() + 96.0, state_end: size_right - 76.0, size_right, bpw_right, right }
    }
}

fn table_head(ui: &Ui, columns: &Columns, rect: Rect) {
    let palette = theme::palette(ui);
    let put = |words: &str, x: f32, right: bool| {
        let galley = elided(ui, words, theme::small(), palette.muted, 200.0);
        let left = if right { x - galley.size().x } else { x };
        ui.painter().galley(pos2(left, rect.center().y - galley.size().y / 2.0), galley, palette.muted);
    };
    put("rung", columns.name, false);
    put("where it is", columns.state, false);
    put("size", columns.size_right, true);
    put("bits/weight", columns.bpw_right, true);
    ui.painter().hline(rect.x_range(), rect.bottom(), Stroke::new(1.0, palette.hairline));
}

fn row(
    ui: &mut Ui,
    state: &AppState,
    family: &Family,
    rung: &RungView<'_>,
    columns: &Columns,
    rect: Rect,
    now: f64,
    actions: &mut Vec<Action>,
) {
    let palette = theme::palette(ui);
    let response = ui.interact(rect, ui.scope_id().with("row"), Sense::hover());
    let making = state.making.as_ref().filter(|making| making.family == family.key && making.quant == rung.quant);
    let words = making.map_or_else(|| where_it_is(rung), |making| making_words(making, rung, now));
    response.widget_info(|| {
        let name = format!("{}, {words}, {}, {} bits per weight", rung.quant, rung.size_words(), rung.bpw_words());
        WidgetInfo::labeled(Role::Row, true, name)
    });
    let is_active = rung.key == widgets::RungState::Active;
    let fill = if is_active {
        palette.accent_tint
    } else if response.contains_pointer() {
        palette.raised
    } else {
        egui::Color32::TRANSPARENT
    };
    ui.painter().rect_filled(rect.shrink2(vec2(6.0, 1.0)), CONTROL_RADIUS, fill);
    cells(ui, rung, columns, rect, &words, making.is_some());
    if let Some(making) = making {
        let bar = Rect::from_min_max(pos2(columns.name, rect.bottom() - 4.0), pos2(columns.bpw_right, rect.bottom() - 2.0));
        ui.painter().rect_filled(bar, 1.0, palette.hairline);
        ui.painter().rect_filled(bar.with_max_x(bar.left() + bar.width() * making.fraction.clamp(0.0, 1.0)), 1.0, palette.accent);
    }
    response.on_hover_text(rung.hint());
    let at = Rect::from_min_max(pos2(columns.right - ACTIONS, rect.top()), pos2(columns.right, rect.bottom()));
    let builder = UiBuilder::new().max_rect(at).layout(Layout::right_to_left(Align::Center));
    ui.scope_builder(builder, |ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        buttons(ui, state, family, rung, making.is_some(), actions);
    });
}

fn cells(ui: &Ui, rung: &RungView<'_>, columns: &Columns, rect: Rect, words: &str, is_making: bool) {
    let palette = theme::palette(ui);
    let is_there = rung.is_on_disk();
    let middle = rect.center().y;
    let name_ink = if is_there { palette.text } else { palette.muted };
    let name = elided(ui, rung.quant, theme::mono(), name_ink, columns.state - columns.name - 8.0);
    let state_ink = match rung.key {
        widgets::RungState::Active => palette.accent,
        _ if is_making => palette.accent,
        _ => palette.muted,
    };
    let words = elided(ui, words, theme::small(), state_ink, (columns.state_end - columns.state).max(40.0));
    let size = elided(ui, &rung.size_words(), theme::mono(), name_ink, 90.0);
    let bpw = elided(ui, &rung.bpw_words(), theme::mono(), name_ink, 70.0);
    let painter = ui.painter();
    let at = |x: f32, height: f32| pos2(x, middle - height / 2.0);
    painter.galley(at(columns.name, name.size().y), name, name_ink);
    painter.galley(at(columns.state, words.size().y), words, state_ink);
    painter.galley(at(columns.size_right - size.size().x, size.size().y), size, name_ink);
    painter.galley(at(columns.bpw_right - bpw.size().x, bpw.size().y), bpw, name_ink);
}

fn where_it_is(rung: &RungView<'_>) -> String {
    match (rung.key, rung.state) {
        (widgets::RungState::Active, _) => "answers now".into(),
        (widgets::RungState::Warm, _) => "on disk, kept warm".into(),
        (widgets::RungState::Loading(fraction), _) => format!("loading, {}", format::percent(f64::from(fraction))),
        (_, RungState::OnDisk { alternates, .. }) if !alternates.is_empty() => format!("on disk, {} files", alternates.len() + 1),
        (_, RungState::OnDisk { .. }) => "on disk".into(),
        (_, RungState::CanMake { source_quant, lossy_source: true, .. }) => {
            format!("can be made from {source_quant}, which is itself lossy")
        }
        (_, RungState::CanMake { source_quant, .. }) => format!("can be made from {source_quant}"),
        (_, RungState::Unavailable { why }) => why.clone(),
    }
}

/// How far, and how long still: from what it took so far, at the very start from the estimate.
fn making_words(making: &Making, rung: &RungView<'_>, now: f64) -> String {
    let fraction = f64::from(making.fraction).clamp(0.0, 1.0);
    let elapsed = (now - making.since).max(0.0);
    let left = if fraction > 0.05 {
        Some(elapsed * (1.0 - fraction) / fraction)
    } else if let RungState::CanMake { seconds_estimate, .. } = rung.state {
        Some((seconds_estimate - elapsed).max(0.0))
    } else {
        None
    };
    let left = left.map_or_else(String::new, |left| format!(", about {} left", format::seconds(left.max(1.0).round())));
    format!("{} made{left}", format::percent(fraction))
}

fn buttons(ui: &mut Ui, state: &AppState, family: &Family, rung: &RungView<'_>, is_making: bool, actions: &mut Vec<Action>) {
    if is_making {
        if ui.add(secondary_button("Cancel").height(28.0)).on_hover_text("Nothing half made is kept").clicked() {
            actions.push(Action::CancelMake);
        }
        return;
    }
    match rung.state {
        RungState::OnDisk { path, .. } => {
            let is_resident = matches!(rung.key, widgets::RungState::Active | widgets::RungState::Warm);
            let menu = ui.add(icon_button(Icon::Dots, "More")).accessible_name(format!("More about {} of {}", rung.quant, family.name));
            egui::Popup::menu(&menu).show(|ui| {
                ui.set_width(180.0);
                if ui.button("Copy the path").clicked() {
                    actions.push(Action::Copy(path.display().to_string()));
                }
                // of several copies the one that is in memory
                let mut warm = state.resident.iter().rev().map(|resident| &resident.design.model);
                let loaded = warm.find(|model| rung.state.files().any(|file| file == model.as_path()));
                if let Some(loaded) = loaded.filter(|_| is_resident)
                    && ui.button("Unload").clicked()
                {
                    actions.push(Action::Unload(Some(loaded.clone())));
                }
            });
            if rung.key == widgets::RungState::Active || matches!(rung.key, widgets::RungState::Loading(_)) {
                return;
            }
            let words = if rung.key == widgets::RungState::Warm { "Switch" } else { "Load" };
            let button = ui.add(secondary_button(words).height(28.0)).accessible_name(format!("{words} {} of {}", rung.quant, family.name));
            if button.clicked() {
                // within the family that runs a switch changes the rung and nothing else
                let is_shown = state.family().is_some_and(|shown| shown.key == family.key);
                actions.push(if is_shown { Action::SelectRung(rung.quant.to_owned()) } else { Action::OpenModel(path.clone()) });
            }
        }
        RungState::CanMake { .. } => {
            let free = state.making.is_none();
            let button = ui.add_enabled(free, secondary_button("Make…").height(28.0)).on_disabled_hover_text("Another rung is being made");
            if button.accessible_name(format!("Make {} of {}", rung.quant, family.name)).clicked() {
                actions.push(Action::OfferMake(family.key.clone(), rung.quant.to_owned()));
            }
        }
        RungState::Unavailable { .. } => {}
    }
}
