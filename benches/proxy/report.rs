//! Medians, tables, and the goals with what was reached.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::ValueEnum as _;

use super::cases::Case;

/// What one turn of one proxy brought.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Requests.
    pub per_second: Option<f64>,
    pub p50: Option<Duration>,
    pub p99: Option<Duration>,
    /// For one request.
    pub cpu: Option<Duration>,
    /// Bytes.
    pub resident: u64,
    /// Bytes that the case added.
    pub growth: Option<u64>,
}

/// All samples of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    samples: BTreeMap<Case, Vec<(String, Vec<Sample>)>>,
}

/// A line of `Done when`.
struct Goal {
    case: Case,
    what: &'static str,
    /// What is compared.
    figure: fn(&Sample) -> Option<f64>,
    ours: &'static str,
    /// Whom we are compared with; `None` for a limit in itself.
    other: Option<&'static str>,
    most: f64,
    unit: &'static str,
}

const MIB: f64 = 1024.0 * 1024.0;
const MICROSECOND: f64 = 1e-6;

const OURS: &str = "minipaas";

const GOALS: &[Goal] = &[
    cpu(Case::Small, "nginx", 1.0),
    cpu(Case::Small, "haproxy", 1.0),
    cpu(Case::Small, "caddy", 0.25),
    cpu(Case::Small, "traefik", 0.35),
    cpu(Case::Large, "haproxy", 1.0),
    cpu(Case::Tls, "nginx", 1.0),
    cpu(Case::Handshake, "nginx", 0.7),
    cpu(Case::H2, "nginx", 1.1),
    Goal { what: "p99", figure: |sample| Some(sample.p99?.as_secs_f64()), ..cpu(Case::Half, "nginx", 1.0) },
    Goal { ours: "minipaas 10000", ..cpu(Case::Hosts, "minipaas 1", 1.03) },
    growth(Case::Upload, 20.0),
    growth(Case::Idle, 100.0),
];

const fn cpu(case: Case, other: &'static str, most: f64) -> Goal {
    Goal {
        case,
        what: "CPU a request",
        figure: |sample| Some(sample.cpu?.as_secs_f64()),
        ours: OURS,
        other: Some(other),
        most,
        unit: "",
    }
}

const fn growth(case: Case, most: f64) -> Goal {
    #[expect(clippy::cast_precision_loss, reason = "memory is not so large")]
    let figure = |sample: &Sample| Some(sample.growth? as f64 / MIB);
    Goal { case, what: "memory", figure, ours: OURS, other: None, most, unit: " MiB" }
}

// === impl Sample ===

impl Sample {
    pub(crate) fn of_memory(resident: u64, growth: u64) -> Self {
        Self { per_second: None, p50: None, p99: None, cpu: None, resident, growth: Some(growth) }
    }
}

// === impl Report ===

impl Report {
    pub(crate) fn add(&mut self, case: Case, name: &str, sample: Sample) {
        let rows = self.samples.entry(case).or_default();
        match rows.iter_mut().find(|(known, _)| known == name) {
            Some((_, samples)) => samples.push(sample),
            None => rows.push((name.to_owned(), vec![sample])),
        }
    }

    /// The table of a case: medians, how far the CPU figures lie apart, and ratios of CPU.
    pub(crate) fn print_case(&self, case: Case) {
        let Some(rows) = self.samples.get(&case) else { return };
        let references: &[&str] = if case == Case::Hosts { &["minipaas 1"] } else { &["nginx", "haproxy"] };
        let heads: String = references.iter().map(|name| format!(" {:>11}", format!("of {name}"))).collect();
        println!(
            "  {:<15} {:>9} {:>10} {:>10} {:>10} {:>6} {:>9} {:>10}{heads}",
            "", "req/s", "p50", "p99", "CPU us", "+-", "RSS MiB", "growth MiB"
        );
        for (name, samples) in rows {
            let cells: String = references
                .iter()
                .map(|reference| format!(" {:>11}", shown(self.ratio(case, name, reference, cpu_of), 2)))
                .collect();
            println!(
                "  {name:<15} {:>9} {:>10} {:>10} {:>10} {:>6} {:>9} {:>10}{cells}",
                shown(median(samples, |sample| sample.per_second), 0),
                shown_time(median(samples, |sample| Some(sample.p50?.as_secs_f64()))),
                shown_time(median(samples, |sample| Some(sample.p99?.as_secs_f64()))),
                shown(median(samples, cpu_of).map(|seconds| seconds / MICROSECOND), 1),
                spread(samples).map_or_else(|| "-".to_owned(), |spread| format!("{spread:.0} %")),
                shown(median(samples, |sample| Some(mib(sample.resident))), 1),
                shown(median(samples, |sample| sample.growth.map(mib)), 1),
            );
        }
    }

    /// Each goal whose case was measured, with what was reached.
    pub(crate) fn print_goals(&self) {
        println!("\ngoals (medians of the rounds; +- in the tables is how far their CPU figures lie apart)");
        for goal in GOALS {
            let reached = match goal.other {
                Some(other) => self.ratio(goal.case, goal.ours, other, goal.figure),
                None => self.median(goal.case, goal.ours, goal.figure),
            };
            let Some(reached) = reached else { continue };
            let verdict = if reached <= goal.most { "reached" } else { "MISSED" };
            let case = goal.case.to_possible_value().expect("no case is hidden");
            let of = goal.other.map(|other| format!(" of {other}'s")).unwrap_or_default();
            let what = format!("{}{of}", goal.what);
            let Goal { most, unit, .. } = goal;
            println!(
                "  {:<10} {what:<28} {reached:>7.2}{unit}  at most {most}{unit}  {verdict}",
                case.get_name()
            );
        }
    }

    fn median(&self, case: Case, name: &str, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let (_, samples) = self.samples.get(&case)?.iter().find(|(known, _)| known == name)?;
        median(samples, figure)
    }

    /// The median of the ratios of each round, whose turns were close together and saw the same machine.
    fn ratio(
        &self,
        case: Case,
        name: &str,
        reference: &str,
        figure: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<f64> {
        let samples = |wanted| {
            let (_, samples) = self.samples.get(&case)?.iter().find(|(name, _)| name == wanted)?;
            Some(samples.iter().filter_map(&figure))
        };
        middle(samples(name)?.zip(samples(reference)?).map(|(ours, other)| ours / other).collect())
    }
}

fn cpu_of(sample: &Sample) -> Option<f64> {
    Some(sample.cpu?.as_secs_f64())
}

fn median(samples: &[Sample], figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
    middle(samples.iter().filter_map(figure).collect())
}

/// The one in the middle; of an even number the mean of the two in the middle.
fn middle(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_unstable_by(f64::total_cmp);
    let last = figures.len().checked_sub(1)?;
    Some(f64::midpoint(figures[last / 2], figures[last.div_ceil(2)]))
}

/// How far the CPU figures of the rounds lie apart, in percent of their median.
fn spread(samples: &[Sample]) -> Option<f64> {
    let figures = || samples.iter().filter_map(cpu_of);
    let width = figures().reduce(f64::max)? - figures().reduce(f64::min)?;
    Some(width / median(samples, cpu_of)? * 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "memory is not so large")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
}

fn shown_time(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{:.2} ms", seconds * 1000.0))
}
