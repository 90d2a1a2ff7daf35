//! IP addresses, networks and endpoints, as logs and queries write them.
//!
//! `10.0.0.10:22289`, `[2001:db8::5]:53000`, `[fe80::1%5]:25`, and in anonymised logs `10.**.**.31:25`, which has no
//! address. An IPv4 address mapped into IPv6 (`::ffff:1.2.3.4`) is the IPv4 address.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A network in CIDR form (RFC 4632); one address is the network of its full length.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network {
    /// Canonical, and zero behind the prefix.
    first: IpAddr,
    /// At most 32 or 128.
    prefix_bits: u8,
}

/// An address with its port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint {
    /// The address, canonical.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

impl Network {
    /// `104.47.0.0/16`, `2001:db8::/32`, or a single address. What stands behind the prefix is ignored.
    pub fn parse(text: &str) -> Option<Network> {
        let Some((address, prefix_bits)) = text.split_once('/') else {
            return parse_address(text).map(Network::of);
        };
        let is_number = prefix_bits.len() <= 3 && prefix_bits.bytes().all(|digit| digit.is_ascii_digit());
        let prefix_bits: u8 = prefix_bits.parse().ok().filter(|_| is_number)?;
        let address = parse_address(address)?;
        (prefix_bits <= bits(address)).then(|| Network { first: masked(address, prefix_bits), prefix_bits })
    }

    /// The network of one address.
    pub fn of(address: IpAddr) -> Network {
        Network { first: address, prefix_bits: bits(address) }
    }

    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) == bits(self.first) && masked(address, self.prefix_bits) == self.first
    }

    /// Its only address, if it has one only.
    pub fn single(&self) -> Option<IpAddr> {
        (self.prefix_bits == bits(self.first)).then_some(self.first)
    }

    /// Its first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// Its last address.
    pub fn last(&self) -> IpAddr {
        match self.first {
            IpAddr::V4(first) => Ipv4Addr::from(u32::from(first) | !mask_v4(self.prefix_bits)).into(),
            IpAddr::V6(first) => Ipv6Addr::from(u128::from(first) | !mask_v6(self.prefix_bits)).into(),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(address) => write!(f, "{address}"),
            None => write!(f, "{}/{}", self.first, self.prefix_bits),
        }
    }
}

impl Endpoint {
    /// An address with a port.
    pub fn parse(text: &str) -> Option<Endpoint> {
        let (host, port) = split_endpoint(text);
        let port = port.filter(|port| port.bytes().all(|digit| digit.is_ascii_digit()))?.parse().ok()?;
        Some(Endpoint { address: parse_address(host)?, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.port),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// The address of an endpoint, with or without port; `None` for a masked one and for a name.
pub fn address_of_endpoint(endpoint: &str) -> Option<IpAddr> {
    parse_address(split_endpoint(endpoint).0)
}

/// Host and port of an endpoint: `[2001:db8::5]:53000` gives `2001:db8::5` and `53000`.
pub fn split_endpoint(endpoint: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = endpoint.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match endpoint.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (endpoint, None),
    }
}

/// An address without its zone: the zone of `fe80::1%5` is the number of an interface of one server.
fn parse_address(text: &str) -> Option<IpAddr> {
    let address = text.split_once('%').map_or(text, |(address, _zone)| address);
    address.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, prefix_bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address) & mask_v4(prefix_bits)).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & mask_v6(prefix_bits)).into(),
    }
}

fn mask_v4(prefix_bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix_bits)).unwrap_or(0)
}

fn mask_v6(prefix_bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix_bits)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_network(network: &str, shown: Option<&str>, inside: &[&str], outside: &[&str]) {
        let parsed = Network::parse(network);
        assert_eq!(parsed.map(|n| n.to_string()).as_deref(), shown, "{network:?}");
        let contains = |endpoint: &&str| {
            let address = address_of_endpoint(endpoint).expect("the endpoint has an address");
            parsed.is_some_and(|network| network.contains(address))
        };
        assert!(inside.iter().all(contains), "{network:?}");
        assert!(!outside.iter().any(contains), "{network:?}");
    }

    #[test]
    fn networks() {
        check_network("104.47.0.0/16", Some("104.47.0.0/16"), &["104.47.88.42:25", "104.47.0.0"], &["104.48.0.1"]);
        check_network("104.47.88.42/16", Some("104.47.0.0/16"), &["104.47.1.1"], &[]);
        check_network("10.0.0.1", Some("10.0.0.1"), &["10.0.0.1:25", "[::ffff:10.0.0.1]:25"], &["10.0.0.2:25"]);
        check_network("0.0.0.0/0", Some("0.0.0.0/0"), &["1.2.3.4", "255.255.255.255"], &["::1"]);
        check_network("::/0", Some("::/0"), &["2001:db8::5"], &["1.2.3.4"]);
        check_network("2001:db8::5/32", Some("2001:db8::/32"), &["[2001:db8:1::5]:53000"], &["2001:db9::"]);
        check_network("fe80::1%5", Some("fe80::1"), &["[fe80::1%7]:25"], &["fe80::2"]);
        check_network("10.0.0.0/33", None, &[], &[]);
        check_network("10.0.0.0/+8", None, &[], &[]);
        check_network("10.0.0", None, &[], &[]);
        check_network("10.**.**.31", None, &[], &[]);
    }

    #[test]
    fn last_address_closes_the_network() {
        let last = |text: &str| Network::parse(text).map(|network| network.last().to_string());
        assert_eq!(last("104.47.0.0/16").as_deref(), Some("104.47.255.255"));
        assert_eq!(last("10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(last("2001:db8::/112").as_deref(), Some("2001:db8::ffff"));
    }

    #[track_caller]
    fn check_endpoint(text: &str, expected: Option<&str>) {
        assert_eq!(Endpoint::parse(text).map(|e| e.to_string()).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn endpoints() {
        check_endpoint("10.0.0.10:22289", Some("10.0.0.10:22289"));
        check_endpoint("[2001:db8::5]:53000", Some("[2001:db8::5]:53000"));
        check_endpoint("[::ffff:1.2.3.4]:25", Some("1.2.3.4:25"));
        check_endpoint("10.0.0.10", None);
        check_endpoint("2001:db8::5", None);
        check_endpoint("10.0.0.10:65536", None);
        check_endpoint("10.0.0.10:+5", None);
        check_endpoint("10.**.**.31:25", None);
    }
}
