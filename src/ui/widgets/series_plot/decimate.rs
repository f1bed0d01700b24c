//! Thinning a series to what a row of columns can show.

/// The part of `points` (in order of x) that lies in `range`, thinned to the first, lowest, highest and last of each of `columns` columns.
///
/// One point on either side of the range is kept, so the line runs into the edge. Values that are not finite are kept: they break the line.
pub fn decimate(points: &[[f64; 2]], range: [f64; 2], columns: usize) -> Vec<[f64; 2]> {
    let first = points.partition_point(|[x, _]| *x < range[0]).saturating_sub(1);
    let last = points.partition_point(|[x, _]| *x <= range[1]).saturating_add(1).min(points.len());
    let visible = points.get(first..last).unwrap_or_default();
    let clipped = |index: usize| clip_to_edge(visible, index, range);
    if visible.len() <= columns.max(1) * 2 {
        return (0..visible.len()).filter_map(clipped).collect();
    }
    let span = (range[1] - range[0]).max(f64::MIN_POSITIVE);
    let column_of = |x: f64| ((x - range[0]) / span * columns as f64).floor() as i64;
    let mut out = Vec::with_capacity(columns * 4);
    let mut start = 0;
    while let Some([x, _]) = visible.get(start) {
        let column = column_of(*x);
        let end = visible.iter().skip(start).position(|[x, _]| column_of(*x) != column).map_or(visible.len(), |offset| start + offset);
        let mut kept = extremes(visible, start, end);
        kept.sort_unstable();
        kept.dedup();
        out.extend(kept.into_iter().filter_map(clipped));
        start = end;
    }
    out
}

/// First, last, lowest, highest, and the first gap of `start..end`.
fn extremes(points: &[[f64; 2]], start: usize, end: usize) -> Vec<usize> {
    let mut kept = vec![start, end.saturating_sub(1)];
    let (mut low, mut high, mut gap) = ((start, f64::INFINITY), (start, f64::NEG_INFINITY), None);
    for (index, [_, y]) in points.iter().enumerate().take(end).skip(start) {
        if !y.is_finite() {
            gap.get_or_insert(index);
            continue;
        }
        if *y < low.1 {
            low = (index, *y);
        }
        if *y > high.1 {
            high = (index, *y);
        }
    }
    kept.extend([low.0, high.0]);
    kept.extend(gap);
    kept
}

/// The point, or where the line from it to its neighbour crosses the edge of the range.
fn clip_to_edge(points: &[[f64; 2]], index: usize, range: [f64; 2]) -> Option<[f64; 2]> {
    let point = *points.get(index)?;
    let (edge, neighbour) = match point[0] {
        x if x < range[0] => (range[0], index.checked_add(1)?),
        x if x > range[1] => (range[1], index.checked_sub(1)?),
        _ => return Some(point),
    };
    let neighbour = *points.get(neighbour)?;
    let along = (edge - point[0]) / (neighbour[0] - point[0]);
    along.is_finite().then(|| [edge, point[1] + along * (neighbour[1] - point[1])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_points_pass_unchanged_and_the_edges_are_cut_exactly() {
        let points = [[0.0, 10.0], [2.0, 20.0], [4.0, 40.0], [6.0, 60.0]];
        assert_eq!(decimate(&points, [1.0, 5.0], 100), vec![[1.0, 15.0], [2.0, 20.0], [4.0, 40.0], [5.0, 50.0]]);
        assert!(decimate(&[], [0.0, 1.0], 100).is_empty());
        assert!(decimate(&points, [7.0, 8.0], 100).is_empty());
    }

    #[test]
    fn a_spike_and_a_gap_survive_thinning() {
        let mut points: Vec<[f64; 2]> = (0..100_000).map(|i| [f64::from(i) / 1000.0, 50.0]).collect();
        points[43_210][1] = 900.0;
        points[70_001][1] = f64::NAN;
        let thin = decimate(&points, [0.0, 100.0], 300);
        assert!(thin.len() <= 300 * 5 + 5, "{}", thin.len());
        assert!(thin.iter().any(|[_, y]| *y == 900.0));
        assert!(thin.iter().any(|[_, y]| y.is_nan()));
        assert!(thin.windows(2).all(|pair| pair[0][0] <= pair[1][0]), "out of order");
    }
}
