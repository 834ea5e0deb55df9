//! Figures over rounds: medians, and ratios within a round, so that a busy moment of the machine falls on all rows.

use std::time::{Duration, Instant};

/// One row: its name, its goal, and the time of one repetition in each round.
#[derive(Debug)]
pub struct Row {
    /// What it is about.
    pub name: String,
    goal: Goal,
    samples: Vec<f64>,
}

/// What a row should reach.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// It is there to be compared with.
    None,
    /// At most this many microseconds.
    Micros(f64),
    /// At most this many times the first row of the group.
    Ratio(f64),
}

impl Row {
    /// A row without samples.
    pub fn new(name: impl Into<String>, goal: Goal) -> Self {
        Self {
            name: name.into(),
            goal,
            samples: Vec::new(),
        }
    }

    /// Notes what `repetitions` of something took.
    pub fn add(&mut self, took: Duration, repetitions: u32) {
        self.samples
            .push(took.as_secs_f64() * 1e6 / f64::from(repetitions));
    }

    /// Notes a figure that is no time.
    pub fn push(&mut self, figure: f64) {
        self.samples.push(figure);
    }

    /// Does something `repetitions` times and notes how long it took.
    pub fn time(
        &mut self,
        repetitions: u32,
        mut work: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        for _ in 0..repetitions {
            work()?;
        }
        self.add(start.elapsed(), repetitions);
        Ok(())
    }

    /// The median, over the rounds, of how many times longer it takes than another.
    #[must_use]
    pub fn ratio_to(&self, other: &Self) -> f64 {
        let ratios = self.samples.iter().zip(&other.samples);
        median(ratios.map(|(sample, other)| sample / other).collect())
    }

    /// The median of its samples.
    #[must_use]
    pub fn median(&self) -> f64 {
        median(self.samples.clone())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints a group: median, ratio to the first row, goal and whether it is met.
pub fn print(title: &str, rows: &[Row]) {
    println!("\n{title}");
    println!("{:<64} {:>12} {:>8}  goal", "", "median µs", "ratio");
    for row in rows {
        let ratio = row.ratio_to(&rows[0]);
        let goal = match row.goal {
            Goal::None => String::new(),
            Goal::Micros(goal) => format!("≤ {goal} µs: {}", verdict(row.median() <= goal)),
            Goal::Ratio(goal) => format!("≤ {goal}×: {}", verdict(ratio <= goal)),
        };
        println!(
            "{:<64} {:>12.2} {:>8.2}  {goal}",
            row.name,
            row.median(),
            ratio
        );
    }
}

/// How many times longer one row takes than another, and whether that is as often as it should be.
pub fn print_against(title: &str, slower: &Row, faster: &Row, goal: f64) {
    let ratio = slower.ratio_to(faster);
    println!(
        "{title:<64} {:>12} {ratio:>8.2}  ≥ {goal}×: {}",
        "",
        verdict(ratio >= goal)
    );
}

/// Prints whether something costs as much as before, given how many times the floor it took each time.
pub fn print_unchanged(title: &str, before: f64, after: f64, goal: f64) {
    let ratio = after / before;
    println!(
        "{title:<64} {:>12} {ratio:>8.2}  ≤ {goal}×: {}",
        "",
        verdict(ratio <= goal)
    );
}

/// Prints rates; with a goal, the second row is to be three times the last.
pub fn rates(title: &str, rows: &[Row], goal: bool) {
    println!("\n{title}");
    println!("{:<64} {:>12} {:>8}  goal", "", "per second", "ratio");
    for row in rows {
        let ratio = row.median() / rows[0].median();
        println!("{:<64} {:>12.0} {ratio:>8.2}", row.name, row.median());
    }
    if let (true, Some(ours), Some(peer)) = (goal, rows.get(1), rows.last()) {
        let ratio = ours.ratio_to(peer);
        let title = "one-use cells beside bwrap";
        println!(
            "{title:<64} {:>12} {ratio:>8.2}  ≥ 3×: {}",
            "",
            verdict(ratio >= 3.0)
        );
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}
