//! States made by hand, and the page over them.

#[path = "../support/stage.rs"]
mod stage;

use std::path::PathBuf;

use egui::{Modifiers, vec2};
use egui_kittest::Harness;
use inferscope::app::{
    Action, Activity, AppState, ContextMeter, Crash, Dialog, EngineState, FitWarning, Generating, Loading, MakeOffer, Now, OpenChat,
    ReplyId, Retry, update,
};
use inferscope::library::{Estimate, NearestFit};
use inferscope::protocol::{
    Design, Effective, EngineError, EngineFacts, ErrorKind, GenerateStats, JobId, LoadReport, MemoryUse, ModelInfo, Role, Sampler,
    StopReason,
};
use inferscope::store::{Chat, ChatId, ChatMessage, ChatMode, MessageId, MessageState, Provenance};
use inferscope::ui::panels::chat::{ChatView, chat_page};
use inferscope::ui::panels::crash::crash;
use inferscope::ui::panels::dialogs::{DialogsView, dialogs};
use inferscope::ui::theme::Theme;
use stage::stage;

/// The page with what it was told and what it asked for.
pub struct Page {
    pub state: AppState,
    pub view: ChatView,
    pub dialogs: DialogsView,
    pub asked: Vec<Action>,
    /// Do what is asked for, as the application would
    pub obeys: bool,
}

impl Page {
    pub fn of(state: AppState) -> Self {
        Self { state, view: ChatView::default(), dialogs: DialogsView::default(), asked: Vec::new(), obeys: false }
    }
}

pub fn harness_of(page: Page, width: f32, height: f32) -> Harness<'static, Page> {
    stage(page, [width, height], Theme::Dark, |ui, page: &mut Page| {
        let mut actions = Vec::new();
        crash(ui, &page.state, &mut actions);
        chat_page(ui, &page.state, &mut page.view, 2.0, &mut actions);
        dialogs(ui.ctx(), &page.state, &mut page.dialogs, &mut actions);
        if page.obeys {
            for action in &actions {
                update::on_action(&mut page.state, action.clone(), Now::default());
            }
        }
        page.asked.extend(actions);
    })
}

pub fn harness(state: AppState) -> Harness<'static, Page> {
    harness_of(Page::of(state), 1200.0, 800.0)
}

pub fn asked(harness: &mut Harness<'static, Page>) -> Vec<Action> {
    std::mem::take(&mut harness.state_mut().asked)
}

pub fn chat(id: i64, title: &str, mode: ChatMode) -> Chat {
    Chat {
        id: ChatId(id),
        title: title.to_owned(),
        title_is_users: false,
        mode,
        system: String::new(),
        draft: String::new(),
        leaf: None,
        created_ms: 0,
        updated_ms: 1_000_000_000_000 * i64::from(id == 1) + id,
        last_design: "Q4_1".to_owned(),
        replies: 2,
    }
}

pub fn message(id: i64, parent: Option<i64>, role: Role, text: &str) -> ChatMessage {
    ChatMessage {
        id: MessageId(id),
        chat: ChatId(1),
        parent: parent.map(MessageId),
        role,
        text: text.to_owned(),
        state: MessageState::Whole,
        stats: None,
        provenance: None,
        created_ms: 0,
    }
}

pub fn stats(stop: StopReason) -> GenerateStats {
    GenerateStats {
        stop,
        prompt_tokens: 37,
        cached_tokens: 0,
        predicted_tokens: 84,
        ttft_ms: 112.0,
        prefill_ms: 100.0,
        prefill_tps: 370.0,
        decode_tps: 109.1,
        total_ms: 900.0,
        itl_p95_ms: 10.0,
        sampler: Sampler::default(),
        dropped: None,
        tokens: Vec::new(),
        kv_used: 121,
    }
}

pub fn provenance(quant: &str, switched: Option<(&str, f64)>) -> Provenance {
    Provenance {
        quant: quant.to_owned(),
        model: "SmolLM2 135M".to_owned(),
        design: Design::for_model("/models/smollm2-Q4_1.gguf"),
        differences: "ctx 8192".to_owned(),
        switched: switched.map(|(from, seconds)| (from.to_owned(), seconds)),
        system: None,
        earlier: Vec::new(),
    }
}

pub fn report() -> Box<LoadReport> {
    let design = Design::for_model("/models/smollm2-Q4_1.gguf");
    let info = ModelInfo { path: design.model.clone(), name: "SmolLM2 135M Instruct".into(), quant: "Q4_1".into(), ..ModelInfo::default() };
    let effective = Effective { n_ctx: 4096, ..Effective::default() };
    Box::new(LoadReport { design, info, effective, memory: MemoryUse::default(), seconds: 0.2, warm: false, resident: Vec::new() })
}

/// A state with a model that is ready and one chat with these messages.
pub fn ready(messages: &[ChatMessage]) -> AppState {
    let mut state = AppState::default();
    state.loaded = Some(report());
    state.engine = EngineState::Up { pid: 1, facts: Box::new(EngineFacts::default()) };
    state.meter = ContextMeter { n_ctx: 4096, system: 34, history: 180, draft: 0, reserve: 512, is_exact: true };
    state.chats.list = vec![chat(1, "Why inference is slow", ChatMode::Chat), chat(2, "Quarterly summary", ChatMode::Chat)];
    let mut open = OpenChat { is_loaded: true, ..OpenChat::loading(ChatId(1)) };
    open.messages = messages.iter().map(|message| (message.id, message.clone())).collect();
    open.relink(None);
    state.chats.open = Some(open);
    state.chats.next_chat = 10;
    state.chats.next_message = 100;
    state
}

pub const REPLY: &str = "Decoding reads every weight of the model once per token, so its speed is set by *memory bandwidth* more than by arithmetic. Three things help first:\n\n1. **A smaller quantization level.** Fewer bytes per weight, less to read.\n2. **A shorter context,** because the `KV cache` is read for every token too.\n";

pub const RICH: &str = "## What a rung costs\n\nSee the [llama.cpp pages](https://github.com/ggml-org/llama.cpp) for *more*.\n\n| rung | size | t/s |\n|:--|--:|--:|\n| F16 | 257 MB | 61.0 |\n| Q8_0 | 136 MB | 92.4 |\n| Q4_1 | 92 MB | 109.1 |\n\n```python\ndef tokens_per_second(bandwidth, bytes_per_token):\n    # every weight is read once per token\n    return bandwidth / bytes_per_token\n```\n\n> The cache is read too.\n\n- [x] measured\n- [ ] to be measured\n  - with a longer context\n\n---\n\nDone, ~~nearly~~ all of it.";

/// A conversation over a switch of rungs, the last reply still on its way.
pub fn conversation() -> AppState {
    let mut first = message(2, Some(1), Role::Assistant, REPLY);
    first.stats = Some(stats(StopReason::EndOfReply));
    first.provenance = Some(provenance("Q4_1", None));
    let mut second = message(
        4,
        Some(3),
        Role::Assistant,
        "**3. Speculative decoding.** A small draft proposes several tokens, and the model checks them in one pass. When most are accepted, each pass yields more than one token",
    );
    second.provenance = Some(provenance("IQ4_NL", Some(("Q4_1", 0.21))));
    second.state = MessageState::Streaming;
    let mut state = ready(&[
        message(1, None, Role::User, "What makes inference slow, and what would you try first?"),
        first,
        message(3, Some(2), Role::User, "And the third?"),
        second,
    ]);
    state.activity = Activity::Generating(generating(4));
    state
}

pub fn generating(message: i64) -> Generating {
    Generating {
        job: JobId(7),
        chat: ChatId(1),
        message: MessageId(message),
        text: String::new(),
        kept: 0,
        prefill: None,
        read_since: None,
        tokens: 47,
        last: 0.041 + 46.0 / 196.4,
        first: Some(0.041),
        since: 0.0,
        stopping: None,
        then_load: None,
        waiting_for_save: None,
    }
}

/// The same, with the last reply whole.
pub fn finished() -> AppState {
    let mut state = conversation();
    state.activity = Activity::None;
    if let Some(last) = state.chats.open.as_mut().and_then(|open| open.messages.get_mut(&MessageId(4))) {
        last.state = MessageState::Whole;
        last.stats = Some(stats(StopReason::Cancelled));
    }
    state
}

/// What two rungs say of one reply: the second goes on in the middle of a sentence.
pub const TWO_RUNS: [&str; 2] = [
    "**Speculative decoding.** A small draft proposes several tokens. Half of",
    " them are wrong, and the reply goes on with another rung.\n\n- one\n- two\n",
];

/// A reply that another rung went on with.
pub fn two_runs() -> AppState {
    let mut state = finished();
    if let Some(last) = state.chats.open.as_mut().and_then(|open| open.messages.get_mut(&MessageId(4))) {
        last.provenance = Some(provenance("Q4_1", None));
        last.text = TWO_RUNS[0].to_owned();
        last.stats = Some(GenerateStats { decode_tps: 50.0, ..stats(StopReason::Cancelled) });
        last.begin_part(Some(provenance("IQ4_NL", Some(("Q4_1", 0.35)))));
        last.text.push_str(TWO_RUNS[1]);
        last.state = MessageState::Whole;
        last.stats = Some(GenerateStats { decode_tps: 196.4, ..stats(StopReason::EndOfReply) });
    }
    state
}

pub fn error() -> EngineError {
    EngineError::new(ErrorKind::Assertion, "llama.cpp stopped itself: GGML_ASSERT(n_tokens > 0) failed")
        .hint("Another rung or a shorter context may work")
        .details(vec!["llama_decode: 512 tokens".into(), "ggml.c:1234: GGML_ASSERT(n_tokens > 0) failed".into()])
}

pub fn loading() -> Loading {
    Loading {
        job: JobId(3),
        design: Box::new(Design::for_model("/models/smollm2-Q4_1.gguf")),
        fraction: 0.43,
        since: 0.0,
        from: None,
        then_continue: None,
        stopping: false,
        forecast: None,
    }
}

pub fn crashed() -> AppState {
    let mut state = finished();
    let design = Design::for_model("/models/smollm2-Q4_1.gguf");
    state.loaded = None;
    state.crash = Some(Crash {
        error: error(),
        retry: Some(Retry { design, reply: Some(ReplyId { chat: ChatId(1), message: MessageId(4) }) }),
        is_death: true,
    });
    state
}

pub fn notebook() -> AppState {
    let mut state = ready(&[message(1, None, Role::User, "Once upon a time"), message(2, Some(1), Role::Assistant, "")]);
    state.chats.list[0].mode = ChatMode::Notebook;
    state.chats.list[0].draft = "Once upon a time".into();
    state
}

pub fn make_offer(lossy: bool) -> Dialog {
    Dialog::Make(Box::new(MakeOffer {
        family: "smol".into(),
        family_name: "SmolLM2 135M".into(),
        quant: "Q4_K_M".into(),
        source: "/models/smollm2-F16.gguf".into(),
        source_quant: if lossy { "Q8_0".into() } else { "F16".into() },
        target: "/home/me/.local/share/inferscope/models/smollm2-Q4_K_M.gguf".into(),
        size_estimate: 99_000_000,
        seconds_estimate: 12.0,
        lossy_source: lossy,
    }))
}

pub fn fit_warning() -> Dialog {
    let memory = MemoryUse { weights: 4_000_000_000, kv: 900_000_000, compute: 300_000_000 };
    let estimate = Estimate { memory, total: memory.total(), available: 4_100_000_000, fits: false, freed_by_unload: 0 };
    let nearest = NearestFit { design: Design::default(), estimate: estimate, words: "Q3_K_M, 3.1 GB".into() };
    Dialog::Fit(Box::new(FitWarning { design: Design::for_model(PathBuf::from("/models/big.gguf")), estimate, nearest: Some(nearest) }))
}

/// Turns the wheel by this many points; up is positive.
pub fn wheel(page: &Harness<'static, Page>, points: f32) {
    page.event(egui::Event::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        delta: vec2(0.0, points),
        phase: egui::TouchPhase::Move,
        modifiers: Modifiers::NONE,
        source: egui::MouseWheelSource::Wheel,
    });
}

/// A state with something about it changed.
pub fn with(mut state: AppState, change: impl FnOnce(&mut AppState)) -> AppState {
    change(&mut state);
    state
}
