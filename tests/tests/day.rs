//! A day of one service.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is wrong")]

use wharfinger_tests::day::*;

#[test]
fn prints() {
    println!("{}", table(&rows(1..21).unwrap()));
    for who in [Who::Target, Who::Hpa, Who::Steps] {
        let d = day(1, who).unwrap();
        println!("{}", who.name());
        let mut ch = d.changes.iter().peekable();
        for (m, s) in d.samples.iter().enumerate() {
            let mut t = String::new();
            while let Some(c) = ch.next_if(|c| c.at.as_second() < (m as i64 + 1) * 60) { t += &format!(" :{:02} {}->{}", c.at.as_second() % 60, c.from, c.to); }
            if !t.is_empty() || s.demand > BAD || (750..770).contains(&m) {
                println!("{:02}:{:02} need {:.1} ready {} paid {} demand {:.0} mean {:.0}{t}", m/60, m%60, d.load[m]/0.6, s.ready, s.paid, s.demand, s.mean.unwrap());
            }
        }
    }
}
