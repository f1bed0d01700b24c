//! In which order designs are measured, so that what the machine does meanwhile does not favour one of them.
//!
//! Every block holds each design once, and comparisons are made inside blocks only. Blocks come in mirrored pairs (A B C, then C B A):
//! over a pair all designs have the same mean time of measurement, so a linear drift cancels. The pairs are the rows of a Williams
//! square (Williams 1949): over one square every design stands in every position equally often, and follows every other one equally
//! often. A square has `n` blocks for an even number of designs and `2 n` for an odd one. Names, rows and the direction of each pair are
//! drawn anew for every square: given the noise, the sign of a difference between two equal designs is a coin toss, which is what makes
//! `verdict` hold under noise that no model describes.

use super::stats::Draws;

/// One measurement to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Which block, from 0: samples of one block are compared with each other
    pub block: usize,
    /// Which design, from 0
    pub design: usize,
}

/// Measurements of `designs` designs in `blocks` blocks, in the order to make them. The same seed gives the same order.
///
/// An even number of blocks cancels linear drift; an odd one leaves its last block without a mirror. Positions are balanced over every
/// whole square (see the module); inside a square that `blocks` cuts short, only mean positions are.
pub fn schedule(designs: usize, blocks: usize, seed: u64) -> Vec<Slot> {
    let mut draws = Draws(seed);
    let mut rows = Vec::new();
    while designs > 0 && rows.len() < blocks {
        rows.extend(square(designs, blocks - rows.len(), &mut draws));
    }
    rows.truncate(blocks);
    let slots = |(block, row): (usize, Vec<usize>)| row.into_iter().map(move |design| Slot { block, design });
    rows.into_iter().enumerate().flat_map(slots).collect()
}

/// A Williams square with drawn names and rows, or as much of it as holds `needed` rows; each row is next to its mirror image.
fn square(n: usize, needed: usize, draws: &mut Draws) -> Vec<Vec<usize>> {
    let mut names: Vec<usize> = (0..n).collect();
    draws.shuffle(&mut names);
    // mirrored, row r of an even square is its row r + n / 2: the other half comes from mirroring
    let mut shifts: Vec<usize> = (0..if n.is_multiple_of(2) { n / 2 } else { n }).collect();
    draws.shuffle(&mut shifts);
    shifts.truncate(needed.div_ceil(2));
    let mut rows = Vec::with_capacity(2 * shifts.len());
    for shift in shifts {
        // 0, n - 1, 1, n - 2, ...: neighbours differ by every number once
        let zigzag = (0..n).map(|i| if i.is_multiple_of(2) { i / 2 } else { n - 1 - i / 2 });
        let mut row: Vec<usize> = zigzag.filter_map(|at| names.get((at + shift) % n).copied()).collect();
        if draws.next() & 1 == 1 {
            row.reverse();
        }
        let mirrored = row.iter().rev().copied().collect();
        rows.extend([row, mirrored]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(designs: usize, blocks: usize, seed: u64) -> Vec<Vec<usize>> {
        let slots = schedule(designs, blocks, seed);
        (0..blocks).map(|b| slots.iter().filter(|s| s.block == b).map(|s| s.design).collect()).collect()
    }

    /// Blocks of one square.
    fn period(designs: usize) -> usize {
        if designs.is_multiple_of(2) { designs } else { 2 * designs }
    }

    #[test]
    fn nothing_to_order() {
        assert_eq!(schedule(0, 4, 1), []);
        assert_eq!(schedule(3, 0, 1), []);
        assert_eq!(rows(1, 3, 1), [[0], [0], [0]]);
    }

    #[test]
    fn two_designs_are_abba_or_baab_by_a_fair_coin() {
        let firsts: usize = (0..1000).map(|seed| rows(2, 2, seed)[0][0]).sum();
        assert!((440..560).contains(&firsts), "{firsts}");
        let order = rows(2, 200, 7);
        let flips: usize = order.chunks(2).map(|pair| pair[0][0]).sum();
        assert!((30..70).contains(&flips), "{flips}");
    }

    #[test]
    fn an_odd_number_of_blocks_only_leaves_the_last_mirror_out() {
        assert_eq!(rows(4, 5, 3), rows(4, 6, 3)[..5]);
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(schedule(6, 6, 1), schedule(6, 6, 2));
    }

    proptest! {
        #[test]
        fn every_block_has_every_design_once(designs in 1usize..12, blocks in 1usize..30, seed: u64) {
            let slots = schedule(designs, blocks, seed);
            prop_assert_eq!(&slots, &schedule(designs, blocks, seed));
            prop_assert!(slots.is_sorted_by_key(|s| s.block));
            for mut row in rows(designs, blocks, seed) {
                row.sort_unstable();
                prop_assert!(row.into_iter().eq(0..designs));
            }
        }

        #[test]
        fn pairs_of_blocks_are_mirrored(designs in 1usize..12, pairs in 1usize..15, seed: u64) {
            for pair in rows(designs, 2 * pairs, seed).chunks(2) {
                prop_assert!(pair[0].iter().eq(pair[1].iter().rev()));
            }
        }

        #[test]
        fn linear_drift_cancels(designs in 2usize..12, pairs in 1usize..15, seed: u64) {
            let slots = schedule(designs, 2 * pairs, seed);
            let time = |design| slots.iter().enumerate().filter(|(_, s)| s.design == design).map(|(t, _)| t).sum::<usize>();
            prop_assert!((1..designs).all(|design| time(design) == time(0)));
        }

        #[test]
        fn squares_balance_positions_and_neighbours(designs in 2usize..12, squares in 1usize..4, seed: u64) {
            let blocks = squares * period(designs);
            let order = rows(designs, blocks, seed);
            let mut at = vec![vec![0; designs]; designs];
            let mut after = vec![vec![0; designs]; designs];
            for row in &order {
                row.iter().enumerate().for_each(|(position, design)| at[position][*design] += 1);
                row.windows(2).for_each(|w| after[w[0]][w[1]] += 1);
            }
            prop_assert!(at.iter().flatten().all(|n| n * designs == blocks), "{at:?}");
            for (a, row) in after.iter().enumerate() {
                prop_assert!(row.iter().enumerate().all(|(b, n)| n * designs == if a == b { 0 } else { blocks }), "{after:?}");
            }
        }
    }
}
