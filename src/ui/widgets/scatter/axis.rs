//! Axes: a scale, a range that holds what is shown, and ticks at round values that do not crowd.

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Evenly
    #[default]
    Linear,
    /// By the square root: small values are set apart, and zero has a place. For losses
    Root,
    /// By the logarithm: for values that span decades; positive ones only
    Log,
}

impl Scale {
    /// Where a value stands, evenly spread. A value without a place (a logarithm of zero) is not finite.
    pub fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Root => value.max(0.0).sqrt(),
            Self::Log => value.log10(),
        }
    }

    /// The scale on which values of a figure are told apart: `is_loss` figures by the root, others by the logarithm once they span more
    /// than a decade and a half.
    pub fn fitting(values: impl IntoIterator<Item = f64>, is_loss: bool) -> Self {
        if is_loss {
            return Self::Root;
        }
        let (low, high) = values.into_iter().fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        if low > 0.0 && high / low > 30.0 { Self::Log } else { Self::Linear }
    }
}

/// What an axis shows.
pub struct Axis<'a> {
    /// Its words (`decode, t/s`)
    pub name: &'a str,
    /// Whether larger values are better: the better end is to the right and at the top
    pub higher_is_better: bool,
    /// How values are spread
    pub scale: Scale,
    /// The value that must not be passed, on the worse side of which is the forbidden region, and its words
    pub limit: Option<(f64, &'a str)>,
    /// A value as words at a tick
    pub tick: &'a dyn Fn(f64) -> String,
}

impl Axis<'_> {
    /// Where a value stands on the axis, growing towards the better end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let place = self.scale.place(value);
        if self.higher_is_better { place } else { -place }
    }

    /// The part of the axis in view, worse end first: all the values with some air, and the limit unless it is far from all of them.
    pub(super) fn range(&self, values: impl IntoIterator<Item = f64>) -> [f64; 2] {
        let places = values.into_iter().map(|value| self.at(value)).filter(|place| place.is_finite());
        let (mut low, mut high) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), place| (low.min(place), high.max(place)));
        if low > high {
            return [0.0, 1.0];
        }
        let span = high - low;
        if let Some(limit) = self.limit.map(|(value, _)| self.at(value)).filter(|limit| limit.is_finite())
            && (span <= 0.0 || (limit > low - 0.75 * span && limit < high + 0.75 * span))
        {
            (low, high) = (low.min(limit), high.max(limit));
        }
        // equal values stand in the middle
        let air = if high > low { 0.08 * (high - low) } else { high.abs().mul_add(0.1, 1e-6) };
        [low - air, high + air]
    }

    /// Values of round numbers in view with at least `gap` points between them on an axis of `length` points.
    pub(super) fn ticks(&self, view: [f64; 2], length: f32, gap: f32) -> Vec<f64> {
        let (low, high) = if self.higher_is_better { (view[0], view[1]) } else { (-view[1], -view[0]) };
        let most = f64::from((length / gap).floor().max(1.0));
        match self.scale {
            Scale::Linear => linear_ticks(low, high, most),
            Scale::Root => spaced(self.scale, low.max(0.0).powi(2), high.max(0.0).powi(2), (high - low) / most),
            Scale::Log => spaced(self.scale, 10_f64.powf(low), 10_f64.powf(high), (high - low) / most),
        }
    }
}

/// The smallest step of 1, 2, 5 times a power of ten that gives no more than `most` ticks.
fn linear_ticks(low: f64, high: f64, most: f64) -> Vec<f64> {
    let least = (high - low) / most;
    if !(least > 0.0 && least.is_finite()) {
        return Vec::new();
    }
    let power = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= least * 0.999).unwrap_or(10.0 * power);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last.min(first + 64)).map(|i| i as f64 * step).collect()
}

/// 0 and 1, 2, 5 times powers of ten from `low` to `high`, the roundest first, at least `gap` apart on the scale.
fn spaced(scale: Scale, low: f64, high: f64, gap: f64) -> Vec<f64> {
    if !(high > 0.0 && high.is_finite() && gap > 0.0) {
        return Vec::new();
    }
    let decades = (high.log10().floor() as i32 - 6)..=(high.log10().floor() as i32);
    let mut candidates = Vec::new();
    if scale == Scale::Root && low <= 0.0 {
        candidates.push(0.0);
    }
    for m in [1.0, 5.0, 2.0] {
        candidates.extend(decades.clone().rev().map(|decade| m * 10_f64.powi(decade)));
    }
    let mut ticks: Vec<f64> = Vec::new();
    for value in candidates.into_iter().filter(|value| *value >= low && *value <= high) {
        if ticks.iter().all(|tick| (scale.place(*tick) - scale.place(value)).abs() >= gap * 0.999) {
            ticks.push(value);
        }
    }
    ticks.sort_by(f64::total_cmp);
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale, higher_is_better: bool, limit: Option<f64>) -> Axis<'static> {
        Axis { name: "a", higher_is_better, scale, limit: limit.map(|value| (value, "limit")), tick: &|value| value.to_string() }
    }

    #[test]
    fn ticks_are_round_and_do_not_crowd() {
        let speed = axis(Scale::Linear, true, None);
        assert_eq!(speed.ticks([92.0, 215.0], 600.0, 80.0), [100.0, 120.0, 140.0, 160.0, 180.0, 200.0]);
        let loss = axis(Scale::Root, false, None);
        let view = loss.range([0.0, 0.414]);
        let ticks = loss.ticks(view, 270.0, 30.0);
        assert!(ticks.contains(&0.0) && ticks.contains(&0.1) && ticks.len() >= 4, "{ticks:?}");
        for pair in ticks.windows(2) {
            assert!((pair[1].sqrt() - pair[0].sqrt()) / (view[1] - view[0]) * 270.0 >= 29.0, "{ticks:?}");
        }
        let log = axis(Scale::Log, true, None);
        assert_eq!(log.ticks([0.0, 3.0], 300.0, 60.0), [1.0, 10.0, 100.0, 1000.0]);
        assert!(speed.ticks([1.0, 1.0], 300.0, 60.0).is_empty());
    }

    #[test]
    fn the_better_end_is_always_the_far_one() {
        let memory = axis(Scale::Linear, false, None);
        assert!(memory.at(300.0) > memory.at(400.0));
        let range = memory.range([300.0, 400.0]);
        assert!(range[0] < memory.at(400.0) && range[1] > memory.at(300.0));
    }

    #[test]
    fn a_limit_near_the_values_is_in_view_and_a_far_one_is_not() {
        let range = |limit| axis(Scale::Linear, true, Some(limit)).range([100.0, 200.0]);
        assert!(range(80.0)[0] < 80.0);
        assert!(range(1000.0)[1] < 300.0);
        let one = axis(Scale::Linear, true, None).range([150.0]);
        assert!(one[0] < 150.0 && one[1] > 150.0);
        assert_eq!(axis(Scale::Log, true, None).range([0.0, -1.0]), [0.0, 1.0], "nothing has a place");
    }

    #[test]
    fn the_scale_follows_what_is_shown() {
        assert_eq!(Scale::fitting([100.0, 200.0], false), Scale::Linear);
        assert_eq!(Scale::fitting([1.0, 200.0], false), Scale::Log);
        assert_eq!(Scale::fitting([0.0, 200.0], false), Scale::Linear);
        assert_eq!(Scale::fitting([0.0, 0.2], true), Scale::Root);
    }
}
