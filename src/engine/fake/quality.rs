//! Scripted quality: words are tokens, and a candidate strays by as much as its file is smaller than the reference's.

use super::model;
use super::script::Script;
use crate::engine::backend::Job;
use crate::protocol::{EngineError, ErrorKind, Event, QualityBatch, QualityLayout, QualityPlan, QualityText, Stage, TOP, TokenScore};

pub(super) fn quality(script: &Script, plan: &QualityPlan, job: &Job) -> Result<(), EngineError> {
    let text = match &plan.text {
        QualityText::Plain(text) => text.clone(),
        QualityText::Chat(messages) => messages.iter().map(|message| format!("{} ", message.text)).collect(),
        QualityText::Chats(chats) => chats.iter().flatten().map(|message| format!("{} ", message.text)).collect(),
    };
    let mut ends: Vec<u32> = text.match_indices(' ').map(|(at, _)| at as u32).collect();
    ends.push(text.len() as u32);
    let n_ctx = plan.n_ctx.max(4);
    let chunks = ends.len() as u32 / n_ctx;
    let chunks = if plan.max_chunks == 0 { chunks } else { chunks.min(plan.max_chunks) };
    if chunks == 0 {
        let words = format!("The text has {} tokens, and one chunk alone takes {n_ctx}", ends.len());
        return Err(EngineError::new(ErrorKind::InvalidRequest, words).hint("Choose a longer text or a smaller chunk"));
    }
    let scored = u64::from(chunks) * u64::from(n_ctx - n_ctx / 2 - 1);
    let layout = QualityLayout { text, ends, n_ctx, chunks, scored, side_by_side: !plan.one_at_a_time };
    job.emit(Event::QualityLayout { job: job.id(), layout: Box::new(layout) });
    let size = |design: &crate::protocol::Design| model::info(script, &design.model).size.max(1) as f32;
    let total = u64::from(chunks) * u64::from(n_ctx) * (1 + plan.candidates.len() as u64);
    let mut done = 0;
    for chunk in 0..chunks {
        done += u64::from(n_ctx);
        for (candidate, design) in plan.candidates.iter().enumerate() {
            job.check()?;
            done += u64::from(n_ctx);
            let stray = (1.0 - size(design) / size(&plan.reference)).clamp(0.0, 1.0);
            let first = u64::from(chunk * n_ctx + n_ctx / 2 + 1);
            let last = u64::from((chunk + 1) * n_ctx);
            let scores = (first..last).map(|at| score(at, stray)).collect();
            let names = if chunk == 0 && candidate == 0 { (0..10).map(|id| (id, format!("word{id}"))).collect() } else { Vec::new() };
            job.emit(Event::QualityScores { job: job.id(), batch: QualityBatch { candidate: candidate as u32, first, scores, names } });
            job.progress(Stage::Quality, done, total);
        }
    }
    Ok(())
}

/// A token's score: one in seven strays far.
fn score(at: u64, stray: f32) -> TokenScore {
    let wave = ((at as f32) * 0.7).sin().abs();
    let far = if at % 7 == 3 { 6.0 } else { 1.0 };
    let kld = stray * wave * far * 0.2;
    let same_top = kld < 0.15;
    let top = |shift: u32| -> [(u32, f32); TOP] { std::array::from_fn(|i| ((i as u32 + shift) % 10, 0.5 / (i + 1) as f32)) };
    TokenScore {
        nll_ref: 1.5 + wave,
        nll_cand: 1.5 + wave + kld,
        kld,
        delta_p: -kld / 4.0,
        same_top,
        rank_ref: 1,
        rank_cand: if same_top { 1 } else { 3 },
        top_ref: top(0),
        top_cand: top(u32::from(!same_top)),
    }
}
