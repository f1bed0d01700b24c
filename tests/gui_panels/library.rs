//! The Library and Settings pages by accessible name.

use super::*;

#[test]
fn the_library_loads_and_makes() {
    let mut harness = harness(on_page(Page::Library));
    harness.get_by_label("Load Q8_0 of SmolLM2 135M Instruct").click();
    assert_eq!(asked(&mut harness), [Action::SelectRung("Q8_0".into())]);
    harness.get_by_label("Make Q6_K of SmolLM2 135M Instruct").click();
    assert_eq!(asked(&mut harness), [Action::OfferMake("smollm2".into(), "Q6_K".into())]);
    harness.get_by_label("Q6_K, can be made from F16, ≈ 120 MB, ≈ 6.56 bits per weight");
    assert!(harness.query_by_label_contains("IQ1_S").is_none());
    harness.get_by_label("Show 3 more").click();
    harness.run();
    harness.get_by_label_contains("IQ1_S, needs an importance matrix");
}

#[test]
fn making_shows_progress_and_can_be_cancelled() {
    let mut state = on_page(Page::Library);
    state.making = Some(making("Q3_K_M"));
    let mut harness = harness(state);
    // 8 s for 40 %
    harness.get_by_label_contains("Q3_K_M, 40 % made, about 12 s left");
    harness.get_by_label("Cancel").click();
    assert_eq!(asked(&mut harness), [Action::CancelMake]);
}

#[test]
fn a_lossy_source_is_said_plainly() {
    let mut state = on_page(Page::Library);
    if let RungState::CanMake { lossy_source, source_quant, .. } = &mut state.library.families[0].rungs[2].state {
        (*lossy_source, *source_quant) = (true, "Q8_0".into());
    }
    let harness = harness(state);
    harness.get_by_label_contains("Q6_K, can be made from Q8_0, which is itself lossy");
}

#[test]
fn folders_are_added_and_forgotten() {
    let mut state = on_page(Page::Library);
    state.library.skipped.push(Skipped { path: "/data/gguf/notes.gguf".into(), why: "It is not a GGUF file".into() });
    let mut harness = harness(state);
    harness.get_by_label("2 folders").click();
    harness.run();
    harness.get_by_label("Forget /data/gguf").click();
    assert_eq!(asked(&mut harness), [Action::RemoveFolder("/data/gguf".into())]);
    harness.get_by_label("Path of a model folder").focus();
    harness.run();
    harness.get_by_label("Path of a model folder").type_text("/mnt/models");
    harness.run();
    harness.get_by_label("Add").click();
    assert_eq!(asked(&mut harness), [Action::AddFolder("/mnt/models".into())]);
    harness.get_by_label("1 file passed over").click();
    harness.run();
    harness.get_by_label("It is not a GGUF file: /data/gguf/notes.gguf");
}

#[test]
fn hundreds_of_families_cost_only_those_in_view() {
    let mut state = on_page(Page::Library);
    for number in 0..600 {
        state.library.families.push(Family { key: format!("f{number}"), name: format!("Family {number:03}"), ..family() });
    }
    let mut harness = harness(state);
    let painted = harness.get_all_by_label_contains("Model Family").count();
    assert!(painted < 20, "{painted} cards were laid out");
    harness.get_by_label("Search models and rungs").focus();
    harness.run();
    harness.get_by_label("Search models and rungs").type_text("family 417 q8");
    harness.run();
    harness.get_by_label("Model Family 417");
    assert!(harness.query_by_label("Model Family 416").is_none());
}

#[test]
fn an_empty_library_says_how_to_begin() {
    let mut state = AppState::default();
    state.page = Page::Library;
    state.library.was_scanned = true;
    state.settings.last_design = Some(Design::for_model("/gone.gguf"));
    let mut harness = harness(state);
    harness.get_by_label("No models yet");
    harness.get_by_label("Open a model…").click();
    assert_eq!(asked(&mut harness), [Action::PickModel]);
}

#[test]
fn settings_take_effect_at_once() {
    let mut harness = harness_sized(on_page(Page::Settings), [1440.0, 2400.0], Theme::Dark);
    harness.get_by_label("High contrast").click();
    assert_eq!(asked(&mut harness), [Action::SetTheme(SavedTheme::HighContrast)]);
    harness.get_by_label("Larger").click();
    assert_eq!(asked(&mut harness), [Action::SetZoom(1.1)]);
    harness.get_by_role_and_label(egui::accesskit::Role::Switch, "Load the last model at the start").click();
    assert_eq!(asked(&mut harness), [Action::SetAutoload(false)]);
    harness.get_by_label("Stop text").focus();
    harness.run();
    harness.get_by_label("Stop text").type_text("\\n###");
    harness.run();
    harness.get_by_label("Add the stop text").click();
    assert_eq!(asked(&mut harness), [Action::SetStopTexts(vec!["\n###".into()])]);
    harness.get_by_label("Copy Chats").click();
    assert_eq!(asked(&mut harness), [Action::Copy("/home/ann/.local/share/inferscope/chats.db".into())]);
}

#[test]
fn a_sampler_set_by_hand_can_be_reset() {
    let mut state = on_page(Page::Settings);
    state.settings.sampler.temperature = Some(0.2);
    let mut harness = harness_sized(state, [1440.0, 2400.0], Theme::Dark);
    harness.get_by_label("Reset Temperature").click();
    assert_eq!(asked(&mut harness), [Action::SetSampler(Box::default())]);
}
