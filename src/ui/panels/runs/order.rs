//! Which runs the list shows, in which order, under which heads. Made anew only when something about it changed.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::protocol::Metric;
use crate::store::RunHead;
use crate::ui::parts::when::{DAY_MS, formatted};

/// A column of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Column {
    /// When it began
    #[default]
    When,
    /// What it is called, or its work
    Name,
    /// Model and rung
    Model,
    /// What differs from the default design
    Design,
    /// A figure
    Figure(Metric),
    /// Whether it can carry a decision
    Trust,
}

/// What the list is cut into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Group {
    /// Nothing: one list
    #[default]
    None,
    /// Sweeps and comparisons
    Sweep,
    /// Models
    Model,
    /// Days
    Day,
}

/// How the list is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Words that a run must hold, all of them
    pub filter: String,
    /// By which column
    pub column: Column,
    /// The other way round than the column's own: newest, largest and A first
    pub reversed: bool,
    /// Cut into
    pub group: Group,
}

/// A row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The head of a group, and how many runs it has
    Head(String, usize),
    /// A run, by its place in the history
    Run(usize),
}

/// The rows, and what they were made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    made_of: Option<(u64, Wanted, i64)>,
    /// What is searched of each run, in lower case, and for which revision of the history
    words: Vec<String>,
    words_of: Option<u64>,
    entries: Vec<Entry>,
    shown: usize,
}

impl Order {
    /// Brings the rows up to date. `today` is the number of the day it is here, `offset_ms` how far local time is ahead of UTC.
    pub fn update(&mut self, runs: &[RunHead], revision: u64, wanted: &Wanted, today: i64, offset_ms: i64) {
        if self.made_of.as_ref().is_some_and(|(of, how, day)| *of == revision && how == wanted && *day == today) {
            return;
        }
        if self.words_of != Some(revision) {
            self.words = runs.iter().map(RunHead::searched).collect();
            self.words_of = Some(revision);
        }
        let needles: Vec<String> = wanted.filter.split_whitespace().map(str::to_lowercase).collect();
        let holds = |words: &String| needles.iter().all(|needle| words.contains(needle.as_str()));
        let mut found: Vec<usize> = self.words.iter().enumerate().filter(|(_, words)| holds(words)).map(|(at, _)| at).collect();
        self.shown = found.len();
        sort(runs, wanted, &mut found);
        self.entries = if wanted.group == Group::None {
            found.into_iter().map(Entry::Run).collect()
        } else {
            grouped(runs, wanted.group, found, today, offset_ms)
        };
        self.made_of = Some((revision, wanted.clone(), today));
    }

    /// The rows.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many runs are among them.
    pub fn shown(&self) -> usize {
        self.shown
    }
}

/// What a run is called: its title, else its work.
pub(super) fn name(head: &RunHead) -> &str {
    if head.title.is_empty() { &head.workload } else { &head.title }
}

/// The model that all runs are of, if there is only one.
pub(super) fn one_model(runs: &[RunHead]) -> Option<&str> {
    let first = runs.first().map(|head| head.model.as_str()).filter(|model| !model.is_empty())?;
    runs.iter().all(|head| head.model == first).then_some(first)
}

/// Sorts places in the history. What has no value stands last whichever way round it is, equals stay in the order of the history.
fn sort(runs: &[RunHead], wanted: &Wanted, found: &mut [usize]) {
    let turn = |order: Ordering| if wanted.reversed { order.reverse() } else { order };
    let of = |at: &usize| runs.get(*at);
    match wanted.column {
        Column::When => found.sort_by_key(|at| {
            let time = of(at).map_or(0, |head| head.started_ms);
            if wanted.reversed { time } else { time.saturating_neg() }
        }),
        Column::Figure(metric) => {
            let mut keyed: Vec<(Option<f64>, usize)> = found.iter().map(|at| (of(at).and_then(|head| head.figure(metric)), *at)).collect();
            keyed.sort_by(|(a, _), (b, _)| match (a, b) {
                (Some(a), Some(b)) => turn(b.total_cmp(a)),
                (a, b) => b.is_some().cmp(&a.is_some()),
            });
            keyed.iter().zip(found).for_each(|((_, from), to)| *to = *from);
        }
        column => {
            let key = |head: &RunHead| match column {
                Column::Model => format!("{}\n{}", head.model, head.quant).to_lowercase(),
                Column::Design => head.design.to_lowercase(),
                Column::Trust => head.trust_word().to_owned(),
                _ => name(head).to_lowercase(),
            };
            let mut keyed: Vec<(String, usize)> = found.iter().map(|at| (of(at).map(key).unwrap_or_default(), *at)).collect();
            keyed.sort_by(|(a, _), (b, _)| a.is_empty().cmp(&b.is_empty()).then_with(|| turn(a.cmp(b))));
            keyed.iter().zip(found).for_each(|((_, from), to)| *to = *from);
        }
    }
}

/// Under heads, in the order in which the first run of each comes.
fn grouped(runs: &[RunHead], group: Group, found: Vec<usize>, today: i64, offset_ms: i64) -> Vec<Entry> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    let mut days: HashMap<i64, String> = HashMap::new();
    for at in found {
        let Some(head) = runs.get(at) else { continue };
        let key = match group {
            Group::Day => {
                let day = head.started_ms.saturating_add(offset_ms).div_euclid(DAY_MS);
                days.entry(day).or_insert_with(|| day_name(day, today)).clone()
            }
            Group::Model => head.model.clone(),
            Group::Sweep | Group::None => head.group.clone(),
        };
        let place = *places.entry(key.clone()).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, members)) = groups.get_mut(place) {
            members.push(at);
        }
    }
    let mut entries = Vec::with_capacity(groups.iter().map(|(_, members)| members.len() + 1).sum());
    for (key, members) in groups {
        let head = match (key.is_empty(), group) {
            (true, Group::Model) => "Model not known".to_owned(),
            (true, _) => "By themselves".to_owned(),
            (false, _) => key,
        };
        entries.push(Entry::Head(head, members.len()));
        entries.extend(members.into_iter().map(Entry::Run));
    }
    entries
}

fn day_name(day: i64, today: i64) -> String {
    match today - day {
        0 => "Today".into(),
        1 => "Yesterday".into(),
        _ => formatted(day.saturating_mul(DAY_MS), "%-d %B %Y"),
    }
}

#[cfg(test)]
mod tests;
