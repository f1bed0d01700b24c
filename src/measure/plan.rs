//! Which cells a benchmark has: llama-bench's own notation for lists and ranges, and its order.

use crate::protocol::BenchTest;

/// No list is longer: a typing slip such as `0-4000000000` must not become a plan that never ends.
const MAX_VALUES: usize = 10_000;

/// Reads llama-bench's `first[-last[(+|*)step]]`, several separated by commas: `512`, `0,128`, `128-512+128`, `1-64*2`.
///
/// # Errors
/// A sentence that names the part that cannot be read, or that would not end.
pub fn parse_counts(text: &str) -> Result<Vec<u32>, String> {
    let mut values = Vec::new();
    // llama-bench takes one comma at the end
    for part in text.strip_suffix(',').unwrap_or(text).split(',') {
        let wrong = || format!("{part:?} is neither a number nor a range such as 128-512+128 or 1-64*2");
        let number = |s: &str| s.parse::<u32>().map_err(|_error| wrong());
        let Some((first, rest)) = part.split_once('-') else {
            values.push(number(part)?);
            continue;
        };
        let (last, multiply, step) = match (rest.split_once('+'), rest.split_once('*')) {
            (Some((last, step)), None) => (last, false, number(step)?),
            (None, Some((last, step))) => (last, true, number(step)?),
            (None, None) => (rest, false, 1),
            (Some(_), Some(_)) => return Err(wrong()),
        };
        let (mut at, last) = (number(first)?, number(last)?);
        while at <= last {
            values.push(at);
            let next = if multiply { at.checked_mul(step) } else { at.checked_add(step) };
            match next {
                Some(next) if next > at => at = next,
                Some(_) => return Err(format!("The range {part:?} does not move on from {at}")),
                None => break,
            }
            if values.len() > MAX_VALUES {
                return Err(format!("The range {part:?} has more than {MAX_VALUES} values"));
            }
        }
    }
    if values.len() > MAX_VALUES { Err(format!("The list has more than {MAX_VALUES} values")) } else { Ok(values) }
}

/// Reads llama-bench's `-pg` value, `pp,tg`.
///
/// # Errors
/// A sentence that names what cannot be read.
pub fn parse_pair(text: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("{text:?} is not a pair such as 512,128");
    let (prompt, gen_) = text.split_once(',').ok_or_else(wrong)?;
    match (prompt.trim().parse(), gen_.trim().parse()) {
        (Ok(prompt), Ok(gen_)) => Ok((prompt, gen_)),
        _ => Err(wrong()),
    }
}

/// The cells in llama-bench's order: for each depth, the prompts, then the generations, then the pairs; empty cells are left out.
pub fn cells(n_prompt: &[u32], n_gen: &[u32], pairs: &[(u32, u32)], n_depth: &[u32]) -> Vec<BenchTest> {
    let mut out = Vec::new();
    for &n_depth in n_depth {
        let of = |n_prompt, n_gen| BenchTest { n_prompt, n_gen, n_depth };
        out.extend(n_prompt.iter().filter(|n| **n > 0).map(|n| of(*n, 0)));
        out.extend(n_gen.iter().filter(|n| **n > 0).map(|n| of(0, *n)));
        out.extend(pairs.iter().filter(|(p, g)| *p > 0 || *g > 0).map(|(p, g)| of(*p, *g)));
    }
    out
}

/// A cell's name as llama-bench writes it: `pp512`, `tg128 @ d1024`, `pp512+tg128`.
pub fn cell_name(test: &BenchTest) -> String {
    test.name()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_llama_bench_reads() {
        assert_eq!(parse_counts("512"), Ok(vec![512]));
        assert_eq!(parse_counts("0,128,"), Ok(vec![0, 128]));
        assert_eq!(parse_counts("1-4"), Ok(vec![1, 2, 3, 4]));
        assert_eq!(parse_counts("128-512+128"), Ok(vec![128, 256, 384, 512]));
        assert_eq!(parse_counts("1-64*2,100"), Ok(vec![1, 2, 4, 8, 16, 32, 64, 100]));
        assert_eq!(parse_counts("5-3"), Ok(vec![]));
    }

    #[test]
    fn refuses_what_would_not_end() {
        for bad in ["", "a", "1-", "-1", "1-5+0", "0-4*2", "1-4*1", "1-4+1*2", "0-4000000000", "1,,2", "4294967296"] {
            assert!(parse_counts(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pairs() {
        assert_eq!(parse_pair("512,128"), Ok((512, 128)));
        for bad in ["512", "512,128,1", ",", "a,b"] {
            assert!(parse_pair(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn order_and_names() {
        let names: Vec<String> = cells(&[512, 0], &[128], &[(64, 32), (0, 0)], &[0, 1024]).iter().map(cell_name).collect();
        assert_eq!(names, ["pp512", "tg128", "pp64+tg32", "pp512 @ d1024", "tg128 @ d1024", "pp64+tg32 @ d1024"]);
    }

    proptest! {
        #[test]
        fn never_panics_and_never_grows_without_end(text in "[0-9,+*-]{0,24}") {
            if let Ok(values) = parse_counts(&text) {
                prop_assert!(values.len() <= MAX_VALUES);
            }
        }
    }
}
