//! The look: pictures of the gallery in three themes, and every control by its accessible name.
//!
//! Pictures need a graphics adapter; a software one (Mesa's lavapipe) is preferred. Without any they are skipped, unless
//! `INFERSCOPE_REQUIRE_RENDER=1` says that this machine must have one. `UPDATE_SNAPSHOTS=1` accepts what is drawn now.

#[path = "support/render.rs"]
mod render;

use std::path::Path;
use std::time::Instant;

use egui::{Key, vec2};
use egui_kittest::kittest::Queryable as _;
use egui_kittest::{Harness, SnapshotOptions, SnapshotResults};
use inferscope::ui::icon;
use inferscope::ui::theme::{self, Theme};
use inferscope::ui::widgets::gallery::{self, GalleryState};
use inferscope::ui::widgets::{
    ListOutput, ListSpec, RowId, RungKey, RungState, SeriesPlot, VirtualList, rich_text, search_field, segmented, time_axis,
};

/// Largest picture in the repository, in bytes.
const PICTURE_BUDGET: u64 = 170 * 1024;

type Section = fn(&mut egui::Ui, &mut GalleryState);

fn harness(theme: Theme, width: f32, height: f32, section: Section) -> Harness<'static, GalleryState> {
    Harness::builder()
        .with_size(vec2(width, height))
        .with_theme(if theme == Theme::Light { egui::Theme::Light } else { egui::Theme::Dark })
        .with_context_setup(move |ctx| {
            theme::install(ctx);
            theme::apply(ctx, theme);
        })
        .build_ui_state(
            move |ui, state| {
                let whole = ui.ctx().content_rect();
                ui.painter().with_clip_rect(whole).rect_filled(whole, 0.0, theme::palette(ui).page);
                egui::Frame::new().inner_margin(16).show(ui, |ui| section(ui, state));
            },
            GalleryState::default(),
        )
}

#[test]
fn gallery_looks_as_drawn_in_every_theme() {
    if !render::can_render() {
        return;
    }
    let mut results = SnapshotResults::new();
    let sections: [(&str, [f32; 2], Section); 3] = [
        ("controls", [880.0, 500.0], gallery::controls),
        ("readings", [880.0, 660.0], gallery::readings),
        ("messages", [720.0, 760.0], gallery::messages),
    ];
    for (theme, name) in [(Theme::Dark, "dark"), (Theme::Light, "light"), (Theme::HighContrast, "high_contrast")] {
        for (section, [width, height], paint) in sections {
            let mut harness = harness(theme, width, height, paint);
            harness.run();
            if section == "controls" {
                harness.get_by_label("Unload").focus();
            } else if section == "readings" {
                harness.hover_at(egui::pos2(330.0, 190.0));
            }
            harness.run();
            // another rasterizer may round an edge differently; a moved or recoloured control is far more than this
            let options = SnapshotOptions::new().max_failed_pixels(200_usize);
            results.add(harness.try_snapshot_options(format!("gallery_{section}_{name}"), &options));
        }
    }
}

#[test]
fn pictures_stay_small() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("gallery_")
            && name.ends_with(".png")
            && !name.contains(".new")
            && !name.contains(".diff")
            && !name.contains(".old")
        {
            let bytes = entry.metadata().unwrap().len();
            assert!(bytes <= PICTURE_BUDGET, "{name} has {bytes} bytes, more than {PICTURE_BUDGET}");
        }
    }
}

#[test]
fn buttons_keys_and_entries_answer_to_their_names() {
    let mut harness = harness(Theme::Dark, 960.0, 600.0, gallery::controls);
    harness.run();
    for name in ["Q4_1, 92 MB, kept warm", "Q6_K, make, can be made", "Unload", "Stop", "Trash", "Library"] {
        if name == "Stop" {
            harness.get_all_by_label("Stop").next().unwrap().click();
        } else {
            harness.get_by_label(name).click();
        }
        harness.run();
    }
    assert_eq!(harness.state().pressed, ["Q4_1", "Q6_K", "Unload", "Stop", "Trash", "Library"]);
}

#[test]
fn an_unavailable_rung_and_a_disabled_button_do_nothing() {
    let mut harness = harness(Theme::Dark, 960.0, 600.0, gallery::controls);
    harness.run();
    harness.get_by_label("IQ2_XS, imatrix, unavailable").click();
    harness.get_by_label("Not now").click();
    harness.run();
    assert!(harness.state().pressed.is_empty());
}

#[test]
fn controls_change_their_values() {
    let mut harness = harness(Theme::Dark, 960.0, 600.0, gallery::controls);
    harness.run();
    harness.get_by_role_and_label(egui::Role::Switch, "Keep the previous rung warm").click();
    harness.get_by_label("Keep first and last").click();
    harness.run();
    assert!(!harness.state().on);
    assert_eq!(harness.state().segment, 2);
    harness.get_by_role_and_label(egui::Role::ComboBox, "Theme").click();
    harness.run();
    harness.get_by_label("High contrast").click();
    harness.run();
    assert_eq!(harness.state().choice, Theme::HighContrast);
}

#[test]
fn search_takes_words_and_clears_them() {
    let mut harness = Harness::builder().with_size(vec2(300.0, 60.0)).with_context_setup(theme::install).build_ui_state(
        |ui, query: &mut String| {
            search_field(ui, query, "Search chats");
        },
        String::new(),
    );
    harness.run();
    harness.get_by_label("Search chats").focus();
    harness.run();
    harness.get_by_label("Search chats").type_text("summary");
    harness.run();
    assert_eq!(harness.state(), "summary");
    harness.get_by_label("Clear search").click();
    harness.run();
    assert_eq!(harness.state(), "");
}

#[test]
fn the_keyboard_reaches_a_rung_and_presses_it() {
    let mut harness = Harness::builder().with_size(vec2(400.0, 80.0)).with_context_setup(theme::install).build_ui_state(
        |ui, pressed: &mut Vec<&'static str>| {
            ui.horizontal(|ui| {
                for name in ["Q8_0", "Q4_K_M"] {
                    if ui.add(RungKey::new(name, "1 MB", RungState::OnDisk)).clicked() {
                        pressed.push(name);
                    }
                }
            });
        },
        Vec::new(),
    );
    harness.run();
    harness.key_press(Key::Tab);
    harness.run();
    harness.key_press(Key::Tab);
    harness.run();
    assert!(harness.get_by_label("Q4_K_M, 1 MB, on disk").is_focused());
    harness.key_press(Key::Enter);
    harness.run();
    assert_eq!(harness.state(), &["Q4_K_M"]);
}

#[test]
fn messages_act_close_and_unfold() {
    let mut harness = harness(Theme::Light, 960.0, 900.0, gallery::messages);
    harness.run();
    harness.get_by_label("Undo").click();
    harness.run();
    harness.get_all_by_label("Close notice").last().unwrap().click();
    harness.run();
    harness.get_by_label("Start again").click();
    harness.run();
    assert!(harness.query_by_label("signal 6").is_none());
    harness.get_by_label("Show details").click();
    harness.run();
    assert!(harness.query_by_label("signal 6").is_some());
    harness.get_by_label("its documentation").click();
    harness.run();
    harness.get_by_label("Open a model").click();
    harness.run();
    assert_eq!(harness.state().pressed, ["Info acted", "Error closed", "error button 0", "link", "Open a model"]);
}

#[test]
fn readings_speak_and_progress_cancels() {
    let mut harness = harness(Theme::HighContrast, 960.0, 700.0, gallery::readings);
    harness.run();
    harness.get_by_label("Making Q4_K_M from F16, 62 %");
    harness.get_by_label_contains("Memory: weights 86 MB, KV cache 90 MB");
    harness.get_by_label_contains("Decode, 19");
    harness.get_by_label("Cancel").click();
    harness.run();
    assert_eq!(harness.state().pressed, ["Cancel"]);
}

#[test]
fn a_segmented_control_says_which_part_is_on() {
    let mut harness = Harness::builder().with_size(vec2(400.0, 60.0)).with_context_setup(theme::install).build_ui_state(
        |ui, value: &mut u8| {
            segmented(ui, "pages", value, &[(0, "One"), (1, "Two")]);
        },
        0_u8,
    );
    harness.run();
    harness.get_by_label("Two").click();
    harness.run();
    assert_eq!(*harness.state(), 1);
}

struct ListState {
    list: VirtualList,
    keys: Vec<u64>,
    heights: Vec<f32>,
    revision: u64,
    laid_out: Vec<usize>,
    output: ListOutput,
}

impl ListState {
    fn new(count: usize, estimate: f32, at_end: bool) -> Self {
        let heights: Vec<f32> = (0..count).map(|i| 20.0 + (i * 37 % 11) as f32 * 8.0).collect();
        Self {
            list: VirtualList::new(estimate, at_end),
            keys: (0..count as u64).collect(),
            heights,
            revision: 0,
            laid_out: Vec::new(),
            output: ListOutput::default(),
        }
    }

    fn show(&mut self, ui: &mut egui::Ui) {
        let Self { list, keys, heights, laid_out, .. } = self;
        (keys.len()..heights.len()).for_each(|index| keys.push(index as u64));
        laid_out.clear();
        let spec = ListSpec { id: egui::Id::unique("list"), count: heights.len(), revision: self.revision, gap: 0.0 };
        let id = |index: usize| RowId { key: keys[index], version: 0 };
        self.output = list.show(ui, spec, id, |ui, index| {
            laid_out.push(index);
            let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), heights[index]), egui::Sense::hover());
            ui.painter().text(rect.left_top(), egui::Align2::LEFT_TOP, format!("row {index}"), theme::body(), egui::Color32::WHITE);
        });
    }
}

/// Turns the wheel by `points`, and lets the smooth scroll of egui run out.
fn wheel<S>(harness: &mut Harness<'_, S>, points: f32) {
    harness.event(egui::Event::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        delta: vec2(0.0, points),
        modifiers: egui::Modifiers::NONE,
        phase: egui::TouchPhase::Move,
        source: egui::MouseWheelSource::Wheel,
    });
    harness.run_steps(6);
}

fn list_harness(state: ListState) -> Harness<'static, ListState> {
    let setup = |ctx: &egui::Context| {
        theme::install(ctx);
        theme::apply(ctx, Theme::Dark);
    };
    Harness::builder()
        .with_size(vec2(400.0, 416.0))
        .with_context_setup(setup)
        .build_ui_state(|ui, state: &mut ListState| state.show(ui), state)
}

#[test]
fn a_list_lays_out_only_what_is_in_view() {
    let mut harness = list_harness(ListState::new(100_000, 30.0, false));
    harness.run();
    assert_eq!(harness.state().output.first, 0);
    assert!(harness.state().laid_out.len() < 40, "{} rows laid out", harness.state().laid_out.len());
    harness.state_mut().list.scroll_to(70_000);
    harness.run();
    let output = harness.state().output;
    assert_eq!(output.first, 70_000);
    assert!(output.laid_out < 40);
}

#[test]
fn a_list_at_its_end_stays_there_while_the_last_row_grows_and_rows_come() {
    let mut harness = list_harness(ListState::new(500, 10.0, true));
    harness.run();
    assert!(harness.state().output.at_end);
    assert_eq!(harness.state().laid_out.last(), Some(&499));
    for step in 0..40 {
        let state = harness.state_mut();
        *state.heights.last_mut().unwrap() += 21.0;
        if step % 10 == 0 {
            state.heights.push(55.0);
        }
        harness.step();
        let state = harness.state();
        let bottom = state.output.total_height - state.output.offset;
        assert!(state.output.at_end && (bottom - 400.0).abs() < 24.0, "step {step}: {bottom} points to the end");
    }
}

#[test]
fn scrolling_up_leaves_the_end_and_coming_back_finds_it() {
    let mut harness = list_harness(ListState::new(500, 60.0, true));
    harness.run();
    harness.hover_at(egui::pos2(200.0, 200.0));
    wheel(&mut harness, 300.0);
    assert!(!harness.state().output.at_end);
    let offset = harness.state().output.offset;
    harness.state_mut().heights.push(100.0);
    harness.run_steps(3);
    assert!((harness.state().output.offset - offset).abs() < 1.0, "the view moved while reading");
    wheel(&mut harness, -2000.0);
    assert!(harness.state().output.at_end);
}

#[test]
fn correcting_estimates_above_does_not_move_what_is_read() {
    // every estimate is wrong by a factor of three or more
    let mut harness = list_harness(ListState::new(2_000, 8.0, false));
    harness.run();
    harness.state_mut().list.scroll_to(1_000);
    harness.run();
    for _ in 0..25 {
        let before = harness.state().output;
        harness.hover_at(egui::pos2(200.0, 200.0));
        wheel(&mut harness, 30.0);
        let after = harness.state().output;
        // thirty points up: at most two rows (a row has at least 20) may have come into view
        assert!(before.first - after.first <= 2, "jumped from row {} to {}", before.first, after.first);
    }
    assert!(harness.state().output.first < 1_000);
}

#[test]
fn rows_inserted_above_do_not_move_what_is_read() {
    let mut harness = list_harness(ListState::new(300, 60.0, false));
    harness.run();
    harness.state_mut().list.scroll_to(100);
    harness.run();
    harness.hover_at(egui::pos2(200.0, 200.0));
    wheel(&mut harness, -13.0);
    let before = harness.state().output;
    let state = harness.state_mut();
    for key in 0..7 {
        state.keys.insert(3, 10_000 + key);
        state.heights.insert(3, 90.0);
    }
    state.keys.remove(0);
    state.heights.remove(0);
    state.revision += 1;
    harness.run();
    let after = harness.state();
    assert_eq!(after.keys[after.output.first], before.first as u64, "another row is at the upper edge");
    assert_eq!(after.output.first, before.first + 6);
}

#[test]
fn a_hundred_thousand_rows_cost_little_per_frame() {
    let ctx = egui::Context::default();
    theme::install(&ctx);
    theme::apply(&ctx, Theme::Dark);
    let mut state = ListState::new(100_000, 40.0, true);
    let mut times = Vec::new();
    for frame in 0..220 {
        // a streaming reply: the last row grows, now and then another one comes
        *state.heights.last_mut().unwrap() += 0.5;
        if frame % 20 == 0 {
            state.heights.push(24.0);
        }
        let screen_rect = Some(egui::Rect::from_min_size(egui::Pos2::ZERO, vec2(800.0, 900.0)));
        let start = Instant::now();
        let output = ctx.run_ui(egui::RawInput { screen_rect, ..Default::default() }, |ui| state.show(ui));
        times.push(start.elapsed().as_secs_f64() * 1e3);
        output.drop_without_applying_deltas();
    }
    // the first frames load fonts and take the rows over
    let mut times = times.split_off(20);
    times.sort_by(f64::total_cmp);
    let p99 = times[times.len() * 99 / 100];
    println!("frame p50 {:.2} ms, p99 {p99:.2} ms", times[times.len() / 2]);
    assert!(p99 < 8.0, "p99 {p99:.2} ms");
}

#[test]
fn text_of_many_scripts_lays_out_without_a_missing_glyph() {
    let mut harness = Harness::builder().with_size(vec2(500.0, 200.0)).with_context_setup(theme::install).build_ui(|ui| {
        use inferscope::ui::widgets::Span;
        let spans = [Span::plain("Ångström, naïve façade, žluťoučký kůň, Ελληνικά, Кириллица, Tiếng Việt "), Span::code("→ ≤ ± │ ┌ █ ✓")];
        rich_text(ui, &spans, 14.0);
    });
    harness.run();
}

#[test]
fn icon_files_are_what_the_drawing_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let (png_path, svg_path) = (folder.join("icon.png"), folder.join("icon.svg"));
    if std::env::var("UPDATE_SNAPSHOTS").is_ok() {
        std::fs::write(&png_path, icon::png().unwrap()).unwrap();
        std::fs::write(&svg_path, icon::svg()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(svg_path).unwrap(), icon::svg(), "UPDATE_SNAPSHOTS=1 writes it anew");
    let mut reader = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(png_path).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    let drawn = icon::render(icon::ICON_SIZE);
    assert_eq!(pixels.len(), drawn.len());
    // floating point may round the last bit differently elsewhere
    assert!(pixels.iter().zip(&drawn).all(|(a, b)| a.abs_diff(*b) <= 1), "UPDATE_SNAPSHOTS=1 draws it anew");
}

#[test]
fn a_plot_zooms_drags_and_resets_on_a_double_click() {
    let points: Vec<[f64; 2]> = (0..600).map(|i| [f64::from(i) / 10.0 - 60.0, 100.0]).collect();
    let mut harness =
        Harness::builder().with_size(vec2(400.0, 200.0)).with_step_dt(0.05).with_context_setup(theme::install).build_ui_state(
            move |ui, zoomed: &mut Option<[f64; 2]>| {
                let axis = egui::Id::unique("axis");
                SeriesPlot::new(egui::Id::unique("plot"), "Decode", "t/s", &points, [-60.0, 0.0]).axis(axis).show(ui);
                *zoomed = time_axis::zoomed(ui.ctx(), axis);
            },
            None,
        );
    harness.run();
    assert_eq!(*harness.state(), None);
    harness.hover_at(egui::pos2(200.0, 60.0));
    harness.step();
    harness.event(egui::Event::Zoom(2.0));
    harness.run_steps(3);
    let [from, to] = harness.state().unwrap();
    assert!(from > -50.0 && to < -10.0, "{from} to {to}");
    let at = egui::pos2(200.0, 60.0);
    for pressed in [true, false, true, false] {
        harness.event(egui::Event::PointerButton {
            pos: at,
            button: egui::PointerButton::Primary,
            pressed,
            modifiers: egui::Modifiers::NONE,
        });
        harness.step();
    }
    harness.run_steps(2);
    assert_eq!(*harness.state(), None);
}
