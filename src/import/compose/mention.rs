//! Where the value of a variable names another service.

/// How a value names a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mention {
    /// A URL; what stands behind its authority.
    Url {
        /// `http`.
        scheme: String,
        /// `/v1?x=1`, or nothing.
        rest: String,
        /// Whether there is nothing else in the value.
        is_whole: bool,
    },
    /// `host:port`, alone or in a list.
    Address,
    /// The name alone, in a variable that holds a host, or in `host=` of a connection string.
    Host,
}

/// Last words of variables that hold a host.
const HOST_WORDS: [&str; 13] = [
    "ADDR", "ADDRESS", "BROKER", "BROKERS", "DSN", "ENDPOINT", "HOST", "HOSTNAME", "HOSTS", "SERVER",
    "SERVERS", "URI", "URL",
];
/// What a host stands behind in a connection string.
const HOST_KEYS: [&str; 4] = ["host=", "server=", "data source=", "hostname="];

/// How the value names the service, if it does.
pub(super) fn find(variable: &str, value: &str, service: &str) -> Option<Mention> {
    for (at, separator) in value.match_indices("://") {
        let scheme_start = value[..at]
            .rfind(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c))
            .map_or(0, |i| i + 1);
        let after = &value[at + separator.len()..];
        let end = after.find(['/', '?', '#', ' ', '"', '\'', ';']).unwrap_or(after.len());
        let authority = &after[..end];
        let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
        if hosts.split(',').any(|host| host.split(':').next() == Some(service)) {
            return Some(Mention::Url {
                scheme: value[scheme_start..at].to_ascii_lowercase(),
                rest: after[end..].to_owned(),
                is_whole: scheme_start == 0 && authority == hosts && !hosts.contains(','),
            });
        }
    }
    let is_address = |part: &str| {
        let pair = part.split_once(':');
        pair.is_some_and(|(host, port)| {
            host == service && port.split('/').next().is_some_and(|port| port.parse::<u16>().is_ok())
        })
    };
    // Behind `@` as well: some drivers want no scheme, `tcp(db:3306)`.
    if value.split([',', ' ', ';', '@', '(', ')']).any(is_address) {
        return Some(Mention::Address);
    }
    let holds_host = variable
        .to_ascii_uppercase()
        .rsplit(['_', '-'])
        .next()
        .is_some_and(|last| HOST_WORDS.contains(&last) || last.ends_with("HOST"));
    if holds_host && value.split(',').any(|host| host.trim() == service) {
        return Some(Mention::Host);
    }
    let in_string = value.split([' ', ';']).any(|part| {
        let lower = part.to_ascii_lowercase();
        let host = HOST_KEYS.iter().find_map(|key| lower.strip_prefix(key));
        host.is_some_and(|host| host.split([':', ',']).next() == Some(&service.to_ascii_lowercase()))
    });
    in_string.then_some(Mention::Host)
}

/// The value with another host, and without its port, in place of the service.
pub(super) fn replace(value: &str, service: &str, host: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some(at) = rest.find(service) {
        let (before, after) = (&rest[..at], &rest[at + service.len()..]);
        let begins =
            before.is_empty() || before.ends_with("://") || before.ends_with(['@', ',', ' ', '=', '(']);
        let ends = after.is_empty() || after.starts_with([':', '/', ',', ';', '?', '#', ' ', ')']);
        out.push_str(before);
        if begins && ends {
            out.push_str(host);
            let port = after
                .strip_prefix(':')
                .map_or("", |p| &p[..p.find(|c: char| !c.is_ascii_digit()).unwrap_or(p.len())]);
            rest = if port.is_empty() { after } else { &after[1 + port.len()..] };
        } else {
            out.push_str(service);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found_in_values() {
        let check = |variable: &str, value: &str, expected: &str| {
            let told = match find(variable, value, "db") {
                None => "no".to_owned(),
                Some(Mention::Url { scheme, rest, is_whole }) => format!("{scheme} {rest} {is_whole}"),
                Some(other) => format!("{other:?}"),
            };
            assert_eq!(told, expected, "{variable}={value}");
        };
        check("DATABASE_URL", "postgres://a:b@db:5432/x", "postgres /x false");
        check("URL", "http://db:80", "http  true");
        check("URL", "jdbc:mysql://db/x?y", "mysql /x?y false");
        check("MONGO", "mongodb://a,db:27017/x", "mongodb /x false");
        check("X", "db:5432", "Address");
        check("X", "a:1,db:2", "Address");
        check("X", "u:p@tcp(db:3306)/x", "Address");
        check("DB_HOST", "db", "Host");
        check("PGHOST", "db", "Host");
        check("CONNECTION", "Server=db;Database=x", "Host");
        check("DB_DATABASE", "db", "no");
        check("X", "http://mydb/db", "no");
        check("X", "db.example.com:80", "no");
    }

    #[test]
    fn hosts_are_replaced_with_their_ports() {
        assert_eq!(replace("http://api:3000/api/api", "api", "x.internal"), "http://x.internal/api/api");
        assert_eq!(replace("api:80,apis:80", "api", "x"), "x,apis:80");
        assert_eq!(replace("api", "api", "x"), "x");
    }
}
