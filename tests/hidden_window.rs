//! The window while nobody sees it: minimised, or covered. eframe then calls `App::logic` alone, and only when a repaint was asked for.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod support;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use eframe::App as _;
use inferscope::app::{Action, AppState, SweepDraft};
use inferscope::engine::Place;
use inferscope::engine::fake::{Fault, Point, Script};
use inferscope::measure::sweep::Key;
use inferscope::protocol::{Design, Run};
use inferscope::store::{Dirs, Settings, SettingsFile, Store};
use inferscope::ui::app::App;
use inferscope::ui::inbox::Inbound;
use inferscope::ui::pacing::Pacing;
use inferscope::ui::runtime::{Runtime, Wake};
use support::gguf::Tiny;

/// The folder of the process that the test runs in, which is a child of the test's: where things are kept is told by the environment.
const HOME: &str = "INFERSCOPE_HOME";
const CHILD: &str = "INFERSCOPE_TEST_HIDDEN";

/// A window that is never shown, run as eframe runs one: `logic` when a repaint is due, and nothing else.
struct Hidden {
    app: App,
    ctx: egui::Context,
    asked: mpsc::Receiver<Instant>,
    due: Option<Instant>,
    passes: usize,
}

impl Hidden {
    fn new(home: &Path, script: Script, state: AppState) -> (Self, impl Fn(Action)) {
        let dirs = Dirs::under(home);
        let ctx = egui::Context::default();
        let (ask, asked) = mpsc::channel();
        ctx.set_request_repaint_callback(move |info| ask.send(Instant::now() + info.delay).unwrap_or_default());
        let pacing = Arc::new(Pacing::new(true));
        let (store, _) = Store::open(&dirs.data);
        let (settings, ..) = SettingsFile::load(&dirs.config);
        let wake = Wake::new(ctx.clone(), Arc::clone(&pacing));
        let runtime = Runtime::start(Place::Fake(script), store, settings, home.join("models"), wake).unwrap();
        let inbox = Arc::clone(runtime.inbox());
        let app = App::new(state, runtime, pacing, None, None, Instant::now());
        let again = ctx.clone();
        let act = move |action| {
            inbox.push(Inbound::Action(action));
            again.request_repaint();
        };
        (Self { app, ctx, asked, due: None, passes: 0 }, act)
    }

    /// Lets time pass until something holds, for at most so long.
    fn until(&mut self, most: Duration, is_so: impl Fn() -> bool) -> bool {
        let (end, mut frame) = (Instant::now() + most, eframe::Frame::_new_kittest());
        while Instant::now() < end {
            if is_so() {
                return true;
            }
            let wait = self.due.unwrap_or(end).min(end).saturating_duration_since(Instant::now());
            if let Ok(when) = self.asked.recv_timeout(wait) {
                self.due = Some(self.due.map_or(when, |due| due.min(when)));
            } else if self.due.is_some_and(|due| due <= Instant::now()) {
                self.due = None;
                self.passes += 1;
                let Self { app, ctx, .. } = self;
                drop(ctx.run_logic(&egui::RawInput::default(), |ctx| app.logic(ctx, &mut frame)));
            }
        }
        is_so()
    }
}

fn kept(home: &Path) -> Vec<Run> {
    let Ok((mut store, _)) = Store::join(&Dirs::under(home).data) else { return Vec::new() };
    let heads = store.runs();
    heads.iter().filter_map(|head| store.run(head.id)).collect()
}

#[test]
fn a_sweep_goes_on_while_the_window_is_hidden_and_then_all_is_quiet() {
    if std::env::var_os(CHILD).is_none() {
        let home = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        let mut child = std::process::Command::new(own);
        child.args(["--exact", "a_sweep_goes_on_while_the_window_is_hidden_and_then_all_is_quiet", "--nocapture"]);
        assert!(child.env(HOME, home.path()).env(CHILD, "1").status().unwrap().success());
        return;
    }
    let home = std::path::PathBuf::from(std::env::var_os(HOME).unwrap());
    let model = home.join("tiny-F16.gguf");
    Tiny::default().write(&model);
    // each step takes a while, in which nothing happens that would wake the window
    let script = Script::instant().fault(Point::Bench, "", Fault::Pause(0.2));
    let (mut window, act) = Hidden::new(&home, script, AppState::new(Settings { autoload: false, ..Settings::default() }));
    let axes = vec![(Key::Threads, "1,2".to_owned())];
    let draft = SweepDraft { base: Some(Design::for_model(&model)), axes, n_prompt: 32, n_gen: 8, blocks: 4, ..SweepDraft::default() };
    act(Action::SetSweepDraft(Box::new(draft)));
    act(Action::StartSweep);
    let is_kept = || kept(&home).len() == 2;
    assert!(window.until(Duration::from_secs(60), is_kept), "{} passes, kept {:?}", window.passes, kept(&home));
    let repetitions: Vec<usize> = kept(&home).iter().map(|run| run.samples.values().map(Vec::len).max().unwrap_or(0)).collect();
    assert_eq!(repetitions, [4, 4], "no step was left out");
    println!("{} passes for 8 steps", window.passes);
    assert!(window.passes < 400, "{} passes", window.passes);
    // what is left to do is done within a moment; from then on hardly anything wakes the window
    window.until(Duration::from_secs(2), || false);
    let before = window.passes;
    window.until(Duration::from_secs(3), || false);
    println!("{} passes in 3 s of nothing to do", window.passes - before);
    assert!(window.passes - before <= 12, "{} passes in 3 s of nothing to do", window.passes - before);
}
