//! A grid that was measured on the starter model (`tests/data/grid.json` says how).

use std::collections::BTreeMap;
use std::path::Path;

use inferscope::measure::pareto::{Axis, Better};
use inferscope::measure::search::{Candidate, Fact, Feature, Figure, Instrument, Problem};
use inferscope::measure::stats::mean;
use serde_json::Value;

use super::replay::{Grid, Record};

pub const DECODE: usize = 0;
pub const PREFILL: usize = 1;
pub const TTFT: usize = 2;
pub const MEMORY: usize = 3;
pub const SIZE: usize = 4;
pub const KLD: usize = 5;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

pub fn grid() -> Grid {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/grid.json");
    let data: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let rungs = data["rungs"].as_array().unwrap();
    let sizes: Vec<u32> = rungs.iter().map(|r| (r["size"].as_f64().unwrap() / 1e5) as u32).collect();
    let names: Vec<&str> = rungs.iter().map(|r| r["name"].as_str().unwrap()).collect();
    let (threads, batches) = ([1, 2], [16, 32, 64]);
    let features = vec![
        Feature { levels: names.iter().map(ToString::to_string).collect(), ..Feature::counts("rung", &sizes) },
        Feature::counts("threads", &threads),
        Feature::counts("ubatch-size", &batches),
        Feature::categorical("cache-type", ["f16", "q8_0"]),
        Feature::categorical("flash-attn", ["on", "off"]),
    ];
    let (tokens_pp, tokens_tg) = (data["pp"].as_f64().unwrap(), data["tg"].as_f64().unwrap());
    let (mut designs, mut records, mut truth) = (Vec::new(), Vec::new(), Vec::new());
    for design in data["designs"].as_array().unwrap() {
        let number = |key: &str| design[key].as_f64().unwrap();
        let rung = names.iter().position(|n| *n == design["rung"]).unwrap();
        let levels = vec![
            rung,
            threads.iter().position(|t| f64::from(*t) == number("threads")).unwrap(),
            batches.iter().position(|t| f64::from(*t) == number("ubatch")).unwrap(),
            usize::from(design["kv"] == "q8_0"),
            usize::from(design["flash"] == "off"),
        ];
        let size = rungs[rung]["size"].as_f64().unwrap();
        let mut record = Record { load: number("load"), ..Record::default() };
        let mut is = BTreeMap::from([(SIZE, size)]);
        let mut facts = BTreeMap::from([(SIZE, Fact::Exact(size))]);
        if let Some(estimate) = design["estimate"].as_f64() {
            facts.insert(MEMORY, Fact::Estimate { value: estimate, off: 0.15 });
        }
        if design["error"].is_null() {
            let (pp, tg) = (numbers(&design["pp"]), numbers(&design["tg"]));
            record.warm = BTreeMap::from([(0, mean(&tg).unwrap() / tokens_tg), (1, mean(&pp).unwrap())]);
            record.samples.insert(DECODE, tg.iter().map(|s| tokens_tg / s).collect());
            record.samples.insert(PREFILL, pp.iter().map(|s| tokens_pp / s).collect());
            record.samples.insert(TTFT, pp.iter().map(|s| 1000.0 * s).collect());
            record.samples.insert(MEMORY, vec![number("memory")]);
            record.samples.insert(KLD, vec![rungs[rung]["kld"].as_f64().unwrap()]);
            record.seconds = BTreeMap::from([(0, tg), (1, pp), (2, vec![rungs[rung]["kld_seconds"].as_f64().unwrap()])]);
            is.extend(record.samples.iter().map(|(figure, samples)| (*figure, mean(samples).unwrap())));
        } else {
            record.failed = Some(design["error"].as_str().unwrap().to_owned());
        }
        designs.push(Candidate { levels, facts });
        records.push(record);
        truth.push(is);
    }
    let figure = |name: &str, depends_on: Option<Vec<usize>>| Figure { name: name.into(), unit: String::new(), depends_on };
    let problem = Problem {
        features,
        designs,
        figures: vec![
            figure("decode", None),
            figure("prefill", None),
            figure("TTFT", None),
            figure("memory", None),
            figure("size", Some(vec![0])),
            figure("KLD", Some(vec![0])),
        ],
        instruments: vec![
            Instrument { figures: vec![DECODE, MEMORY] },
            Instrument { figures: vec![PREFILL, TTFT, MEMORY] },
            Instrument { figures: vec![KLD] },
        ],
        goal: Axis { index: DECODE, better: Better::Higher },
        limits: Vec::new(),
    };
    let repetitions = records.iter().filter_map(|r| r.samples.get(&DECODE)).map(Vec::len).max().unwrap();
    Grid { problem, records, truth, repetitions }
}
