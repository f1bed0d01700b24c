//! The telemetry column by accessible name.

use super::*;

#[test]
fn telemetry_says_its_numbers() {
    let harness = harness(busy_state());
    for label in ["Decode 196.4 tokens/s", "Prefill 948 t/s", "TTFT 41 ms", "Of bandwidth limit 35 %", "ITL p95 5.6 ms", "CPU engine 196 %"]
    {
        harness.get_by_label(label);
    }
    harness.get_by_label("predicted 275 MB, took 281 MB,");
    harness.get_by_label("+2.2 %");
    harness.get_by_label("Memory: weights 86 MB, KV cache 90 MB, compute 105 MB, kept warm 281 MB, engine, other 78 MB, window 73 MB");
    harness.get_by_label("Memory in all 713 MB");
    harness.get_by_label("GPU memory not observable");
    harness.get_by_label(
        "Memory over time: weights 86 MB, KV cache 90 MB, compute 105 MB, kept warm 281 MB, engine, other 78 MB, window 73 MB",
    );
    harness.get_by_label("CPU over time: engine 196 %, window 6 %");
    harness.get_by_label_contains("Prefill over time");
}

#[test]
fn what_was_not_measured_is_a_dash() {
    let harness = harness(AppState::default());
    for label in [
        "Decode – tokens/s",
        "Prefill – t/s",
        "TTFT – ms",
        "ITL p95 –",
        "CPU engine –",
        "CPU window –",
        "Memory in all –",
        "no model is loaded",
        "Memory: weights –, KV cache –, compute –, kept warm –, engine, other –, window –",
        "Memory over time, no value yet",
    ] {
        harness.get_by_label(label);
    }
}

#[test]
fn plots_are_paused_and_exported() {
    let mut harness = harness(busy_state());
    harness.get_by_label("Pause the plots").click();
    assert_eq!(asked(&mut harness), [Action::PausePlots(true)]);
    harness.get_by_label("Plot options").click();
    harness.run();
    harness.get_by_label("Export as CSV…").click();
    let shown = PlotRange { usual: [40.0, 100.0], zoomed: None };
    assert_eq!(asked(&mut harness), [Action::ExportPlotsCsv(Some(shown))]);
    harness.get_by_label("Plot options").click();
    harness.run();
    harness.get_by_label("Export as PNG…").click();
    assert_eq!(asked(&mut harness), [Action::ExportPlotsPng(Some(shown))]);
    harness.get_by_label("Plot options").click();
    harness.run();
    harness.get_by_label("5 min").click();
    assert_eq!(asked(&mut harness), [Action::SetPlotWindow(300.0)]);
}

#[test]
fn every_plot_zooms_with_the_others_and_the_export_is_of_what_is_seen() {
    let mut harness = harness(busy_state());
    let memory = harness.get_by_label_contains("Memory over time").rect();
    harness.hover_at(memory.center());
    harness.step();
    harness.event(egui::Event::Zoom(3.0));
    harness.run_steps(3);
    harness.get_by_label("Reset the zoom");
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::K);
    harness.run();
    harness.get_by_label("Command").type_text("export csv");
    harness.run();
    harness.key_press(egui::Key::Enter);
    let actions = asked(&mut harness);
    let [Action::ExportPlotsCsv(Some(range))] = actions.as_slice() else { panic!("{actions:?}") };
    let [from, to] = range.shown();
    assert!((to - from - 20.0).abs() < 1.0 && from > 50.0 && to < 90.0, "{range:?}");
    harness.run();
    harness.get_by_label("Reset the zoom").click();
    harness.run();
    assert!(harness.query_by_label("Reset the zoom").is_none());
}

#[test]
fn an_unknown_bandwidth_can_be_measured() {
    let mut state = busy_state();
    state.telemetry.bandwidth_gb_s = None;
    let mut harness = harness(state);
    harness.get_by_label("Measure the memory bandwidth").click();
    assert_eq!(asked(&mut harness), [Action::ProbeBandwidth]);
}

#[test]
fn a_speed_that_cannot_be_doubts_the_bandwidth() {
    let mut state = busy_state();
    state.telemetry.bandwidth_gb_s = Some(10.0);
    let mut harness = harness(state);
    harness.get_by_label("> 100 %: in doubt");
    assert!(harness.query_by_label_contains("169").is_none(), "no share above all of it is claimed");
    harness.get_by_label("Measure the memory bandwidth anew").click();
    assert_eq!(asked(&mut harness), [Action::ProbeBandwidth]);
    harness.state_mut().state.activity = generating();
    harness.run();
    harness.get_by_label("Limit in doubt > 100 %");
    // measured anew and still beyond it: the weights come out of the processor's cache
    harness.state_mut().state.telemetry.bandwidth_confirmed = true;
    harness.run();
    harness.get_by_label("Of limit, with cache 169 %");
}

#[test]
fn reading_a_prompt_shows_how_far_it_is() {
    let mut state = busy_state();
    state.activity = generating();
    state.telemetry.prefilling = Some(Prefilling { cached: 0, done: 1024, total: 4096, began: 99.0, is_drawn: true });
    let harness = harness(state);
    harness.get_by_label("Reading the prompt, 25 %");
}

#[test]
fn the_column_folds_by_itself_where_there_is_no_room() {
    let mut narrow = harness_sized(busy_state(), [960.0, 640.0], Theme::Dark);
    narrow.get_by_label("Decode 196.4 t/s");
    narrow.get_by_label("Unfold the telemetry").click();
    assert_eq!(asked(&mut narrow), [], "it cannot be unfolded there");
    narrow.set_size(egui::vec2(1024.0, 640.0));
    narrow.run();
    narrow.get_by_label("Decode 196.4 tokens/s");
    narrow.get_by_label("Fold the telemetry");
}

#[test]
fn folded_telemetry_is_one_line() {
    let mut state = busy_state();
    state.settings.telemetry_open = false;
    let mut harness = harness(state);
    harness.get_by_label("Decode 196.4 t/s");
    harness.get_by_label("Unfold the telemetry").click();
    assert_eq!(asked(&mut harness), [Action::ToggleTelemetry]);
}
