//! What one row of logits says about the token that was taken and about those that could have been.

use super::kernel::{self, Scan};

/// A token's probability and the most probable tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Likelihood {
    /// Probability of the token that was taken: `exp(l_token - max) / sum_i exp(l_i - max)` over the whole row
    pub p: f32,
    /// The most probable tokens as (id, probability), best first, the lower id first among equals
    pub top: Vec<(u32, f32)>,
}

impl Likelihood {
    /// Reads a row: a pass of comparisons, one of exponentials, and a search of the few blocks that hold the `k` largest. `None` for a token
    /// outside the row, and for a row that has no softmax (a logit that is not a number, or nothing finite).
    pub fn of(row: &[f32], token: u32, k: usize) -> Option<Self> {
        let scan = Scan::of(row, token as usize).filter(|scan| scan.max.is_finite())?;
        let sum = kernel::sum_exp(row, scan.max);
        let p = |logit: f32| (f64::from(kernel::exp(logit - scan.max)) / sum) as f32;
        let own = p(*row.get(token as usize)?);
        let top = scan.top(row, k).into_iter().map(|(id, logit)| (id, p(logit))).collect();
        own.is_finite().then_some(Self { p: own, top })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_softmax_of_the_row() {
        let row: Vec<f32> = (0..1000u32).map(|i| ((i * 7919) % 1000) as f32 / 100.0).collect();
        let sum: f64 = row.iter().map(|l| f64::from(*l).exp()).sum();
        let found = Likelihood::of(&row, 17, 5).unwrap();
        assert!((f64::from(found.p) - f64::from(row[17]).exp() / sum).abs() < 1e-7);
        let mut order: Vec<u32> = (0..1000).collect();
        order.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]));
        assert_eq!(found.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), order[..5]);
        for (id, p) in found.top {
            assert!((f64::from(p) - f64::from(row[id as usize]).exp() / sum).abs() < 1e-7);
        }
    }

    #[test]
    fn a_row_without_a_softmax_says_nothing() {
        assert_eq!(Likelihood::of(&[0.0, f32::NAN, 1.0], 0, 2), None);
        assert_eq!(Likelihood::of(&[f32::NEG_INFINITY; 4], 0, 2), None);
        assert_eq!(Likelihood::of(&[1.0, 2.0], 2, 2), None);
        // a masked token has a probability: none
        assert_eq!(Likelihood::of(&[1.0, f32::NEG_INFINITY], 1, 1).unwrap(), Likelihood { p: 0.0, top: vec![(0, 1.0)] });
    }
}
