//! Which sampling values make sense. What does not is refused or replaced, and the reason said: nothing is bent in silence.

use super::{EngineError, ErrorKind, Sampler, SamplerOverrides, Setting};

/// Least repeat penalty: it divides logits, so 0 makes them infinite and less turns them round.
const LEAST_REPEAT: f32 = 0.01;
/// Largest penalty either way: beyond it a logit is decided by the penalty alone, and far beyond it is infinite.
const LARGEST_PENALTY: f32 = 100.0;
/// Largest temperature: far beyond it every token is as likely as any other.
const LARGEST_TEMPERATURE: f32 = 100.0;

impl SamplerOverrides {
    /// Refuses values that are not numbers. JSON cannot carry them, so they are found where they come from, not where they arrive.
    ///
    /// # Errors
    /// `InvalidRequest` with the parameter's name.
    pub fn check(&self) -> Result<(), EngineError> {
        let values = [
            ("temperature", self.temperature),
            ("top_p", self.top_p),
            ("min_p", self.min_p),
            ("repeat_penalty", self.repeat_penalty),
            ("presence_penalty", self.presence_penalty),
            ("frequency_penalty", self.frequency_penalty),
        ];
        match values.into_iter().find_map(|(name, value)| value.filter(|v| !v.is_finite()).map(|v| (name, v))) {
            Some((name, value)) => {
                Err(EngineError::new(ErrorKind::InvalidRequest, format!("The sampler's {name} is {value}, not a number"))
                    .hint(format!("Give {name} a number, or leave it out")))
            }
            None => Ok(()),
        }
    }
}

impl Sampler {
    /// The sampler with every value within its range for a context of `n_ctx` tokens, and what had to be changed for that and why. A value
    /// that is not a number becomes llama.cpp's default.
    pub fn bounded(&self, n_ctx: u32) -> (Self, Vec<Setting>) {
        let default = Self::default();
        let mut changed = Vec::new();
        let mut fit = |name: &str, value: f32, range: std::ops::RangeInclusive<f32>, default: f32, why: &str| {
            let kept = if value.is_finite() { value.clamp(*range.start(), *range.end()) } else { default };
            if kept != value {
                let why = if value.is_finite() { why } else { "it is not a number" };
                changed.push(setting(name, value, kept, why));
            }
            kept
        };
        let penalty = -LARGEST_PENALTY..=LARGEST_PENALTY;
        let mut kept = Self {
            temperature: fit("temperature", self.temperature, 0.0..=LARGEST_TEMPERATURE, default.temperature, "0 is greedy, 100 is even"),
            top_p: fit("top_p", self.top_p, 0.0..=1.0, default.top_p, "it is a probability"),
            min_p: fit("min_p", self.min_p, 0.0..=1.0, default.min_p, "it is a part of a probability"),
            repeat_penalty: fit(
                "repeat_penalty",
                self.repeat_penalty,
                LEAST_REPEAT..=LARGEST_PENALTY,
                default.repeat_penalty,
                "logits are divided by it",
            ),
            presence_penalty: fit("presence_penalty", self.presence_penalty, penalty.clone(), default.presence_penalty, "no more matters"),
            frequency_penalty: fit("frequency_penalty", self.frequency_penalty, penalty, default.frequency_penalty, "no more matters"),
            ..*self
        };
        if self.top_k < 0 {
            kept.top_k = 0;
            changed.push(setting("top_k", self.top_k, 0, "0 keeps the whole vocabulary"));
        }
        let longest = i32::try_from(n_ctx).unwrap_or(i32::MAX);
        if self.penalty_last_n < -1 {
            kept.penalty_last_n = -1;
            changed.push(setting("penalty_last_n", self.penalty_last_n, -1, "-1 is the whole context"));
        } else if self.penalty_last_n > longest {
            kept.penalty_last_n = longest;
            changed.push(setting("penalty_last_n", self.penalty_last_n, longest, "the context holds no more"));
        }
        (kept, changed)
    }
}

fn setting(name: &str, requested: impl ToString, effective: impl ToString, reason: &str) -> Setting {
    Setting { name: name.into(), requested: requested.to_string(), effective: effective.to_string(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_a_number_is_refused_by_name() {
        assert!(SamplerOverrides { temperature: Some(0.0), ..SamplerOverrides::default() }.check().is_ok());
        let error = SamplerOverrides { min_p: Some(f32::NAN), ..SamplerOverrides::default() }.check().unwrap_err();
        assert!(error.kind == ErrorKind::InvalidRequest && error.message.contains("min_p") && !error.hint.is_empty(), "{error:?}");
        assert!(SamplerOverrides { frequency_penalty: Some(f32::INFINITY), ..SamplerOverrides::default() }.check().is_err());
    }

    #[test]
    fn the_defaults_and_the_whole_context_are_left_alone() {
        for n in [-1, 0, 64, 4096] {
            let sampler = Sampler { penalty_last_n: n, temperature: 0.0, ..Sampler::default() };
            assert_eq!(sampler.bounded(4096), (sampler, Vec::new()));
        }
    }

    #[test]
    fn a_window_longer_than_the_context_is_cut_and_said() {
        let (kept, changed) = Sampler { penalty_last_n: i32::MAX, repeat_penalty: 0.0, ..Sampler::default() }.bounded(2048);
        assert_eq!((kept.penalty_last_n, kept.repeat_penalty), (2048, LEAST_REPEAT));
        let names: Vec<&str> = changed.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["repeat_penalty", "penalty_last_n"]);
        assert!(changed.iter().all(|s| s.is_otherwise()), "{changed:?}");
    }

    proptest! {
        #[test]
        fn anything_becomes_usable_and_every_change_is_said(
            floats in proptest::array::uniform6(any::<f32>()), top_k in any::<i32>(), last_n in any::<i32>(), n_ctx in 1u32..1_000_000
        ) {
            let [temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty] = floats;
            let sampler = Sampler { temperature, top_k, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty, penalty_last_n: last_n, seed: 1 };
            let (kept, changed) = sampler.bounded(n_ctx);
            prop_assert!((0.0..=1.0).contains(&kept.top_p) && (0.0..=1.0).contains(&kept.min_p));
            prop_assert!(kept.temperature >= 0.0 && kept.repeat_penalty > 0.0 && kept.top_k >= 0);
            prop_assert!(kept.penalty_last_n >= -1 && i64::from(kept.penalty_last_n) <= i64::from(n_ctx));
            prop_assert!(kept.presence_penalty.is_finite() && kept.frequency_penalty.is_finite());
            prop_assert_eq!(changed.is_empty(), kept == sampler);
            prop_assert_eq!(kept.bounded(n_ctx), (kept, Vec::new()), "what fits stays");
        }
    }
}
