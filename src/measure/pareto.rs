//! Which designs are worth choosing: limits, the Pareto front, its knee, and the best for one goal.
//!
//! A point is a row of figures by axis number; `None` and what is not finite count as not measured. One point dominates another when it
//! is nowhere worse and somewhere better; equal points do not dominate each other. Points that break a limit, or that lack a figure a
//! limit or an axis asks for, neither dominate nor stand on the front.

use std::cmp::Ordering;

/// Which way an axis is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Tokens per second
    Higher,
    /// Milliseconds, bytes, loss
    Lower,
}

/// A figure to choose by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Its place in every point
    pub index: usize,
    /// Its direction
    pub better: Better,
}

/// On which side of its value a limit holds; the value itself is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `figure <= value`
    AtMost,
    /// `figure >= value`
    AtLeast,
}

/// What a design must keep to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Place of the figure in every point; it need not be an axis of the front
    pub axis: usize,
    /// Side
    pub bound: Bound,
    /// In the unit of the figure
    pub value: f64,
}

/// A limit that a point breaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breach {
    /// The limit
    pub limit: Limit,
    /// The figure that was measured
    pub value: f64,
}

/// Where a point stands among the others.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Nothing is better in one axis without being worse in another
    Front,
    /// Another point is at least as good everywhere
    Dominated {
        /// One that is, from the front
        by: usize,
    },
    /// Breaks limits, whether or not everything was measured
    Infeasible {
        /// All that it breaks, in the order of the limits
        reasons: Vec<Breach>,
    },
    /// A figure is missing
    Unmeasured {
        /// The first one that a limit or an axis asks for
        axis: usize,
    },
}

/// The best point and those that cannot be told from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Best {
    /// The point with the best figure
    pub index: usize,
    /// Not distinguishable from it, best first
    pub runners_up: Vec<usize>,
}

fn figure(point: &[Option<f64>], axis: usize) -> Option<f64> {
    point.get(axis).copied().flatten().filter(|v| v.is_finite())
}

/// The figures on `axes`, turned so that higher is better; the axis of the first that is missing otherwise.
fn turned(point: &[Option<f64>], axes: &[Axis]) -> Result<Vec<f64>, usize> {
    let turn = |axis: &Axis| {
        let value = figure(point, axis.index).ok_or(axis.index)?;
        // + 0.0 makes one zero of two, for the total order
        Ok(if axis.better == Better::Higher { value } else { -value } + 0.0)
    };
    axes.iter().map(turn).collect()
}

/// Why a point cannot be chosen, when it cannot.
fn barred(point: &[Option<f64>], limits: &[Limit]) -> Option<Standing> {
    let broken = |limit: &Limit| {
        let value = figure(point, limit.axis)?;
        let breaks = if limit.bound == Bound::AtMost { value > limit.value } else { value < limit.value };
        breaks.then_some(Breach { limit: *limit, value })
    };
    let reasons: Vec<Breach> = limits.iter().filter_map(broken).collect();
    if !reasons.is_empty() {
        return Some(Standing::Infeasible { reasons });
    }
    let missing = limits.iter().find(|limit| figure(point, limit.axis).is_none())?;
    Some(Standing::Unmeasured { axis: missing.axis })
}

/// Best first on the first axis, then on the next where those are equal.
fn best_first(a: &[f64], b: &[f64]) -> Ordering {
    let orders = a.iter().zip(b).map(|(a, b)| b.total_cmp(a));
    orders.fold(Ordering::Equal, Ordering::then)
}

fn dominates(a: &[f64], b: &[f64]) -> bool {
    a != b && a.iter().zip(b).all(|(a, b)| a >= b)
}

/// Where each point stands on `axes` (two or more) under `limits`.
///
/// `O(n log n)` for two axes; `O(n f)` for more, with `f` points on the front.
pub fn judge<P: AsRef<[Option<f64>]>>(points: &[P], axes: &[Axis], limits: &[Limit]) -> Vec<Standing> {
    let mut standings = Vec::with_capacity(points.len());
    let mut candidates = Vec::new();
    for (index, point) in points.iter().map(AsRef::as_ref).enumerate() {
        standings.push(barred(point, limits).unwrap_or_else(|| match turned(point, axes) {
            Ok(values) => {
                candidates.push((index, values));
                Standing::Front
            }
            Err(axis) => Standing::Unmeasured { axis },
        }));
    }
    // in this order only earlier points can dominate, and if any does, one on the front does
    candidates.sort_by(|a, b| best_first(&a.1, &b.1));
    let mut front: Vec<&(usize, Vec<f64>)> = Vec::new();
    // on two axes the last point of the front has the best second figure so far
    let look_back = if axes.len() <= 2 { 1 } else { usize::MAX };
    for candidate in &candidates {
        match front.iter().rev().take(look_back).find(|other| dominates(&other.1, &candidate.1)) {
            None => front.push(candidate),
            Some(other) => {
                if let Some(standing) = standings.get_mut(candidate.0) {
                    *standing = Standing::Dominated { by: other.0 };
                }
            }
        }
    }
    standings
}

/// The points on the front with both figures, as a line to draw: ascending on the first axis, then on the second. On the axes that were
/// judged by it is a staircase; a front of more axes, seen on two, zigzags.
pub fn front_line<P: AsRef<[Option<f64>]>>(points: &[P], axes: [Axis; 2], standings: &[Standing]) -> Vec<usize> {
    let [x, y] = axes.map(|axis| axis.index);
    let mut line: Vec<(f64, f64, usize)> = (points.iter().zip(standings).enumerate())
        .filter(|(_, (_, standing))| **standing == Standing::Front)
        .filter_map(|(index, (point, _))| Some((figure(point.as_ref(), x)?, figure(point.as_ref(), y)?, index)))
        .collect();
    line.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    line.into_iter().map(|(_, _, index)| index).collect()
}

/// The knee of a front of these two axes, as [`front_line`] gives it: the point farthest beyond the chord between the ends, on the better
/// side of it, with both axes scaled to 0..1 (after the knee, a little of one costs much of the other).
///
/// `None` under three points, or when none lies beyond the chord.
pub fn knee<P: AsRef<[Option<f64>]>>(points: &[P], axes: [Axis; 2], line: &[usize]) -> Option<usize> {
    let at = |index: &usize| match turned(points.get(*index)?.as_ref(), &axes).ok()?.as_slice() {
        [x, y] => Some((*x, *y)),
        _ => None,
    };
    let ends = [at(line.first()?)?, at(line.last()?)?];
    // turned, the ends of a front are (worst x, best y) and (best x, worst y): the chord falls from (0, 1) to (1, 0)
    let (left, right) = (ends[0].0.min(ends[1].0), ends[0].0.max(ends[1].0));
    let (bottom, top) = (ends[0].1.min(ends[1].1), ends[0].1.max(ends[1].1));
    let beyond = |index: &usize| {
        let (x, y) = at(index)?;
        let beyond = (x - left) / (right - left) + (y - bottom) / (top - bottom) - 1.0;
        // a rounding error beyond a straight front is no knee
        (beyond.is_finite() && beyond > 1e-9).then_some((beyond, *index))
    };
    // the first of equals: max_by takes the last
    line.iter().rev().filter_map(beyond).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, index)| index)
}

/// The points that keep to `limits` and have the figure of `goal`, best first; equal ones in their own order.
pub fn ranked<P: AsRef<[Option<f64>]>>(points: &[P], goal: Axis, limits: &[Limit]) -> Vec<usize> {
    let allowed = points.iter().map(AsRef::as_ref).enumerate().filter(|(_, point)| barred(point, limits).is_none());
    let mut ranked: Vec<(usize, Vec<f64>)> = allowed.filter_map(|(index, point)| Some((index, turned(point, &[goal]).ok()?))).collect();
    ranked.sort_by(|a, b| best_first(&a.1, &b.1));
    ranked.into_iter().map(|(index, _)| index).collect()
}

/// The best point for `goal` under `limits`, and all others of which `same(best, other)` says that they cannot be told from it
/// (`verdict::compare`, with `verdict::all_pairs` of the number of [`ranked`] points). `None` when no point can be chosen.
pub fn best<P: AsRef<[Option<f64>]>>(
    points: &[P],
    goal: Axis,
    limits: &[Limit],
    mut same: impl FnMut(usize, usize) -> bool,
) -> Option<Best> {
    let ranked = ranked(points, goal, limits);
    let (&index, rest) = ranked.split_first()?;
    Some(Best { index, runners_up: rest.iter().copied().filter(|other| same(index, *other)).collect() })
}

#[cfg(test)]
mod tests;
