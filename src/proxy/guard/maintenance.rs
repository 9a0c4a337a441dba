//! Who gets through to an app that is in maintenance.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::COOKIE;

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

fn has_cookie(headers: &HeaderMap, maintenance: &Maintenance) -> bool {
    headers.get_all(COOKIE).iter().flat_map(|cookies| cookies.as_bytes().split(|b| *b == b';')).any(
        |cookie| {
            let named = cookie.trim_ascii().strip_prefix(Maintenance::COOKIE.as_bytes());
            named
                .and_then(|rest| rest.strip_prefix(b"="))
                .is_some_and(|given| maintenance.is_passed_by(given))
        },
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

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
}
