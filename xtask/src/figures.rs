//! What the benchmarks measured, as tables of a page, each between two comments that only this file writes between.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::fmt::Write as _;
use std::fs;

/// A page with places for tables.
pub(crate) struct Page(String);

impl Page {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// Puts a table into its place; false when the page has none for it.
    pub(crate) fn replace(&mut self, section: &str, table: &str) -> bool {
        let begin = format!("<!-- figures: {section} -->\n");
        let Some(start) = self.0.find(&begin).map(|at| at + begin.len()) else {
            return false;
        };
        let Some(length) = self.0[start..].find(END) else {
            return false;
        };
        let table = format!("\n{}\n\n", table.trim());
        self.0.replace_range(start..start + length, &table);
        true
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

const END: &str = "<!-- end of figures -->";

/// A line that a benchmark wrote: the beginning of a section, or a figure of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Section { section: String },
    Figure(Figure),
}

#[derive(Deserialize)]
struct Figure {
    group: String,
    name: String,
    figure: Option<f64>,
    unit: String,
    ratio: Option<f64>,
    goal: Option<String>,
    met: Option<bool>,
}

/// The sections that were measured, in their order, each with its tables.
///
/// # Errors
/// A line is none of ours.
pub(crate) fn sections(lines: &str) -> Result<Vec<(String, String)>> {
    let mut sections: Vec<(String, Vec<Figure>)> = Vec::new();
    for line in lines.lines() {
        let line = serde_json::from_str(line).with_context(|| format!("not a figure: {line}"))?;
        match line {
            Line::Section { section } => sections.push((section, Vec::new())),
            Line::Figure(figure) => {
                let (_, figures) = sections.last_mut().context("a figure of no section")?;
                figures.push(figure);
            }
        }
    }
    let tables = sections.into_iter().map(|(name, figures)| {
        let tables: Vec<String> = figures
            .chunk_by(|one, other| one.group == other.group)
            .map(table)
            .collect();
        (name, tables.join("\n"))
    });
    Ok(tables.collect())
}

/// The ratio comes first: it travels, and what was measured does not.
fn table(figures: &[Figure]) -> String {
    let title = figures.first().map_or("", |figure| figure.group.as_str());
    let mut text = format!(
        "| {} | ratio | median | goal | |\n|---|---|---|---|---|\n",
        cell(title)
    );
    for figure in figures {
        let ratio = figure.ratio.map(digits).unwrap_or_default();
        let median = figure
            .figure
            .map(|value| format!("{} {}", digits(value), figure.unit));
        let goal = figure.goal.as_deref().unwrap_or_default();
        let met = match figure.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        let median = median.unwrap_or_default();
        let _infallible = writeln!(
            text,
            "| {} | {ratio} | {median} | {goal} | {met} |",
            cell(&figure.name)
        );
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Three digits that count, thousands apart.
fn digits(value: f64) -> String {
    let places = match value.abs() {
        ..0.1 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.places$}");
    let whole = text.find('.').unwrap_or(text.len());
    let mut out = String::new();
    for (at, c) in text.char_indices() {
        if at > 0 && at < whole && (whole - at) % 3 == 0 && text.as_bytes()[at - 1].is_ascii_digit()
        {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// The machine and how it was used, in one sentence; no date.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(':').nth(1))
            .map(|value| value.trim().to_owned())
    };
    let release = read("/proc/sys/kernel/osrelease");
    let release: Vec<&str> = release.trim().split(['.', '-']).take(2).collect();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let model = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .unwrap_or_default();
    let virtual_ = if read("/proc/cpuinfo").contains("hypervisor") {
        "virtual "
    } else {
        ""
    };
    let who = if crate::shell::is_root() {
        "root"
    } else {
        "an ordinary user"
    };
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?");
    format!(
        "Linux {}, {processors} {virtual_}processors ({model}), {} GiB of memory; as {who}, in the {} class; {load} \
         other tasks ran on average in the minute before. Compiled by {}.",
        release.join("."),
        memory.div_ceil(1024 * 1024),
        class(&read("/proc/self/stat")),
        crate::shell::output(crate::shell::command("rustc").arg("--version")).map_or_else(
            |_| "an unknown compiler".to_owned(),
            |text| text.split(" (").next().unwrap_or_default().to_owned()
        ),
    )
}

/// The scheduling class, by the 41st field of `/proc/self/stat`.
fn class(stat: &str) -> &'static str {
    // The second field is a name in parentheses, which may hold anything.
    let after = stat.rsplit(')').next().unwrap_or_default();
    match after.split_whitespace().nth(38) {
        Some("1") => "first-in-first-out real-time",
        Some("2") => "round-robin real-time",
        _ => "ordinary",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"{"section":"calls"}
{"group":"calls","name":"a | b","figure":0.6249,"unit":"µs","ratio":1.0,"goal":"≤ 1 µs","met":true}
{"group":"calls","name":"c","figure":23613.04,"unit":"µs","ratio":55.46,"goal":null,"met":null}
{"group":"memory","name":"d","figure":null,"unit":"","ratio":2.557,"goal":"≤ 1.15×","met":false}
{"section":"peers"}
{"group":"x","name":"e","figure":1234567.0,"unit":"per second","ratio":0.031,"goal":null,"met":null}
"#;

    #[test]
    fn figures_become_a_table_for_each_group() {
        let sections = sections(LINES).unwrap();
        let names: Vec<_> = sections.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["calls", "peers"]);
        assert_eq!(
            sections[0].1,
            "| calls | ratio | median | goal | |\n|---|---|---|---|---|\n\
             | a \\| b | 1.00 | 0.62 µs | ≤ 1 µs | met |\n\
             | c | 55.5 | 23,613 µs |  |  |\n\
             \n\
             | memory | ratio | median | goal | |\n|---|---|---|---|---|\n\
             | d | 2.56 |  | ≤ 1.15× | **missed** |\n"
        );
        assert!(
            sections[1]
                .1
                .contains("| e | 0.031 | 1,234,567 per second |")
        );
        assert!(super::sections("{\"group\":\"x\"}").is_err());
    }

    #[test]
    fn only_what_stands_between_the_comments_is_replaced() {
        let text = "# A\n<!-- figures: a -->\nold\n<!-- end of figures -->\ntext\n<!-- figures: b -->\n<!-- end of figures -->\n";
        let mut page = Page::new(text.to_owned());
        assert!(page.replace("a", "| new |\n"));
        assert!(!page.replace("c", "| new |\n"));
        assert_eq!(page.text(), text.replace("\nold\n", "\n\n| new |\n\n"));
        let once = page.text().to_owned();
        assert!(page.replace("a", "| new |\n"));
        assert_eq!(page.text(), once);
    }

    #[test]
    fn the_book_has_a_place_for_every_section() {
        let mut page = Page::new(
            fs::read_to_string(crate::shell::root().join("docs/performance.md")).unwrap(),
        );
        let bench = fs::read_to_string(crate::shell::root().join("bench/src/main.rs")).unwrap();
        let list = bench
            .split("const GROUPS")
            .nth(1)
            .and_then(|rest| rest.split(['[', ']']).nth(3));
        let groups = list
            .unwrap()
            .split(',')
            .map(|name| name.trim().trim_matches('"'));
        let groups: Vec<_> = groups
            .filter(|name| !name.is_empty())
            .chain(["machine", "peers"])
            .collect();
        assert!(groups.len() > 6, "{groups:?}");
        for group in groups {
            assert!(page.replace(group, "x"), "no place for `{group}`");
        }
    }

    #[test]
    fn the_class_is_told_whatever_the_program_is_called() {
        let stat = |policy: u8| format!("1 (a) b) R {}{policy} 0", "0 ".repeat(37));
        assert_eq!(class(&stat(0)), "ordinary");
        assert_eq!(class(&stat(1)), "first-in-first-out real-time");
    }

    #[test]
    fn digits_that_count_are_three() {
        for (value, text) in [
            (0.0312, "0.031"),
            (1.0, "1.00"),
            (12.34, "12.3"),
            (999.6, "1,000"),
            (28.0, "28.0"),
        ] {
            assert_eq!(digits(value), text);
        }
    }
}
