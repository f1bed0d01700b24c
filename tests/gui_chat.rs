//! The chat page and the dialogs, by accessible name, on states made by hand: what is pressed, what is asked for, what it costs.
//!
//! With `INFERSCOPE_PICTURES=folder` the pictures of the page in its states are written there, to be looked at.

#[path = "gui_chat/fixtures.rs"]
mod fixtures;
#[path = "gui_chat/pictures.rs"]
mod pictures;
#[path = "gui_chat/tokens.rs"]
mod tokens;

use std::time::{Duration, Instant};

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use fixtures::*;
use inferscope::app::{Action, Activity, AppState, Dialog, Generating, OpenChat, PromptView};
use inferscope::protocol::{Dropped, EngineError, ErrorKind, GenerateStats, JobId, Overflow, Rendered, Role, StopReason};
use inferscope::store::{ChatId, ChatMode, MessageId, MessageState};
use inferscope::ui::panels::chat::SUGGESTIONS;

// ---------------------------------------------------------------------------------------------------------------- sending

#[test]
fn enter_sends_what_is_typed_and_shift_enter_does_not() {
    let mut page = harness(finished());
    page.run();
    page.get_by_label("Message").focus();
    page.run();
    page.get_by_label("Message").type_text("Hello");
    page.run();
    assert_eq!(asked(&mut page), [Action::SetDraft("Hello".into())]);
    page.key_press_modifiers(Modifiers::SHIFT, Key::Enter);
    page.run();
    assert_eq!(asked(&mut page), [Action::SetDraft("Hello\n".into())]);
    page.key_press(Key::Enter);
    page.run();
    assert_eq!(asked(&mut page), [Action::Send]);
}

#[test]
fn a_sent_draft_leaves_the_field() {
    let mut page = harness(finished());
    page.state_mut().obeys = true;
    page.run();
    page.get_by_label("Message").focus();
    page.run();
    page.get_by_label("Message").type_text("Hello");
    page.run();
    page.get_by_label("Send").click();
    page.run();
    assert!(asked(&mut page).contains(&Action::Send));
    let draft = page.state().state.chats.current().map(|chat| chat.draft.clone());
    assert_eq!(draft.as_deref(), Some(""));
    assert_eq!(page.get_by_label("Message").accesskit_node().value().as_deref(), Some(""));
    page.get_by_label_contains("Waiting for the first token");
}

#[test]
fn nothing_is_not_sent() {
    let mut page = harness(finished());
    page.run();
    page.get_by_label("Message").focus();
    page.run();
    page.key_press(Key::Enter);
    page.run();
    assert_eq!(asked(&mut page), []);
}

#[test]
fn a_paste_of_ten_megabytes_is_folded_and_sent_exactly() {
    let mut page = harness(finished());
    page.run();
    page.get_by_label("Message").focus();
    page.run();
    let text = "A line with a NUL \u{0} and ESC \u{1b}[31m in it\n".repeat(250_000);
    page.event(egui::Event::Paste(text.clone()));
    let before = Instant::now();
    page.run();
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    assert_eq!(asked(&mut page), [Action::SetDraft(text)]);
    page.get_by_label_contains("Pasted text");
    page.get_by_label("Remove pasted text").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::SetDraft(String::new())]);
}

#[test]
fn stop_is_said_at_once() {
    let mut page = harness(conversation());
    page.run();
    page.get_by_label("Stop").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::Stop]);
    page.state_mut().obeys = true;
    page.get_by_label("Stop").click();
    page.run();
    assert!(page.get_all_by_label("Stopping").count() >= 2);
}

// ----------------------------------------------------------------------------------------------------- messages and branches

#[test]
fn what_is_said_under_replies() {
    let page = {
        let mut page = harness(conversation());
        page.run();
        page
    };
    page.get_by_label("109.1 t/s · 84 tokens · TTFT 112 ms · prompt 37 new, 0 reused · end of reply · Q4_1, ctx 8192");
    page.get_by_label("Switched to IQ4_NL in 0.21 s");
    page.get_by_label_contains("196.4 t/s · 47 tokens · TTFT 41 ms");
}

#[test]
fn each_run_of_a_reply_is_told_what_it_said() {
    let mut page = harness(two_runs());
    page.run();
    page.get_by_label_contains("Half of");
    page.get_by_label_contains("50.0 t/s · 84 tokens");
    page.get_by_label("Switched to IQ4_NL in 0.35 s");
    page.get_by_label_contains("the reply goes on");
    page.get_by_label_contains("196.4 t/s · 84 tokens");
    page.get_all_by_label("Copy message").last().unwrap().click();
    page.run();
    assert_eq!(asked(&mut page), [Action::Copy(TWO_RUNS.concat())]);
}

#[test]
fn a_question_is_edited_in_place_and_runs_as_a_branch() {
    let mut page = harness(finished());
    page.run();
    page.get_all_by_label("Edit message").next().unwrap().click();
    page.run();
    page.get_by_label("Send as a new branch");
    page.get_all_by_label("Edit message").find(|node| node.accesskit_node().value().is_some()).unwrap().type_text("Now: ");
    page.run();
    page.get_by_label("Send as a new branch").click();
    page.run();
    let asked = asked(&mut page);
    let [Action::EditAndRun(MessageId(1), text)] = asked.as_slice() else { panic!("{asked:?}") };
    assert!(text.contains("Now: ") && text.contains("What makes inference slow"), "{text}");
    assert!(page.query_by_label("Send as a new branch").is_none());
}

#[test]
fn escape_leaves_the_editor() {
    let mut page = harness(finished());
    page.run();
    page.get_all_by_label("Edit message").next().unwrap().click();
    page.run();
    page.key_press(Key::Escape);
    page.run();
    assert!(page.query_by_label("Send as a new branch").is_none());
    assert_eq!(asked(&mut page), []);
}

#[test]
fn a_changed_question_stays_in_its_editor_until_it_can_be_sent() {
    let mut page = harness(finished());
    page.run();
    page.get_all_by_label("Edit message").next().unwrap().click();
    page.run();
    page.state_mut().state.loaded = None;
    page.run();
    page.get_by_label("Send as a new branch").click();
    page.key_press(Key::Enter);
    page.run();
    assert_eq!(asked(&mut page), []);
    page.get_by_label("Send as a new branch");
    assert!(page.get_all_by_label("Regenerate").all(|button| button.accesskit_node().is_disabled()));
    page.state_mut().state.loaded = Some(report());
    page.run();
    page.get_by_label("Send as a new branch").click();
    page.run();
    assert!(matches!(asked(&mut page).as_slice(), [Action::EditAndRun(MessageId(1), _)]));
}

#[test]
fn branches_are_gone_through() {
    let mut state = ready(&[
        message(1, None, Role::User, "Question"),
        message(2, Some(1), Role::Assistant, "First"),
        message(3, Some(1), Role::Assistant, "Second"),
    ]);
    if let Some(open) = state.chats.open.as_mut() {
        open.relink(Some(MessageId(3)));
    }
    let mut page = harness(state);
    page.state_mut().obeys = true;
    page.run();
    page.get_by_label("2/2");
    page.get_by_label("Previous branch").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::ShowBranch(MessageId(2))]);
    page.get_by_label("1/2");
    page.get_by_label("First");
}

#[test]
fn every_action_of_a_reply() {
    let mut page = harness(finished());
    page.run();
    for (name, action) in [
        ("Copy message", Action::Copy("What makes inference slow, and what would you try first?".into())),
        ("Regenerate", Action::Regenerate(MessageId(2))),
        ("Show exact prompt", Action::ShowPromptOf(MessageId(2))),
        ("Branch to a new chat", Action::BranchToNewChat(MessageId(2))),
    ] {
        page.get_all_by_label(name).next().unwrap().click();
        page.run();
        assert_eq!(asked(&mut page), [action]);
    }
    page.get_by_label("Continue reply").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::Continue(MessageId(4))]);
}

#[test]
fn a_failed_reply_says_why_and_goes_on() {
    let mut state = finished();
    if let Some(last) = state.chats.open.as_mut().and_then(|open| open.messages.get_mut(&MessageId(4))) {
        last.state = MessageState::Failed(error());
        last.stats = None;
    }
    let mut page = harness(state);
    page.run();
    page.get_by_label_contains("llama.cpp stopped itself");
    page.get_by_label("Continue").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::Continue(MessageId(4))]);
}

#[test]
fn reading_the_prompt_has_a_bar_and_a_rest() {
    let mut state = conversation();
    let Activity::Generating(generating) = &mut state.activity else { unreachable!() };
    generating.prefill = Some((500, 2000));
    state.telemetry.prefill_tps = Some(500.0);
    let mut page = harness(state);
    page.run();
    page.get_by_label("Reading the prompt · 25 % · 500 of 2,000 tokens, about 3.0 s left");
    page.get_by_role_and_label(egui::accesskit::Role::ProgressIndicator, "Reading the prompt, 25 %");
}

#[test]
fn what_was_left_out_is_stamped() {
    let mut state = finished();
    if let Some(last) = state.chats.open.as_mut().and_then(|open| open.messages.get_mut(&MessageId(4))) {
        last.stats = Some(GenerateStats { dropped: Some(Dropped { messages: 6, tokens: 1240 }), ..stats(StopReason::MaxTokens) });
    }
    let mut page = harness(state);
    page.run();
    page.get_by_label("left out 6 older messages, 1,240 tokens");
}

#[test]
fn formulas_are_there_for_the_keyboard() {
    let mut page = harness(finished());
    page.run();
    let line = "109.1 t/s · 84 tokens";
    assert!(page.query_by_label_contains("(tokens − 1) /").is_none());
    page.get_all_by_label_contains(line).next().unwrap().focus();
    page.run();
    page.get_by_label_contains("(tokens − 1) /");
    page.get_by_label_contains("Tokens of the prompt found in the KV cache");
}

#[test]
fn pages_of_the_conversation_are_turned_by_keys() {
    let long = "A paragraph of a long reply.\n\n".repeat(400);
    let mut page = harness(ready(&[message(1, None, Role::User, "First of all"), message(2, Some(1), Role::Assistant, &long)]));
    page.run();
    assert!(page.query_by_label("First of all").is_none(), "it starts at its end");
    page.key_press(Key::Home);
    page.run();
    page.get_by_label("First of all");
    page.get_by_label("Message").focus();
    page.run();
    page.key_press(Key::PageDown);
    page.run();
    assert!(page.query_by_label("First of all").is_none(), "a page down works from the message field too");
    page.key_press(Key::PageUp);
    page.run();
    page.get_by_label("First of all");
    page.key_press(Key::End);
    page.run();
    page.get_by_label("First of all");
    page.key_press_modifiers(Modifiers::COMMAND, Key::End);
    page.run();
    assert!(page.query_by_label("First of all").is_none(), "End alone is the field's");
}

// ------------------------------------------------------------------------------------------------------------ the list

#[test]
fn chats_are_opened_renamed_and_deleted() {
    let mut page = harness(finished());
    page.run();
    page.get_by_label("New chat").click();
    page.get_by_label_contains("Quarterly summary").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::NewChat, Action::OpenChat(ChatId(2))]);
    page.get_by_label_contains("Quarterly summary").focus();
    page.run();
    page.key_press(Key::F2);
    page.run();
    page.get_by_label("Title of the chat").type_text("My ");
    page.run();
    page.key_press(Key::Enter);
    page.run();
    let renamed = asked(&mut page);
    let [Action::RenameChat(ChatId(2), title)] = renamed.as_slice() else { panic!("{renamed:?}") };
    assert!(title.contains("My") && title.contains("Quarterly summary"));
    page.get_by_label_contains("Quarterly summary").focus();
    page.run();
    page.key_press(Key::Delete);
    page.run();
    assert_eq!(asked(&mut page), [Action::DeleteChat(ChatId(2))]);
}

#[test]
fn arrows_walk_the_list_of_chats() {
    let mut page = harness(finished());
    page.run();
    page.get_by_label_contains("Why inference is slow, ").focus();
    page.run();
    page.key_press(Key::ArrowDown);
    page.run();
    assert!(page.get_by_label_contains("Quarterly summary, ").accesskit_node().is_focused());
    page.key_press(Key::Enter);
    page.run();
    assert_eq!(asked(&mut page), [Action::OpenChat(ChatId(2))]);
    page.key_press(Key::Home);
    page.run();
    assert!(page.get_by_label_contains("Why inference is slow, ").accesskit_node().is_focused());
}

#[test]
fn a_chat_far_down_the_list_is_walked_to() {
    let mut state = finished();
    state.chats.list = (1..=200).map(|id| chat(id, &format!("Chat number {id}"), ChatMode::Chat)).collect();
    let mut page = harness(state);
    page.run();
    page.get_by_label_contains("Chat number 1,").focus();
    page.run();
    page.key_press(Key::End);
    page.run();
    assert!(page.get_by_label_contains("Chat number 200,").accesskit_node().is_focused());
}

#[test]
fn delete_in_a_field_never_reaches_a_chat() {
    let mut page = harness(finished());
    page.run();
    for field in ["Message", "Search chats"] {
        page.get_by_label(field).focus();
        page.run();
        page.key_press(Key::Delete);
        page.key_press(Key::Backspace);
        page.run();
    }
    assert!(!asked(&mut page).iter().any(|action| matches!(action, Action::DeleteChat(_))));
}

#[test]
fn the_search_field_takes_the_focus_when_asked() {
    let mut page = harness(finished());
    page.state_mut().view.focus_search = true;
    page.run();
    page.get_by_label("Search chats").type_text("slow");
    page.run();
    assert_eq!(asked(&mut page).last(), Some(&Action::SearchChats("slow".into())));
    assert!(!page.state().view.focus_search);
    page.state_mut().view.focus_composer = true;
    page.run();
    assert!(page.get_by_label("Message").accesskit_node().is_focused());
}

#[test]
fn ten_thousand_chats_cost_what_is_in_view() {
    let mut state = finished();
    state.chats.list = (1..=10_000).map(|id| chat(id, &format!("Chat {id}"), ChatMode::Chat)).collect();
    let mut page = harness(state);
    page.run();
    let mut times: Vec<Duration> = (0..20)
        .map(|_| {
            let before = Instant::now();
            page.step();
            before.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[10] < Duration::from_millis(30), "{:?}", times[10]);
    assert!(page.get_all_by_label_contains("Chat ").count() < 40);
}

#[test]
fn a_narrow_window_folds_the_list() {
    let mut page = harness_of(Page::of(finished()), 700.0, 560.0);
    page.run();
    assert!(page.query_by_label("Search chats").is_none());
    page.get_by_label("Show chats").click();
    page.run();
    page.get_by_label_contains("Quarterly summary").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::OpenChat(ChatId(2))]);
    assert!(page.query_by_label("Search chats").is_none());
}

// ------------------------------------------------------------------------------------------------------------ empty pages

#[test]
fn empty_pages_say_what_would_be_here() {
    let mut page = harness(AppState::default());
    page.run();
    page.get_by_label("Open a model…").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::PickModel]);

    let mut page = harness(ready(&[]));
    page.run();
    page.get_by_label(SUGGESTIONS[0].0).click();
    page.run();
    assert_eq!(asked(&mut page), [Action::SetDraft(SUGGESTIONS[0].2.into()), Action::Send]);

    let mut state = ready(&[]);
    state.loaded = None;
    state.activity = Activity::Loading(loading());
    let mut page = harness(state);
    page.run();
    page.get_by_label("Loading smollm2-Q4_1");
    page.get_by_label("Cancel").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::Stop]);

    let mut state = ready(&[]);
    state.chats.open = Some(OpenChat::loading(ChatId(1)));
    let mut page = harness(state);
    page.run();
    page.get_by_label("Reading the chat from disk");
}

#[test]
fn a_crash_says_why_and_one_button_goes_on() {
    let mut page = harness(crashed());
    page.run();
    page.get_by_label("The engine ended");
    page.get_by_label_contains("GGML_ASSERT(n_tokens > 0) failed");
    page.get_by_label("Go on: reload smollm2-Q4_1 and finish the reply").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::Recover]);
    page.get_by_label("Dismiss").click();
    page.get_by_label("Copy report").click();
    page.run();
    let asked = asked(&mut page);
    assert_eq!(asked[0], Action::DismissCrash);
    assert!(matches!(&asked[1], Action::Copy(report) if report.contains("ggml.c:1234") && report.contains("assertion")));
}

// ---------------------------------------------------------------------------------------------------------------- notebook

#[test]
fn a_notebook_is_edited_and_continued() {
    let mut page = harness(notebook());
    page.run();
    page.get_by_label("Continue").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::Send]);
    page.get_by_label("Notebook text").focus();
    page.run();
    page.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    page.run();
    assert_eq!(asked(&mut page), [Action::Send], "and no new line");
    page.get_by_label("Notebook text").type_text("!");
    page.run();
    assert!(matches!(asked(&mut page).as_slice(), [Action::SetDraft(text)] if text.contains("Once upon a time") && text.contains('!')));
    page.state_mut().state.activity = Activity::Generating(Generating { text: ", there was".into(), ..generating(2) });
    page.run();
    page.get_by_label_contains("Once upon a time, there was");
    page.get_by_label("Stop").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::Stop]);
}

// ---------------------------------------------------------------------------------------------------------------- dialogs

fn with_dialog(dialog: Dialog) -> Harness<'static, Page> {
    let mut state = finished();
    state.dialog = dialog;
    let mut page = harness(state);
    page.run();
    page
}

#[test]
fn making_a_rung_is_confirmed() {
    let mut page = with_dialog(make_offer(true));
    page.get_by_label_contains("Q8_0 has itself lost precision");
    page.get_by_label("Size, estimated ≈ 99 MB");
    page.get_by_label("Make Q4_K_M").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::ConfirmMake]);
    page.key_press(Key::Escape);
    page.run();
    assert_eq!(asked(&mut page), [Action::CloseDialog]);
}

#[test]
fn a_design_that_does_not_fit_names_what_does() {
    let mut page = with_dialog(fit_warning());
    page.get_by_label_contains("It would take about 5.2 GB of the 4.1 GB that can be had");
    page.get_by_label("Load that instead").click();
    page.get_by_label("Load anyway").click();
    page.get_by_label("Cancel").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::LoadNearestFit, Action::LoadAnyway, Action::CloseDialog]);
}

#[test]
fn an_overflow_is_never_silent() {
    let overflow = EngineError::new(ErrorKind::ContextOverflow, "The prompt has 5,120 tokens, the context holds 4,096");
    let mut page = with_dialog(Dialog::Overflow(MessageId(4), overflow));
    page.get_by_label("Do the same from now on").click();
    page.run();
    page.get_by_label("Keep both ends").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::SetOverflow(Overflow::KeepEnds), Action::ResolveOverflow(Overflow::KeepEnds)]);
}

#[test]
fn the_exact_prompt_can_be_read_and_copied() {
    let text = "<|im_start|>user\nHi \u{1b}[0m<|im_end|>\n".repeat(20_000);
    let rendered = Rendered { text: text.clone(), n_tokens: 240_000, system_tokens: 0, last_tokens: 12 };
    let mut page = with_dialog(Dialog::Prompt(Box::new(PromptView { job: JobId(1), of_reply: None, rendered: Some(Ok(rendered)) })));
    page.get_by_label("240,000 tokens: conversation 239,988, last message 12");
    assert!(page.query_all_by_label_contains("‹ESC›").next().is_some());
    page.get_by_label("Copy prompt").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::Copy(text)]);
}

#[test]
fn the_prompt_of_a_reply_says_what_is_known_of_it() {
    let note = "It did not fit in the context then, and 6 older messages were left out; they are shown here";
    let view = PromptView { job: JobId(1), of_reply: Some(vec![note.into()]), rendered: Some(Ok(Rendered::default())) };
    let page = with_dialog(Dialog::Prompt(Box::new(view)));
    page.get_by_label("The exact prompt of this reply");
    page.get_by_label(note);
}

#[test]
fn the_keys_are_listed() {
    let page = with_dialog(Dialog::Shortcuts);
    page.get_by_label("Send the message");
    page.get_by_label("Rename the chat that has the focus");
    page.get_by_label("Delete the chat that has the focus");
}

// ---------------------------------------------------------------------------------------------------- hostile and long text

#[test]
fn hostile_text_is_shown_and_copied_as_it_is() {
    let hostile = [
        "NUL \u{0} BEL \u{7} ESC \u{1b}]8;;http://x\u{7}link\u{1b}]8;;\u{7} C1 \u{9b}31m",
        "bidi \u{202e}gnp.exe zero\u{200b}width \u{feff} tags \u{e0041}\u{e0042}",
        "```\nunclosed `fence` | a | b |\n|---\n> > > > > > - - - 1. 1. ",
        &"> ".repeat(2_000),
        &"[".repeat(5_000),
        &"x".repeat(1_000_000),
        &"| a ".repeat(3_000),
        "\n\n\n\r\n\r\r\t",
    ];
    let mut messages = Vec::new();
    for (index, text) in hostile.iter().enumerate() {
        let id = 2 * index as i64 + 1;
        messages.push(message(id, (id > 1).then_some(id - 1), Role::User, text));
        messages.push(message(id + 1, Some(id), Role::Assistant, text));
    }
    let mut page = harness(ready(&messages));
    page.run();
    for _ in 0..60 {
        page.hover_at(egui::pos2(700.0, 300.0));
        wheel(&page, 4_000.0);
        page.run_steps(2);
    }
    page.get_all_by_label("Copy message").next().unwrap().click();
    page.run();
    assert!(asked(&mut page).iter().any(|action| matches!(action, Action::Copy(text) if hostile.contains(&text.as_str()))));
}

/// 100,000 tokens, 500 KB, arriving while they are read: a frame lays out what is in view, and no more.
#[test]
fn a_long_reply_streams_within_the_frame_budget() {
    let paragraph = "Some words of a reply with `code` and **weight**, in a paragraph that wraps once or twice over the column.\n\n- item one\n- item two\n\n```rust\nfn f() -> u32 { 42 }\n```\n\n";
    let whole = paragraph.repeat(500_000 / paragraph.len());
    let mut state = conversation();
    let half = whole.len() / 2;
    let set = |state: &mut AppState, end: usize| {
        let text = whole.get(..end).unwrap().to_owned();
        state.chats.open.as_mut().unwrap().messages.get_mut(&MessageId(4)).unwrap().text = text;
    };
    set(&mut state, half);
    let mut page = harness(state);
    page.run_ok();
    let mut times = Vec::new();
    for step in 0..200 {
        set(&mut page.state_mut().state, whole.floor_char_boundary(half + step * (half / 200)));
        let before = Instant::now();
        page.step();
        times.push(before.elapsed());
    }
    let (rows, laid_out) = page.state().view.extent();
    assert!(rows > 5_000 && laid_out < 60, "{laid_out} of {rows} rows");
    times.sort();
    let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("{rows} rows, {laid_out} laid out, frame median {median:?}, p99 {p99:?}, with the accessibility tree of the harness");
    // a frame here does more than the window's (the harness follows the accessibility tree), and other tests run beside it
    assert!(median < Duration::from_millis(8) && p99 < Duration::from_millis(24), "median {median:?}, p99 {p99:?}");
}

#[test]
fn what_the_user_reads_stays_while_a_reply_grows() {
    let mut state = conversation();
    let text = "A paragraph of the reply.\n\n".repeat(200);
    state.chats.open.as_mut().unwrap().messages.get_mut(&MessageId(4)).unwrap().text = text;
    let mut page = harness(state);
    page.run();
    assert!(page.query_by_label("Jump to latest").is_none());
    page.hover_at(egui::pos2(700.0, 300.0));
    wheel(&page, 900.0);
    page.run_ok();
    page.get_by_label("Jump to latest").click();
    page.run_ok();
    page.run_ok();
    assert!(page.query_by_label("Jump to latest").is_none());
}
