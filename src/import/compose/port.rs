//! What a service publishes: `ports`, in both forms, with ranges.

use super::super::findings::{Findings, Place};
use super::super::node::{Node, Section, Value};

/// More of one range is no list of ports that somebody wants to look at.
const RANGE_MAX: u16 = 100;
/// Container ports where something else than HTTP is spoken, as far as a number tells.
const NOT_HTTP: [u16; 44] = [
    1025, 2525, 21, 22, 23, 25, 53, 110, 119, 143, 389, 465, 563, 587, 636, 873, 993, 995, 1433, 1521, 1883,
    1935, 2049, 2222, 3306, 3389, 4222, 5060, 5222, 5269, 5432, 5671, 5672, 5900, 6379, 6667, 6697, 8883,
    9092, 11211, 25565, 27017, 50051, 61616,
];

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) at: Place,
    /// The address of the host on which it is published; `None` is all of them.
    pub(super) address: Option<String>,
    /// The port of the host; `None` is any.
    pub(super) published: Option<u16>,
    pub(super) target: u16,
    pub(super) is_udp: bool,
    /// Whether it is said to be HTTP, or something else.
    pub(super) protocol: Option<String>,
}

impl Port {
    /// Whether HTTP is spoken there, as far as one can tell.
    pub(super) fn is_http(&self) -> bool {
        match self.protocol.as_deref() {
            Some(protocol) => protocol.starts_with("http"),
            None => !self.is_udp && is_http(self.target),
        }
    }

    /// Whether only the host itself reaches it.
    pub(super) fn is_local(&self) -> bool {
        self.address.as_deref().is_some_and(|ip| ip.starts_with("127.") || ip == "::1")
    }
}

/// Whether HTTP is likely to be spoken at a port of a container.
pub(super) fn is_http(port: u16) -> bool {
    port != 443 && port != 8443 && !NOT_HTTP.contains(&port)
}

/// The ports of one item.
pub(super) fn read(node: &Node, findings: &mut Findings) -> Vec<Port> {
    let parsed = match &node.value {
        Value::Map(_) => long(node, findings),
        _ => match node.string("an item of `ports`", findings) {
            Some(text) => short(&text, &node.at),
            None => return Vec::new(),
        },
    };
    parsed.unwrap_or_else(|message| {
        findings.problem(&node.at, message);
        Vec::new()
    })
}

/// A port or a range of them: `8000-8002`.
pub(super) fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first > 0 && first <= last).then_some((first, last))
}

/// `[[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL]`.
fn short(text: &str, at: &Place) -> Result<Vec<Port>, String> {
    let rule = || {
        format!(
            "port `{text}` is not `TARGET`, `PUBLISHED:TARGET` or `ADDRESS:PUBLISHED:TARGET`, with numbers from 1 to 65535"
        )
    };
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !matches!(protocol, "tcp" | "udp") {
        return Err(format!("port `{text}` has protocol `{protocol}`; use `tcp` or `udp`"));
    }
    let (rest, target) =
        numbers.rsplit_once(':').map_or((None, numbers), |(rest, target)| (Some(rest), target));
    let (address, published) = match rest {
        None => (None, ""),
        // An address of version 6 has colons of its own.
        Some(rest) if rest.starts_with('[') => match rest.rsplit_once("]:") {
            Some((address, published)) => (Some(address.trim_start_matches('[')), published),
            None => (Some(rest.trim_matches(['[', ']'])), ""),
        },
        Some(rest) => {
            rest.rsplit_once(':').map_or((None, rest), |(address, published)| (Some(address), published))
        }
    };
    let is_address = address.is_none_or(|address| address.parse::<std::net::IpAddr>().is_ok());
    let target = range(target).filter(|_| is_address).ok_or_else(rule)?;
    let published = if published.is_empty() { None } else { Some(range(published).ok_or_else(rule)?) };
    let all = Port {
        at: at.clone(),
        address: address.filter(|address| !matches!(*address, "0.0.0.0" | "::")).map(str::to_owned),
        published: None,
        target: 0,
        is_udp: protocol == "udp",
        protocol: None,
    };
    spread(&all, target, published).map_err(|problem| format!("port `{text}` {problem}"))
}

fn long(node: &Node, findings: &mut Findings) -> Result<Vec<Port>, String> {
    let mut section = Section::new("an item of `ports`", node, findings);
    let target = section.take("target").and_then(Node::scalar);
    let published = section.take("published").and_then(Node::scalar);
    let address = section.take("host_ip").and_then(Node::scalar);
    let protocol = section.take("protocol").and_then(Node::scalar).unwrap_or_else(|| "tcp".to_owned());
    let said = section.take("app_protocol").and_then(Node::scalar);
    let name = section.take("name").and_then(Node::scalar);
    // `host` and `ingress` are the same on one host.
    section.take("mode");
    section.finish(findings);
    let Some(target) = target else { return Err("a port has no `target`".to_owned()) };
    let number =
        |text: &str| range(text).ok_or_else(|| format!("port `{text}` is no number from 1 to 65535"));
    let published = published.as_deref().filter(|text| !text.is_empty()).map(number).transpose()?;
    if !matches!(protocol.as_str(), "tcp" | "udp") {
        return Err(format!("port `{target}` has protocol `{protocol}`; use `tcp` or `udp`"));
    }
    let all = Port {
        at: node.at.clone(),
        address: address.filter(|address| address != "0.0.0.0" && address != "::"),
        published: None,
        target: 0,
        is_udp: protocol == "udp",
        protocol: said.or_else(|| name.filter(|name| name.starts_with("http"))),
    };
    spread(&all, number(&target)?, published).map_err(|problem| format!("port `{target}` {problem}"))
}

/// One port for each of a range.
fn spread(all: &Port, (first, last): (u16, u16), published: Option<(u16, u16)>) -> Result<Vec<Port>, String> {
    let count = last - first;
    if count >= RANGE_MAX {
        return Err(format!("is a range of more than {RANGE_MAX}"));
    }
    let begin = match published {
        // Any of these for one port: the first is as good as another.
        Some((begin, _)) if count == 0 => Some(begin),
        Some((begin, end)) if end - begin == count => Some(begin),
        Some(_) => return Err("has two ranges of different lengths".to_owned()),
        None => None,
    };
    let port = |n: u16| Port { published: begin.map(|begin| begin + n), target: first + n, ..all.clone() };
    Ok((0..=count).map(port).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_known() {
        let check = |text: &str, expected: &str| {
            let told = match short(text, &Place::file("c")) {
                Ok(ports) => ports
                    .iter()
                    .map(|p| {
                        let published = p.published.map_or("?".to_owned(), |p| p.to_string());
                        let address = p.address.clone().unwrap_or_default();
                        format!("{address}:{published}:{}{}", p.target, if p.is_udp { "/udp" } else { "" })
                    })
                    .collect::<Vec<_>>()
                    .join(" "),
                Err(message) => message,
            };
            assert_eq!(told, expected, "{text}");
        };
        check("80", ":?:80");
        check("8080:80", ":8080:80");
        check("127.0.0.1:8080:80/udp", "127.0.0.1:8080:80/udp");
        check("127.0.0.1::80", "127.0.0.1:?:80");
        check("[::1]:8080:80", "::1:8080:80");
        check("3000-3002:4000-4002", ":3000:4000 :3001:4001 :3002:4002");
        check("3000-3009:80", ":3000:80");
        check("3000-3002:4000-4001", "port `3000-3002:4000-4001` has two ranges of different lengths");
        check("80/sctp", "port `80/sctp` has protocol `sctp`; use `tcp` or `udp`");
        let rule =
            "is not `TARGET`, `PUBLISHED:TARGET` or `ADDRESS:PUBLISHED:TARGET`, with numbers from 1 to 65535";
        for bad in ["x", "0", "70000:80", "80:", "5-3", "a:80:80", ""] {
            check(bad, &format!("port `{bad}` {rule}"));
        }
    }
}
