//! `cargo xtask book`: the pages of `docs/` as a book in `target/book`.
//!
//! Pages link to files of the repository, as a forge shows them. The book has none of these files, so it is built from a
//! copy in which such links lead to the repository.

use crate::skips::Skips;
use crate::{Options, links, shell};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The pages.
const PAGES: &str = "docs";
/// Their order.
const SUMMARY: &str = "docs/SUMMARY.md";
/// What makes a book of them, in this version.
const VERSION: &str = "0.5.4";

/// Builds the book, and says so where it could not.
///
/// # Errors
/// As [`build`].
pub(crate) fn task(options: &Options) -> Result<()> {
    let mut skips = Skips::default();
    build(&mut skips)?;
    skips.print();
    skips.settle(options.ci)
}

/// Builds the book; without its tool that is skipped by name.
///
/// # Errors
/// A link leads nowhere, a page is not in the book, or the tool warns of something.
pub(crate) fn build(skips: &mut Skips) -> Result<()> {
    links::check()?;
    let root = shell::root();
    let pages = pages(&root)?;
    let orphans: Vec<_> = pages.difference(&chapters(&root)?).cloned().collect();
    if !orphans.is_empty() {
        bail!("in no chapter of {SUMMARY}: {}", names(&orphans));
    }
    let tool = match tool() {
        Ok(tool) => tool,
        Err(why) => {
            skips.add("book", format!("mdbook {VERSION} is not there: {why:#}"));
            return Ok(());
        }
    };
    let copy = root.join("target/book-pages");
    stage(&root, &copy)?;
    let book = root.join("target/book");
    let mut build = shell::command(tool);
    build.arg("build").arg(&copy).arg("--dest-dir").arg(&book);
    // What it says is read for warnings, so it says them whatever the reader's settings are.
    build.env("MDBOOK_LOG", "warn").env_remove("RUST_LOG");
    let line = shell::show(&build);
    let output = build.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.trim().is_empty(),
        "{line}: {}\n{said}",
        output.status
    );
    headings(&pages, &book)?;
    println!("the book is in {}", book.join("index.html").display());
    Ok(())
}

/// The tool, installed at its version where it is not.
fn tool() -> Result<PathBuf> {
    let place = shell::root()
        .join("target/tools")
        .join(format!("mdbook-{VERSION}"));
    let tool = place.join("bin/mdbook");
    if !tool.is_file() {
        let mut cargo = shell::cargo();
        // It runs for a second: what an optimizing compiler takes longer is not got back.
        cargo.args([
            "install",
            "--quiet",
            "--locked",
            "--debug",
            "--version",
            VERSION,
        ]);
        cargo.args(["--no-default-features", "--features", "search", "mdbook"]);
        // Without what debuggers need, which is most of its size and some of the time.
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "false");
        shell::run(cargo.arg("--root").arg(&place))?;
    }
    Ok(tool)
}

/// All pages but the summary, from the root of the repository.
fn pages(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let files = files(&root.join(PAGES))?.into_iter();
    let pages = files.filter(|file| file.extension().is_some_and(|is| is == "md"));
    let mut pages: BTreeSet<_> = pages
        .filter_map(|file| Some(file.strip_prefix(root).ok()?.to_owned()))
        .collect();
    pages.remove(Path::new(SUMMARY));
    Ok(pages)
}

/// The pages that the summary names.
fn chapters(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let summary = fs::read_to_string(root.join(SUMMARY))?;
    let links = links::links(&summary).into_iter();
    let targets = links.filter_map(|link| links::target(Path::new(SUMMARY), &link.destination));
    Ok(targets.map(|target| target.path).collect())
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// Copies the pages, with links out of them as a reader elsewhere can follow them.
fn stage(root: &Path, copy: &Path) -> Result<()> {
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    let repository = repository(root)?;
    for file in files(&root.join(PAGES))? {
        let page = file.strip_prefix(root)?;
        let to = copy.join(file.strip_prefix(root.join(PAGES))?);
        fs::create_dir_all(to.parent().unwrap_or(copy))?;
        if file.extension().is_some_and(|is| is == "md") {
            let text = fs::read_to_string(&file)?;
            fs::write(to, outward(&text, page, root, &repository)?)?;
        } else {
            fs::copy(&file, to)?;
        }
    }
    Ok(())
}

/// Where the repository is, as its packages say.
fn repository(root: &Path) -> Result<String> {
    let manifest: toml::Value = toml::from_str(&fs::read_to_string(root.join("Cargo.toml"))?)?;
    let repository = manifest["workspace"]["package"]["repository"].as_str();
    Ok(repository
        .context("the packages name no repository")?
        .to_owned())
}

/// A page whose links out of the book lead to the repository.
fn outward(text: &str, page: &Path, root: &Path, repository: &str) -> Result<String> {
    let mut outward = text.to_owned();
    // From the end, so that what comes before stays where it is.
    for link in links::links(text).into_iter().rev() {
        let Some(target) = links::target(page, &link.destination) else {
            continue;
        };
        if target.path.starts_with(PAGES) {
            continue;
        }
        let kind = match root.join(&target.path).is_dir() {
            true => "tree",
            false => "blob",
        };
        let anchor = target.anchor.map(|anchor| format!("#{anchor}"));
        let url = format!(
            "{repository}/{kind}/main/{}{}",
            target.path.display(),
            anchor.unwrap_or_default()
        );
        let written = format!("]({})", link.destination);
        let at = text[link.range.clone()].rfind(&written);
        let at = link.range.start
            + at.with_context(|| format!("{}: `{written}` is expected", page.display()))?;
        outward.replace_range(at..at + written.len(), &format!("]({url})"));
    }
    Ok(outward)
}

/// Holds the names of headings that the check of links knows against those that the book has.
fn headings(pages: &BTreeSet<PathBuf>, book: &Path) -> Result<()> {
    for page in pages {
        let text = fs::read_to_string(shell::root().join(page))?;
        let chapter = page.strip_prefix(PAGES)?.with_extension("html");
        let html = fs::read_to_string(book.join(&chapter))
            .with_context(|| format!("the book has no {}", chapter.display()))?;
        for anchor in links::anchors(&text) {
            ensure!(
                html.contains(&format!("id=\"{anchor}\"")),
                "{}: the book has no heading `{anchor}`",
                page.display()
            );
        }
    }
    Ok(())
}

fn names(pages: &[PathBuf]) -> String {
    let names: Vec<_> = pages
        .iter()
        .map(|page| page.display().to_string())
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_out_of_the_book_lead_to_the_repository_and_others_stay() {
        let text = "[`a`](../README.md#x) [b](b.md) ![c](c.svg) [d](../sdk/go) [e](https://e.example) `[f](../README.md)`";
        let outward = outward(
            text,
            Path::new("docs/a.md"),
            &shell::root(),
            "https://f.example",
        )
        .unwrap();
        assert_eq!(
            outward,
            "[`a`](https://f.example/blob/main/README.md#x) [b](b.md) ![c](c.svg) [d](https://f.example/tree/main/sdk/go) \
             [e](https://e.example) `[f](../README.md)`"
        );
    }

    #[test]
    fn a_page_in_no_chapter_is_seen() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("docs/reference")).unwrap();
        for (name, text) in [
            ("SUMMARY.md", "- [A](a.md)\n  - [B](reference/b.md)\n"),
            ("a.md", ""),
            ("reference/b.md", ""),
            ("reference/c.md", ""),
            ("picture.svg", ""),
        ] {
            fs::write(root.path().join(PAGES).join(name), text).unwrap();
        }
        let pages = pages(root.path()).unwrap();
        let orphans: Vec<_> = pages
            .difference(&chapters(root.path()).unwrap())
            .cloned()
            .collect();
        assert_eq!(orphans, [Path::new("docs/reference/c.md")]);
    }
}
