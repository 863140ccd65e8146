//! `wharfinger.yaml` from a file, with everything that is wrong in it, each at its line and column.

mod aside;
mod fault;
mod part;
mod read;
mod stand_in;
#[cfg(test)]
mod tests;
mod tree;
mod wording;

use std::fmt;

use wharfinger_core::config::{Document, Level, Path, Problem, Segment, validate};

use tree::{Node, Place, Value};
pub(crate) use wording::{list, nearest, there_is};

/// A problem with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Where in the text.
    pub place: Place,
    /// What is wrong.
    pub problem: Problem,
}

/// A document that was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What it is called in messages.
    pub name: String,
    /// What it says, without the parts that do not fit; `None` when nothing is left.
    pub document: Option<Document>,
    /// Everything that is wrong, in the order of the text.
    pub problems: Vec<Placed>,
    /// The text; `None` when it is no YAML.
    root: Option<Node>,
}

/// Reads a document from its text.
pub(crate) fn load(name: &str, text: &str) -> Loaded {
    let name = name.to_owned();
    let root = match Node::parse(text) {
        Ok(root) => root,
        Err(error) => {
            let problem = Problem::error(Path::root(), error.message);
            let problems = vec![Placed {
                place: error.place,
                problem,
            }];
            return Loaded {
                name,
                document: None,
                problems,
                root: None,
            };
        }
    };
    let mut read = read::read::<Document>(text, &root);
    let place = |problem: Problem| Placed {
        place: locate(&root, &problem.path),
        problem,
    };
    let mut problems = std::mem::take(&mut read.problems);
    let wrong: Vec<_> = problems.iter().map(|placed| placed.problem.path.clone()).collect();
    // What is missed there may be what does not fit.
    let is_doubtful = |problem: &Problem| {
        let within = |path: &Path| path.segments().starts_with(problem.path.segments());
        problem.level == Level::Warning && wrong.iter().any(within)
    };
    let certain = read
        .certain(validate)
        .into_iter()
        .filter(|problem| !is_doubtful(problem));
    problems.extend(certain.map(place));
    let document = read.into_document();
    problems.sort_by(|a, b| a.place.cmp(&b.place));
    Loaded {
        name,
        document,
        problems,
        root: Some(root),
    }
}

impl Loaded {
    /// Adds what was found wrong beside the text itself, each at its place.
    pub(crate) fn add(&mut self, problems: Vec<Problem>) {
        let place = |problem: Problem| Placed {
            place: self
                .root
                .as_ref()
                .map(|root| locate(root, &problem.path))
                .unwrap_or_default(),
            problem,
        };
        let placed: Vec<_> = problems.into_iter().map(place).collect();
        self.problems.extend(placed);
        self.problems.sort_by(|a, b| a.place.cmp(&b.place));
    }

    /// The document, when nothing in it is wrong; warnings are not.
    pub(crate) fn valid(&self) -> Option<&Document> {
        self.document
            .as_ref()
            .filter(|_| self.problems.iter().all(|p| p.problem.level != Level::Error))
    }

    /// Everything that `check` tells, in the order of the text.
    pub(crate) fn all(&self) -> Vec<&Placed> {
        self.problems.iter().collect()
    }

    /// One line of a message: `FILE:LINE:COLUMN: …`.
    pub(crate) fn line(&self, placed: &Placed) -> String {
        format!("{}:{placed}", self.name)
    }
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { level, path, message } = &self.problem;
        let level = match level {
            Level::Error => "",
            Level::Warning => "warning: ",
        };
        write!(f, "{}: {level}{message}", self.place)?;
        if !path.segments().is_empty() {
            write!(f, " (in {path})")?;
        }
        Ok(())
    }
}

/// Where a path stands in the text, or as much of it as is there: of a single value the value, of more the key.
fn locate(root: &Node, path: &Path) -> Place {
    let (mut node, mut place) = (root, &root.place);
    for segment in path.segments() {
        let next = match (segment, &node.value) {
            (Segment::Index(index), Value::List(list)) => list.get(*index).map(|element| (element, &element.place)),
            (Segment::Key(key), Value::Map(map)) => {
                let written = |node: &Node| matches!(&node.value, Value::Text(text) if text == key);
                map.iter()
                    .find(|(node, _)| written(node))
                    .map(|(key, value)| match value.value {
                        Value::Null | Value::List(_) | Value::Map(_) => (value, &key.place),
                        _ => (value, &value.place),
                    })
            }
            _ => None,
        };
        let Some(next) = next else { break };
        (node, place) = next;
    }
    place.clone()
}
