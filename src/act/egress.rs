//! Egress: where requests may go. A sink reaches only what the operator listed, whatever a name resolves to.
//!
//! Rules are a name, `*.suffix`, an address or a CIDR block, each with an optional `:port` (IPv6 then in
//! brackets). Without any, the sinks' own hosts and ports are the rules. A rule by name trusts the name; under
//! a block the name's addresses are checked, and the connection goes to a checked one, so a name that
//! changes between check and use gains nothing. Redirects are never followed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    #[error("`{0}` is no host, `*.suffix`, address or CIDR block with an optional port")]
    Rule(String),
    #[error("egress to {host}:{port} is not allowed; add it to `egress_allow`")]
    Forbidden { host: String, port: u16 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Name(String),
    /// Any name below this one.
    Suffix(String),
    Net(IpNet),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    target: Target,
    port: Option<u16>,
}

#[derive(Clone, Debug, Default)]
pub struct Egress {
    rules: Vec<Rule>,
}

impl Egress {
    /// `allow` as the operator wrote it; where it is empty, the hosts and ports of `own`.
    ///
    /// # Errors
    /// A rule that cannot be read.
    pub fn new<'u>(allow: &[String], own: impl IntoIterator<Item = &'u Url>) -> Result<Self, EgressError> {
        let rules = if allow.is_empty() {
            own.into_iter().filter_map(rule_of).collect()
        } else {
            allow.iter().map(|text| parse(text)).collect::<Result<_, _>>()?
        };
        Ok(Egress { rules })
    }

    /// Whether `url` may be asked for, as far as can be told without resolving its name.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn check(&self, url: &Url) -> Result<(), EgressError> {
        let port = url.port_or_known_default().unwrap_or(0);
        let allowed = match url.host() {
            Some(Host::Domain(name)) => self.allows_name(name, port) || self.has_net(port),
            Some(Host::Ipv4(ip)) => self.allows_ip(ip.into(), port),
            Some(Host::Ipv6(ip)) => self.allows_ip(ip.into(), port),
            None => false,
        };
        let host = url.host_str().unwrap_or("").to_owned();
        if allowed { Ok(()) } else { Err(EgressError::Forbidden { host, port }) }
    }

    fn on(&self, port: u16) -> impl Iterator<Item = &Target> {
        self.rules.iter().filter(move |rule| rule.port.is_none_or(|p| p == port)).map(|rule| &rule.target)
    }

    fn allows_name(&self, name: &str, port: u16) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.on(port).any(|target| match target {
            Target::Name(allowed) => *allowed == name,
            Target::Suffix(suffix) => {
                name.strip_suffix(suffix.as_str()).is_some_and(|head| head.ends_with('.'))
            }
            Target::Net(_) => false,
        })
    }

    fn allows_ip(&self, ip: IpAddr, port: u16) -> bool {
        let ip = ip.to_canonical();
        self.on(port).any(|target| matches!(target, Target::Net(net) if net.contains(&ip)))
    }

    fn has_net(&self, port: u16) -> bool {
        self.on(port).any(|target| matches!(target, Target::Net(_)))
    }
}

fn rule_of(url: &Url) -> Option<Rule> {
    let target = match url.host()? {
        Host::Domain(name) => Target::Name(name.trim_end_matches('.').to_ascii_lowercase()),
        Host::Ipv4(ip) => Target::Net(IpAddr::from(ip).into()),
        Host::Ipv6(ip) => Target::Net(IpAddr::from(ip).to_canonical().into()),
    };
    Some(Rule { target, port: url.port_or_known_default() })
}

fn parse(text: &str) -> Result<Rule, EgressError> {
    let bad = || EgressError::Rule(text.into());
    if let Some(target) = address(text) {
        return Ok(Rule { target, port: None });
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().map_err(|_| bad())?)),
        None => (text, None),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let target = match (address(bare), host.strip_prefix("*.")) {
        (Some(target), _) => target,
        (None, Some(suffix)) if is_name(suffix) => Target::Suffix(suffix.to_ascii_lowercase()),
        (None, None) if is_name(host) => Target::Name(host.to_ascii_lowercase()),
        _ => return Err(bad()),
    };
    Ok(Rule { target, port })
}

fn address(text: &str) -> Option<Target> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(|ip| ip.to_canonical().into()));
    net.ok().map(Target::Net)
}

/// Letters, digits, `-` and `_` between dots; not a malformed address.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.split('.').all(is_label) && !text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// Resolves names for one port, and gives only addresses that may be connected to.
pub struct GuardedResolver {
    pub egress: Arc<Egress>,
    pub port: u16,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (egress, port) = (self.egress.clone(), self.port);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), port)).await?;
            let trusted = egress.allows_name(name.as_str(), port);
            let allowed: Vec<SocketAddr> =
                found.filter(|address| trusted || egress.allows_ip(address.ip(), port)).collect();
            if allowed.is_empty() {
                return Err(EgressError::Forbidden { host: name.as_str().into(), port }.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allow: &[&str], url: &str) -> bool {
        let allow: Vec<String> = allow.iter().map(|rule| rule.to_string()).collect();
        Egress::new(&allow, []).unwrap().check(&url.parse().unwrap()).is_ok()
    }

    #[test]
    fn names_are_whole_names_and_suffixes_whole_labels() {
        assert!(check(&["hooks.example.org"], "https://HOOKS.example.org./x"));
        assert!(!check(&["example.org"], "https://hooks.example.org/"));
        assert!(check(&["*.example.org"], "https://a.b.example.org/"));
        assert!(!check(&["*.example.org"], "https://example.org/"));
        assert!(!check(&["*.example.org"], "https://evilexample.org/"));
        assert!(!check(&["example.org"], "https://example.org.evil.net/"));
        assert!(!check(&["example.org"], "https://example.org@evil.net/"));
    }

    #[test]
    fn a_port_narrows_a_rule() {
        assert!(check(&["am:9093"], "http://am:9093/"));
        assert!(!check(&["am:9093"], "http://am/"));
        assert!(check(&["am:443"], "https://am/"));
        assert!(check(&["[fd00::/8]:80"], "http://[fd00::1]/"));
    }

    #[test]
    fn addresses_are_read_however_they_are_written() {
        assert!(check(&["10.0.0.0/8"], "http://10.1.2.3/"));
        assert!(check(&["10.0.0.0/8"], "http://[::ffff:10.1.2.3]/"));
        assert!(!check(&["10.0.0.0/8"], "http://[::ffff:11.1.2.3]/"));
        assert!(!check(&["10.0.0.0/8"], "http://0x7f000001/"));
        assert!(check(&["127.0.0.1"], "http://0x7f000001/"));
    }

    #[test]
    fn without_rules_the_sinks_own_places_are_the_rules() {
        let own: Url = "https://hooks.example.org/secret/path".parse().unwrap();
        let egress = Egress::new(&[], [&own]).unwrap();
        assert!(egress.check(&own).is_ok());
        let elsewhere = "https://hooks.example.org:8443/".parse().unwrap();
        let error = egress.check(&elsewhere).unwrap_err().to_string();
        assert_eq!(error, "egress to hooks.example.org:8443 is not allowed; add it to `egress_allow`");
    }

    #[test]
    fn a_malformed_rule_is_an_error() {
        for rule in ["", "http://x", "a b", "10.0.0.0/99", "10.0.0.300", "host:99999", "*.", "a..b"] {
            assert!(Egress::new(&[rule.into()], []).is_err(), "{rule}");
        }
    }

    #[tokio::test]
    async fn a_name_under_a_block_is_held_to_its_addresses() {
        let resolve = async |rule: &str| {
            let egress = Arc::new(Egress::new(&[rule.into()], []).unwrap());
            assert!(egress.check(&"http://localhost/".parse().unwrap()).is_ok());
            let resolver = GuardedResolver { egress, port: 80 };
            resolver.resolve("localhost".parse().unwrap()).await.map(|found| found.count())
        };
        assert!(resolve("127.0.0.0/8").await.unwrap() > 0);
        assert!(resolve("10.0.0.0/8").await.unwrap_err().downcast_ref::<EgressError>().is_some());
    }
}
