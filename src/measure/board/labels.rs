//! What designs are called among each other: the rung, then only what differs.

use super::Row;
use crate::protocol::{Design, Environment, FlashAttention};

/// The name of a design among others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// The rung (`Q4_K_M`), with the model before it where there are several models
    pub rung: String,
    /// What differs, `2 threads, KV q8_0`; empty when nothing but the rung does
    pub rest: String,
}

impl Label {
    /// In one line: `Q4_K_M, 2 threads`.
    pub fn text(&self) -> String {
        if self.rest.is_empty() { self.rung.clone() } else { format!("{}, {}", self.rung, self.rest) }
    }
}

/// Digits of a fingerprint that tell two files of one name apart.
const FILE_DIGITS: usize = 6;

/// What a label may be made of, in the order it is said.
type Part = (&'static str, fn(&Design) -> String);

const PARTS: [Part; 11] =
    [
        ("threads", |d| counted(d.threads, "thread")),
        ("threads_batch", |d| {
            if d.threads_batch == 0 { "batch threads as threads".into() } else { format!("{} batch threads", d.threads_batch) }
        }),
        ("n_batch", |d| format!("batch {}", d.n_batch)),
        ("n_ubatch", |d| format!("ubatch {}", d.n_ubatch)),
        ("n_ctx", |d| if d.n_ctx == 0 { "ctx auto".into() } else { format!("ctx {}", d.n_ctx) }),
        ("kv", |d| {
            if d.type_k == d.type_v { format!("KV {}", d.type_k.name()) } else { format!("K {} V {}", d.type_k.name(), d.type_v.name()) }
        }),
        ("flash_attention", |d| match d.flash_attention {
            FlashAttention::Auto => "FA auto".into(),
            FlashAttention::On => "FA on".into(),
            FlashAttention::Off => "FA off".into(),
        }),
        ("gpu_layers", |d| if d.gpu_layers < 0 { "all GPU layers".into() } else { format!("{} GPU layers", d.gpu_layers) }),
        ("mmap", |d| if d.mmap { "mmap".into() } else { "no mmap".into() }),
        ("repack", |d| if d.repack { "repack".into() } else { "no repack".into() }),
        ("mlock", |d| if d.mlock { "mlock".into() } else { "no mlock".into() }),
    ];

fn counted(threads: u32, what: &str) -> String {
    match threads {
        0 => format!("auto {what}s"),
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

fn rung(design: &Design, environment: &Environment) -> String {
    if environment.quant.is_empty() {
        design.model.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    } else {
        environment.quant.clone()
    }
}

fn model(design: &Design, environment: &Environment) -> String {
    if environment.model.is_empty() {
        design.model.parent().map(|folder| folder.display().to_string()).unwrap_or_default()
    } else {
        environment.model.clone()
    }
}

/// Whether the values are not all equal.
fn differ(mut values: impl Iterator<Item = String>) -> bool {
    let first = values.next();
    values.any(|value| Some(value) != first)
}

/// A design among others: design, what it ran on, depth.
pub type Named<'a> = (&'a Design, &'a Environment, u32);

/// The label of each, in order.
pub fn labels(designs: &[Named<'_>]) -> Vec<Label> {
    let parts: Vec<&Part> = PARTS.iter().filter(|(_, say)| differ(designs.iter().map(|(design, ..)| say(design)))).collect();
    let models = differ(designs.iter().map(|(design, environment, _)| model(design, environment)));
    let machines = differ(designs.iter().map(|(_, environment, _)| environment.cpu.clone()));
    let depths = designs.iter().any(|(.., depth)| Some(*depth) != designs.first().map(|(.., depth)| *depth));
    // settings of a newer version: said as they are written
    let extra = |design: &Design| {
        let known = |key: &&String| designs.iter().any(|(other, ..)| other.extra.get(*key) != design.extra.get(*key));
        design
            .extra
            .keys()
            .filter(known)
            .map(|key| format!("{key} {}", design.extra.get(key).map(ToString::to_string).unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    let label = |(design, environment, depth): &Named<'_>| {
        let mut rest: Vec<String> = parts.iter().map(|(_, say)| say(design)).collect();
        rest.extend(extra(design));
        if depths {
            rest.push(format!("depth {depth}"));
        }
        let is_other_file = |(other, on, _): &Named<'_>| {
            (rung(other, on), model(other, on)) == (rung(design, environment), model(design, environment))
                && ![&on.model_hash, &environment.model_hash].into_iter().any(String::is_empty)
                && on.model_hash != environment.model_hash
        };
        if designs.iter().any(is_other_file) {
            rest.push(format!("file {}", environment.model_hash.chars().take(FILE_DIGITS).collect::<String>()));
        }
        if machines {
            let cpu = if environment.cpu.is_empty() { "an unknown processor" } else { environment.cpu.as_str() };
            rest.push(format!("on {cpu}"));
        }
        let mut name = rung(design, environment);
        if models {
            name = format!("{} {name}", model(design, environment)).trim().to_owned();
        }
        Label { rung: name, rest: rest.join(", ") }
    };
    designs.iter().map(label).collect()
}

pub(super) fn of_rows(rows: &[Row]) -> Vec<Label> {
    let named: Vec<Named<'_>> = rows.iter().map(|row| (&row.design, &row.environment, row.depth)).collect();
    labels(&named)
}
