//! A sweep that looks for the best instead of measuring everything equally often: what `measure::search` asks for becomes visits, and what
//! came of them is told to it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::plan::{Candidate, SweepPlan};
use crate::measure::limit::{axis, index};
use crate::measure::pareto::Limit;
use crate::measure::search::{self, Cause, Fact, Feature, Figure, Instrument, Options, Problem, Scale, Search, Step};
use crate::measure::{MetricLimit, format};
use crate::protocol::{Design, Metric};

/// Instruments: the pp cell, the tg cell, the comparison with the reference.
pub(super) const PP: usize = 0;
pub(super) const TG: usize = 1;
pub(super) const QUALITY: usize = 2;

/// How far a forecast of memory from a header may be off, as a part of it.
const MEMORY_OFF: f64 = 0.15;
/// Quality loss of the reference itself is zero, and a search works with logarithms.
const LEAST_LOSS: f64 = 1e-6;

/// What came of a measurement that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Samples by place of the figure
    samples: Vec<(usize, Vec<f64>)>,
    /// Seconds by instrument
    seconds: Vec<(usize, f64)>,
    /// Seconds of loading and warming up
    overhead: f64,
    /// Why it could not be measured
    failure: Option<String>,
}

impl Answer {
    /// Adds what one instrument gave.
    pub(super) fn add(&mut self, figures: &BTreeMap<Metric, Vec<f64>>, instrument: usize, seconds: f64) {
        for (metric, values) in figures {
            let values = values.iter().map(|value| value.max(LEAST_LOSS)).collect();
            self.samples.push((index(*metric), values));
        }
        self.seconds.push((instrument, seconds));
    }

    pub(super) fn add_overhead(&mut self, seconds: f64) {
        self.overhead += seconds;
    }

    pub(super) fn fail(&mut self, why: String) {
        self.failure = Some(why);
    }
}

/// A candidate that is not the best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Other {
    /// Which candidate
    pub index: usize,
    /// Why it is not the best, or was not measured, as a sentence
    pub why: String,
    /// Whether it breaks a limit, or is likely to
    pub is_barred: bool,
    /// Whether it may still be better: the search ended before that was known
    #[serde(default)]
    pub is_open: bool,
}

/// What a search found, in words that need no search to be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The best candidate, when one is known to keep to the limits
    pub best: Option<usize>,
    /// Those that cannot be told from it, with what that rests on
    pub ties: Vec<(usize, String)>,
    /// Each of the others
    pub others: Vec<Other>,
    /// Whether the time was used up
    pub is_out_of_time: bool,
    /// Whether it ended because it looks no further than a part of the time that measuring everything would take, while some design may
    /// still be better
    #[serde(default)]
    pub is_share_used: bool,
    /// Whether the best was compared with others in paired blocks
    pub is_confirmed: bool,
    /// Candidates that anything was measured on
    pub tried: usize,
    /// Seconds that measuring took
    pub spent: f64,
    /// Seconds that measuring all of them would take with five repetitions; an estimate
    pub exhaustive: f64,
}

impl Found {
    /// That some design may still be better, as a sentence; `None` where the search has settled it.
    pub fn unsettled(&self) -> Option<String> {
        let because = match (self.is_out_of_time, self.is_share_used) {
            (true, _) => "its time was used up",
            (_, true) => "it looks no further than a fifth of the time that measuring everything would take",
            _ => return None,
        };
        let rest = match self.others.iter().filter(|other| other.is_open).count() {
            0 => String::new(),
            1 => ". 1 design was measured too little or not at all, and may be better".to_owned(),
            n => format!(". {n} designs were measured too little or not at all, and may be better"),
        };
        Some(format!("The search ended because {because}{rest}"))
    }
}

/// What is to be measured next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) candidate: usize,
    pub(super) repetitions: u32,
    pub(super) instruments: Vec<usize>,
}

/// A search with what it was told: it is asked anew from the start when it was not kept, and asks the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seeker {
    log: Vec<Answer>,
    #[serde(skip)]
    search: Cache,
    pub(super) found: Option<Found>,
}

/// A search that can be made again, and so need not be kept, copied or compared.
#[derive(Default)]
struct Cache(Option<Box<Search>>);

impl Clone for Cache {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl PartialEq for Cache {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}

impl Seeker {
    /// What to measure next; `None` when the search has ended, and [`Seeker::found`] says what it found.
    pub(super) fn ask(&mut self, plan: &SweepPlan) -> Option<Wish> {
        let search = self.search.0.get_or_insert_with(|| Box::new(replayed(plan, &self.log)));
        match search.ask() {
            Step::Measure(ask) => Some(Wish {
                candidate: ask.design,
                repetitions: u32::try_from(ask.repetitions).unwrap_or(1).max(1),
                instruments: ask.instruments,
            }),
            Step::Done(_) => {
                self.found = Some(found(search, plan));
                None
            }
        }
    }

    /// What came of it.
    pub(super) fn tell(&mut self, plan: &SweepPlan, answer: Answer) {
        let search = self.search.0.get_or_insert_with(|| {
            let mut search = Box::new(replayed(plan, &self.log));
            search.ask();
            search
        });
        told(search, &answer);
        self.log.push(answer);
    }
}

fn replayed(plan: &SweepPlan, log: &[Answer]) -> Search {
    let options = Options {
        seed: plan.seed,
        budget: plan.budget_seconds,
        blocks: (plan.blocks as usize).next_multiple_of(2).max(6),
        ..Options::default()
    };
    let mut search = Search::new(problem(plan), options);
    for answer in log {
        search.ask();
        told(&mut search, answer);
    }
    search
}

fn told(search: &mut Search, answer: &Answer) {
    match &answer.failure {
        Some(why) => search.fail(why.clone(), answer.overhead + answer.seconds.iter().map(|(_, s)| s).sum::<f64>()),
        None => search.tell(&search::Told { samples: answer.samples.clone(), seconds: answer.seconds.clone(), overhead: answer.overhead }),
    }
}

/// The plan as the search sees it. Its figures are [`Metric::ALL`], so that places and limits are those of the sweep.
fn problem(plan: &SweepPlan) -> Problem {
    let (features, levels, of_quality) = features(plan);
    let figures = Metric::ALL.iter().map(|metric| Figure {
        name: metric.name().to_lowercase(),
        unit: String::new(),
        depends_on: metric.is_quality().then(|| of_quality.clone()),
    });
    let places = |metrics: &[Metric]| Instrument { figures: metrics.iter().map(|metric| index(*metric)).collect() };
    let designs = plan.candidates.iter().zip(levels).map(|(candidate, levels)| search::Candidate { levels, facts: facts(candidate) });
    Problem {
        features,
        designs: designs.collect(),
        figures: figures.collect(),
        instruments: vec![
            places(&[Metric::PrefillTps, Metric::TtftMs]),
            places(&[Metric::DecodeTps, Metric::ItlP95Ms, Metric::PeakMemory, Metric::CostPerMillion]),
            places(&[Metric::Kld, Metric::Perplexity, Metric::SameTop]),
        ],
        goal: axis(plan.goal),
        limits: plan.limits.iter().map(MetricLimit::on_points).collect::<Vec<Limit>>(),
    }
}

fn facts(candidate: &Candidate) -> BTreeMap<usize, Fact> {
    let mut facts = BTreeMap::new();
    let known = &candidate.facts;
    if known.file_size > 0 {
        facts.insert(index(Metric::FileSize), Fact::Exact(known.file_size as f64));
    }
    if known.memory.total() > 0 {
        facts.insert(index(Metric::PeakMemory), Fact::Estimate { value: known.memory.total() as f64, off: MEMORY_OFF });
    }
    facts
}

/// What the candidates differ in, the level of each candidate, and which of the features quality depends on.
fn features(plan: &SweepPlan) -> (Vec<Feature>, Vec<Vec<usize>>, Vec<usize>) {
    let mut made = Made { features: Vec::new(), levels: vec![Vec::new(); plan.candidates.len()], of_quality: Vec::new() };
    let all = &plan.candidates;
    let rung = |c: &Candidate| c.design.model.display().to_string();
    made.add(all, "rung", true, &rung, &|c| (c.facts.file_size.max(1) as f64).ln());
    made.count(all, "threads", &|d| d.threads);
    made.count(all, "batch threads", &|d| d.threads_batch);
    made.count(all, "batch", &|d| d.n_batch);
    made.count(all, "micro-batch", &|d| d.n_ubatch);
    made.count(all, "context", &|d| d.n_ctx);
    made.add(all, "depth", false, &|c| c.depth.to_string(), &|c| f64::from(c.depth).ln_1p());
    let bits = |(elements, bytes): (u64, u64)| bytes as f64 / elements as f64;
    made.add(all, "key cache", true, &|c| c.design.type_k.name().into(), &|c| bits(c.design.type_k.block()));
    made.add(all, "value cache", true, &|c| c.design.type_v.name().into(), &|c| bits(c.design.type_v.block()));
    made.add(all, "flash attention", true, &|c| format!("{:?}", c.design.flash_attention), &|c| c.design.flash_attention as u8 as f64);
    made.add(all, "mmap", false, &|c| c.design.mmap.to_string(), &|c| f64::from(u8::from(c.design.mmap)));
    made.add(all, "repack", true, &|c| c.design.repack.to_string(), &|c| f64::from(u8::from(c.design.repack)));
    made.add(all, "GPU layers", false, &|c| c.design.gpu_layers.to_string(), &|c| f64::from(c.design.gpu_layers));
    (made.features, made.levels, made.of_quality)
}

struct Made {
    features: Vec<Feature>,
    levels: Vec<Vec<usize>>,
    of_quality: Vec<usize>,
}

impl Made {
    fn count(&mut self, all: &[Candidate], name: &str, of: &dyn Fn(&Design) -> u32) {
        self.add(all, name, false, &|c| of(&c.design).to_string(), &|c| f64::from(of(&c.design)).ln_1p());
    }

    /// Adds a feature, unless all candidates are alike in it.
    fn add(
        &mut self,
        all: &[Candidate],
        name: &str,
        is_quality: bool,
        word: &dyn Fn(&Candidate) -> String,
        place: &dyn Fn(&Candidate) -> f64,
    ) {
        let mut levels: Vec<String> = Vec::new();
        let mut places: Vec<f64> = Vec::new();
        let mut of: Vec<usize> = Vec::with_capacity(all.len());
        for candidate in all {
            let word = word(candidate);
            let at = levels.iter().position(|known| *known == word).unwrap_or_else(|| {
                levels.push(word);
                places.push(place(candidate));
                levels.len() - 1
            });
            of.push(at);
        }
        if levels.len() < 2 {
            return;
        }
        if is_quality {
            self.of_quality.push(self.features.len());
        }
        self.features.push(Feature { name: name.into(), levels, scale: Scale::Ordinal(places) });
        self.levels.iter_mut().zip(of).for_each(|(levels, at)| levels.push(at));
    }
}

fn found(search: &mut Search, plan: &SweepPlan) -> Found {
    let report = search.report();
    let others = report.others.iter().map(|other| Other {
        index: other.design,
        why: words(&other.cause, plan),
        is_barred: matches!(other.cause, Cause::Barred { .. } | Cause::Breaks { .. }),
        is_open: matches!(other.cause, Cause::Open { .. }),
    });
    let others = others.collect();
    Found {
        is_out_of_time: report.end == Some(search::End::Budget),
        is_share_used: report.end == Some(search::End::Share),
        best: report.best,
        ties: report.equals,
        others,
        is_confirmed: report.confirmed,
        tried: report.tried,
        spent: report.spent,
        exhaustive: report.exhaustive,
    }
}

/// A cause as a sentence.
fn words(cause: &Cause, plan: &SweepPlan) -> String {
    let figure = format::metric;
    let limit =
        |at: &usize| plan.limits.get(*at).map_or_else(String::new, |l| format!("{} of {}", l.metric.name(), figure(l.metric, l.value)));
    match cause {
        Cause::Barred { limit: at } => format!("Not measured: what is known beforehand breaks the limit on {}", limit(at)),
        Cause::Failed { cause } => cause.clone(),
        Cause::LikelyFails { .. } => "Not measured: designs like it failed".into(),
        Cause::Breaks { limit: at, value: Some(_), .. } => format!("Breaks the limit on {}", limit(at)),
        Cause::Breaks { limit: at, value: None, .. } => format!("Not measured: it is likely to break the limit on {}", limit(at)),
        Cause::Worse { ratio, .. } => format!("{:.0} % of the best", ratio * 100.0),
        Cause::Unlikely { expected, at_best, .. } => {
            let (expected, at_best) = (figure(plan.goal, *expected), figure(plan.goal, *at_best));
            format!("Not measured: about {expected} is expected of it (estimate), at best {at_best}")
        }
        Cause::Open { chance } => {
            format!("The search ended before it was known; it is better with a chance of {:.0} % (estimate)", chance * 100.0)
        }
    }
}
