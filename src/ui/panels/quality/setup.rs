//! What is to be compared, on what text.

use egui::{Frame, Margin, TextEdit, Ui, vec2};

use super::{QualityView, ask, earlier, prompts};
use crate::app::quality::{TextSource, Variant, on_disk};
use crate::app::{Action, AppState, QualityAction};
use crate::measure::format;
use crate::ui::parts::ladder::file_name;
use crate::ui::theme;
use crate::ui::widgets::{
    Chip, Icon, card, choice_row, icon_button, label, muted, page_header, primary_button, secondary_button, segmented, wrapped,
};

/// A text longer than this is named instead of shown, bytes: a field lays all of it out.
const FOLD_BYTES: usize = 64 << 10;

/// Under this width the sources have their short names, points.
const NARROW: f32 = 460.0;

/// What is typed.
#[derive(Default)]
pub(super) struct SetupView {
    pasted: String,
    prompts: prompts::PromptsView,
}

/// The sources as a choice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Builtin,
    File,
    Pasted,
    Chat,
    Prompts,
}

/// Paints what is to be chosen, and the one button that begins.
pub(super) fn setup(ui: &mut Ui, state: &AppState, view: &mut QualityView, actions: &mut Vec<Action>) {
    let candidates = state.quality_candidates();
    let reference = state.quality_reference().map_or("", |rung| rung.quant);
    let question = match candidates.as_slice() {
        [one] => format!("What does {} cost against {reference}?", one.name),
        _ => format!("What do these cost against {reference}?"),
    };
    let sentence = "Both sides read the same text and every token is compared: how much worse, where, and does it matter";
    let why_not = state.why_no_comparison();
    let narrow = ui.available_width() < 640.0;
    page_header(ui, &question, sentence, |ui| {
        let words = if candidates.len() > 1 { format!("Compare {}", candidates.len()) } else { "Compare".into() };
        let button = ui.add_enabled(why_not.is_none(), primary_button(words));
        let button = match &why_not {
            Some(why) => button.on_disabled_hover_text(why),
            None => button.on_hover_text("In an engine of its own: the chat goes on meanwhile, more slowly"),
        };
        if button.clicked() {
            ask(actions, QualityAction::Measure);
        }
        let all = state.quality_ladder_len();
        if all > 1 {
            let whole = ui.add_enabled(state.quality_text().is_ok(), secondary_button("Measure the whole ladder"));
            if whole.on_hover_text(format!("All {all} other rungs on disk, as one job")).clicked() {
                ask(actions, QualityAction::MeasureLadder);
            }
        }
        earlier::earlier(ui, state, &mut view.earlier, narrow, actions);
    });
    ui.add_space(12.0);
    card(ui, |ui| rungs(ui, state, actions));
    ui.add_space(4.0);
    card(ui, |ui| text(ui, state, &mut view.setup, actions));
    ui.add_space(4.0);
    card(ui, |ui| options(ui, state, actions));
    if let Some(why) = why_not {
        ui.add_space(4.0);
        muted(ui, why);
    }
}

fn section(ui: &mut Ui, name: &str, note: &str) {
    let palette = theme::palette(ui);
    label(ui, name, theme::body_strong(), palette.text);
    wrapped(ui, note, theme::small(), palette.muted);
    ui.add_space(2.0);
}

fn rungs(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let Some(family) = state.quality_family() else { return };
    let reference = state.quality_reference().map(|rung| rung.path);
    section(ui, "Reference", "What is taken for right: the largest rung on disk, unless you say otherwise");
    chips(ui, |ui| {
        for rung in on_disk(family) {
            let size = format::bytes(rung.size);
            let chip = Chip::one_of(rung.quant, Some(rung.path) == reference).detail(&size).picked_as("Reference");
            if ui.add(chip).on_hover_text(rung.path.display().to_string()).clicked() {
                ask(actions, QualityAction::SetReference(rung.path.to_owned()));
            }
        }
    });
    ui.add_space(8.0);
    section(
        ui,
        "Compared with it",
        "Each rung in each variant. Pick the reference itself with a coarser cache to see what the cache alone costs",
    );
    let picked = state.quality_rungs();
    chips(ui, |ui| {
        for rung in on_disk(family) {
            let is_picked = picked.iter().any(|other| other.path == rung.path);
            let size = format::bytes(rung.size);
            if ui.add(Chip::new(rung.quant, is_picked).detail(&size)).clicked() {
                ask(actions, QualityAction::ToggleRung(rung.path.to_owned()));
            }
        }
    });
    ui.add_space(2.0);
    chips(ui, |ui| {
        for variant in Variant::ALL {
            let is_picked = state.quality.setup.variants.contains(&variant);
            if ui.add(Chip::new(&variant.name(), is_picked)).clicked() {
                ask(actions, QualityAction::ToggleVariant(variant));
            }
        }
    });
}

fn chips(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(6.0, 6.0);
        add(ui);
    });
}

fn text(ui: &mut Ui, state: &AppState, view: &mut SetupView, actions: &mut Vec<Action>) {
    section(ui, "Text", "Your own is best: what you use the model for. A file can be dropped on this page");
    let source = &state.quality.setup.source;
    let now = match source {
        TextSource::Builtin => Kind::Builtin,
        TextSource::File(_) => Kind::File,
        TextSource::Pasted => Kind::Pasted,
        TextSource::Chat(_) => Kind::Chat,
        TextSource::Prompts(_) => Kind::Prompts,
    };
    let mut kind = now;
    let names = if ui.available_width() < NARROW {
        ["Evaluation", "File", "Pasted", "Chat", "Prompts"]
    } else {
        ["Evaluation text", "A file", "Pasted text", "A chat", "Prompts"]
    };
    let all = [Kind::Builtin, Kind::File, Kind::Pasted, Kind::Chat, Kind::Prompts];
    let kinds: Vec<(Kind, &str)> = all.into_iter().zip(names).collect();
    segmented(ui, "Text", &mut kind, &kinds);
    if kind != now {
        match kind {
            Kind::Builtin => ask(actions, QualityAction::UseBuiltin),
            Kind::File => ask(actions, QualityAction::PickText),
            Kind::Pasted => ask(actions, QualityAction::UsePasted),
            Kind::Prompts => ask(actions, QualityAction::UsePrompts(String::new())),
            Kind::Chat => {
                if let Some(chat) = state.chats.current().or_else(|| state.chats.list.first()) {
                    ask(actions, QualityAction::UseChat(chat.id));
                }
            }
        }
    }
    ui.add_space(2.0);
    match source {
        TextSource::Builtin => {
            muted(
                ui,
                "Ships with Inferscope: 19 kB of prose, dialogue, minutes, code, tables and verse, public domain, about 5,200 tokens",
            );
        }
        TextSource::File(path) => {
            ui.horizontal(|ui| {
                if ui.add(secondary_button("Choose another…").icon(Icon::Folder)).clicked() {
                    ask(actions, QualityAction::PickText);
                }
                label(ui, file_name(path), theme::mono(), theme::palette(ui).text).on_hover_text(path.display().to_string());
            });
        }
        TextSource::Pasted => paste(ui, view, actions),
        TextSource::Prompts(name) => prompts::prompts(ui, state, name, &mut view.prompts, actions),
        TextSource::Chat(id) => {
            let mut chosen = *id;
            let chats: Vec<_> = state.chats.list.iter().take(50).filter(|chat| chat.replies > 0 || chat.id == *id).collect();
            let options: Vec<_> =
                chats.iter().map(|chat| (chat.id, if chat.title.is_empty() { "New chat" } else { chat.title.as_str() })).collect();
            choice_row(ui, "Conversation", "What the assistant said is compared, read with everything before it", &mut chosen, &options);
            if chosen != *id {
                ask(actions, QualityAction::UseChat(chosen));
            }
        }
    }
    if let (false, Err(why)) = (matches!(source, TextSource::Pasted | TextSource::Prompts(_)), state.quality_text()) {
        let color = theme::palette(ui).event;
        wrapped(ui, why, theme::small(), color);
    }
}

fn paste(ui: &mut Ui, view: &mut SetupView, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let id = ui.scope_id().with("pasted text");
    let mut changed = ui.memory(|memory| memory.has_focus(id)) && take_long_paste(ui, &mut view.pasted);
    if view.pasted.len() > FOLD_BYTES {
        ui.horizontal(|ui| {
            let size = format::bytes(view.pasted.len() as u64);
            label(ui, format!("Pasted text, {size}"), theme::body(), palette.text)
                .on_hover_text("Too long to be edited here; all of it is read");
            if ui.add(icon_button(Icon::Close, "Remove the pasted text")).clicked() {
                view.pasted.clear();
                changed = true;
            }
        });
    } else {
        Frame::new().fill(palette.page).corner_radius(theme::CONTROL_RADIUS).inner_margin(Margin::same(4)).show(ui, |ui| {
            egui::ScrollArea::vertical().id_salt("pasted").max_height(150.0).show(ui, |ui| {
                let hint = egui::RichText::new("Paste some pages here").color(palette.muted);
                let edit = TextEdit::multiline(&mut view.pasted).id(id).hint_text(hint).desired_width(f32::INFINITY).desired_rows(6);
                changed |= ui.add(edit).accessible_name("Pasted text").changed();
            });
        });
    }
    if changed {
        ask(actions, QualityAction::SetPasted(view.pasted.clone()));
    }
}

/// Takes a paste that would freeze the field out of its hands. True when there was one.
fn take_long_paste(ui: &Ui, pasted: &mut String) -> bool {
    let before = pasted.len();
    ui.input_mut(|input| {
        input.events.retain(|event| match event {
            egui::Event::Paste(text) if text.len() > FOLD_BYTES => {
                pasted.push_str(text);
                false
            }
            _ => true,
        });
    });
    pasted.len() != before
}

fn options(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let setup = &state.quality.setup;
    // a conversation and answers are read whole
    let is_cut = !matches!(setup.source, TextSource::Chat(_) | TextSource::Prompts(_));
    if matches!(setup.source, TextSource::Prompts(_)) {
        let mut tokens = setup.answer_tokens;
        let lengths = [(64, "64 tokens"), (128, "128 tokens"), (256, "256 tokens"), (512, "512 tokens"), (1024, "1,024 tokens")];
        if choice_row(ui, "Longest answer", "Longer answers, narrower intervals", &mut tokens, &lengths).changed() {
            ask(actions, QualityAction::SetAnswerTokens(tokens));
        }
    }
    let mut chunks = setup.max_chunks;
    let lengths = [(0, "The whole text"), (4, "4 chunks"), (8, "8 chunks"), (16, "16 chunks"), (32, "32 chunks"), (64, "64 chunks")];
    if is_cut && choice_row(ui, "How much to read", "More text, narrower intervals", &mut chunks, &lengths).changed() {
        ask(actions, QualityAction::SetMaxChunks(chunks));
    }
    let mut tight = setup.tight_percent;
    let widths = [(0, "Never"), (20, "± 20 %"), (10, "± 10 %"), (5, "± 5 %"), (2, "± 2 %")];
    if choice_row(ui, "Stop early", "Once the 95 % interval of every mean KLD is as narrow as this", &mut tight, &widths).changed() {
        ask(actions, QualityAction::SetTight(tight));
    }
    let mut n_ctx = setup.n_ctx;
    let sizes = [(128, "128 tokens"), (256, "256 tokens"), (512, "512 tokens"), (1024, "1,024 tokens"), (2048, "2,048 tokens")];
    let note = "The second half of each chunk is scored, as llama-perplexity does it (its -c)";
    if is_cut && choice_row(ui, "Chunk", note, &mut n_ctx, &sizes).changed() {
        ask(actions, QualityAction::SetChunk(n_ctx));
    }
}
