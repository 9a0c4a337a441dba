//! Who gets through to an app that is in maintenance.

use std::net::IpAddr;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::route::Maintenance;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on, as if there were no maintenance.
    Pass,
    /// It asks whether the box is well, and is told so.
    Healthy,
    /// It is told to come again.
    Closed,
}

/// Decides about one request.
pub(super) fn verdict(maintenance: &Maintenance, client: IpAddr, headers: &HeaderMap, path: &str) -> Verdict {
    if maintenance.allow.iter().any(|net| net.contains(&client))
        || (maintenance.cookie.is_some() && has_cookie(headers, maintenance))
    {
        Verdict::Pass
    } else if maintenance.health_path.as_deref() == Some(path) {
        Verdict::Healthy
    } else {
        Verdict::Closed
    }
}

/// Takes the cookie that passes out of what the app gets: its value is nobody's business but the proxy's. The others stay as
/// they are.
pub(super) fn remove_cookie(headers: &mut HeaderMap) {
    if !headers.get_all(COOKIE).iter().flat_map(cookies).any(|cookie| value(cookie).is_some()) {
        return;
    }
    let left = headers.get_all(COOKIE).iter().filter_map(|line| {
        let others: Vec<_> = cookies(line).filter(|cookie| value(cookie).is_none()).collect();
        let joined = HeaderValue::from_bytes(&others.join(&b"; "[..])).expect("parts of a value are a value");
        (!joined.is_empty()).then_some(joined)
    });
    let left: Vec<_> = left.collect();
    headers.remove(COOKIE);
    for line in left {
        headers.append(COOKIE, line);
    }
}

fn has_cookie(headers: &HeaderMap, maintenance: &Maintenance) -> bool {
    let mut given = headers.get_all(COOKIE).iter().flat_map(cookies).filter_map(value);
    given.any(|given| maintenance.is_passed_by(given))
}

/// The cookies of one header, with their names.
fn cookies(header: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    header.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

/// The value of the cookie, if it is the one that may pass.
fn value(cookie: &[u8]) -> Option<&[u8]> {
    cookie.strip_prefix(Maintenance::COOKIE.as_bytes())?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_net_or_a_cookie_passes_and_the_health_path_is_well() {
        let maintenance = Maintenance {
            allow: vec!["10.0.0.0/8".parse().unwrap()],
            cookie: Some(Maintenance::digest(b"secret")),
            health_path: Some("/up".to_owned()),
            ..Maintenance::default()
        };
        for (client, cookie, path, expected) in [
            ("10.1.2.3", "", "/", Verdict::Pass),
            ("11.1.2.3", "", "/", Verdict::Closed),
            ("11.1.2.3", "a=b; minipaas_bypass=secret", "/", Verdict::Pass),
            ("11.1.2.3", "minipaas_bypass=secre", "/", Verdict::Closed),
            ("11.1.2.3", "xminipaas_bypass=secret", "/", Verdict::Closed),
            ("11.1.2.3", "minipaas_bypass=", "/", Verdict::Closed),
            ("11.1.2.3", "", "/up", Verdict::Healthy),
            ("11.1.2.3", "", "/up/x", Verdict::Closed),
        ] {
            let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(cookie))]);
            let given = verdict(&maintenance, client.parse().unwrap(), &headers, path);
            assert_eq!(given, expected, "{client} {cookie} {path}");
        }
    }

    #[test]
    fn the_app_gets_all_cookies_but_the_one_that_passes() {
        for (given, expected) in [
            (&["a=b; minipaas_bypass=x; c=d"][..], &["a=b; c=d"][..]),
            (&["minipaas_bypass=x"], &[]),
            (&["a=b", "minipaas_bypass=x", "c=d"], &["a=b", "c=d"]),
            (&["a=b;c=d ; xminipaas_bypass=x"], &["a=b;c=d ; xminipaas_bypass=x"]),
        ] {
            let mut headers = HeaderMap::new();
            for line in given {
                headers.append(COOKIE, HeaderValue::from_static(line));
            }
            remove_cookie(&mut headers);
            let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
            assert_eq!(left, expected, "{given:?}");
        }
    }
}
