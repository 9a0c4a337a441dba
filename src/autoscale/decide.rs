//! Kubernetes' algorithm (autoscaling/v2 with its default behaviour), pure.
//!
//! 1. From what was measured follows a number: `ceil(current × metric / target)`, the current one within a tenth of the target.
//!    Instances that are not ready count as idle when it would grow; those that said nothing count as idle when it would grow,
//!    and as fully busy when it would shrink. What points the other way after that changes nothing.
//! 2. A smaller number waits: the highest that followed within five minutes is taken, so that a lull costs nothing.
//! 3. A larger one is taken at once, but no more than twice as many, or four more, within fifteen seconds.
//! 4. The rule's own bounds.

use std::collections::VecDeque;
use std::time::Duration;

use super::Autoscale;

/// So near to the target nothing changes.
const TOLERANCE: f64 = 0.1;
/// How long a higher recommendation is remembered before the number shrinks.
const DOWN_WINDOW: Duration = Duration::from_secs(300);
/// The time in which growth is limited.
const UP_PERIOD: Duration = Duration::from_secs(15);
/// Within that time it may grow by so many times what it was,
const UP_FACTOR: u32 = 1;
/// or by so many, whichever is more.
const UP_COUNT: u32 = 4;

/// What was measured, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// How many instances there are to be now.
    pub current: u32,
    /// What each instance that runs has to do.
    pub reading: Reading,
    /// Instances that are ready.
    pub ready: u32,
}

/// What instances have to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// Each by itself.
    Each {
        /// Of those that are ready, where it could be measured.
        values: Vec<f64>,
        /// How many are ready and could not be measured.
        missing: u32,
        /// How many are not ready.
        unready: u32,
    },
    /// One value for all of them, which is to be at the target whatever their number.
    Whole(Option<f64>),
    /// The sum over all of them, of which each has its part.
    Total(Option<f64>),
}

/// What is remembered between two decisions. Time is any clock that does not go back, from any beginning.
#[derive(Debug, Clone, Default)]
pub struct History {
    recommended: VecDeque<(Duration, u32)>,
    /// When it grew, and by how many.
    grown: VecDeque<(Duration, u32)>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// How many instances there are to be.
    pub replicas: u32,
    /// The metric, as an average over the instances; `None` when it could not be measured.
    pub metric: Option<f64>,
    /// Why, for people.
    pub reason: String,
}

/// How many instances there are to be. Remembers what it decided as if it was carried out.
pub fn decide(history: &mut History, now: Duration, sample: &Sample, rule: &Autoscale) -> Decision {
    if sample.current == 0 {
        *history = History::default();
        return Decision {
            replicas: 0,
            metric: None,
            reason: "scaled to 0 by hand, which turns it off".to_owned(),
        };
    }
    let (metric, wanted) = recommend(sample, rule.target.value());
    let said = metric.map_or_else(
        || format!("{} cannot be measured", rule.target.metric()),
        |metric| {
            format!(
                "{} is {}, target {}",
                rule.target.metric(),
                rule.target.shown(metric),
                rule.target.shown(rule.target.value())
            )
        },
    );
    let stable = history.stabilized(now, sample.current, wanted);
    let limited = stable.min(history.limit(now, sample.current)).max(1);
    let replicas = limited.clamp(rule.min, rule.max);
    let reason = if replicas != limited && limited > rule.max {
        format!("{said}; {} is the most", rule.max)
    } else if replicas != limited {
        format!("{said}; {} is the fewest", rule.min)
    } else if limited < stable {
        format!("{said}; {stable} would do, but it grows in steps")
    } else if stable > wanted {
        format!(
            "{said}; {wanted} would do, but {stable} were needed within the last {} min",
            DOWN_WINDOW.as_secs() / 60
        )
    } else {
        said
    };
    history.note(now, sample.current, replicas);
    Decision { replicas, metric, reason }
}

/// The average, and the number that follows from it.
fn recommend(sample: &Sample, target: f64) -> (Option<f64>, u32) {
    let current = sample.current;
    let within = |ratio: f64| (ratio - 1.0).abs() <= TOLERANCE;
    match &sample.reading {
        Reading::Whole(None) | Reading::Total(None) => (None, current),
        Reading::Whole(Some(value)) => {
            let ratio = value / target;
            let wanted = if within(ratio) { current } else { ceil(ratio * f64::from(sample.ready.max(1))) };
            (Some(*value), wanted)
        }
        Reading::Total(Some(total)) => {
            let average = total / f64::from(current);
            let wanted = if within(average / target) { current } else { ceil(total / target) };
            (Some(average), wanted)
        }
        Reading::Each { values, .. } if values.is_empty() => (None, current),
        Reading::Each { values, missing, unready } => {
            let measured = values.len() as f64;
            let sum: f64 = values.iter().sum();
            let average = sum / measured;
            let ratio = average / target;
            if *missing == 0 && (*unready == 0 || ratio <= 1.0) {
                return (Some(average), if within(ratio) { current } else { ceil(ratio * measured) });
            }
            let missing = f64::from(*missing);
            // Full is the limit, or the target where that is more.
            let (sum, count) = if ratio < 1.0 {
                (sum + missing * target.max(100.0), measured + missing)
            } else {
                (sum, measured + missing + f64::from(*unready))
            };
            let corrected = sum / count / target;
            let wanted = ceil(corrected * count);
            let is_turned = (ratio < 1.0) != (corrected < 1.0);
            let is_contrary = (corrected < 1.0 && wanted > current) || (corrected > 1.0 && wanted < current);
            (Some(average), if within(corrected) || is_turned || is_contrary { current } else { wanted })
        }
    }
}

/// No share of an instance is enough.
fn ceil(instances: f64) -> u32 {
    // As `as` does it: what is too large is the most, and a rule's bounds come after it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates, and is not negative"
    )]
    let whole = instances.ceil().max(0.0) as u32;
    whole
}

impl History {
    /// The number without haste to shrink: no lower than the highest that was recommended within the window.
    fn stabilized(&mut self, now: Duration, current: u32, wanted: u32) -> u32 {
        self.recommended.retain(|(at, _)| now.saturating_sub(*at) < DOWN_WINDOW);
        self.recommended.push_back((now, wanted));
        let highest = self.recommended.iter().map(|(_, wanted)| *wanted).max().unwrap_or(wanted);
        current.max(wanted).min(highest)
    }

    /// To how many it may grow now.
    fn limit(&mut self, now: Duration, current: u32) -> u32 {
        self.grown.retain(|(at, _)| now.saturating_sub(*at) < UP_PERIOD);
        let before = current.saturating_sub(self.grown.iter().map(|(_, by)| by).sum());
        let limit = (before.saturating_mul(1 + UP_FACTOR)).max(before.saturating_add(UP_COUNT));
        limit.max(current)
    }

    fn note(&mut self, now: Duration, current: u32, replicas: u32) {
        if replicas > current {
            self.grown.push_back((now, replicas - current));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Target;
    use super::*;

    fn rule(min: u32, max: u32) -> Autoscale {
        Autoscale { min, max, target: Target::Cpu(50) }
    }

    fn busy(current: u32, percent: f64) -> Sample {
        let values = vec![percent; current as usize];
        Sample { current, ready: current, reading: Reading::Each { values, missing: 0, unready: 0 } }
    }

    /// What an autoscaler without a past decides.
    fn once(sample: &Sample) -> u32 {
        decide(&mut History::default(), Duration::ZERO, sample, &rule(1, 100)).replicas
    }

    fn each(current: u32, values: &[f64], missing: u32, unready: u32) -> Sample {
        let reading = Reading::Each { values: values.to_vec(), missing, unready };
        Sample { current, ready: current - unready, reading }
    }

    #[test]
    fn the_number_is_the_ratio_rounded_up_with_a_tolerance() {
        assert_eq!(once(&busy(2, 100.0)), 4);
        assert_eq!(once(&busy(2, 60.0)), 3);
        assert_eq!(once(&busy(2, 54.9)), 2, "within a tenth");
        assert_eq!(once(&busy(2, 45.0)), 2, "within a tenth");
        assert_eq!(once(&busy(4, 25.0)), 2);
        assert_eq!(once(&busy(4, 0.0)), 1, "never to none");
    }

    #[test]
    fn instances_that_are_not_ready_are_idle_when_it_would_grow() {
        assert_eq!(once(&each(4, &[100.0, 100.0], 0, 2)), 4, "two of four at twice the target are enough");
        assert_eq!(once(&each(3, &[100.0, 100.0], 0, 1)), 4);
        assert_eq!(once(&each(4, &[25.0, 25.0], 0, 2)), 1, "they do not keep it from shrinking");
    }

    #[test]
    fn instances_that_say_nothing_are_busy_when_it_would_shrink_and_idle_when_it_would_grow() {
        assert_eq!(once(&each(4, &[10.0, 10.0], 2, 0)), 4, "two full ones: 55 % on average");
        assert_eq!(once(&each(4, &[10.0, 10.0, 10.0], 1, 0)), 3);
        assert_eq!(once(&each(2, &[100.0], 1, 0)), 2);
        assert_eq!(once(&each(2, &[], 2, 0)), 2, "nothing is known");
    }

    #[test]
    fn totals_and_wholes_follow_their_own_rule() {
        let rule = Autoscale { min: 1, max: 50, target: Target::InFlight(10) };
        let decide =
            |sample: &Sample, rule| decide(&mut History::default(), Duration::ZERO, sample, rule).replicas;
        let total = |value, current| Sample { current, ready: current, reading: Reading::Total(value) };
        assert_eq!(decide(&total(Some(45.0), 3), &rule), 5);
        assert_eq!(decide(&total(Some(31.0), 3), &rule), 3, "within a tenth");
        assert_eq!(decide(&total(None, 3), &rule), 3);
        let rule = Autoscale { target: Target::P95(Duration::from_millis(200)), ..rule };
        let whole = Sample { current: 2, ready: 2, reading: Reading::Whole(Some(500.0)) };
        assert_eq!(decide(&whole, &rule), 5);
    }

    #[test]
    fn it_grows_in_steps_and_shrinks_after_five_minutes() {
        let (mut history, rule) = (History::default(), rule(1, 100));
        let mut at =
            |secs, sample: &Sample| decide(&mut history, Duration::from_secs(secs), sample, &rule).replicas;
        assert_eq!(at(0, &busy(1, 5_000.0)), 5, "four more");
        assert_eq!(at(1, &busy(5, 5_000.0)), 5, "not again within the same 15 s");
        assert_eq!(at(15, &busy(5, 5_000.0)), 10, "twice as many");
        assert_eq!(at(30, &busy(10, 5.0)), 10, "a lull");
        assert_eq!(at(329, &busy(10, 5.0)), 1, "the last high one is older than 5 min");
    }

    #[test]
    fn a_count_of_zero_turns_it_off() {
        assert_eq!(once(&busy(0, 0.0)), 0);
        let said = decide(&mut History::default(), Duration::ZERO, &busy(0, 0.0), &rule(2, 5)).reason;
        assert!(said.contains("by hand"), "{said}");
    }

    #[test]
    fn the_reason_names_metric_and_bound() {
        let reason =
            |sample: &Sample| decide(&mut History::default(), Duration::ZERO, sample, &rule(1, 3)).reason;
        assert_eq!(reason(&busy(2, 60.0)), "cpu is 60%, target 50%");
        assert_eq!(reason(&busy(3, 100.0)), "cpu is 100%, target 50%; 3 is the most");
    }

    proptest! {
        #[test]
        fn the_bounds_hold_whatever_is_measured(
            steps in proptest::collection::vec((0u64..40, 0.0f64..1_000.0, 0u32..4, 0u32..4), 1..60),
            min in 1u32..10,
            more in 0u32..30,
        ) {
            let rule = rule(min, min + more);
            let (mut history, mut now, mut current) = (History::default(), 0, min);
            let mut grown: Vec<(u64, u32)> = Vec::new();
            for (pause, percent, missing, unready) in steps {
                now += pause;
                let values = vec![percent; current.saturating_sub(missing + unready) as usize];
                let reading = Reading::Each { values, missing, unready };
                let sample = Sample { current, ready: current.saturating_sub(unready), reading };
                let next = decide(&mut history, Duration::from_secs(now), &sample, &rule).replicas;
                prop_assert!((rule.min..=rule.max).contains(&next), "{next} of {rule:?}");
                grown.retain(|(at, _)| now - at < 15);
                let before = current - grown.iter().map(|(_, by)| by).sum::<u32>().min(current);
                prop_assert!(next <= current.max(before * 2).max(before + 4), "{before} {current} -> {next}");
                if next > current {
                    grown.push((now, next - current));
                }
                current = next;
            }
        }

        #[test]
        fn more_to_do_never_means_fewer_instances(current in 1u32..50, low in 0.0f64..500.0, more in 0.0f64..500.0) {
            prop_assert!(once(&busy(current, low)) <= once(&busy(current, low + more)));
        }

        #[test]
        fn what_is_at_its_target_stays(current in 1u32..50, off in -0.099f64..0.099) {
            prop_assert_eq!(once(&busy(current, 50.0 * (1.0 + off))), current);
        }

        #[test]
        fn nothing_shrinks_within_five_minutes_of_a_high_load(load in 60.0f64..400.0, secs in 1u64..300) {
            let (mut history, rule) = (History::default(), rule(1, 100));
            let first = decide(&mut history, Duration::ZERO, &busy(4, load), &rule).replicas;
            let later = decide(&mut history, Duration::from_secs(secs), &busy(first, 0.0), &rule).replicas;
            prop_assert_eq!(later, first);
        }
    }
}
