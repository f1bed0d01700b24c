//! Every widget in every state, on one page: what the snapshot tests look at, and a place to try a change.

use egui::{Align, Frame, Layout, Margin, ScrollArea, Ui, vec2};

use super::{
    ContextMeter, ErrorCard, Icon, Level, ListSpec, Marker, MemoryBar, Notice, Progress, RowId, RungKey, RungState, Segment, SeriesPlot,
    Span, SpanStyle, Stat, TimePlot, TimeSeries, Tone, VirtualList, buttons, card, choice_row, code_block, danger_button, empty_state,
    ghost_button, hairline, icon_button, nav_item, number_row, page_header, pill, primary_button, rich_text, search_field,
    secondary_button, section_label, segmented, shortcut_label, stat_row, text_row, tight, toggle_row,
};
use crate::ui::theme::{self, Theme};

/// What the controls of the gallery are set to.
pub struct GalleryState {
    /// The words of the search field.
    pub query: String,
    /// The switch.
    pub on: bool,
    /// The number.
    pub number: u32,
    /// The choice.
    pub choice: Theme,
    /// The segmented control.
    pub segment: u8,
    /// The line of text.
    pub line: String,
    /// Names of what was pressed, in order.
    pub pressed: Vec<String>,
    series: Vec<[f64; 2]>,
    list: VirtualList,
}

impl Default for GalleryState {
    fn default() -> Self {
        Self {
            query: String::new(),
            on: true,
            number: 4096,
            choice: Theme::Dark,
            segment: 0,
            line: String::new(),
            pressed: Vec::new(),
            series: demo_series(),
            list: VirtualList::new(20.0, true),
        }
    }
}

/// A step from one level to a higher one, with a gap while switching.
fn demo_series() -> Vec<[f64; 2]> {
    let wobble = |i: u32| f64::from((i * 7919 + i * i * 131) % 97) / 97.0 * 6.0;
    (0..240)
        .map(|i| {
            let level = match i {
                0..110 => 109.0 + wobble(i),
                110..116 => 0.0,
                _ => 192.0 + wobble(i),
            };
            [f64::from(i) / 4.0 - 60.0, level]
        })
        .collect()
}

/// Everything, scrolling.
pub fn gallery(ui: &mut Ui, state: &mut GalleryState) {
    ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        controls(ui, state);
        ui.add_space(24.0);
        readings(ui, state);
        ui.add_space(24.0);
        messages(ui, state);
    });
}

/// Keys, buttons, fields.
pub fn controls(ui: &mut Ui, state: &mut GalleryState) {
    page_header(ui, "Which design is best here?", "10 designs measured in 3 min 41 s, order shuffled, 5 repetitions", |ui| {
        ui.add(primary_button("Measure 12 more, 2 min"));
        ui.add(secondary_button("Export").icon(Icon::Export));
    });
    ladder(ui, state);
    hairline(ui);
    ui.horizontal_wrapped(|ui| {
        for (words, button) in [
            ("Use this design", primary_button("Use this design")),
            ("Unload", secondary_button("Unload")),
            ("Stop", danger_button("Stop").icon(Icon::Stop)),
            ("Sampling", secondary_button("Sampling").shortcut("Ctrl+,")),
            ("Show details", ghost_button("Show details").icon(Icon::ChevronRight)),
        ] {
            if ui.add(button).clicked() {
                state.pressed.push(words.to_owned());
            }
        }
        ui.add_enabled(false, primary_button("Not now"));
        ui.add_enabled(false, secondary_button("Not now either"));
    });
    icons(ui, state);
    hairline(ui);
    ui.columns(2, |columns| {
        if let [left, right] = columns {
            settings(left, state);
            navigation(right, state);
        }
    });
}

fn ladder(ui: &mut Ui, state: &mut GalleryState) {
    let rungs = [
        ("F16", "257 MB", RungState::OnDisk),
        ("Q8_0", "136 MB", RungState::OnDisk),
        ("Q6_K", "make", RungState::CanMake),
        ("Q5_K_M", "105 MB", RungState::Making(0.62)),
        ("Q4_K_M", "99 MB", RungState::Loading(0.4)),
        ("Q4_1", "92 MB", RungState::Warm),
        ("IQ4_NL", "86 MB", RungState::Active),
        ("IQ2_XS", "imatrix", RungState::Unavailable),
    ];
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        for (name, detail, rung) in rungs {
            if ui.add(RungKey::new(name, detail, rung).hint("4 bits in super-blocks")).clicked() {
                state.pressed.push(name.to_owned());
            }
        }
    });
}

fn icons(ui: &mut Ui, state: &mut GalleryState) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(2.0, 2.0);
        for (index, icon) in Icon::ALL.into_iter().enumerate() {
            let name = format!("{icon:?}");
            if ui.add(icon_button(icon, &name).on(index == 5)).clicked() {
                state.pressed.push(name);
            }
        }
    });
}

fn settings(ui: &mut Ui, state: &mut GalleryState) {
    card(ui, |ui| {
        let themes = Theme::ALL.map(|theme| (theme, theme.label()));
        choice_row(ui, "Theme", "", &mut state.choice, &themes);
        toggle_row(ui, "Keep the previous rung warm", "Flipping back costs no load, and takes its memory", &mut state.on);
        number_row(ui, "Context", "Tokens the model can look back on", &mut state.number, 512..=131_072, "");
        text_row(ui, "Stop at", "", &mut state.line, "None");
        let segments = [(0, "Stop"), (1, "Drop oldest"), (2, "Keep first and last")];
        ui.add_space(4.0);
        segmented(ui, "When the context is full", &mut state.segment, &segments);
    });
}

fn navigation(ui: &mut Ui, state: &mut GalleryState) {
    search_field(ui, &mut state.query, "Search chats");
    for (name, selected) in [("Chat", true), ("Library", false), ("Settings", false)] {
        if nav_item(ui, name, selected).clicked() {
            state.pressed.push(name.to_owned());
        }
    }
    ui.horizontal(|ui| {
        pill(ui, "IQ4_NL", Tone::Neutral);
        pill(ui, "running", Tone::Accent);
        pill(ui, "noisy", Tone::Event);
        pill(ui, "over the limit", Tone::Limit);
        pill(ui, "trusted", Tone::Good);
    });
    ui.horizontal(|ui| {
        super::muted(ui, "Commands");
        shortcut_label(ui, "Ctrl+Shift+K");
    });
}

/// Numbers, plots, bars.
pub fn readings(ui: &mut Ui, state: &mut GalleryState) {
    ui.columns(2, |columns| {
        if let [left, right] = columns {
            card(left, |ui| telemetry(ui, state));
            card(right, |ui| memory(ui, state));
        }
    });
    let tiles = [
        ("Perplexity", "21.29", "", "18.30 for F16, 1.163x"),
        ("Mean KLD", "0.185", "", "95 % CI 0.179 to 0.192"),
        ("Same top token", "75.5", "%", "± 0.7"),
        ("First divergence", "212", "token", "greedy, 50 prompts"),
    ];
    ui.columns(tiles.len(), |columns| {
        for (column, (label, value, unit, note)) in columns.iter_mut().zip(tiles) {
            card(column, |ui| ui.add(Stat::new(label, value, unit).note(note)));
        }
    });
    ContextMeter { system: 34, history: 180, draft: 96, reply: 512, total: 4096 }.show(ui);
    ContextMeter { system: 34, history: 3900, draft: 96, reply: 512, total: 4096 }.show(ui);
    let job = Progress::new("Making Q4_K_M from F16", Some(0.62)).left("about 8 s left").cancellable().show(ui);
    if job.cancelled {
        state.pressed.push("Cancel".to_owned());
    }
    Progress::new("Reading the file", None).show(ui);
}

fn telemetry(ui: &mut Ui, state: &GalleryState) {
    ui.horizontal(|ui| {
        section_label(ui, "Decode");
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| super::muted(ui, "ITL p95 5.6 ms"));
    });
    ui.add(Stat::new("", "196.4", "tokens/s").display());
    ui.add_space(16.0);
    let markers = [Marker::new(-41.0, "load Q4_1 0.9 s"), Marker::new(-32.5, "Q4_1 → IQ4_NL 0.21 s")];
    let range = [-60.0, 0.0];
    SeriesPlot::new(egui::Id::unique("gallery live"), "Decode", "t/s", &state.series, range)
        .markers(&markers)
        .max_label("240")
        .axis(egui::Id::unique("gallery axis"))
        .show(ui);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 24.0;
        ui.add(Stat::new("Prefill", "948", "t/s"));
        ui.add(Stat::new("TTFT", "41", "ms").hint("Time from sending the prompt to the first token"));
        ui.add(Stat::new("Of bandwidth limit", "35", "%"));
    });
}

fn memory(ui: &mut Ui, state: &GalleryState) {
    let palette = theme::palette(ui);
    stat_row(ui, "Memory, predicted 405 MB", "412 MB");
    let parts = [
        ("weights", 86.0, "86 MB"),
        ("KV cache", 90.0, "90 MB"),
        ("compute", 105.0, "105 MB"),
        ("engine, other", 58.0, "58 MB"),
        ("window", 73.0, "73 MB"),
    ];
    let segments: Vec<Segment<'_>> =
        parts.into_iter().zip(palette.data).map(|((label, value, text), color)| Segment { label, value, text, color }).collect();
    MemoryBar::new("Memory", &segments).out_of(460.0).predicted(405.0).show(ui);
    let half: Vec<[f64; 2]> = state.series.iter().map(|[at, value]| [*at, value / 2.0]).collect();
    let series = [("weights", &half, palette.data[0]), ("KV cache", &state.series, palette.data[1])]
        .map(|(label, points, color)| TimeSeries { label, points, color });
    TimePlot::new("Memory over time", &series, [-60.0, 0.0], |bytes| format!("{bytes:.0} MB")).stacked().show(ui);
    tight(ui, |ui| {
        stat_row(ui, "CPU engine", "196 %");
        stat_row(ui, "CPU window", "6 %");
        stat_row(ui, "Cost of the window to decode", "2.1 %");
    });
    SeriesPlot::new(egui::Id::unique("gallery paused"), "Prefill", "t/s", &state.series, [-60.0, 0.0]).height(48.0).paused(true).show(ui);
}

/// Text, notices, errors, an empty page, a long list.
pub fn messages(ui: &mut Ui, state: &mut GalleryState) {
    reply(ui, state);
    for (level, text) in [
        (Level::Info, "Switched to IQ4_NL in 0.21 s"),
        (Level::Warning, "Loaded with 2,048 tokens of context: 4,096 do not fit into memory"),
        (Level::Error, "Failed to load model: the file ends early, at 61 of 86 MB. Download it again. ~/models/smol-iq4_nl.gguf"),
    ] {
        let pressed = Notice::new(level, text).action(if level == Level::Info { "Undo" } else { "Show" }).show(ui);
        if pressed.acted || pressed.closed {
            state.pressed.push(format!("{level:?} {}", if pressed.acted { "acted" } else { "closed" }));
        }
    }
    let lines = ["ggml.c:1234: GGML_ASSERT(a->ne[0] == b->ne[0]) failed".to_owned(), "signal 6".to_owned()];
    let sentence = "llama.cpp stopped on an assertion. What was written so far is kept. Start the engine again to go on.";
    let card = ErrorCard::new("The engine stopped", sentence).details(&lines).buttons(&["Start again", "Open log"]);
    if let Some(button) = card.show(ui, "gallery").button {
        state.pressed.push(format!("error button {button}"));
    }
    ui.columns(2, |columns| {
        if let [left, right] = columns {
            Frame::new().show(left, |ui| {
                ui.set_height(140.0);
                if empty_state(ui, "No model yet", "Models you add are shown here with every rung of their ladder", Some("Open a model")) {
                    state.pressed.push("Open a model".to_owned());
                }
            });
            right.allocate_ui(vec2(right.available_width(), 130.0), |ui| {
                let spec = ListSpec { id: egui::Id::unique("gallery list"), count: 100_000, revision: 0, gap: 4.0 };
                let id = |index: usize| RowId { key: index as u64, version: 0 };
                state.list.show(ui, spec, id, |ui, index| {
                    super::muted(ui, format!("Row {index} of a hundred thousand"));
                });
            });
        }
    });
}

fn reply(ui: &mut Ui, state: &mut GalleryState) {
    super::raised_frame(ui)
        .inner_margin(Margin::symmetric(14, 10))
        .show(ui, |ui| super::body(ui, "What makes inference slow, and what would you try first?"));
    let italic = SpanStyle { italic: true, ..SpanStyle::default() };
    let strike = SpanStyle { strike: true, ..SpanStyle::default() };
    let spans = [
        Span::plain("Decoding reads every weight of the model once per token, so its speed is set by "),
        Span { text: "memory bandwidth", style: italic },
        Span::plain(" more than by "),
        Span { text: "clock speed", style: strike },
        Span::plain(" arithmetic.\n\n"),
        Span::bold("1. A smaller quantization level. "),
        Span::plain("Fewer bytes per weight, see "),
        Span::code("llama-quantize"),
        Span::plain(" and "),
        Span::link("its documentation"),
        Span::plain("."),
    ];
    if rich_text(ui, &spans, 14.0).followed.is_some() {
        state.pressed.push("link".to_owned());
    }
    super::muted(ui, "109.1 t/s · 84 tokens · TTFT 112 ms · prompt 37 new, 0 reused · end of reply · Q4_1");
    if code_block(ui, "rust", "fn main() {\n    println!(\"Ελληνικά, Кириллица -> != ≤\");\n}\n", "gallery") {
        state.pressed.push("copied".to_owned());
    }
    ui.horizontal(|ui| {
        for icon in [Icon::Copy, Icon::Refresh, Icon::Branch] {
            ui.add(buttons::icon_button(icon, &format!("{icon:?} reply")));
        }
    });
}
