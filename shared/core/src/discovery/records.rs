//! Whether DNS records can be made of what an entry registers.

use crate::config::stored::{Record, Registry};
use crate::config::{Address, Discovery};

/// Why the DNS records of a Cloud Map service cannot be made of an entry's instances; `None` when they can
/// (Cloud Map API reference, `RegisterInstance`: each type of record needs its attribute).
#[must_use]
pub fn mismatch(entry: &Discovery, registry: &Registry) -> Option<String> {
    registry.records.iter().find_map(|record| {
        let (fits, needs) = match record {
            Record::A => (
                entry.address != Address::Ipv6,
                "an IPv4 address: take `address: private` or `public`",
            ),
            Record::Aaaa => (entry.address == Address::Ipv6, "an IPv6 address: take `address: ipv6`"),
            Record::Srv => (entry.port.is_some(), "a port: give the entry a `port`"),
            Record::Cname => (
                false,
                "a CNAME, which tasks do not have: take another Cloud Map service",
            ),
        };
        (!fits).then(|| format!("`{}` has {record} records, which need {needs}", entry.to))
    })
}
