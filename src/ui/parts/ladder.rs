//! The rungs of a family as the window shows them: what is on disk, what runs, what a press would do.

use std::path::Path;

use crate::app::AppState;
use crate::library::{Family, Rung, RungState};
use crate::measure::format;
use crate::protocol::FileType;
use crate::ui::widgets;

/// One rung with everything that is said about it.
#[derive(Clone, Copy, Debug)]
pub(in crate::ui) struct RungView<'a> {
    /// `Q4_K_M`
    pub quant: &'a str,
    /// What the library knows
    pub state: &'a RungState,
    /// How its key looks
    pub key: widgets::RungState,
    /// Bytes, and whether that is an estimate
    pub size: Option<(u64, bool)>,
    /// Bits per weight, and whether that is an estimate
    pub bpw: Option<(f64, bool)>,
    /// Its file
    pub path: Option<&'a Path>,
    /// Among those offered first
    pub usual: bool,
    /// What the library says about this level of this model; may be empty
    pub note: &'a str,
}

impl<'a> RungView<'a> {
    fn new(app: &AppState, family: &Family, rung: &'a Rung) -> Self {
        let file_type = FileType::by_name(&rung.quant);
        let (size, bpw, path) = match &rung.state {
            RungState::OnDisk { path, size, bpw, .. } => (Some((*size, false)), Some((*bpw, false)), Some(path.as_path())),
            RungState::CanMake { size_estimate, bpw_estimate, .. } => (Some((*size_estimate, true)), Some((*bpw_estimate, true)), None),
            RungState::Unavailable { .. } => (None, file_type.map(|t| (f64::from(t.nominal_bpw), true)), None),
        };
        Self {
            quant: &rung.quant,
            state: &rung.state,
            key: key_state(app, family, rung),
            size,
            bpw,
            path,
            usual: rung.usual,
            note: &rung.note,
        }
    }

    /// Whether pressing it switches at once.
    pub fn is_on_disk(&self) -> bool {
        self.path.is_some()
    }

    /// What stands under its name.
    pub fn detail(&self) -> String {
        match (self.state, self.size) {
            (RungState::OnDisk { .. }, Some((size, _))) => format::bytes(size),
            (RungState::CanMake { .. }, _) => "make".into(),
            _ => "unavailable".into(),
        }
    }

    /// Its size in words, estimates marked; a dash where nothing is known.
    pub fn size_words(&self) -> String {
        match self.size {
            Some((size, false)) => format::bytes(size),
            Some((size, true)) => format!("≈ {}", format::bytes(size)),
            None => format::ABSENT.into(),
        }
    }

    /// Its bits per weight in words, estimates marked; a dash where nothing is known.
    pub fn bpw_words(&self) -> String {
        match self.bpw {
            Some((bpw, false)) => format::bits_per_weight(bpw),
            Some((bpw, true)) => format!("≈ {}", format::bits_per_weight(bpw)),
            None => format::ABSENT.into(),
        }
    }

    /// Everything that is worth knowing before it is pressed, a line each.
    pub fn hint(&self) -> String {
        let mut lines = Vec::new();
        if let Some(file_type) = FileType::by_name(self.quant) {
            lines.push(format!("{}: {}", self.quant, file_type.about));
        }
        match self.state {
            RungState::OnDisk { path, .. } => {
                lines.push(format!("{}, {} bits per weight", self.size_words(), self.bpw_words()));
                lines.push(match self.key {
                    widgets::RungState::Active => "Answers now".into(),
                    widgets::RungState::Warm => "Kept in memory: switching to it costs no load".into(),
                    _ => "On disk: a click switches to it, the chat stays".into(),
                });
                lines.push(path.display().to_string());
            }
            RungState::CanMake { source_quant, seconds_estimate, .. } => {
                lines.push(format!("About {}, {} bits per weight (estimates)", self.size_words(), self.bpw_words()));
                let time = format::seconds(*seconds_estimate);
                lines.push(format!("Can be made here from {source_quant} in about {time} (an estimate)"));
                lines.extend(self.source_note());
            }
            RungState::Unavailable { why } => lines.push(why.clone()),
        }
        if !self.note.is_empty() {
            lines.push(self.note.to_owned());
        }
        lines.join("\n")
    }

    /// Said plainly where the file a rung would be made from has itself lost something.
    pub fn source_note(&self) -> Option<String> {
        match self.state {
            RungState::CanMake { source_quant, lossy_source: true, .. } => {
                Some(format!("{source_quant} has itself lost something, so this will be worse than the same rung made from F16"))
            }
            _ => None,
        }
    }
}

fn key_state(app: &AppState, family: &Family, rung: &Rung) -> widgets::RungState {
    if let Some(making) = app.making.as_ref().filter(|making| making.family == family.key && making.quant == rung.quant) {
        return widgets::RungState::Making(making.fraction);
    }
    match &rung.state {
        RungState::OnDisk { path, alternates, .. } => {
            let is_it = |model: &Path| model == path || alternates.iter().any(|other| other == model);
            if let Some(loading) = app.loading().filter(|loading| is_it(&loading.design.model)) {
                widgets::RungState::Loading(loading.fraction)
            } else if app.loaded.as_ref().is_some_and(|report| is_it(&report.design.model)) {
                widgets::RungState::Active
            } else if app.resident.iter().any(|resident| is_it(&resident.design.model)) {
                widgets::RungState::Warm
            } else {
                widgets::RungState::OnDisk
            }
        }
        RungState::CanMake { .. } => widgets::RungState::CanMake,
        RungState::Unavailable { .. } => widgets::RungState::Unavailable,
    }
}

/// The rungs of a family, best first.
pub(in crate::ui) fn rungs<'a>(app: &AppState, family: &'a Family) -> Vec<RungView<'a>> {
    family.rungs.iter().map(|rung| RungView::new(app, family, rung)).collect()
}

/// The file of a family to open first: the rung that runs now, else the first usual one on disk, else any.
pub(in crate::ui) fn first_file<'a>(app: &AppState, family: &'a Family) -> Option<&'a Path> {
    let views = rungs(app, family);
    let on_disk = || views.iter().filter(|view| view.is_on_disk());
    let same = on_disk().find(|view| Some(view.quant) == app.active_quant());
    same.or_else(|| on_disk().find(|view| view.usual)).or_else(|| on_disk().next()).and_then(|view| view.path)
}

/// A file's name without its folders, for lists; the whole path is on hover.
pub(in crate::ui) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
