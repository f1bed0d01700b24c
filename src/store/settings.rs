//! What the user chose. Plain data with a default for everything; [`super::SettingsFile`] keeps it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::protocol::{Design, Overflow, SamplerOverrides};

/// Colours of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the system says
    #[default]
    System,
    /// Light on dark
    Dark,
    /// Dark on light
    Light,
    /// Strongest contrast
    HighContrast,
}

impl Theme {
    /// Every choice, in the order a settings page offers them.
    pub const ALL: [Self; 4] = [Self::System, Self::Dark, Self::Light, Self::HighContrast];

    /// The label of the choice.
    pub fn label(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Dark => "Dark",
            Self::Light => "Light",
            Self::HighContrast => "High contrast",
        }
    }
}

/// Where the window was, in points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowPlace {
    /// Inner width
    pub width: f32,
    /// Inner height
    pub height: f32,
    /// Left edge; absent where the system does not say (Wayland)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<f32>,
    /// Top edge
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<f32>,
    /// Whether it filled the screen
    pub maximized: bool,
}

/// This machine's read bandwidth, measured once and kept until the machine, the program or the number of threads changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bandwidth {
    /// 10^9 bytes per second
    pub gb_s: f64,
    /// Threads that read
    pub threads: u32,
    /// The processor it was measured on
    pub cpu: String,
    /// Multiplications and additions of matrix products, 10^9 per second, where they were measured
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ops_gflops: Option<f64>,
    /// The program that measured it (its version line): another build may read memory in another way
    pub build: String,
}

impl Bandwidth {
    /// Whether it was measured by this build of the program on this processor.
    pub fn is_of(&self, cpu: &str, build: &str) -> bool {
        self.cpu == cpu && self.build == build
    }
}

/// Prompts under a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PromptSet {
    /// What the user calls them
    pub name: String,
    /// Each as it is asked
    pub prompts: Vec<String>,
}

/// Whether the last model is loaded by itself at a start.
#[derive(Clone, Debug, PartialEq)]
pub enum Autoload {
    /// Load it
    Load(Box<Design>),
    /// The last starts with this model did not end well: leave it to the user
    Held {
        /// the model
        model: PathBuf,
        /// starts that ended before the model was ready
        failed_starts: u32,
    },
    /// There is nothing to load, or the user does not want it
    Nothing,
}

/// Starts that ended before their model was ready, after which the next start does not load it by itself.
const FAILED_STARTS: u32 = 2;

/// Upper bound of what stays loaded by itself, bytes.
const KEEP_WARM_CAP: u64 = 32 << 30;

/// Everything the user chose and the window remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Form of this file; see [`Settings::VERSION`]
    pub version: u32,
    /// Colours
    pub theme: Theme,
    /// 1 = 100 %
    pub zoom: f32,
    /// What this machine costs an hour, in whatever money; absent = not known
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_hour: Option<f64>,
    /// Folders with models, besides `models_dir`
    pub model_folders: Vec<PathBuf>,
    /// Where models that are made or fetched go; absent = [`super::Dirs::models`]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models_dir: Option<PathBuf>,
    /// Bytes that models not in use may keep; absent = see [`Settings::keep_warm`]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_warm_bytes: Option<u64>,
    /// Load the last model at the start
    pub autoload: bool,
    /// Starts in a row that ended before their model was ready
    pub starts_without_success: u32,
    /// The design used last
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_design: Option<Design>,
    /// The design used last with each model, by path
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub designs: BTreeMap<String, Design>,
    /// What to do when a conversation does not fit
    pub overflow: Overflow,
    /// Most tokens of a reply; 0 = until the context is full
    pub max_tokens: u32,
    /// Texts that end a reply
    pub stop: Vec<String>,
    /// Sampling set by hand; the rest is the model's, then llama.cpp's
    pub sampler: SamplerOverrides,
    /// Whether the telemetry panel is open
    pub telemetry_open: bool,
    /// Seconds its plots show
    pub telemetry_window_s: f32,
    /// Where the window was
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowPlace>,
    /// The chat that was open
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_chat: Option<i64>,
    /// The page that was open
    pub last_page: String,
    /// Version of the program and its engine at the last start; empty before the first
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_version: String,
    /// Prompts that quality is measured with, by name
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prompt_sets: Vec<PromptSet>,
    /// Measured bandwidth
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// Fields this version does not know
    #[serde(flatten)]
    pub extra: BTreeMap<String, toml::Value>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: Self::VERSION,
            theme: Theme::System,
            zoom: 1.0,
            price_per_hour: None,
            model_folders: Vec::new(),
            models_dir: None,
            keep_warm_bytes: None,
            autoload: true,
            starts_without_success: 0,
            last_design: None,
            designs: BTreeMap::new(),
            overflow: Overflow::Stop,
            max_tokens: 1024,
            stop: Vec::new(),
            sampler: SamplerOverrides::default(),
            telemetry_open: true,
            telemetry_window_s: 60.0,
            window: None,
            last_chat: None,
            last_page: String::new(),
            last_version: String::new(),
            prompt_sets: Vec::new(),
            bandwidth: None,
            extra: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// The form of the file this version writes. A file with a larger number is read and never written.
    pub const VERSION: u32 = 1;

    /// Bytes that models not in use may keep: as chosen, or half of the memory that could be had (`available`, bytes), at most 32 GiB.
    pub fn keep_warm(&self, available: u64) -> u64 {
        self.keep_warm_bytes.unwrap_or((available / 2).min(KEEP_WARM_CAP))
    }

    /// Where models that are made or fetched go.
    pub fn models_dir(&self, dirs: &super::Dirs) -> PathBuf {
        self.models_dir.clone().unwrap_or_else(|| dirs.models())
    }

    /// The design used last with a model, or its default one.
    pub fn design_for(&self, model: &Path) -> Design {
        self.designs.get(model.to_string_lossy().as_ref()).cloned().unwrap_or_else(|| Design::for_model(model))
    }

    /// Remembers the design in use.
    pub fn remember(&mut self, design: &Design) {
        self.designs.insert(design.model.to_string_lossy().into_owned(), design.clone());
        self.last_design = Some(design.clone());
    }

    /// Decides about loading the last model at a start, and counts the attempt. Save the settings before acting on `Load`: a model that
    /// takes the program or the machine down must be remembered as having done so.
    pub fn begin_autoload(&mut self) -> Autoload {
        let Some(design) = self.last_design.clone().filter(|_| self.autoload) else { return Autoload::Nothing };
        if self.starts_without_success >= FAILED_STARTS {
            return Autoload::Held { model: design.model, failed_starts: self.starts_without_success };
        }
        self.starts_without_success += 1;
        Autoload::Load(Box::new(design))
    }

    /// A model is ready, or the program ended in good order: the next start may load by itself again.
    pub fn start_succeeded(&mut self) {
        self.starts_without_success = 0;
    }

    /// Brings every number into the range in which the window is usable.
    pub(super) fn sanitize(&mut self) {
        let usable = |value: f32, low: f32, high: f32, default: f32| if value.is_finite() { value.clamp(low, high) } else { default };
        self.zoom = usable(self.zoom, 0.5, 4.0, 1.0);
        self.telemetry_window_s = usable(self.telemetry_window_s, 5.0, 3600.0, 60.0);
        self.window = self.window.filter(|w| [w.width, w.height, w.x.unwrap_or(0.0), w.y.unwrap_or(0.0)].iter().all(|v| v.is_finite()));
        if let Some(window) = &mut self.window {
            window.width = window.width.clamp(320.0, 16_384.0);
            window.height = window.height.clamp(240.0, 16_384.0);
        }
        self.bandwidth = self.bandwidth.take().filter(|b| b.gb_s.is_finite() && b.gb_s > 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn third_start_after_two_crashes_does_not_load() {
        let mut settings = Settings::default();
        assert_eq!(settings.begin_autoload(), Autoload::Nothing);
        settings.remember(&Design::for_model("/m/a.gguf"));
        assert!(matches!(settings.begin_autoload(), Autoload::Load(_)));
        assert!(matches!(settings.begin_autoload(), Autoload::Load(_)));
        assert_eq!(settings.begin_autoload(), Autoload::Held { model: "/m/a.gguf".into(), failed_starts: 2 });
        assert!(matches!(settings.begin_autoload(), Autoload::Held { .. }));
        settings.start_succeeded();
        assert!(matches!(settings.begin_autoload(), Autoload::Load(_)));
        settings.autoload = false;
        assert_eq!(settings.begin_autoload(), Autoload::Nothing);
    }

    #[test]
    fn warm_models_get_half_of_what_is_free() {
        let mut settings = Settings::default();
        assert_eq!(settings.keep_warm(10 << 30), 5 << 30);
        assert_eq!(settings.keep_warm(1 << 40), 32 << 30);
        settings.keep_warm_bytes = Some(0);
        assert_eq!(settings.keep_warm(10 << 30), 0);
    }
}
