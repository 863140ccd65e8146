//! Reads the pages: as much of Markdown as they use.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::template::root;

/// The folders whose files pages name.
const FOLDERS: [&str; 7] = ["shared/", "functions/", "cli/", "tests/", "docs/", "examples/", ".ci/"];

/// A page.
pub struct Page {
    /// Where it is, from the root on.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// A fenced block.
pub struct Block {
    /// Its first line's number.
    pub line: usize,
    /// What is in it.
    pub text: String,
}

/// Every page for people.
pub fn pages() -> Vec<Page> {
    let mut paths: Vec<_> = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "tests/local/README.md"]
        .map(|name| root().join(name))
        .into();
    for folder in ["docs", "docs/adr"] {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        paths.extend(files.filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    paths.iter().map(|path| Page::read(path)).collect()
}

/// The Rust sources under a folder, without tests.
pub fn sources(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap_or_default();
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(&path).unwrap());
        }
    }
    found
}

impl Page {
    /// A page by its path from the root on.
    pub fn of(name: &str) -> Self {
        Self::read(&root().join(name))
    }

    /// A page.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
        Self {
            name,
            path: path.to_owned(),
            text,
        }
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap()
    }

    /// Its fenced blocks of a language.
    pub fn blocks(&self, language: &str) -> Vec<Block> {
        let (mut blocks, mut open): (Vec<Block>, bool) = (Vec::new(), false);
        let mut inside = false;
        for (index, line) in self.text.lines().enumerate() {
            if let Some(fence) = line.strip_prefix("```") {
                open = !inside && fence == language;
                inside = !inside;
                if open {
                    blocks.push(Block {
                        line: index + 2,
                        text: String::new(),
                    });
                }
            } else if open && let Some(block) = blocks.last_mut() {
                block.text.push_str(line);
                block.text.push('\n');
            }
        }
        blocks
    }

    /// What is linked to.
    pub fn links(&self) -> BTreeSet<String> {
        let after = self.text.split("](").skip(1);
        after
            .filter_map(|rest| rest.split_once(')'))
            .map(|(link, _)| link.to_owned())
            .collect()
    }

    /// Its headings, as GitHub makes anchors of them.
    pub fn anchors(&self) -> BTreeSet<String> {
        let headings = self.text.lines().filter(|line| line.starts_with('#'));
        headings
            .map(|line| line.trim_start_matches('#').trim().to_lowercase())
            .map(|line| {
                line.chars()
                    .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                    .collect::<String>()
            })
            .map(|line| line.replace(' ', "-"))
            .collect()
    }

    /// What stands under a heading, up to the next one of any level.
    pub fn section(&self, heading: &str) -> String {
        let mut lines = self
            .text
            .lines()
            .skip_while(|line| line.trim_start_matches('#') != format!(" {heading}"));
        lines
            .next()
            .unwrap_or_else(|| panic!("{} has no heading {heading}", self.name));
        lines
            .take_while(|line| !line.starts_with('#'))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// The words in backticks.
pub fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of the tables in a text, without their heads.
pub fn table_rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut body = false;
    for line in text.lines() {
        if !line.starts_with('|') {
            body = false;
        } else if line.starts_with("|---") {
            body = true;
        } else if body {
            let cells = line.trim_matches('|').split('|');
            rows.push(cells.map(|cell| cell.trim().to_owned()).collect());
        }
    }
    rows
}

/// The files and folders of this repository that a text names. Capitals stand for something else: `functions/NAME`.
pub fn paths(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || "/._-*$".contains(c)));
    words
        .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| !word.contains("NAME") && !word.contains(['*', '$']))
        .map(str::to_owned)
        .collect()
}
