use std::time::{Duration, Instant};

/// One row: its name, its goal, and the time of one repetition in each round.
pub(crate) struct Row {
    pub(crate) name: String,
    goal: Goal,
    samples: Vec<f64>,
}

/// What a row should reach.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// It is there to be compared with.
    None,
    /// At most this many microseconds.
    Micros(f64),
    /// At most this many times the first row of the group.
    Ratio(f64),
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, goal: Goal) -> Self {
        Self {
            name: name.into(),
            goal,
            samples: Vec::new(),
        }
    }

    /// Notes what `repetitions` of something took.
    pub(crate) fn add(&mut self, took: Duration, repetitions: u32) {
        self.samples
            .push(took.as_secs_f64() * 1e6 / f64::from(repetitions));
    }

    /// Does something `repetitions` times and notes how long it took.
    pub(crate) fn time(
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

    pub(crate) fn median(&self) -> f64 {
        median(self.samples.clone())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints a group: median, ratio to the first row, goal and whether it is met.
pub(crate) fn print(title: &str, rows: &[Row]) {
    println!("\n{title}");
    println!("{:<64} {:>12} {:>8}  goal", "", "median µs", "ratio");
    let first = &rows[0].samples;
    for row in rows {
        let ratio = median(
            row.samples
                .iter()
                .zip(first)
                .map(|(sample, first)| sample / first)
                .collect(),
        );
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

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}
