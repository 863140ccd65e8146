//! The request forms of the query protocol and of EC2's variant of it.

/// A parameter.
pub(super) fn pair(name: impl Into<String>, value: impl Into<String>) -> (String, String) {
    (name.into(), value.into())
}

/// A list, counted from one: `Names.member.1`, `Names.member.2`, …; EC2 leaves `member` out (smithy: AWS query protocol,
/// collections; AWS EC2 query protocol).
pub(super) fn list<'a>(prefix: &'a str, values: &'a [String]) -> impl Iterator<Item = (String, String)> + use<'a> {
    let values = values.iter().enumerate();
    values.map(move |(i, value)| pair(format!("{prefix}.{}", i + 1), value))
}
