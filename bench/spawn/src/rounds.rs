//! Figures over rounds: medians, and ratios within a round, so that a busy moment of the machine falls on all rows.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde::Serialize;

/// One row: its name, its goal, and the time of one repetition in each round.
#[derive(Clone, Debug)]
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

/// What is said of one row, or of two beside each other.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// The group it belongs to.
    pub group: String,
    /// What it is about.
    pub name: String,
    /// What was measured, in `unit`; `None` where only the ratio counts.
    pub figure: Option<f64>,
    /// What `figure` is in.
    pub unit: &'static str,
    /// How many times the first row of the group, or the other row.
    pub ratio: Option<f64>,
    /// What it should reach, in words.
    pub goal: Option<String>,
    /// Whether it does.
    pub met: Option<bool>,
}

impl Figure {
    /// A figure by itself that should be no larger than a goal.
    #[must_use]
    pub fn at_most(group: &str, name: &str, figure: f64, unit: &'static str, goal: f64) -> Self {
        Self {
            goal: Some(format!("≤ {goal} {unit}")),
            met: Some(figure <= goal),
            ..Self::plain(group, name, figure, unit)
        }
    }

    /// A figure by itself that should be no smaller than a goal.
    #[must_use]
    pub fn at_least(group: &str, name: &str, figure: f64, unit: &'static str, goal: f64) -> Self {
        Self {
            goal: Some(format!("≥ {goal} {unit}")),
            met: Some(figure >= goal),
            ..Self::plain(group, name, figure, unit)
        }
    }

    /// A figure by itself that is there to be known.
    #[must_use]
    pub fn plain(group: &str, name: &str, figure: f64, unit: &'static str) -> Self {
        Self {
            figure: Some(figure),
            ..Self::new(group, name, unit)
        }
    }

    fn new(group: &str, name: &str, unit: &'static str) -> Self {
        Self {
            group: group.to_owned(),
            name: name.to_owned(),
            figure: None,
            unit,
            ratio: None,
            goal: None,
            met: None,
        }
    }

    /// A ratio by itself that should be at least, or at most, so much.
    fn of_ratio(group: &str, name: &str, ratio: f64, (sign, goal): (char, f64)) -> Self {
        let met = if sign == '≥' {
            ratio >= goal
        } else {
            ratio <= goal
        };
        Self {
            ratio: Some(ratio),
            goal: Some(format!("{sign} {goal}×")),
            met: Some(met),
            ..Self::new(group, name, "")
        }
    }

    /// Prints it as a row, and notes it for whoever asked for the figures.
    ///
    /// # Panics
    /// When the file that was asked for cannot be written: a run whose figures are lost is none.
    pub fn put(&self) {
        let column =
            |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.2}"));
        let goal = match (&self.goal, self.met) {
            (Some(goal), Some(true)) => format!("{goal}: met"),
            (Some(goal), _) => format!("{goal}: MISSED"),
            (None, _) => String::new(),
        };
        println!(
            "{:<64} {:>12} {:>8}  {goal}",
            self.name,
            column(self.figure),
            column(self.ratio)
        );
        note(self);
    }
}

/// Begins a section: what is measured from now on stands in that part of the book.
pub fn section(name: &str) {
    note(&serde_json::json!({ "section": name }));
}

/// Appends a line to the file that was asked for, if one was.
#[expect(
    clippy::expect_used,
    reason = "documented at `put`: a run whose figures are lost is none"
)]
fn note(line: &impl Serialize) {
    if let Some(path) = std::env::var_os(FIGURES) {
        let line = serde_json::to_string(line).expect("figures are plain values");
        let file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(path);
        file.and_then(|mut file| writeln!(file, "{line}"))
            .expect("the file for the figures can be written");
    }
}

/// The variable that names a file to which each figure is appended as a line of JSON.
const FIGURES: &str = "PORTCULLIS_FIGURES";

fn head(title: &str, unit: &str) {
    println!("\n{title}");
    println!("{:<64} {unit:>12} {:>8}  goal", "", "ratio");
}

/// Prints a group: median, ratio to the first row, goal and whether it is met.
pub fn print(title: &str, rows: &[Row]) {
    head(title, "median µs");
    for row in rows {
        let (figure, ratio) = (row.median(), row.ratio_to(&rows[0]));
        let (goal, met) = match row.goal {
            Goal::None => (None, None),
            Goal::Micros(goal) => (Some(format!("≤ {goal} µs")), Some(figure <= goal)),
            Goal::Ratio(goal) => (Some(format!("≤ {goal}×")), Some(ratio <= goal)),
        };
        let figure = Figure {
            figure: Some(figure),
            ratio: Some(ratio),
            goal,
            met,
            ..Figure::new(title, &row.name, "µs")
        };
        figure.put();
    }
}

/// How many times longer one row of a group takes than another, and whether that is as often as it should be.
pub fn print_against(group: &str, title: &str, slower: &Row, faster: &Row, goal: f64) {
    Figure::of_ratio(group, title, slower.ratio_to(faster), ('≥', goal)).put();
}

/// Prints whether something costs as much as before, given how many times the floor it took each time.
pub fn print_unchanged(group: &str, title: &str, before: f64, after: f64, goal: f64) {
    Figure::of_ratio(group, title, after / before, ('≤', goal)).put();
}

/// Prints rates; with a goal, the second row is to be three times the last.
pub fn rates(title: &str, rows: &[Row], goal: bool) {
    head(title, "per second");
    for row in rows {
        let figure = Figure {
            figure: Some(row.median()),
            ratio: Some(row.median() / rows[0].median()),
            ..Figure::new(title, &row.name, "per second")
        };
        figure.put();
    }
    if let (true, Some(ours), Some(peer)) = (goal, rows.get(1), rows.last()) {
        let name = "one-use cells beside bwrap";
        Figure::of_ratio(title, name, ours.ratio_to(peer), ('≥', 3.0)).put();
    }
}
