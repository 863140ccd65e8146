//! The calls that a function makes, as AWS would see them.

use std::time::Instant;

use serde_json::Value;

/// One request to AWS, with its answer.
#[derive(Debug, Clone)]
pub struct Call {
    /// The operation's name: `GetItem`, `RegisterInstance`, …
    pub operation: String,
    /// The request as JSON; a form's fields as an object of texts.
    pub input: Value,
    /// When the request was read.
    pub began: Instant,
    /// When the answer was ready to be sent; `None` while it is not, or when there is none.
    pub ended: Option<Instant>,
    /// The status of the answer; 0 for a connection that was cut.
    pub status: u16,
    /// Which connection it came over, counted from 0.
    pub connection: usize,
}

/// The calls in the order in which they had to wait for one another: those of one stage were under way at once, and each
/// began after one of the stage before had ended. Within a stage they are sorted by name.
#[must_use]
pub fn stages(calls: &[Call]) -> Vec<Vec<&Call>> {
    let mut by_begin: Vec<_> = calls.iter().collect();
    by_begin.sort_by_key(|call| call.began);
    let mut stages = Vec::<Vec<&Call>>::new();
    for call in by_begin {
        let before = |stage: &Vec<&Call>| {
            stage
                .iter()
                .any(|other| other.ended.is_some_and(|ended| ended <= call.began))
        };
        let stage = stages.iter().rposition(before).map_or(0, |last| last + 1);
        match stages.get_mut(stage) {
            Some(stage) => stage.push(call),
            None => stages.push(vec![call]),
        }
    }
    for stage in &mut stages {
        stage.sort_by(|a, b| a.operation.cmp(&b.operation));
    }
    stages
}

/// How many calls had to wait for one another: the longest chain in which each began after the one before had ended.
///
/// Whatever an event costs beyond the function's own work is this many round trips.
#[must_use]
pub fn depth(calls: &[Call]) -> usize {
    stages(calls).len()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(spans: &[(u64, u64)], expected: usize) {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let call = |(began, ended): &(u64, u64)| Call {
            operation: "GetItem".into(),
            input: Value::Null,
            began: at(*began),
            ended: Some(at(*ended)),
            status: 200,
            connection: 0,
        };
        assert_eq!(
            depth(&spans.iter().map(call).collect::<Vec<_>>()),
            expected,
            "{spans:?}"
        );
    }

    #[test]
    fn the_depth_is_the_longest_chain() {
        check(&[], 0);
        check(&[(0, 5)], 1);
        check(&[(0, 5), (5, 9)], 2);
        check(&[(0, 5), (1, 5), (2, 6)], 1);
        check(&[(0, 9), (1, 3), (4, 6), (9, 12)], 3);
        check(&[(0, 2), (3, 20), (4, 5), (6, 7), (8, 9)], 4);
    }
}
