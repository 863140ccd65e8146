//! Whether a whole tag that an expression matches can be a number or a version.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

use crate::config::Order;

/// Whether some text that the expression matches can be compared in this order. What cannot be ruled out can.
pub(super) fn may_be(expression: &str, order: Order) -> bool {
    let Ok(hir) = regex_syntax::parse(expression) else {
        return true;
    };
    match order {
        Order::Alphabetical => true,
        Order::Numeric => consists(&hir, &|c| c.is_ascii_digit() || c == '.'),
        Order::Semver => {
            let from_the_start = hir.properties().look_set_prefix().contains(Look::Start);
            let starts = !from_the_start || begins(&hir, &|c| c.is_ascii_digit() || c == 'v');
            starts && consists(&hir, &|c| c.is_ascii_alphanumeric() || ".+-".contains(c))
        }
    }
}

/// Whether it can match with these characters alone.
fn consists(hir: &Hir, fits: &impl Fn(char) -> bool) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => literal.0.iter().all(|byte| fits(char::from(*byte))),
        HirKind::Class(class) => has(class, fits),
        HirKind::Repetition(repetition) => repetition.min == 0 || consists(&repetition.sub, fits),
        HirKind::Capture(capture) => consists(&capture.sub, fits),
        HirKind::Concat(all) => all.iter().all(|hir| consists(hir, fits)),
        HirKind::Alternation(any) => any.iter().any(|hir| consists(hir, fits)),
    }
}

/// Whether it can match a text that begins with one of these characters.
fn begins(hir: &Hir, fits: &impl Fn(char) -> bool) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.first().is_some_and(|byte| fits(char::from(*byte))),
        HirKind::Class(class) => has(class, fits),
        HirKind::Repetition(repetition) => begins(&repetition.sub, fits),
        HirKind::Capture(capture) => begins(&capture.sub, fits),
        HirKind::Concat(all) => {
            let is_there = |hir: &Hir| hir.properties().minimum_len() != Some(0);
            let first = all.iter().position(is_there).unwrap_or(all.len());
            all.iter().take(first + 1).any(|hir| begins(hir, fits))
        }
        HirKind::Alternation(any) => any.iter().any(|hir| begins(hir, fits)),
    }
}

fn has(class: &Class, fits: &impl Fn(char) -> bool) -> bool {
    let mut ascii = (0..128_u8).map(char::from).filter(|c| fits(*c));
    ascii.any(|c| match class {
        Class::Unicode(class) => class.iter().any(|range| (range.start()..=range.end()).contains(&c)),
        Class::Bytes(class) => class
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&(c as u8))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_matched_as_a_whole() {
        let check = |expression: &str, numeric: bool, semver: bool| {
            let found = (may_be(expression, Order::Numeric), may_be(expression, Order::Semver));
            assert_eq!(found, (numeric, semver), "{expression}");
            assert!(may_be(expression, Order::Alphabetical), "{expression}");
        };
        check("^[0-9]+$", true, true);
        check(r"^\d+$", true, true);
        check("^([0-9]+)$", true, true);
        check("[0-9]+", true, true);
        check(".*", true, true);
        check("^(build-)?[0-9.]+$", true, true);
        check("^(build-|v)[0-9.]+$", false, true);
        check("^release-([0-9]+)$", false, false);
        check("^(release|stable)-.*$", false, false);
        check("release-[0-9]+", false, true);
        check("^v[0-9]+$", false, true);
        check("^[0-9]+-prod$", false, true);
        check("^[0-9]+_[0-9]+$", false, false);
        check("^[a-z]*[0-9]+$", true, true);
        check("^r?e[0-9]+$", false, false);
    }
}
