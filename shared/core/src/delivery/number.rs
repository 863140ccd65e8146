//! Numbers of any length, for tags that are build numbers or times: `20260101120000123` is more than a float can tell from
//! its neighbours.

use std::cmp::Ordering;
use std::str::FromStr;

/// A number that is not negative, in decimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    /// Without leading zeros.
    whole: String,
    /// Without trailing zeros.
    fraction: String,
}

impl FromStr for Number {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(());
        }
        Ok(Self {
            whole: whole.trim_start_matches('0').into(),
            fraction: fraction.trim_end_matches('0').into(),
        })
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let length = self.whole.len().cmp(&other.whole.len());
        length
            .then_with(|| self.whole.cmp(&other.whole))
            .then_with(|| self.fraction.cmp(&other.fraction))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_whatever_their_length() {
        let ascending = [
            "0",
            "0.05",
            "0.5",
            "1",
            "1.5",
            "2",
            "9",
            "10",
            "0099",
            "100",
            "20260101120000123",
            "20260101120000124",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                let compared = a.parse::<Number>().unwrap().cmp(&b.parse().unwrap());
                assert_eq!(compared, i.cmp(&j), "{a} {b}");
            }
        }
        for (a, b) in [("1", "01"), ("1", "1.0"), ("1.50", "1.5"), ("0", "000.000")] {
            assert_eq!(a.parse::<Number>(), b.parse());
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-1", "+1", "1.", ".5", "1e3", "1.2.3", "a", "１"] {
            assert_eq!(text.parse::<Number>(), Err(()), "{text}");
        }
    }
}
