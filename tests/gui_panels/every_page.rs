//! Every page, with content and without: what is cut off can be scrolled to, nothing lies on anything else, and all text can be read.

#[path = "by_cpu.rs"]
mod by_cpu;
#[allow(dead_code, reason = "each test file uses its own part")]
#[path = "../gui_chat/fixtures.rs"]
mod chat;
#[allow(dead_code, reason = "each test file uses its own part")]
#[path = "../gui_measure/fixtures.rs"]
mod measure;
#[path = "painted.rs"]
mod painted;
#[allow(dead_code, reason = "each test file uses its own part")]
#[path = "../gui_quality/fixtures.rs"]
mod quality;
#[allow(dead_code, reason = "each test file uses its own part")]
#[path = "../gui_runs/fixtures.rs"]
mod runs;

use std::collections::{BTreeSet, HashMap};

use egui::Rect;
use egui::accesskit::NodeId;
use inferscope::library::text;
use inferscope::protocol::RunId;
use inferscope::ui::theme;

use super::compare;
use super::*;

/// The page in the middle of its work.
fn with_content(page: Page) -> AppState {
    let mut state = match page {
        Page::Compare => AppState { compare: compare::two().compare, ..busy_state() },
        _ => busy_state(),
    };
    state.page = page;
    let chats = chat::conversation();
    (state.chats, state.meter) = (chats.chats, chats.meter);
    match page {
        Page::Chat => state.activity = chats.activity,
        Page::Measure => state.measure = measure::measured(measure::sweep()).measure,
        Page::Quality => {
            let compared = quality::compared(text::EVALUATION, 2000, &quality::RUNGS);
            (state.quality, state.library) = (compared.quality, compared.library);
            (state.quality.shown, state.quality.selected) = (4, Some(300));
        }
        Page::Library => {
            for number in 0..3 {
                state.library.families.push(Family { key: format!("f{number}"), name: format!("Qwen3 {number}B Instruct"), ..family() });
            }
            state.library.skipped.push(Skipped { path: "/data/gguf/notes.gguf".into(), why: "It is not a GGUF file".into() });
            state.making = Some(making("Q3_K_M"));
        }
        Page::Runs => {
            state.history = runs::some().history;
            state.history.shown = vec![RunId(21), RunId(9)];
        }
        Page::Compare | Page::Settings => {}
    }
    state
}

/// The page before anything was done on it: with a model, and without.
fn empty(page: Page) -> [AppState; 2] {
    let mut with_model = AppState { page, ..busy_state() };
    let chats = chat::ready(&[]);
    (with_model.chats, with_model.meter) = (chats.chats, chats.meter);
    let mut without = AppState { page, ..AppState::default() };
    without.library.was_scanned = true;
    for state in [&mut with_model, &mut without] {
        state.history = runs::state_of(Vec::new()).history;
    }
    if page == Page::Compare {
        with_model.compare = compare::page().compare;
    }
    [with_model, without]
}

/// The states of a page by name.
fn states(page: Page) -> [(&'static str, AppState); 3] {
    let [with_model, without] = empty(page);
    [("with content", with_content(page)), ("with a model", with_model), ("without a model", without)]
}

/// Something with a name, and where it is.
struct Place {
    id: NodeId,
    name: String,
    rect: Rect,
    /// As much of it as can be seen
    seen: Rect,
    layer: egui::LayerId,
}

impl Place {
    /// Whether all of it can be seen, or, of a large picture, a good part.
    fn is_seen(&self) -> bool {
        let seen = if self.seen.is_positive() { self.seen.size() } else { egui::Vec2::ZERO };
        seen.x >= self.rect.width() - 1.0 && (seen.y >= self.rect.height() - 1.0 || seen.y >= 60.0)
    }
}

fn places(harness: &Harness<'static, Window>) -> Vec<Place> {
    let named = harness.query_all_by(|_| true).filter_map(|node| {
        let known = node.accesskit_node();
        let name = known.label().or_else(|| known.value()).filter(|name| !name.is_empty())?;
        Some((known.locate().0, name))
    });
    let names: HashMap<NodeId, String> = named.collect();
    harness.ctx.viewport(|viewport| {
        let widgets = viewport.prev_pass.widgets.layers().flat_map(|(_, widgets)| widgets);
        let place = |widget: &egui::WidgetRect| {
            let id = widget.id.accesskit_id();
            let is_there = widget.visible && widget.rect.is_positive();
            let name = names.get(&id).filter(|_| is_there)?.clone();
            Some(Place { id, name, rect: widget.rect, seen: widget.interact_rect, layer: widget.layer_id })
        };
        widgets.filter_map(place).collect()
    })
}

/// What lies partly on something else.
fn overlapping(places: &[Place]) -> Vec<String> {
    let mut faults = Vec::new();
    // points of a chart may lie close to each other: what they say in the hover has lines
    let is_point = |place: &Place| place.name.contains('\n');
    let seen: Vec<&Place> = places.iter().filter(|place| place.seen.is_positive() && !is_point(place)).collect();
    for (index, a) in seen.iter().enumerate() {
        for b in seen.iter().take(index).filter(|b| b.layer == a.layer) {
            let is_within = a.rect.expand(1.5).contains_rect(b.rect) || b.rect.expand(1.5).contains_rect(a.rect);
            if !is_within && a.seen.shrink(1.5).intersects(b.seen.shrink(1.5)) {
                faults.push(format!("“{}” {:?} lies on “{}” {:?}", a.name, a.seen, b.name, b.seen));
            }
        }
    }
    faults
}

/// What cannot be brought into view.
fn out_of_reach(harness: &mut Harness<'static, Window>) -> Vec<String> {
    let (mut done, mut faults) = (BTreeSet::new(), Vec::new());
    loop {
        let all = places(harness);
        done.extend(all.iter().filter(|place| place.is_seen()).map(|place| place.id));
        let Some(next) = all.into_iter().find(|place| !done.contains(&place.id)) else { return faults };
        let Some(node) = harness.query_by(|node| node.locate().0 == next.id) else { panic!("{} has gone", next.name) };
        node.scroll_to_me();
        harness.run();
        done.insert(next.id);
        let now = |harness: &Harness<'static, Window>| places(harness).into_iter().find(|place| place.id == next.id);
        if now(harness).is_some_and(|now| !now.is_seen()) {
            turn_the_wheel(harness, &next);
        }
        if let Some(now) = now(harness).filter(|now| !now.is_seen()) {
            faults.push(format!("“{}” {:?}, seen {:?}", now.name, now.rect, now.seen));
        }
    }
}

/// Scrolls by the wheel: the page until the thing is in the middle of the window, then what the thing is in by as much as is cut off.
fn turn_the_wheel(harness: &mut Harness<'static, Window>, thing: &Place) {
    let middle = harness.ctx.content_rect().center();
    for (x, whole) in [(thing.rect.left() - 10.0, true), (middle.x, true), (thing.rect.center().x, false), (thing.rect.center().x, false)] {
        let Some(now) = places(harness).into_iter().find(|place| place.id == thing.id) else { return };
        let cut = (now.seen.top() - now.rect.top()) - (now.rect.bottom() - now.seen.bottom());
        let (y, by) = if whole { (middle.y, middle.y - now.rect.center().y) } else { (now.seen.center().y, cut) };
        harness.hover_at(egui::pos2(x, y));
        harness.step();
        harness.event(egui::Event::MouseWheel {
            unit: egui::MouseWheelUnit::Point,
            delta: egui::vec2(0.0, by),
            phase: egui::TouchPhase::Move,
            modifiers: egui::Modifiers::NONE,
            source: egui::MouseWheelSource::Wheel,
        });
        harness.run_steps(12);
    }
    harness.remove_cursor();
    harness.run();
}

#[test]
fn nothing_is_cut_off_from_the_smallest_window_to_4k() {
    let mut faults = Vec::new();
    for page in Page::ALL {
        for (what, state) in states(page) {
            for (size, zooms) in [([1024.0, 640.0], &[1.0, 2.0][..]), ([1440.0, 900.0], &[1.0, 2.0]), ([3840.0, 2160.0], &[0.75, 1.0, 2.0])]
            {
                for zoom in zooms {
                    let points = size.map(|side: f32| (side / zoom).floor());
                    let mut harness = harness_sized(state.clone(), points, Theme::Dark);
                    let window = Rect::from_min_size(egui::Pos2::ZERO, points.into()).expand(0.5);
                    let places = places(&harness);
                    let beside = places.iter().filter(|place| {
                        let rect = place.rect;
                        place.seen.is_positive() && (rect.left() < window.left() || rect.right() > window.right())
                    });
                    let mut found: Vec<String> = beside.map(|place| format!("“{}” {:?} is cut off", place.name, place.rect)).collect();
                    found.extend(overlapping(&places));
                    found.extend(out_of_reach(&mut harness).into_iter().map(|words| format!("out of reach: {words}")));
                    faults.extend(found.into_iter().map(|words| format!("{} {what}, {size:?} at {zoom}: {words}", page.name())));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn all_text_can_be_read_in_every_look() {
    let mut faults = BTreeSet::new();
    for (look, palette, least) in
        [(Theme::Dark, &theme::DARK, 4.5), (Theme::Light, &theme::LIGHT, 4.5), (Theme::HighContrast, &theme::HIGH_CONTRAST, 7.0)]
    {
        for page in Page::ALL {
            for (what, state) in states(page) {
                let mut harness = harness_sized(state, [1440.0, 1800.0], look);
                if let Some(row) = harness.query_by_label_contains("4 threads, File size") {
                    row.click();
                    harness.run();
                }
                let texts = painted::texts(&harness, palette.page);
                assert!(texts.len() > 20, "{} {what} has hardly any text", page.name());
                for text in texts {
                    let ratio = theme::contrast(text.ink, text.surface);
                    if ratio < least {
                        let (ink, surface) = (text.ink, text.surface);
                        faults.insert(format!("{look:?}, {} {what}: “{}” {ink:?} on {surface:?}: {ratio:.2}", page.name(), text.words));
                    }
                }
            }
        }
    }
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Writes a picture of every page in every look into the folder named by `PANEL_PICTURES`; for eyes, not for comparison.
#[test]
fn pictures_of_every_page() {
    let Some(folder) = std::env::var_os("PANEL_PICTURES").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    let wanted = std::env::var("PANEL_PAGE").unwrap_or_default();
    for page in Page::ALL {
        for (what, state) in states(page) {
            for (look, points, name) in [
                (Theme::Dark, [1440.0, 900.0], "dark"),
                (Theme::Light, [1440.0, 900.0], "light"),
                (Theme::HighContrast, [1440.0, 900.0], "contrast"),
                (Theme::Dark, [512.0, 320.0], "small"),
                (Theme::Dark, [720.0, 450.0], "medium"),
            ] {
                let name = format!("{}-{}-{name}", page.name().to_lowercase(), what.replace(' ', "-"));
                if name.contains(&wanted) {
                    let mut harness = harness_sized(state.clone(), points, look);
                    harness.render().unwrap().save(folder.join(format!("{name}.png"))).unwrap();
                }
            }
        }
    }
}
