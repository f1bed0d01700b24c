//! A time series of fixed capacity for live plots.
//!
//! Old points fall out when it is full, so a window left open for a week takes no more memory than after an hour. A plot asks for a span
//! and for as many points as it has pixels; where the span holds more, each bucket gives its smallest and its largest point, in time order,
//! so that a spike of one sample stays visible at every zoom.

use std::collections::VecDeque;

/// One value at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Seconds, on any clock that does not go back
    pub t: f64,
    /// The value, in the series' unit
    pub value: f64,
}

/// Points in time order, the newest `capacity` of them.
#[derive(Clone, Debug)]
pub struct Series {
    points: VecDeque<Point>,
    capacity: usize,
}

impl Series {
    /// An empty series that keeps the newest `capacity` points (at least one).
    pub fn new(capacity: usize) -> Self {
        Self { points: VecDeque::new(), capacity: capacity.max(1) }
    }

    /// Adds a point. One that is not finite, or older than the newest, is dropped: both would break the plot's axes.
    pub fn push(&mut self, t: f64, value: f64) {
        if !t.is_finite() || !value.is_finite() || self.points.back().is_some_and(|last| t < last.t) {
            return;
        }
        if self.points.len() >= self.capacity {
            self.points.pop_front();
        }
        self.points.push_back(Point { t, value });
    }

    /// How many points are kept.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether nothing was pushed yet.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The newest point.
    pub fn last(&self) -> Option<Point> {
        self.points.back().copied()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.points.clear();
    }

    /// Every point, oldest first: for an export.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Point> + '_ {
        self.points.iter().copied()
    }

    /// The points of `t0..=t1`, at most `max_points` (at least two) of them, with the extremes of every bucket kept. The neighbours just
    /// outside the span come along undecimated, so that a line reaches the edges of the plot; the result may thus hold two more.
    pub fn window(&self, t0: f64, t1: f64, max_points: usize) -> Vec<Point> {
        let from = self.points.partition_point(|p| p.t < t0);
        let to = self.points.partition_point(|p| p.t <= t1).max(from);
        let mut out = Vec::new();
        out.extend(from.checked_sub(1).and_then(|i| self.points.get(i)));
        self.decimate(from, to, max_points.max(2), &mut out);
        out.extend(self.points.get(to));
        out
    }

    /// Smallest and largest value in `t0..=t1`: what the plot's axis has to show.
    pub fn range(&self, t0: f64, t1: f64) -> Option<(f64, f64)> {
        let from = self.points.partition_point(|p| p.t < t0);
        let to = self.points.partition_point(|p| p.t <= t1).max(from);
        self.points.range(from..to).fold(None, |acc, p| match acc {
            None => Some((p.value, p.value)),
            Some((low, high)) => Some((p.value.min(low), p.value.max(high))),
        })
    }

    fn decimate(&self, from: usize, to: usize, max_points: usize, out: &mut Vec<Point>) {
        let n = to - from;
        if n <= max_points {
            out.extend(self.points.range(from..to));
            return;
        }
        let buckets = max_points / 2;
        for bucket in 0..buckets {
            let (start, end) = (from + n * bucket / buckets, from + n * (bucket + 1) / buckets);
            let mut extremes: Option<(Point, Point)> = None;
            for p in self.points.range(start..end) {
                extremes = Some(match extremes {
                    None => (*p, *p),
                    Some((low, high)) => (if p.value < low.value { *p } else { low }, if p.value > high.value { *p } else { high }),
                });
            }
            if let Some((low, high)) = extremes {
                let (first, second) = if low.t <= high.t { (low, high) } else { (high, low) };
                out.push(first);
                if first != second {
                    out.push(second);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(n: usize, capacity: usize) -> Series {
        let mut series = Series::new(capacity);
        for i in 0..n {
            series.push(i as f64, (i % 7) as f64);
        }
        series
    }

    #[test]
    fn keeps_the_newest() {
        let series = filled(10, 4);
        assert_eq!(series.len(), 4);
        assert_eq!(series.iter().map(|p| p.t).collect::<Vec<_>>(), [6.0, 7.0, 8.0, 9.0]);
        assert_eq!(series.last().map(|p| p.t), Some(9.0));
    }

    #[test]
    fn refuses_what_breaks_a_plot() {
        let mut series = Series::new(8);
        series.push(1.0, 1.0);
        series.push(0.5, 2.0);
        series.push(f64::NAN, 2.0);
        series.push(2.0, f64::INFINITY);
        assert_eq!(series.len(), 1);
    }

    #[test]
    fn a_spike_survives_decimation() {
        let mut series = Series::new(10_000);
        for i in 0..10_000 {
            series.push(f64::from(i), if i == 4321 { 99.0 } else { 1.0 });
        }
        let seen = series.window(0.0, 1e9, 100);
        assert!(seen.len() <= 100);
        assert!(seen.contains(&Point { t: 4321.0, value: 99.0 }));
        assert_eq!(series.range(0.0, 1e9), Some((1.0, 99.0)));
    }

    #[test]
    fn a_span_brings_its_neighbours() {
        let series = filled(10, 100);
        let times: Vec<f64> = series.window(3.5, 6.0, 100).iter().map(|p| p.t).collect();
        assert_eq!(times, [3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(series.window(20.0, 30.0, 10).len(), 1, "only the neighbour before the span");
        assert_eq!(series.window(6.0, 3.0, 10).len(), 2, "an empty span has only its neighbours");
        assert_eq!(series.range(20.0, 30.0), None);
    }

    proptest! {
        #[test]
        fn windows_are_small_ordered_and_real(
            values in prop::collection::vec((0.0f64..1.0, -1e3f64..1e3), 0..400),
            t0 in 0.0f64..100.0, span in 0.0f64..100.0, max in 0usize..50,
        ) {
            let mut series = Series::new(256);
            let mut t = 0.0;
            for (step, v) in values {
                t += step;
                series.push(t, v);
            }
            let seen = series.window(t0, t0 + span, max);
            prop_assert!(seen.len() <= max.max(2) + 2);
            prop_assert!(seen.is_sorted_by(|a, b| a.t <= b.t));
            let all: Vec<Point> = series.iter().collect();
            prop_assert!(seen.iter().all(|p| all.contains(p)));
            if let Some((low, high)) = series.range(t0, t0 + span) {
                prop_assert!(seen.iter().any(|p| p.value == low) && seen.iter().any(|p| p.value == high));
            }
        }
    }
}
