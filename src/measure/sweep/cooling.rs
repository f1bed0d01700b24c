//! When to leave the machine alone for a while: it became slower for every design, or its clock fell, or it is hot.

use serde::{Deserialize, Serialize};

use crate::measure::stats;
use crate::protocol::BenchRow;

/// A measurement under this part of what its own design showed before counts as slow.
const SLOW: f64 = 0.93;
/// So many slow ones in a row, of whatever designs, are the machine's doing.
const IN_A_ROW: u32 = 3;
/// Above it processors throttle, degrees Celsius.
const HOT: f64 = 90.0;
/// How long each rest is, seconds; after the last the machine is taken as it is.
const RESTS: [f64; 3] = [5.0, 10.0, 20.0];

/// What was noticed of the machine's speed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cooling {
    slow: u32,
    /// Fastest clock seen, MHz
    best_clock: Option<f64>,
    /// Rests since the machine was last as fast as it should be
    rests: usize,
    /// Why a rest is due
    due: Option<String>,
    /// Rests in all
    taken: u32,
}

impl Cooling {
    /// A measurement was made: what its design showed before (middle) and now, and its cells.
    pub(super) fn saw(&mut self, before: Option<f64>, now: Option<f64>, cells: &[BenchRow]) {
        let each = |of: fn(&crate::protocol::Surroundings) -> Option<f64>| {
            let values: Vec<f64> = cells.iter().flat_map(|cell| &cell.surroundings).filter_map(of).collect();
            stats::median(&values)
        };
        let (clock, celsius) = (each(|s| s.clock_mhz), each(|s| s.celsius));
        self.best_clock = self.best_clock.into_iter().chain(clock).reduce(f64::max);
        if let (Some(before), Some(now)) = (before, now) {
            self.slow = if now < before * SLOW { self.slow + 1 } else { 0 };
        }
        let fell = clock.zip(self.best_clock).filter(|(clock, best)| *clock < best * SLOW);
        let reason = if let Some(celsius) = celsius.filter(|celsius| *celsius >= HOT) {
            Some(format!("The processor is at {celsius:.0} degrees"))
        } else if let Some((clock, best)) = fell {
            Some(format!("The clock fell from {best:.0} to {clock:.0} MHz"))
        } else if self.slow >= IN_A_ROW {
            Some(format!("The last {} measurements were slower than those of the same designs before", self.slow))
        } else {
            None
        };
        if reason.is_none() && self.slow == 0 {
            self.rests = 0;
        }
        self.due = reason.filter(|_| self.rests < RESTS.len());
    }

    /// How long to rest now, and why.
    pub(super) fn wanted(&self) -> Option<(f64, String)> {
        Some((*RESTS.get(self.rests)?, self.due.clone()?))
    }

    /// A rest is over.
    pub(super) fn done(&mut self) {
        self.due = None;
        self.slow = 0;
        self.rests += 1;
        self.taken += 1;
    }

    /// Rests so far.
    pub fn taken(&self) -> u32 {
        self.taken
    }
}
