//! A reply token by token: what is read out, what is pressed, what it costs.

use inferscope::app::{Answer, Now, update};
use inferscope::protocol::{Alternative, PieceKind, TokenProb};
use inferscope::store::{encode_start, encode_tokens};

use super::*;

/// Says what is known of the tokens of message 2, as the disk would.
pub fn looked_at(text: &str, tokens: &[TokenProb]) -> AppState {
    let mut reply = message(2, Some(1), Role::Assistant, text);
    reply.stats = Some(stats(StopReason::EndOfReply));
    reply.provenance = Some(provenance("Q4_1", None));
    let mut state = ready(&[message(1, None, Role::User, "Where does he live?"), reply]);
    update::on_action(&mut state, Action::ShowProbabilities(MessageId(2)), Now::default());
    let mut data = Vec::new();
    encode_start(0, &mut data);
    encode_tokens(tokens, &mut data);
    update::on_answer(&mut state, Answer::Probs { message: MessageId(2), after: 0, last: 1, data }, Now::default());
    state
}

pub fn token(text: &str, p: f32, others: &[(&str, f32)]) -> TokenProb {
    let mut top: Vec<Alternative> =
        [(text, p)].iter().chain(others).map(|(text, p)| Alternative { text: (*text).into(), p: *p, kind: PieceKind::Text }).collect();
    top.sort_by(|a, b| b.p.total_cmp(&a.p));
    TokenProb { bytes: text.len() as u32, p, top }
}

pub fn sea() -> AppState {
    let mut tokens = vec![
        token("By", 0.97, &[(" In", 0.02)]),
        token(" the", 0.34, &[(" a", 0.41), (" his", 0.1), (" an", 0.05), (" one", 0.02)]),
        token(" sea", 0.6, &[(" lake", 0.2)]),
        token("\n", 0.08, &[(".", 0.7)]),
        token("He", 0.02, &[(" rows", 0.5), ("She", 0.2)]),
        token(" rows", 0.15, &[(" swims", 0.6)]),
    ];
    let end = Alternative { text: "<|im_end|>".into(), p: 0.9, kind: PieceKind::End };
    tokens.push(TokenProb { bytes: 0, p: 0.9, top: vec![end, Alternative { text: " and".into(), p: 0.05, kind: PieceKind::Text }] });
    looked_at("By the sea\nHe rows", &tokens)
}

#[test]
fn tokens_are_read_out_with_their_probability_and_branch_at_a_click() {
    let mut page = harness(sea());
    page.run();
    page.get_by_label_contains("Probability of each token under the model itself");
    page.get_by_label("under 5 %");
    page.get_by_label("“By”, 97 %");
    page.get_by_label("“¶”, 8.0 %");
    page.get_by_label("End of reply, 90 %");
    page.get_by_label("“ the”, 34 %").click();
    page.run();
    page.get_by_label("“ the”, 34 %, sampled");
    page.get_by_label("Go on with “ a”, 41 %").click();
    page.run();
    let [Action::BranchAt(message, at, alternative)] = &asked(&mut page)[..] else { panic!("a branch") };
    assert_eq!((*message, *at, alternative.text.as_str()), (MessageId(2), 2, " a"));
}

#[test]
fn the_keyboard_goes_from_token_to_token_and_chooses() {
    let mut page = harness(sea());
    page.run();
    page.get_by_label("“By”, 97 %").focus();
    page.run();
    page.key_press(Key::ArrowRight);
    page.run();
    assert!(page.get_by_label("“ the”, 34 %").is_focused());
    page.get_by_label("Go on with “ his”, 10 %");
    page.key_press(Key::ArrowDown);
    page.run();
    page.key_press(Key::ArrowUp);
    page.run();
    page.key_press(Key::ArrowLeft);
    page.run();
    page.key_press(Key::ArrowRight);
    page.run();
    page.key_press(Key::Num1);
    page.run();
    let asked = asked(&mut page);
    assert!(matches!(&asked[..], [Action::BranchAt(_, 2, alternative)] if alternative.text == " a"), "{asked:?}");
}

#[test]
fn while_a_reply_runs_nothing_branches() {
    let mut state = sea();
    state.activity = Activity::Generating(generating(99));
    let mut page = harness(state);
    page.run();
    page.get_by_label("“ the”, 34 %").click();
    page.run();
    assert!(page.query_by_label("Go on with “ a”, 41 %").is_none());
    page.key_press(Key::Num1);
    page.run();
    assert_eq!(asked(&mut page), []);
}

#[test]
fn a_reply_of_which_nothing_is_known_says_so_and_the_button_leads_back() {
    let mut page = harness(looked_at("Words", &[]));
    page.run();
    page.get_by_label_contains("Nothing is known of this reply's tokens");
    page.get_by_label_contains("Words");
    page.state_mut().obeys = true;
    page.get_all_by_label("Show as text").next().unwrap().click();
    page.run();
    assert_eq!(asked(&mut page), [Action::ShowProbabilities(MessageId(2))]);
    page.get_by_label("Token probabilities").click();
    page.run();
    assert_eq!(asked(&mut page), [Action::ShowProbabilities(MessageId(2))]);
}

#[test]
fn a_hundred_thousand_tokens_lay_out_only_what_is_in_view() {
    let tokens: Vec<TokenProb> = (0..100_000)
        .map(|n| {
            let word = if n % 12 == 11 { "word\n" } else { " word" };
            token(word, (n % 100) as f32 / 100.0, &[(" lake", 0.2), (" river", 0.1), (" stone", 0.05), (" lamp", 0.02)])
        })
        .collect();
    let text: String = (0..100_000).map(|n| if n % 12 == 11 { "word\n" } else { " word" }).collect();
    let mut page = harness(looked_at(&text, &tokens));
    page.run();
    let (rows, laid_out) = page.state().view.extent();
    assert!(rows > 300 && laid_out < 12, "{laid_out} of {rows} rows");
    let mut times = Vec::new();
    for _ in 0..30 {
        wheel(&page, 120.0);
        let before = Instant::now();
        page.step();
        times.push(before.elapsed());
    }
    times.sort();
    eprintln!("a frame of tokens: median {:?}, slowest {:?}", times[15], times[29]);
    assert!(times[15] < Duration::from_millis(60), "{:?}", times[15]);
}
