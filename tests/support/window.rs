//! The whole window without what runs behind it: a state that was made by hand, and what a person asked of it.

#[path = "stage.rs"]
mod stage;

use egui_kittest::{Harness, TestRenderer};
use inferscope::app::{Action, AppState, Now, update};
use inferscope::ui::panels::settings::About;
use inferscope::ui::panels::{self, Views};
use inferscope::ui::shortcuts;
use inferscope::ui::theme::{self, Theme};

/// When every frame is painted.
pub const NOW: Now = Now { secs: 100.0, at: 100.0, unix_ms: 1_764_000_000_000 };

/// The window.
pub struct Window {
    pub state: AppState,
    pub views: Views,
    /// What was asked for since this was last emptied
    pub asked: Vec<Action>,
    /// Whether what is asked is done, too
    pub acts: bool,
}

impl Window {
    fn ui(&mut self, ui: &mut egui::Ui) {
        let ctx = ui.ctx().clone();
        // the window is cleared to the page's colour
        let whole = ctx.content_rect();
        ui.painter().with_clip_rect(whole).rect_filled(whole, 0.0, theme::palette(ui).page);
        let mut actions = Vec::new();
        shortcuts::dispatch(&ctx, &self.state, &mut self.views.targets, &mut actions);
        panels::window(ui, &self.state, &mut self.views, NOW, &mut actions);
        if self.acts {
            for action in actions.clone() {
                update::on_action(&mut self.state, action, NOW);
            }
        }
        self.asked.extend(actions);
    }
}

fn about() -> About {
    About {
        version: "0.1.0".into(),
        revision: "61bea55".into(),
        paths: vec![
            ("Chats".into(), "/home/ann/.local/share/inferscope/chats.db".into()),
            ("Settings".into(), "/home/ann/.config/inferscope".into()),
        ],
    }
}

fn window(state: AppState) -> Window {
    Window { state, views: Views { about: about(), ..Views::default() }, asked: Vec::new(), acts: false }
}

/// The window on this state after its first frames.
pub fn harness_sized(state: AppState, size: [f32; 2], look: Theme) -> Harness<'static, Window> {
    let mut harness = stage::stage(window(state), size, look, |ui, window: &mut Window| window.ui(ui));
    harness.run();
    harness
}

/// The same with pictures made by `renderer`.
#[allow(dead_code, reason = "each test file uses its own part")]
pub fn harness_drawn_by(renderer: impl TestRenderer + 'static, state: AppState, size: [f32; 2], look: Theme) -> Harness<'static, Window> {
    let mut harness = stage::stage_drawn_by(renderer, window(state), size, look, |ui, window: &mut Window| window.ui(ui));
    harness.run();
    harness
}

/// The same at its usual size.
pub fn harness(state: AppState) -> Harness<'static, Window> {
    harness_sized(state, [1440.0, 900.0], Theme::Dark)
}
