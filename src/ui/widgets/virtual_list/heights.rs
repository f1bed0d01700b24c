//! Row heights with their running sum: a Fenwick tree, so that one changed height costs a logarithm and not the list.

use std::collections::HashMap;

use super::RowId;

#[derive(Clone, Copy, Debug)]
struct Row {
    id: RowId,
    /// Height with the gap after it, in points.
    height: f64,
}

/// The heights of all rows, some measured, some estimated.
#[derive(Clone, Debug)]
pub(super) struct Heights {
    rows: Vec<Row>,
    /// `tree[i - 1]` is the sum of the `i & -i` heights that end with row `i - 1`.
    tree: Vec<f64>,
    estimate: f64,
}

impl Heights {
    pub fn new(estimate: f32) -> Self {
        Self { rows: Vec::new(), tree: Vec::new(), estimate: f64::from(estimate.max(1.0)) }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn key(&self, index: usize) -> Option<u64> {
        self.rows.get(index).map(|row| row.id.key)
    }

    pub fn index_of(&self, key: u64) -> Option<usize> {
        self.rows.iter().position(|row| row.id.key == key)
    }

    pub fn height(&self, index: usize) -> f64 {
        self.rows.get(index).map_or(0.0, |row| row.height)
    }

    pub fn total(&self) -> f64 {
        self.start_of(self.rows.len())
    }

    /// The sum of the heights before `index`.
    pub fn start_of(&self, index: usize) -> f64 {
        let mut left = index.min(self.tree.len());
        let mut sum = 0.0;
        while left > 0 {
            sum += self.tree.get(left - 1).copied().unwrap_or(0.0);
            left &= left - 1;
        }
        sum
    }

    /// The row that covers `offset`; the last one beyond the end.
    pub fn row_at(&self, offset: f64) -> usize {
        let (mut at, mut left) = (0, offset.max(0.0));
        let mut step = self.tree.len().checked_next_power_of_two().unwrap_or(0);
        while step > 0 {
            if let Some(sum) = self.tree.get(at + step - 1)
                && *sum <= left
            {
                at += step;
                left -= sum;
            }
            step /= 2;
        }
        at.min(self.rows.len().saturating_sub(1))
    }

    pub fn push(&mut self, id: RowId, gap: f32) {
        let height = self.estimate + f64::from(gap);
        self.rows.push(Row { id, height });
        let position = self.rows.len();
        // the new node covers the rows since the last one it does not contain
        let covered = position - (position & position.wrapping_neg());
        let sum = self.start_of(position - 1) - self.start_of(covered) + height;
        self.tree.push(sum);
    }

    /// Takes another set of rows, keeping the heights of those that are the same.
    pub fn replace(&mut self, ids: impl Iterator<Item = RowId>, gap: f32) {
        let old = std::mem::take(&mut self.rows);
        let mut by_key: Option<HashMap<RowId, Row>> = None;
        let mut rows = Vec::with_capacity(old.len());
        for (index, id) in ids.enumerate() {
            // nearly always the rows before a change are where they were; the map is built at the first that is not
            let same = old.get(index).filter(|row| row.id == id).copied();
            let known = same.or_else(|| by_key.get_or_insert_with(|| old.iter().map(|row| (row.id, *row)).collect()).get(&id).copied());
            rows.push(known.unwrap_or(Row { id, height: self.estimate + f64::from(gap) }));
        }
        self.rows = rows;
        self.rebuild();
    }

    /// Notes the height a row turned out to have.
    pub fn measured(&mut self, index: usize, id: RowId, height: f32, gap: f32) {
        let height = f64::from(height + gap);
        let Some(row) = self.rows.get_mut(index) else {
            return;
        };
        let change = height - row.height;
        *row = Row { id, height };
        if change.abs() > 1e-3 {
            let mut position = index + 1;
            while let Some(sum) = self.tree.get_mut(position - 1) {
                *sum += change;
                position += position & position.wrapping_neg();
            }
        }
    }

    fn rebuild(&mut self) {
        self.tree = self.rows.iter().map(|row| row.height).collect();
        for position in 1..=self.tree.len() {
            let parent = position + (position & position.wrapping_neg());
            let sum = self.tree.get(position - 1).copied().unwrap_or(0.0);
            if let Some(above) = self.tree.get_mut(parent - 1) {
                *above += sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: u64) -> RowId {
        RowId { key, version: 0 }
    }

    fn plain_start(heights: &Heights, index: usize) -> f64 {
        heights.rows.iter().take(index).map(|row| row.height).sum()
    }

    #[test]
    fn sums_follow_pushes_and_measurements() {
        let mut heights = Heights::new(20.0);
        for key in 0..1000 {
            heights.push(row(key), 4.0);
            if key % 3 == 0 {
                heights.measured((key / 2) as usize, row(key / 2), (key % 97) as f32, 4.0);
            }
        }
        for index in [0, 1, 2, 63, 64, 500, 999, 1000] {
            assert!((heights.start_of(index) - plain_start(&heights, index)).abs() < 1e-6, "row {index}");
        }
        for offset in [0.0, 1.0, 23.9, 24.0, 5000.5, 1e9] {
            let index = heights.row_at(offset);
            let expected = (0..1000).rev().find(|i| plain_start(&heights, *i) <= offset).unwrap();
            assert!((plain_start(&heights, index) - plain_start(&heights, expected)).abs() < 1e-9, "offset {offset}");
        }
    }

    #[test]
    fn replacing_rows_keeps_the_heights_of_those_that_stay() {
        let mut heights = Heights::new(20.0);
        (0..10).for_each(|key| heights.push(row(key), 0.0));
        (0..10).for_each(|key| heights.measured(key, row(key as u64), 100.0 + key as f32, 0.0));
        heights.replace([row(3), row(99), row(4), RowId { key: 5, version: 1 }].into_iter(), 0.0);
        assert_eq!((0..4).map(|i| heights.height(i)).collect::<Vec<_>>(), vec![103.0, 20.0, 104.0, 20.0]);
        assert_eq!(heights.total(), 247.0);
        assert_eq!(heights.index_of(4), Some(2));
    }

    #[test]
    fn an_empty_list_has_no_height_and_row_zero() {
        let heights = Heights::new(20.0);
        assert_eq!((heights.total(), heights.row_at(50.0), heights.len()), (0.0, 0, 0));
    }
}
