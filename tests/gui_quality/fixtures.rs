//! A family, and comparisons of its rungs that were made up.

use std::path::PathBuf;
use std::sync::Arc;

use inferscope::app::quality::{Candidate, Comparison, Phase};
use inferscope::app::{AppState, Page};
use inferscope::library::{Family, Rung, RungState};
use inferscope::protocol::{Design, QualityBatch, QualityLayout, TOP, TokenScore};

pub fn path(quant: &str) -> PathBuf {
    PathBuf::from(format!("/models/smollm2/SmolLM2-135M-Instruct.{quant}.gguf"))
}

pub fn rung(quant: &str, megabytes: u64, is_on_disk: bool) -> Rung {
    let state = if is_on_disk {
        RungState::OnDisk { path: path(quant), size: megabytes * 1_000_000, bpw: 8.0, alternates: Vec::new() }
    } else {
        RungState::CanMake {
            source: path("F16"),
            source_quant: "F16".into(),
            size_estimate: megabytes * 1_000_000,
            bpw_estimate: 6.0,
            seconds_estimate: 9.0,
            lossy_source: false,
            target: path(quant),
            needs_space: 1,
        }
    };
    Rung { quant: quant.into(), usual: true, note: String::new(), state }
}

pub const RUNGS: [(&str, u64, f32); 7] = [
    ("Q8_0", 136, 0.005),
    ("Q5_K_M", 105, 0.03),
    ("Q4_K_M", 99, 0.062),
    ("Q4_1", 92, 0.09),
    ("IQ4_NL", 86, 0.185),
    ("Q3_K_M", 84, 0.16),
    ("Q2_K", 82, 0.414),
];

pub fn state() -> AppState {
    let mut rungs = vec![rung("F16", 257, true)];
    rungs.extend(RUNGS.iter().map(|(quant, size, _)| rung(quant, *size, true)));
    rungs.insert(2, rung("Q6_K", 120, false));
    let family = Family {
        key: "smollm2".into(),
        name: "SmolLM2 135M Instruct".into(),
        arch: "llama".into(),
        n_params: 134_515_008,
        n_layer: 30,
        n_ctx_train: 8192,
        rungs,
    };
    let mut state = AppState { page: Page::Quality, ..AppState::default() };
    state.library.families = vec![family];
    state.library.was_scanned = true;
    state
}

/// A score that strays around `mean`, seldom far.
pub fn score(at: usize, mean: f32) -> TokenScore {
    let draw = ((at * 7919 + 13) % 1000) as f32 / 1000.0;
    let kld = mean * (0.2 + 3.0 * draw.powi(6) * 4.0);
    let far = draw > 0.9;
    let top = |shift: u32, first: f32| std::array::from_fn(|i| ((i as u32 + shift) % 8, first / (i + 1) as f32));
    let _: [(u32, f32); TOP] = top(0, 0.4);
    TokenScore {
        nll_ref: 1.2 + draw,
        nll_cand: 1.2 + draw + kld,
        kld,
        delta_p: if at % 5 == 0 { kld / 4.0 } else { -kld / 3.0 },
        same_top: !far,
        rank_ref: 1 + (at % 4) as u32,
        rank_cand: 1 + (at % 4) as u32 + if far { 6 } else { 0 },
        top_ref: top(0, 0.41),
        top_cand: top(u32::from(far), 0.3),
    }
}

/// Words and the spaces before them as tokens, as a tokenizer would cut English.
pub fn layout(text: &str, most: usize) -> QualityLayout {
    let mut ends = Vec::new();
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let cut = at > 0 && (c.is_whitespace() && !before.is_whitespace() || !c.is_alphanumeric() && !c.is_whitespace() || c == '\n');
        if cut {
            ends.push(at as u32);
        }
        before = c;
        if ends.len() == most {
            break;
        }
    }
    let text = text[..*ends.last().unwrap() as usize].to_owned();
    let chunks = ends.len() as u32 / 512;
    QualityLayout { text, n_ctx: 512, chunks, scored: u64::from(chunks) * 255, ends, side_by_side: true }
}

pub fn compared(text: &str, most: usize, rungs: &[(&str, u64, f32)]) -> AppState {
    let mut state = state();
    let layout = layout(text, most);
    let n = layout.ends.len();
    let words = ["continuously", " on", " every", " in", " and", "\n", " models", " the"];
    let mut comparison = Comparison {
        reference: Design::for_model(path("F16")),
        reference_name: "F16".into(),
        family: "smollm2".into(),
        text_name: "brief.md".into(),
        text_hash: "1".into(),
        names: (0..8).zip(words.map(str::to_owned)).collect(),
        phase: Phase::Ended,
        seconds: Some(21.0),
        started_ms: 1,
        ..Comparison::default()
    };
    for (quant, size, kld) in rungs {
        let mut candidate = Candidate::new(Design::for_model(path(quant)), (*quant).into(), size * 1_000_000);
        for chunk in 0..n / 512 {
            let first = chunk * 512 + 257;
            let scores = (first..(chunk + 1) * 512).map(|at| score(at, *kld)).collect();
            candidate.take(&QualityBatch { candidate: 0, first: first as u64, scores, names: Vec::new() }, n);
        }
        candidate.finish();
        comparison.candidates.push(candidate);
    }
    comparison.layout = Some(Arc::new(layout));
    state.quality.comparison = Some(Box::new(comparison));
    state.quality.from_level = 1;
    state
}
