//! What is kept of measurements: runs as a list shows them, and designs that have a name.

use serde::{Deserialize, Serialize, Serializer};

use crate::protocol::{Design, Metric, Run, RunId, RunTrust};

/// Names a saved design.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DesignId(pub i64);

/// A design with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedDesign {
    /// Its id; 0 until it is saved
    #[serde(default)]
    pub id: DesignId,
    /// What the user calls it
    pub name: String,
    /// The design
    pub design: Design,
    /// When it was saved first, Unix time, milliseconds
    pub created_ms: i64,
}

/// A run without its samples: what a list of ten thousand shows, sorts and filters by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunHead {
    /// Its id
    pub id: RunId,
    /// When it began, Unix time, milliseconds
    pub started_ms: i64,
    /// How long it took, seconds
    pub seconds: f64,
    /// What the user calls it; may be empty
    pub title: String,
    /// What the user files it under
    pub tags: Vec<String>,
    /// The sweep or comparison it belongs to; may be empty
    pub group: String,
    /// Name of the model
    pub model: String,
    /// `Q4_K_M`
    pub quant: String,
    /// In words, what differs from the default design; empty when nothing does
    pub design: String,
    /// [`Run::design_hash`]
    pub design_hash: String,
    /// In words, what was fed in
    pub workload: String,
    /// The median of each figure
    #[serde(serialize_with = "as_map")]
    pub figures: Vec<(Metric, f64)>,
    /// Whether it can carry a decision
    pub trust: RunTrust,
    /// Why it failed, if it did
    pub failure: Option<String>,
    /// Where it was read from, if it was not measured here
    pub imported: String,
    /// The run that it repeats
    pub repeats: Option<RunId>,
}

fn as_map<S: Serializer>(figures: &[(Metric, f64)], out: S) -> Result<S::Ok, S::Error> {
    out.collect_map(figures.iter().map(|(metric, value)| (metric.key(), value)))
}

impl RunHead {
    /// The head of a run.
    pub fn of(run: &Run) -> Self {
        let model = if run.environment.model.is_empty() {
            run.design.model.file_stem().unwrap_or_default().to_string_lossy().into_owned()
        } else {
            run.environment.model.clone()
        };
        Self {
            id: run.id,
            started_ms: run.started_ms,
            seconds: run.seconds,
            title: run.title.clone(),
            tags: run.tags.clone(),
            group: run.group.clone(),
            model,
            quant: run.environment.quant.clone(),
            design: run.design.differences(&run.design.sampler),
            design_hash: run.design_hash(),
            workload: run.workload.words(),
            figures: run.samples.keys().filter_map(|metric| Some((*metric, run.figure(*metric)?))).collect(),
            trust: run.trust,
            failure: run.failure.as_ref().map(|error| error.message.clone()),
            imported: run.imported.clone(),
            repeats: run.repeats,
        }
    }

    /// The median of a figure, where it was measured.
    pub fn figure(&self, metric: Metric) -> Option<f64> {
        self.figures.iter().find(|(which, _)| *which == metric).map(|(_, value)| *value)
    }

    /// Whether it can carry a decision, in a word; a failure is its own word.
    pub fn trust_word(&self) -> &'static str {
        if self.failure.is_some() { "failed" } else { self.trust.word() }
    }

    /// What a filter looks at, in lower case: everything that is words.
    pub fn searched(&self) -> String {
        let parts = [&self.title, &self.group, &self.model, &self.quant, &self.design, &self.design_hash, &self.workload, &self.imported];
        let mut all = parts.map(String::as_str).join("\n");
        for part in self.tags.iter().map(String::as_str).chain([self.trust_word()]) {
            all.push('\n');
            all.push_str(part);
        }
        all.to_lowercase()
    }
}
