//! What is wrong with a document: where, how bad, and what to do.

use std::fmt;

use serde::{Serialize, Serializer};

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// A key of a map.
    Key(String),
    /// A place in a list, from 0.
    Index(usize),
}

impl From<&str> for Segment {
    fn from(key: &str) -> Self {
        Self::Key(key.into())
    }
}

impl From<&String> for Segment {
    fn from(key: &String) -> Self {
        Self::Key(key.clone())
    }
}

impl From<usize> for Segment {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Where in a document: printed as `services.prod/web.scaling.rules[1]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Segment>);

impl Path {
    /// The whole document.
    pub fn root() -> Self {
        Self::default()
    }

    /// One step deeper.
    pub fn at(&self, step: impl Into<Segment>) -> Self {
        let mut deeper = self.clone();
        deeper.0.push(step.into());
        deeper
    }

    /// The steps from the root on.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether the other is this one, or leads deeper into it.
    pub fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if place == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The document is not applied.
    Error,
    /// The document is applied; someone may be surprised.
    Warning,
}

/// Something that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    #[serde(rename = "severity")]
    pub level: Level,
    /// Where.
    pub path: Path,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Problem {
    /// The document is not applied with this.
    pub fn error(path: Path, message: impl Into<String>) -> Self {
        Self {
            level: Level::Error,
            path,
            message: message.into(),
        }
    }

    /// The document is applied with this.
    pub fn warning(path: Path, message: impl Into<String>) -> Self {
        Self {
            level: Level::Warning,
            path,
            message: message.into(),
        }
    }
}
