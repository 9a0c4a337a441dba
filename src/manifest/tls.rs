//! `[tls]`, and `[route.tls]`, which says the same for one route: who signs the certificate, and what clients must show before
//! they are let in.
//!
//! As with `[proxy]`, a key of a route's table goes before the same key of the app's, and `false` turns off what the app's table
//! turned on. What routes obey is part of their [`Policy`]; a key that is about the app as a whole is taken off the table by
//! whoever reads the document, before the rest comes here.

use std::sync::Arc;

use super::read::{Entry, Report, Table};
use super::references::References;
use crate::policy::{ClientCa, Issuer, Policy};

/// What the table says of routes, put into the policy that holds for them.
pub(super) fn of_routes(
    mut table: Table<'_>,
    policy: &mut Policy,
    references: &mut References<'_>,
    report: &mut Report<'_>,
) {
    table.set("client_ca", &mut policy.client_ca, |entry| {
        entry.or_off(|on| client_ca(on, references, report))
    });
    table.set("issuer", &mut policy.issuer, |entry| {
        entry.or_off(|on| on.one_of(report, &[("acme", Issuer::Acme), ("local", Issuer::Local)]))
    });
    table.set("on_demand", &mut policy.ask, |entry| {
        entry.or_off(|on| on.parsed(report, "a path such as `\"/domains/allowed\"`, or a URL", str::parse))
    });
    table.finish(report);
}

/// The certificates in the file that the entry names.
fn client_ca(
    entry: &Entry<'_>,
    references: &mut References<'_>,
    report: &mut Report<'_>,
) -> Option<Arc<ClientCa>> {
    let text = references.file(entry, report)?;
    match ClientCa::from_pem(&text) {
        Ok(ca) => Some(Arc::new(ca)),
        Err(error) => {
            let message = format!("the file of `client_ca` cannot be used: {error}");
            report.problem(&entry.span(), message, None);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, Source};
    use crate::policy::{Ask, Issuer};

    const CA: &str = "-----BEGIN CERTIFICATE-----
MIIBejCCAR+gAwIBAgIUMvU2LRlG3kDF4wrc5xb3ox8iHMMwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHY2xpZW50czAeFw0yNjExMjMxNzQ0MTRaFw0zNjExMjAxNzQ0
MTRaMBIxEDAOBgNVBAMMB2NsaWVudHMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASV9n1nZ4G2XMlYMVWk6FUA4p2foZUR4iMKrl0JWwbY7+7DnmNTsBAhwUoWjIt1
nxf01HTNl0BoULZU5TcI2TQPo1MwUTAdBgNVHQ4EFgQU5k9tBdYgQo5TSqlnRn7F
xNPMujwwHwYDVR0jBBgwFoAU5k9tBdYgQo5TSqlnRn7FxNPMujwwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAgbSQS5hDwxaRnqzaK1ckdUFg0Ewf
ipHuoJ82ciiiON8CIQDJIYGyGLg2KDc2nDYM6mfX31+LfkjSrFiq14xI6OYhNA==
-----END CERTIFICATE-----
";
    const LEAF: &str = "-----BEGIN CERTIFICATE-----
MIIBcTCCARagAwIBAgIUCJVIqHJWxd6TYiocIiyVkPUHx48wCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEbGVhZjAeFw0yNjExMjMxNzQ0MTRaFw0zNjExMjAxNzQ0MTRa
MA8xDTALBgNVBAMMBGxlYWYwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATB6BNA
szDCJn3P2vgbBrerKSesxLg1g5xkTWngvSzWusA3qQNx0uvqikN1il9DQ1EUY/1A
IM1P8OXAp1+aW0vCo1AwTjAdBgNVHQ4EFgQUBXPxrK3MPNPvtaqxPRE632Z5C8Aw
HwYDVR0jBBgwFoAUBXPxrK3MPNPvtaqxPRE632Z5C8AwDAYDVR0TAQH/BAIwADAK
BggqhkjOPQQDAgNJADBGAiEAhh0VQpBg1+N58Py0k7TWNUS868WHhLjXBaSC+0Xy
P68CIQDtGrrzJb3dXJdshkFAMgVtL/cL9Ryfq+I71ivyN1Ji1w==
-----END CERTIFICATE-----
";

    #[test]
    fn who_signs_and_who_is_asked_may_be_said() {
        let policy = |toml: &str| parse(toml).unwrap().proxy;
        assert_eq!(policy("[tls]\nissuer = \"local\"").issuer, Some(Issuer::Local));
        let ask = policy("[tls]\non_demand = \"/allowed\"").ask.clone();
        assert_eq!(ask, Some(Ask::Path("/allowed".to_owned())));
        let ask = policy("[tls]\non_demand = \"http://10.0.0.5/ok?x=1\"").ask.clone();
        assert_eq!(ask, Some(Ask::Url("http://10.0.0.5/ok?x=1".to_owned())));
        let route =
            "[tls]\nissuer = \"local\"\n[[route]]\nhost = \"a.example.com\"\ntls = { issuer = false }";
        assert_eq!(parse(route).unwrap().routes[0].policy.issuer, None);

        let error = |toml: &str| parse(toml).unwrap_err();
        assert_eq!(
            error("[tls]\nissuer = \"lokal\""),
            "minipaas.toml:2: `issuer` is `lokal`; it takes one of `acme`, `local`; did you mean `local`?"
        );
        assert_eq!(
            error("[tls]\non_demand = \"allowed\""),
            "minipaas.toml:2: `allowed` is neither a path such as `/domains/allowed` nor a URL"
        );
    }

    fn parse(toml: &str) -> Result<Manifest, String> {
        let key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
        let broken = CA.replace("MII", "MIJ");
        let files = [
            ("ca.pem", CA.to_owned()),
            ("two.pem", format!("the old one\n{CA}the new one\n{CA}")),
            ("leaf.pem", LEAF.to_owned()),
            ("key.pem", format!("{CA}{key}")),
            ("empty.pem", String::new()),
            ("broken.pem", broken),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text)).into();
        let source = Source { toml: Some(toml.to_owned()), procfile: None, files };
        Manifest::parse(&source).map(|(manifest, _)| manifest).map_err(|error| error.to_string())
    }

    #[test]
    fn a_route_says_it_for_itself() {
        let manifest = parse(
            "[tls]\nclient_ca = \"ca.pem\"\n[[route]]\npath = \"/a\"\n[[route]]\npath = \"/b\"\n\
             [route.tls]\nclient_ca = false\n[[route]]\npath = \"/c\"\n[route.proxy]\nretries = 0\n\
             [route.tls]\nclient_ca = \"two.pem\"\n",
        )
        .unwrap();
        let certificates =
            |policy: &crate::policy::Policy| policy.client_ca.as_ref().map(|ca| ca.certificates().count());
        assert_eq!(certificates(&manifest.proxy), Some(1));
        let routes: Vec<_> = manifest.routes.iter().map(|route| certificates(&route.policy)).collect();
        assert_eq!(routes, [Some(1), None, Some(2)]);
        assert_eq!(manifest.routes[2].policy.retries, 0);
        assert_eq!(parse("").unwrap().proxy.client_ca, None);
    }

    #[test]
    fn what_is_no_ca_is_told() {
        let check = |value: &str, expected: &str| {
            let problem = parse(&format!("[tls]\nclient_ca = {value}")).unwrap_err();
            assert_eq!(problem, format!("minipaas.toml:2: {expected}"));
        };
        let cannot = |why: &str| format!("the file of `client_ca` cannot be used: {why}");
        check("\"leaf.pem\"", &cannot("certificate 1 in it is not a CA's: it may not sign others"));
        check(
            "\"key.pem\"",
            &cannot(
                "there is a `PRIVATE KEY` in it, which nobody needs to check certificates; keep the certificates alone",
            ),
        );
        check(
            "\"empty.pem\"",
            &cannot(
                "there is no certificate in it; expected PEM, which begins with `-----BEGIN CERTIFICATE-----`",
            ),
        );
        check("\"broken.pem\"", &cannot("certificate 1 in it is broken"));
        check("\"gone.pem\"", "there is no file `gone.pem` in the project folder");
    }
}
