//! Which hosts `http.request` may reach.
//!
//! Payloads may come from people the operator does not know, so a worker must not become their way into its network.
//! A name is checked against the allow-list, and its addresses when they are looked up, just before the connection is
//! made to one of them: a name that changes its address between check and use (rebinding) gets nowhere.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// A host that may be reached: `example.com`, or `.example.com` for every host below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    /// In lower case, without the dot of a suffix.
    name: String,
    below: bool,
}

impl HostRule {
    /// Reads a rule.
    ///
    /// # Errors
    /// If it is no host: it has a scheme, a port, a path or a wild card.
    pub fn new(text: &str) -> Result<Self, String> {
        let (name, below) = match text.strip_prefix('.') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let wrong = || {
            format!("{text:?} is no host; write it like api.example.com, or .example.com for all below it")
        };
        // The way a URL writes it is the way it is compared.
        let url = Url::parse(&format!("http://{name}/")).map_err(|_| wrong())?;
        let plain = url.port().is_none() && url.path() == "/" && url.username().is_empty();
        let host = url
            .host_str()
            .filter(|host| plain && !host.contains('*') && !host.is_empty())
            .ok_or_else(wrong)?;
        Ok(Self { name: host.trim_end_matches('.').to_owned(), below })
    }

    fn covers(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        match host.strip_suffix(&self.name) {
            Some("") => !self.below,
            Some(rest) => self.below && rest.ends_with('.'),
            None => false,
        }
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "." } else { "" }, self.name)
    }
}

/// Why a host is not reached; it will not be another time either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("host {0} is not on the worker's allow-list (--allow-host)")]
    NotListed(String),
    #[error("host {host} is at {address}, which is not a public address; --allow-private-hosts permits it")]
    Private { host: String, address: IpAddr },
}

/// Decides about hosts.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    pub(super) allow_private: bool,
    pub(super) hosts: Vec<HostRule>,
}

impl Reach {
    /// Checks what can be checked before addresses are looked up.
    pub(super) fn check(&self, url: &Url) -> Result<(), Refused> {
        let host = url.host_str().unwrap_or_default();
        if !self.hosts.is_empty() && !self.hosts.iter().any(|rule| rule.covers(host)) {
            return Err(Refused::NotListed(host.to_owned()));
        }
        // An address needs no looking up, so the resolver never sees it.
        match host.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(address) => self.check_address(host, address),
            Err(_) => Ok(()),
        }
    }

    fn check_address(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        if self.allow_private || is_public(address) {
            return Ok(());
        }
        Err(Refused::Private { host: host.to_owned(), address })
    }
}

/// Looks names up and gives only addresses that may be reached.
impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            let checked = found.iter().map(|at| reach.check_address(host, at.ip()).map(|()| *at));
            let allowed: Vec<SocketAddr> = checked.clone().filter_map(Result::ok).collect();
            match checked.into_iter().find_map(Result::err) {
                Some(refused) if allowed.is_empty() => Err(refused.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether an address is one of the public internet: in none of the special blocks of
/// [RFC 6890](https://www.rfc-editor.org/rfc/rfc6890) and its registries, seen through forms that carry an IPv4 address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        [0 | 10 | 127, ..] => true,                   // this network, private, loopback
        [100, 64..=127, ..] => true,                  // behind a carrier's translation
        [169, 254, ..] => true, // link-local, and with it 169.254.169.254, the metadata of clouds
        [172, 16..=31, ..] | [192, 168, ..] => true, // private
        [192, 0, 0 | 2, _] => true, // protocol assignments, documentation
        [192, 88, 99, _] => true, // relays from IPv6
        [198, 18 | 19, ..] => true, // benchmarks
        [198, 51, 100, _] | [203, 0, 113, _] => true, // documentation
        [224..=255, ..] => true, // multicast, reserved, broadcast
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let inner = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        // Mapped, and translated by NAT64, as every IPv4 host appears in a network of IPv6 only.
        (0, 0) if [c, d, e, f] == [0, 0, 0, 0xffff] => inner(high, low),
        (0x64, 0xff9b) if [c, d, e, f] == [0, 0, 0, 0] => inner(high, low),
        // 6to4 carries the IPv4 address of its gateway.
        (0x2002, _) => inner(b, c),
        // Protocol assignments and documentation.
        (0x2001, 0..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => false,
        (0x2000..=0x3fff, _) => true,
        // Loopback, unique-local, link-local, multicast, and what nobody has been given.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn addresses_that_are_not_of_the_public_internet_are_refused() {
        let reach = Reach::default();

        for host in [
            "127.0.0.1",
            "127.8.8.8",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[fc00::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::1]",
            "[2001::1]",
            "[::127.0.0.1]",
            // The ways a URL can write 127.0.0.1.
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
        ] {
            let refused = reach.check(&url(&format!("http://{host}/")));

            assert!(matches!(refused, Err(Refused::Private { .. })), "{host}: {refused:?}");
        }
    }

    #[test]
    fn public_addresses_are_reached_in_whatever_form() {
        let reach = Reach::default();

        for host in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "[2606:4700::1111]",
            "[::ffff:1.1.1.1]",
            "[64:ff9b::1.1.1.1]",
        ] {
            assert_eq!(reach.check(&url(&format!("http://{host}/"))), Ok(()), "{host}");
        }
    }

    #[test]
    fn with_private_hosts_allowed_every_address_is_reached() {
        let reach = Reach { allow_private: true, ..Reach::default() };

        assert_eq!(reach.check(&url("http://127.0.0.1:8080/")), Ok(()));
        assert_eq!(reach.check(&url("http://[fd00::7]/")), Ok(()));
    }

    #[test]
    fn an_allow_list_names_hosts_or_all_below_one() {
        let hosts = ["api.Example.com", ".hooks.example"].map(|host| HostRule::new(host).unwrap()).to_vec();
        let reach = Reach { allow_private: false, hosts };

        for host in
            ["api.example.com", "API.EXAMPLE.COM", "api.example.com.", "a.hooks.example", "a.b.hooks.example"]
        {
            assert_eq!(reach.check(&url(&format!("https://{host}/x"))), Ok(()), "{host}");
        }
        for host in ["example.com", "x.api.example.com", "hooks.example", "evilhooks.example", "1.1.1.1"] {
            let refused = reach.check(&url(&format!("https://{host}/x")));
            assert!(matches!(refused, Err(Refused::NotListed(_))), "{host}");
        }
    }

    #[test]
    fn being_on_the_allow_list_does_not_make_an_address_public() {
        let reach = Reach { allow_private: false, hosts: vec![HostRule::new("127.0.0.1").unwrap()] };

        assert!(matches!(reach.check(&url("http://127.0.0.1/")), Err(Refused::Private { .. })));
    }

    #[test]
    fn what_is_no_host_is_no_rule() {
        for text in
            ["https://example.com", "example.com:8080", "example.com/x", "*.example.com", "", ".", "a b"]
        {
            assert!(HostRule::new(text).is_err(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_refused_when_it_is_looked_up() {
        let name = || "localhost".parse::<Name>().unwrap();

        let refused = Reach::default().resolve(name()).await.err().expect("localhost is no public host");
        let allowed = Reach { allow_private: true, ..Reach::default() }.resolve(name()).await;

        assert!(refused.downcast_ref::<Refused>().is_some(), "{refused}");
        assert!(allowed.is_ok_and(|mut addresses| addresses.next().is_some()));
    }
}
