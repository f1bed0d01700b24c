//! The page in its states, to be looked at.

use std::path::PathBuf;

use egui::Key;
use egui_kittest::kittest::Queryable as _;
use inferscope::app::{Activity, AppState, ContextMeter, Dialog, Generating, PromptView};
use inferscope::protocol::{Dropped, GenerateStats, JobId, Rendered, Role, StopReason};
use inferscope::store::{MessageId, MessageState};

use super::fixtures::*;

/// A picture to look at: its name, its width and height, its state, and the cursor.
type Picture = (&'static str, [f32; 2], fn() -> AppState, Option<[f32; 2]>);

#[test]
fn pictures_of_the_page() {
    let Some(folder) = std::env::var_os("INFERSCOPE_PICTURES").map(PathBuf::from) else { return };
    let pictures: [Picture; 18] = [
        ("tokens", [1160.0, 780.0], super::tokens::sea, Some([500.0, 200.0])),
        ("streaming", [960.0, 780.0], conversation, None),
        ("finished", [1160.0, 780.0], finished, Some([700.0, 200.0])),
        ("two_runs", [1160.0, 780.0], two_runs, None),
        ("rich", [1160.0, 1000.0], || rich_state(), Some([700.0, 300.0])),
        ("crash", [1160.0, 780.0], crashed, None),
        ("no_model", [1160.0, 780.0], AppState::default, None),
        ("suggestions", [1160.0, 780.0], || ready(&[]), Some([650.0, 300.0])),
        ("loading", [1160.0, 780.0], first_load, None),
        ("switching", [1160.0, 780.0], || with(finished(), |state| state.activity = Activity::Loading(loading())), None),
        ("notebook", [1160.0, 780.0], notebook, None),
        ("notebook_running", [1160.0, 780.0], notebook_running, None),
        ("make", [1160.0, 780.0], || with(finished(), |state| state.dialog = make_offer(true)), None),
        ("fit", [1160.0, 780.0], || with(finished(), |state| state.dialog = fit_warning()), None),
        ("overflow", [1160.0, 780.0], || with(finished(), |state| state.dialog = Dialog::Overflow(MessageId(4), error())), None),
        ("keys", [1160.0, 780.0], || with(finished(), |state| state.dialog = Dialog::Shortcuts), None),
        ("prompt", [1160.0, 780.0], prompt_state, None),
        ("failed", [1160.0, 780.0], failed, Some([700.0, 200.0])),
    ];
    for (name, [width, height], state, cursor) in pictures {
        let mut page = harness_of(Page::of(state()), width, height);
        page.run_ok();
        if let Some([x, y]) = cursor {
            page.hover_at(egui::pos2(x, y));
        }
        page.run_ok();
        page.render().unwrap().save(folder.join(format!("{name}.png"))).unwrap();
    }
    let mut page = harness_of(Page::of(super::tokens::sea()), 1024.0, 640.0);
    page.run();
    page.get_by_label("“ the”, 34 %").click();
    page.run_ok();
    page.render().unwrap().save(folder.join("token_card.png")).unwrap();
    let mut page = harness_of(Page::of(finished()), 1160.0, 780.0);
    page.run();
    page.get_by_label("Sampling").click();
    page.run_ok();
    page.render().unwrap().save(folder.join("sampling.png")).unwrap();
    page.key_press(Key::Escape);
    page.run_ok();
    page.get_by_label("System").click();
    page.run_ok();
    page.get_all_by_label("Edit message").next().unwrap().click();
    page.run_ok();
    page.render().unwrap().save(folder.join("editing.png")).unwrap();
}

fn first_load() -> AppState {
    with(ready(&[]), |state| {
        state.loaded = None;
        state.activity = Activity::Loading(loading());
    })
}

fn rich_state() -> AppState {
    let mut reply = message(2, Some(1), Role::Assistant, RICH);
    reply.stats = Some(GenerateStats { dropped: Some(Dropped { messages: 6, tokens: 1240 }), ..stats(StopReason::EndOfReply) });
    reply.provenance = Some(provenance("Q4_1", None));
    let other = message(3, Some(1), Role::Assistant, "Another");
    let mut state = ready(&[message(1, None, Role::User, "Show me all of Markdown, and a NUL \u{0}"), reply, other]);
    if let Some(open) = state.chats.open.as_mut() {
        open.relink(Some(MessageId(2)));
    }
    state
}

fn notebook_running() -> AppState {
    let text = ", there was a lighthouse keeper who repaired an old calculating machine.\nEvery evening it".to_owned();
    with(notebook(), |state| state.activity = Activity::Generating(Generating { text, ..generating(2) }))
}

fn prompt_state() -> AppState {
    let text = "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n<|im_start|>user\nWhat makes inference slow? \u{1b}[0m<|im_end|>\n<|im_start|>assistant\n";
    let rendered = Rendered { text: text.into(), n_tokens: 37, system_tokens: 12, last_tokens: 14 };
    with(finished(), |state| {
        state.dialog = Dialog::Prompt(Box::new(PromptView { job: JobId(1), of_reply: None, rendered: Some(Ok(rendered)) }))
    })
}

fn failed() -> AppState {
    let mut state = finished();
    if let Some(last) = state.chats.open.as_mut().and_then(|open| open.messages.get_mut(&MessageId(4))) {
        last.state = MessageState::Failed(error());
        last.stats = None;
    }
    state.meter = ContextMeter { n_ctx: 4096, system: 34, history: 3_900, draft: 100, reserve: 512, is_exact: false };
    state
}
