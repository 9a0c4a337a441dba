//! Who may ask, how often, and from where: `allow`, `deny`, `basic_auth`, `rate_limit`, `cors`.

use std::net::IpAddr;
use std::time::Duration;

use bcrypt::HashParts;
use http::{Method, Uri};
use ipnet::IpNet;

use super::super::quantity;
use super::super::read::{Entry, Report};
use super::content;
use crate::policy::{Cors, Credential, RateLimit};

/// A hash that is dearer than this takes seconds of CPU for each password that is tried.
const BCRYPT_COST_MAX: u32 = 14;
/// More than this in a period is no limit.
const RATE_MAX: u32 = 1_000_000;
/// For how long a browser may remember what it is allowed.
const CORS_AGE: Duration = Duration::from_secs(600);

/// Networks, or single addresses.
pub(super) fn networks(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Vec<IpNet>> {
    let key = entry.key();
    entry.list(report, |text| {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        // Bits behind the prefix do not count; without them equal networks are equal.
        text.parse::<IpNet>().map(|net| net.trunc()).or_else(|_| address()).map_err(|_| {
            format!("`{text}` in `{key}` is neither an address nor a network such as `10.0.0.0/8` or `2001:db8::/32`")
        })
    })
}

/// Users, each with a bcrypt hash; no message repeats a value.
pub(super) fn basic_auth(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Vec<Credential>> {
    if entry.flag() == Some(false) {
        return Some(Vec::new());
    }
    let users = entry.table(report, "`basic_auth`")?.take_all();
    if users.is_empty() {
        let hint = Some("`basic_auth = false` lets everybody in".to_owned());
        report.problem(&entry.span(), "`basic_auth` names no user".to_owned(), hint);
        return None;
    }
    Some(users.iter().filter_map(|user| credential(user, report)).collect())
}

fn credential(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Credential> {
    let user = entry.key();
    if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
        let message = format!("`{}` is not a user's name; it has no colon", user.escape_debug());
        report.problem(&entry.span(), message, None);
        return None;
    }
    let hash = entry.string(report)?;
    let problem = match hash.parse::<HashParts>() {
        Ok(parts) if parts.get_cost() <= BCRYPT_COST_MAX => {
            return Some(Credential { user: user.to_owned(), hash });
        }
        Ok(parts) => {
            let cost = parts.get_cost();
            format!("the hash of `{user}` has a cost of {cost}; at most {BCRYPT_COST_MAX} is checked")
        }
        Err(_) => format!("the password of `{user}` is not a bcrypt hash"),
    };
    let hint = Some(format!("make one with `htpasswd -nB {user}`, and write what follows the colon"));
    report.problem(&entry.span(), problem, hint);
    None
}

/// `"100/1m"`, or a table.
pub(super) fn rate_limit(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<RateLimit> {
    if entry.is_string() {
        return entry.parsed(report, "a rate", rate);
    }
    let mut table = entry.table(report, "`rate_limit`")?;
    let (requests, per) = (table.take("requests"), table.take("per"));
    let burst = table.take("burst").map(|entry| entry.count(report, (1, RATE_MAX)));
    table.finish(report);
    if requests.is_none() || per.is_none() {
        let message = "`rate_limit` needs `requests` and `per`, such as `{ requests = 100, per = \"1m\" }`";
        report.problem(&entry.span(), message.to_owned(), None);
    }
    let requests = requests.and_then(|entry| entry.count(report, (1, RATE_MAX)));
    let per = per.and_then(|entry| entry.positive_duration(report));
    let requests = requests?;
    Some(RateLimit { requests, per: per?, burst: burst.unwrap_or(Some(requests))? })
}

/// `100/1m`; `100/m` is the same.
fn rate(text: &str) -> Result<RateLimit, String> {
    let bad = || format!("`{text}` is not a rate; write requests and a duration, such as `\"100/1m\"`");
    let (requests, per) = text.split_once('/').ok_or_else(bad)?;
    let requests = requests.parse().ok().filter(|n| (1..=RATE_MAX).contains(n)).ok_or_else(bad)?;
    let per = if per.starts_with(|c: char| c.is_ascii_digit()) { per.to_owned() } else { format!("1{per}") };
    let per = quantity::duration(&per).ok().filter(|per| !per.is_zero()).ok_or_else(bad)?;
    Ok(RateLimit { requests, per, burst: requests })
}

/// Other origins.
pub(super) fn cors(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Cors> {
    let mut table = entry.table(report, "`cors`")?;
    let mut cors = Cors {
        origins: Vec::new(),
        methods: Vec::new(),
        headers: Vec::new(),
        expose: Vec::new(),
        credentials: false,
        max_age: CORS_AGE,
    };
    let origins = table.take("origins");
    if let Some(found) = origins.as_ref().and_then(|entry| entry.list(report, origin)) {
        cors.origins = found;
    }
    table.set("methods", &mut cors.methods, |entry| entry.list(report, method));
    table.set("headers", &mut cors.headers, |entry| entry.list(report, content::header_name));
    table.set("expose", &mut cors.expose, |entry| entry.list(report, content::header_name));
    table.set("credentials", &mut cors.credentials, |entry| entry.boolean(report));
    table.set("max_age", &mut cors.max_age, |entry| entry.duration(report));
    table.finish(report);
    let Some(origins) = origins else {
        let hint = Some("such as `origins = [\"https://app.example.com\"]`".to_owned());
        report.problem(&entry.span(), "`cors` needs `origins`".to_owned(), hint);
        return None;
    };
    let is_any = cors.origins.iter().any(|origin| origin == "*");
    if is_any && cors.origins.len() > 1 {
        let message = "`*` in `origins` stands for all; keep it alone";
        report.problem(&origins.span(), message.to_owned(), None);
    }
    if is_any && cors.credentials {
        let message = "`origins = [\"*\"]` with `credentials` would let every page act for its visitor";
        report.problem(&origins.span(), message.to_owned(), Some("name the origins".to_owned()));
    }
    Some(cors)
}

/// As a browser writes it: lower case, no path, no default port to worry about.
fn origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let bad = || format!("`{text}` is not an origin such as `https://app.example.com`, without a path");
    let uri: Uri = text.parse().map_err(|_| bad())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(bad()) };
    let origin = format!("{scheme}://{authority}");
    if origin.len() != text.len() || authority.as_str().contains(['@', '*']) {
        return Err(bad());
    }
    Ok(origin.to_ascii_lowercase())
}

fn method(text: &str) -> Result<Method, String> {
    let is_upper = text.chars().all(|c| c.is_ascii_uppercase() || c == '-');
    let method = text.parse().ok().filter(|_| is_upper);
    method.ok_or_else(|| format!("`{text}` is not a method such as `PUT`"))
}
