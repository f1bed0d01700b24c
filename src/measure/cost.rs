//! What generated tokens cost on a machine that has a price.

use std::collections::BTreeMap;

use crate::protocol::{Metric, Run};

/// Cost of a million generated tokens on a machine that does nothing else: `price_per_hour / (3600 s/h * tps) * 10^6`, in whatever money the
/// price is. `None` where the speed or the price says nothing.
pub fn per_million(price_per_hour: f64, tps: f64) -> Option<f64> {
    let cost = price_per_hour / (3600.0 * tps) * 1e6;
    (tps > 0.0 && price_per_hour > 0.0 && cost.is_finite()).then_some(cost)
}

/// The cost of each sample of decode speed, where the price is known.
pub(super) fn price(samples: &mut BTreeMap<Metric, Vec<f64>>, price_per_hour: Option<f64>) {
    let costs = |price: f64| samples.get(&Metric::DecodeTps)?.iter().map(|tps| per_million(price, *tps)).collect::<Option<Vec<f64>>>();
    if let Some(costs) = price_per_hour.and_then(costs) {
        samples.insert(Metric::CostPerMillion, costs);
    }
}

/// Runs at the price of now, whatever it was when they were measured; without one they keep what they say.
pub fn at_price(runs: &mut [Run], price_per_hour: Option<f64>) {
    for run in runs {
        price(&mut run.samples, price_per_hour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{BenchTest, Design, Workload};

    #[test]
    fn a_machine_of_one_an_hour_that_makes_100_tokens_a_second() {
        let cost = per_million(1.0, 100.0).unwrap();
        assert!((cost - 1e6 / 360_000.0).abs() < 1e-12, "{cost}");
        assert_eq!([per_million(1.0, 0.0), per_million(0.0, 9.0), per_million(f64::NAN, 9.0), per_million(1.0, f64::NAN)], [None; 4]);
    }

    #[test]
    fn runs_have_the_cost_of_the_price_of_now() {
        let test = BenchTest { n_prompt: 0, n_gen: 128, n_depth: 0 };
        let mut run = Run::new(Design::default(), Workload::Bench { test }, 1);
        run.samples.insert(Metric::DecodeTps, vec![50.0, 100.0]);
        let mut runs = [run];
        at_price(&mut runs, None);
        assert!(!runs[0].samples.contains_key(&Metric::CostPerMillion));
        at_price(&mut runs, Some(1.0));
        at_price(&mut runs, Some(3.6));
        assert_eq!(runs[0].samples[&Metric::CostPerMillion], [20.0, 10.0]);
        at_price(&mut runs, None);
        assert_eq!(runs[0].figure(Metric::CostPerMillion), Some(15.0));
    }
}
