//! Whole apps, as the objects and notes that lead requests to them.

mod external;
mod gateway;
mod keys;
mod network;
mod nginx;
mod references;
mod traefik;

use serde_json::Value;

use super::super::{Entrance, Export, Image, NoteKind, Object, Options, Sheet, Subject, TlsSource};
use super::{add, add_policies};
use crate::manifest::{Manifest, Source};
use crate::name::ReleaseId;

/// The password is `secret`.
const HASH: &str = "$2b$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC";
pub(super) const CA: &str = "-----BEGIN CERTIFICATE-----
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

fn subject(app: &str, hosts: &[&str], toml: &str) -> Subject {
    let files = [("ca.pem", CA), ("404.html", "<p>404</p>")];
    let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
    let source = Source { toml: Some(toml.to_owned()), procfile: None, files };
    let (manifest, _) = Manifest::parse(&source).unwrap_or_else(|error| panic!("{toml}: {error}"));
    Subject {
        app: app.parse().unwrap(),
        release: ReleaseId::FIRST,
        summary: String::new(),
        manifest,
        confidential: Default::default(),
        image: Image::default(),
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        suspended: Default::default(),
    }
}

fn ingress(class: &str) -> Options {
    Options {
        namespace: Some("prod".to_owned()),
        entrance: Entrance::Ingress(class.to_owned()),
        ..Options::default()
    }
}

fn gateway() -> Options {
    Options { entrance: Entrance::Gateway("infra/public".to_owned()), ..ingress("") }
}

/// Everything but NetworkPolicies.
fn routed(subject: &Subject, options: &Options) -> Export {
    let mut sheet = Sheet::new(&subject.app);
    add(subject, options, &mut sheet);
    sheet.finish()
}

fn policies(subjects: &[Subject], subject: &Subject, options: &Options) -> Export {
    let mut sheet = Sheet::new(&subject.app);
    add_policies(subjects, subject, options, &mut sheet);
    sheet.finish()
}

/// Objects without what all have, then comments and notes.
fn shown(export: &Export, is_shown: impl Fn(&Object) -> bool) -> String {
    let mut text = String::new();
    for object in export.objects.iter().filter(|object| is_shown(object)) {
        let Value::Object(mut value) = object.value.clone() else { panic!("{object:?}") };
        value.remove("apiVersion");
        value.remove("kind");
        let mut metadata = value.remove("metadata").unwrap();
        text += &format!("--- {} {}\n", object.kind(), object.name());
        if let Some(annotations) = metadata["annotations"].as_object_mut() {
            for (key, value) in annotations {
                text += &format!("{key}: {}\n", value.as_str().unwrap());
            }
        }
        text += &serde_saphyr::to_string(&value).unwrap();
        for comment in &object.comments {
            text += &format!("# {}: {}\n", comment.at, comment.text);
        }
    }
    text += "---\n";
    for note in &export.notes {
        text += &format!("{:?} {}: {}\n", note.kind, note.what, note.text);
    }
    text
}

fn is_ingress(object: &Object) -> bool {
    object.kind() == "Ingress"
}

fn notes(export: &Export, kind: NoteKind) -> Vec<&str> {
    export.notes.iter().filter(|note| note.kind == kind).map(|note| note.what.as_str()).collect()
}

#[test]
fn a_host_of_the_readers_own_machine_gives_way_to_any_other() {
    let rules = |hosts: &[&str], toml: &str| {
        let export = routed(&subject("shop", hosts, toml), &ingress("other"));
        let ingress = export.objects.into_iter().find(|object| object.kind() == "Ingress").unwrap();
        let of_rule = |rule: &Value| {
            let paths = rule["http"]["paths"].as_array().unwrap();
            let paths = paths.iter().map(|path| path["path"].as_str().unwrap()).collect::<Vec<_>>();
            format!("{}:{}", rule["host"].as_str().unwrap_or("*"), paths.join(","))
        };
        let rules =
            ingress.value["spec"]["rules"].as_array().unwrap().iter().map(of_rule).collect::<Vec<_>>();
        format!(
            "{} | {} | {:?}",
            rules.join(" "),
            ingress.value["spec"]["tls"],
            notes(&Export { objects: vec![], notes: export.notes }, NoteKind::Todo)
        )
    };
    let api = "[[route]]\npath = \"/api\"\n";
    assert_eq!(rules(&["shop.localhost"], api), "shop.localhost:/api,/ | null | [\"hosts\"]");
    let tls = r#"[{"hosts":["shop.example.com"],"secretName":"shop.example.com-tls"}]"#;
    assert_eq!(
        rules(&["shop.localhost", "shop.example.com"], api),
        format!("shop.example.com:/api,/ | {tls} | []")
    );
    let named = "[[route]]\nhost = \"shop.example.com\"\n";
    assert_eq!(rules(&["shop.localhost"], named), format!("shop.example.com:/ | {tls} | []"));
    let both = "[[route]]\nhost = \"a.localhost\"\npath = \"/a\"\n";
    assert_eq!(rules(&["shop.example.com"], both), format!("shop.example.com:/ | {tls} | []"));
    let fallback = "[[route]]\nhost = \"*\"\n";
    assert_eq!(
        rules(&["shop.example.com"], fallback),
        format!("shop.example.com:/ *:/ | {tls} | [\"--tls\"]")
    );
}

#[test]
fn without_certificates_nothing_leads_to_https() {
    let options = Options { tls: TlsSource::None, ..ingress("nginx") };
    let export = routed(&subject("shop", &["shop.example.com"], ""), &options);
    assert_eq!(notes(&export, NoteKind::Changed), ["[proxy] https_redirect"]);
    let options = Options { tls: TlsSource::Secret("all".to_owned()), ..ingress("nginx") };
    let export = routed(&subject("shop", &["shop.example.com", "www.shop.example.com"], ""), &options);
    let ingress = export.objects.iter().find(|object| object.kind() == "Ingress").unwrap();
    let tls = &ingress.value["spec"]["tls"];
    assert_eq!(
        tls.to_string(),
        r#"[{"hosts":["shop.example.com","www.shop.example.com"],"secretName":"all"}]"#
    );
}
