//! What the plots and figures are about.

use super::*;
use crate::app::PlotRange;
use crate::protocol::{MemorySample, Sample};

/// Looks at the file and lets the load begin, with this many bytes of weights read per token.
fn begin(state: &mut AppState, path: &str, weights_read: u64) {
    let effects = on_action(state, Action::OpenModel(path.into()), now(5.0));
    if effects.iter().any(|effect| matches!(effect, Effect::Inspect { .. })) {
        let design = Box::new(Design::for_model(path));
        let result = Box::new(Ok(Inspection { weights_read, ..inspection(&design, true) }));
        on_answer(state, Answer::Inspected { design, result }, now(5.1));
    }
}

fn end(state: &mut AppState, path: &str, warm: bool) {
    let job = state.loading().expect("a load runs").job;
    let mut report = report(path, "Q4_1");
    report.warm = warm;
    report.resident.push(Resident { design: Design::for_model("a-Q4_1.gguf"), memory: MemoryUse::default(), active: false });
    on_event(state, Event::Loaded { job, report }, now(6.0));
}

fn read_per_token(state: &AppState) -> Option<u64> {
    state.telemetry.forecast.map(|forecast| forecast.weights_read)
}

#[test]
fn a_forecast_belongs_to_the_model_that_answers() {
    let mut state = ready();
    assert_eq!(read_per_token(&state), Some(90_000_000));
    // until another is loaded, and if it never is, nothing changes
    begin(&mut state, "b.gguf", 50_000_000);
    assert_eq!(read_per_token(&state), Some(90_000_000));
    let job = state.loading().expect("a load runs").job;
    on_event(&mut state, Event::Failed { job, error: EngineError::cancelled() }, now(5.5));
    assert_eq!(read_per_token(&state), Some(90_000_000));

    begin(&mut state, "b.gguf", 50_000_000);
    end(&mut state, "b.gguf", false);
    assert_eq!(read_per_token(&state), Some(50_000_000));
    // the flip back to a warm model does not look at its file again
    begin(&mut state, "a-Q4_1.gguf", 1);
    end(&mut state, "a-Q4_1.gguf", true);
    assert_eq!(read_per_token(&state), Some(90_000_000));
    on_event(&mut state, Event::Unloaded { job: JobId(99), resident: Vec::new() }, now(7.0));
    assert_eq!(read_per_token(&state), None);
}

#[test]
fn a_switch_forgets_how_fast_the_model_before_it_was() {
    let mut state = ready();
    let job = replying(&mut state);
    on_event(&mut state, Event::Generated { job, stats: stats(20) }, now(3.0));
    let figures = |state: &AppState| {
        let telemetry = &state.telemetry;
        [telemetry.decode_tps, telemetry.prefill_tps, telemetry.ttft_ms, telemetry.itl_p95_ms, telemetry.roofline_fraction()]
    };
    assert!(figures(&state).iter().all(Option::is_some), "{:?}", figures(&state));
    begin(&mut state, "b.gguf", 50_000_000);
    end(&mut state, "b.gguf", false);
    assert!(figures(&state).iter().all(Option::is_none), "{:?}", figures(&state));
}

#[test]
fn a_prompt_that_was_in_the_cache_does_not_tell_how_fast_one_is_read() {
    let mut state = ready();
    let mut read = |prompt_tokens, cached_tokens, prefill_tps| {
        let job = replying(&mut state);
        let stats = Box::new(GenerateStats { prompt_tokens, cached_tokens, prefill_tps, ..*stats(20) });
        on_event(&mut state, Event::Generated { job, stats }, now(3.0));
        (state.telemetry.prefill_tps, state.telemetry.read_tps)
    };
    assert_eq!(read(80, 0, 900.0), (Some(900.0), Some(900.0)));
    assert_eq!(read(80, 79, 70.0), (Some(70.0), Some(900.0)), "one new token is as slow as decoding");
    assert_eq!(read(100, 80, 500.0), (Some(500.0), Some(500.0)));
}

#[test]
fn the_time_to_the_first_token_is_known_when_the_token_is_there() {
    let mut state = ready();
    replying(&mut state);
    tokens(&mut state, "One", 1);
    assert_eq!(state.telemetry.ttft_ms, Some(1000.0), "on the engine's clock");
    // another rung goes on with the reply: its own time, while it still writes
    begin(&mut state, "b.gguf", 50_000_000);
    let job = state.generating().expect("the reply runs until the load begins").job;
    on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(5.5));
    end(&mut state, "b.gguf", false);
    assert_eq!(state.telemetry.ttft_ms, None);
    let job = state.generating().expect("the reply goes on").job;
    let batch = |total, first| TokenBatch { text: "x".into(), n: 1, total, first, last: first + 0.01, ..TokenBatch::default() };
    on_event(&mut state, Event::Tokens { job, batch: batch(1, 0.25) }, now(7.0));
    on_event(&mut state, Event::Tokens { job, batch: batch(2, 0.5) }, now(7.2));
    assert_eq!(state.telemetry.ttft_ms, Some(250.0));
}

#[test]
fn a_reply_faster_than_the_memory_has_the_bandwidth_measured_anew() {
    // 100 t/s and 90 MB a token are 9 GB/s
    let probes = |effects: &[Effect]| {
        effects.iter().find_map(|effect| if let Effect::Send(Command::Probe { job, .. }) = effect { Some(*job) } else { None })
    };
    for (measured, then) in [(20.0, 20.0), (4.0, 5.0)] {
        let mut state = ready();
        state.telemetry.bandwidth_gb_s = Some(5.0);
        let job = replying(&mut state);
        let effects = on_event(&mut state, Event::Generated { job, stats: stats(20) }, now(3.0));
        assert!(state.telemetry.is_bandwidth_doubted());
        let job = probes(&effects).expect("it is measured anew");
        on_event(&mut state, Event::Probed { job, bandwidth_gb_s: measured, threads: 2, ops_gflops: None }, now(4.0));
        assert_eq!((state.telemetry.bandwidth_gb_s, state.telemetry.is_bandwidth_doubted()), (Some(then), false));
        // once for each model: what is still too fast then is in the processor's cache
        let job = replying(&mut state);
        let effects = on_event(&mut state, Event::Generated { job, stats: stats(20) }, now(5.0));
        assert_eq!(probes(&effects), None);
    }
}

#[test]
fn a_prompt_is_timed_by_when_it_was_read_and_not_by_when_the_window_looked() {
    let mut state = ready();
    let job = replying(&mut state);
    // all of it is told in one frame, ten seconds late
    let told = |at| Now { at, ..now(20.0) };
    on_event(&mut state, Event::Started { job, prompt_tokens: 4000, cached_tokens: 1000, dropped: None }, told(10.0));
    for (done, at) in [(1000, 10.0), (2000, 11.0), (3000, 12.0)] {
        on_event(&mut state, Event::Progress { job, stage: crate::protocol::Stage::Prefill, done, total: 4000 }, told(at));
    }
    let drawn: Vec<[f64; 2]> = state.telemetry.prefill.all().iter().copied().filter(|[_, rate]| rate.is_finite()).collect();
    assert_eq!(drawn, [[10.0, 0.0], [10.0, 1000.0], [11.0, 1000.0], [12.0, 1000.0]]);
    assert_eq!(state.telemetry.prefill_tps, Some(1000.0));
}

#[test]
fn the_cache_that_is_read_is_the_one_in_use() {
    let mut state = ready();
    let job = replying(&mut state);
    let batch = |total, first, last| TokenBatch { text: "x".into(), n: 10, total, first, last, kv_used: 1000, ..TokenBatch::default() };
    on_event(&mut state, Event::Tokens { job, batch: batch(10, 1.0, 1.1) }, now(3.0));
    assert_eq!(state.telemetry.bytes_per_token(), Some(90_000_000 + 1000 * 10_000));
    let stats = GenerateStats { kv_used: 2000, ..*stats(200) };
    on_event(&mut state, Event::Generated { job, stats: Box::new(stats) }, now(4.0));
    assert_eq!(state.telemetry.bytes_per_token(), Some(90_000_000 + 1900 * 10_000), "on average over the reply");
}

#[test]
fn the_plots_are_exported_as_they_are_seen() {
    let mut state = ready();
    for at in [10.0, 50.0, 90.0] {
        state.telemetry.decode.push(at, at);
    }
    let mut exported = |zoomed: Option<[f64; 2]>| {
        let range = zoomed.map(|zoomed| PlotRange { usual: [40.0, 100.0], zoomed: Some(zoomed) });
        let effects = on_action(&mut state, Action::ExportPlotsCsv(range), now(100.0));
        let [Effect::SaveText { text, .. }] = effects.as_slice() else { panic!("{effects:?}") };
        [10, 50, 90].map(|at| text.contains(&format!("{at}.000,decode_tokens_per_second")))
    };
    assert_eq!(exported(None), [false, true, true], "a minute");
    assert_eq!(exported(Some([5.0, 60.0])), [true, true, false]);
    on_action(&mut state, Action::PausePlots(true), now(70.0));
    let effects = on_action(&mut state, Action::ExportPlotsCsv(None), now(100.0));
    let [Effect::SaveText { text, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(text.contains("\n10.000,") && text.contains("\n50.000,") && !text.contains("\n90.000,"), "what stood still: {text}");
    let effects = on_action(&mut state, Action::ExportPlotsPng(None), now(100.0));
    assert_eq!(effects, [Effect::SavePlotsPng(PlotRange { usual: [10.0, 70.0], zoomed: None })]);
}

#[test]
fn what_was_not_measured_is_not_exported() {
    let mut state = ready();
    let sample = Sample { window: MemorySample { rss: 7, ..MemorySample::default() }, ..Sample::default() };
    on_event(&mut state, Event::Sample { sample }, now(99.0));
    let effects = on_action(&mut state, Action::ExportPlotsCsv(None), now(100.0));
    let [Effect::SaveText { text, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(text.contains("99.000,memory_window_bytes,7"), "{text}");
    for absent in ["engine_rss_bytes", "engine_cpu_percent", "window_cpu_percent", "memory_engine_other_bytes", "NaN"] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
}

#[test]
fn prefill_is_drawn_when_the_prompt_was_read() {
    let mut state = ready();
    let job = replying(&mut state);
    on_event(&mut state, Event::Started { job, prompt_tokens: 100, cached_tokens: 0, dropped: None }, now(20.0));
    let stats = GenerateStats { prefill_ms: 250.0, prefill_tps: 400.0, ..*stats(20) };
    on_event(&mut state, Event::Generated { job, stats: Box::new(stats) }, now(28.0));
    let points: Vec<[f64; 2]> =
        state.telemetry.prefill.all().iter().copied().filter(|[at, value]| *at >= 20.0 && value.is_finite()).collect();
    assert_eq!(points, [[20.0, 0.0], [20.0, 400.0], [20.25, 400.0], [20.25, 0.0]], "not at the end of the reply");
}

#[test]
fn a_bandwidth_measured_with_other_threads_is_measured_anew() {
    let mut state = ready();
    let threads = state.loaded.as_ref().map_or(0, |report| report.effective.threads);
    let known = |threads| Some(crate::store::Bandwidth { gb_s: 10.0, threads, ..crate::store::Bandwidth::default() });
    state.settings.bandwidth = known(threads);
    let effects = load(&mut state, "b.gguf", "Q4_1");
    assert!(state.telemetry.bandwidth_gb_s.is_some() && !probes(&effects));
    state.settings.bandwidth = known(threads + 1);
    let effects = load(&mut state, "c.gguf", "Q4_1");
    assert!(state.telemetry.bandwidth_gb_s.is_none() && probes(&effects), "{effects:?}");
}

fn probes(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Send(Command::Probe { .. })))
}

#[test]
fn an_edited_design_is_foretold_once() {
    let mut state = ready();
    let design = |n_ctx| Design { n_ctx, ..Design::for_model("a-Q4_1.gguf") };
    let asked = |state: &mut AppState, n_ctx| on_action(state, Action::PredictDesign(Box::new(design(n_ctx))), now(5.0));
    assert!(matches!(asked(&mut state, 8192).as_slice(), [Effect::Predict { .. }]));
    assert!(asked(&mut state, 8192).is_empty(), "it is on its way");
    let answer = |state: &mut AppState, n_ctx| {
        let result = Box::new(Ok(inspection(&design(n_ctx), n_ctx < 10_000)));
        on_answer(state, Answer::Predicted { design: Box::new(design(n_ctx)), result }, now(5.1));
    };
    answer(&mut state, 8192);
    assert!(state.prediction.as_ref().is_some_and(|prediction| prediction.is_current));
    assert!(asked(&mut state, 8192).is_empty(), "it is known");
    asked(&mut state, 16_384);
    let shown = state.prediction.clone().expect("something is foretold");
    assert!(!shown.is_current && shown.result.is_some(), "the one before stays in sight");
    answer(&mut state, 8192);
    assert!(state.prediction.as_ref().is_some_and(|prediction| !prediction.is_current), "a late answer is for another design");
    answer(&mut state, 16_384);
    let fits = state.prediction.and_then(|prediction| prediction.result).map(|result| result.map(|inspection| inspection.estimate.fits));
    assert_eq!(fits, Some(Ok(false)));
}

#[test]
fn a_smaller_budget_frees_what_was_used_longest_ago() {
    let mut state = ready();
    let resident = |path: &str, active| {
        let memory = MemoryUse { weights: 100, kv: 0, compute: 0 };
        Resident { design: Design::for_model(path), memory, active }
    };
    state.resident = vec![resident("c.gguf", false), resident("b.gguf", false), resident("a-Q4_1.gguf", true)];
    let frees = |effects: &[Effect]| -> Vec<PathBuf> {
        let freed = effects.iter().filter_map(|effect| match effect {
            Effect::Send(Command::Unload { model, .. }) => model.clone(),
            _ => None,
        });
        freed.collect()
    };
    on_action(&mut state, Action::SetKeepWarm(Some(150)), now(5.0));
    let (effects, _) = tick(&mut state, now(6.0));
    assert_eq!(frees(&effects), [PathBuf::from("c.gguf")]);
    on_action(&mut state, Action::SetKeepWarm(Some(0)), now(7.0));
    let (effects, _) = tick(&mut state, now(8.0));
    assert_eq!(frees(&effects), [PathBuf::from("b.gguf")], "never the one that answers");
}

/// What the engine is said to give back when everything is unloaded.
fn freed(state: &mut AppState) -> u64 {
    let effects = on_action(state, Action::OpenModel("b.gguf".into()), now(5.0));
    let freed = effects.iter().find_map(|effect| if let Effect::Inspect { freed, .. } = effect { Some(*freed) } else { None });
    freed.expect("it is looked at")
}

#[test]
fn mapped_weights_are_not_freed_twice() {
    let mut state = ready();
    let memory = MemoryUse { weights: 800, kv: 100, compute: 10 };
    state.resident[0].memory = memory;
    assert_eq!(freed(&mut state), 110, "before the first sample: what is certainly the engine's own");
    let sample = |anonymous| Sample { engine: Some(MemorySample { rss: 2000, anonymous, file: 0 }), ..Sample::default() };
    on_event(&mut state, Event::Sample { sample: sample(150) }, now(4.0));
    assert_eq!(freed(&mut state), 150, "pages of the file count as available already");
    on_event(&mut state, Event::Sample { sample: sample(5000) }, now(4.0));
    assert_eq!(freed(&mut state), 910, "no more than the models take");
    // what is locked in memory is not available until it is let go
    state.resident[0].design.mlock = true;
    on_event(&mut state, Event::Sample { sample: sample(50) }, now(4.0));
    assert_eq!(freed(&mut state), 850);
}

#[test]
fn a_model_that_cannot_be_freed_is_said() {
    let mut state = ready();
    let effects = on_action(&mut state, Action::Unload(None), now(2.0));
    let job = effects.iter().find_map(|effect| match effect {
        Effect::Send(Command::Unload { job, .. }) => Some(*job),
        _ => None,
    });
    let error = EngineError::new(ErrorKind::Engine, "The engine has too much to do");
    on_event(&mut state, Event::Failed { job: job.unwrap(), error }, now(2.1));
    let said: Vec<&str> = state.notices.iter().map(|notice| notice.text.as_str()).collect();
    assert!(said.iter().any(|text| text.contains("still in memory") && text.contains("too much to do")), "{said:?}");
}
