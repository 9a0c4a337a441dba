//! Settings as they are typed, and what holds of them over a manifest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};

use super::{Overrides, ProxyKeys, Settings, is_value, quoted, setting};
use crate::manifest::{Manifest, Source};
use crate::policy::Policy;

fn settings<const N: usize>(typed: [&str; N]) -> Settings {
    let values = typed.map(|text| setting(text).unwrap_or_else(|error| panic!("{error}")));
    Settings { values: values.into(), ..Settings::default() }
}

fn manifest(proxy: &str) -> Policy {
    let source = Source { toml: Some(format!("[proxy]\n{proxy}\n")), ..Source::default() };
    Arc::unwrap_or_clone(Manifest::parse(&source).unwrap().0.proxy)
}

/// What of these does not hold over this `[proxy]`, and why.
fn check<const N: usize>(typed: [&str; N], proxy: &str, expected: &Expect) {
    let (_, ignored) = settings(typed).apply(&manifest(proxy));
    let lines = ignored.iter().flat_map(|ignored| {
        ignored.problems.iter().map(|found| {
            let hint = found.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
            format!("{}: {}{hint}\n", ignored.key, found.message)
        })
    });
    expected.assert_eq(&lines.collect::<String>());
}

#[test]
fn a_bare_word_is_a_string() {
    for (typed, expected) in [
        ("body_max=20M", "\"20M\""),
        ("timeout=30s", "\"30s\""),
        ("rate_limit=100/1m", "\"100/1m\""),
        ("canonical_host=www.example.com", "\"www.example.com\""),
        ("retries=3", "3"),
        ("compress=true", "true"),
        ("allow=[\"10.0.0.0/8\"]", "[\"10.0.0.0/8\"]"),
        (" queue = { max = 10 } ", "{ max = 10 }"),
        ("body_max=\"20M\"", "\"20M\""),
        ("canonical_host=", "\"\""),
        ("canonical_host=a=b", "\"a=b\""),
        // What would be more than one value is a word as any other, and no way into another table.
        ("body_max=1\nallow = []", "\"1\\nallow = []\""),
        ("body_max=1\n[x]", "\"1\\n[x]\""),
    ] {
        let (key, value) = setting(typed).unwrap();
        assert!(!key.contains(' ') && is_value(&value), "{typed}: {value}");
        assert_eq!(value, expected, "{typed}");
    }
    assert_eq!(quoted("a\"\\\u{7f}\u{1}"), "\"a\\\"\\\\\\u007f\\u0001\"");
    assert!(is_value(&quoted("a\"\\\u{7f}\u{1}\n")));
}

#[test]
fn what_cannot_be_meant_is_refused_without_its_value() {
    assert_eq!(
        setting("body_max").unwrap_err(),
        "`body_max` is no setting; write `key=value`, such as `body_max=20M`"
    );
    for typed in ["basic_auth={ann=\"secret\"", "allow=[10.0.0.0/8]", "canonical_host='secret"] {
        let error = setting(typed).unwrap_err();
        assert!(error.contains("is not valid TOML") && !error.contains("secret"), "{error}");
    }
}

#[test]
fn problems_are_those_of_a_manifest() {
    check(
        ["body_mx=1", "compress=maybe", "allow=[\"10.0.0.0/33\"]"],
        "",
        &expect![[r#"
            allow: `10.0.0.0/33` in `allow` is neither an address nor a network such as `10.0.0.0/8` or `2001:db8::/32`
            body_mx: unknown key `body_mx` in [proxy]; did you mean `body_max`?
            compress: `compress` is a string; it takes a list of strings
        "#]],
    );
    check(
        ["basic_auth={ ann = \"secret\" }"],
        "",
        &expect![[r#"
            basic_auth: the password of `ann` is not a bcrypt hash; make one with `htpasswd -nB ann`, and write what follows the colon
        "#]],
    );
    check(
        ["error_pages={ 404 = \"missing.html\" }"],
        "",
        &expect![[r#"
            error_pages: there is no file `missing.html` in the project folder
        "#]],
    );
}

#[test]
fn what_does_not_fit_is_ignored_and_the_rest_holds() {
    let typed = ["connect_timeout=10s", "body_max=1K", "deny=[\n\"10.0.0.1\",\n]", "unheard_of=1"];
    let (policy, ignored) = settings(typed).apply(&manifest("timeout = \"5s\""));
    let keys: Vec<_> = ignored.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["connect_timeout", "unheard_of"]);
    assert_eq!((policy.body_max, policy.access.deny.len()), (Some(1024), 1));
    assert_eq!(policy.timeouts.connect, Duration::from_secs(5));
    // Together with the other it fits, whatever else does not.
    let typed = ["connect_timeout=10s", "timeout=30s", "unheard_of=1"];
    let (policy, ignored) = settings(typed).apply(&manifest("timeout = \"5s\""));
    assert_eq!(ignored.len(), 1);
    assert_eq!(policy.timeouts.connect, Duration::from_secs(10));
}

#[test]
fn a_command_goes_over_the_manifest_and_a_route_over_its_app() {
    let (admin, other) = ("/admin".parse().unwrap(), "/".parse().unwrap());
    let host: crate::name::Host = "shop.localhost".parse().unwrap();
    let (admin, other) = ((host.clone(), admin), (host, other));
    let mut overrides = Overrides { app: settings(["retries=2", "body_max=1K"]), ..Overrides::default() };
    overrides.routes.insert(admin.clone(), settings(["retries=3"]));
    let base = Arc::new(manifest("retries = 1\nbody_max = \"2K\"\ncompress = true"));
    let (policy, ignored) = overrides.apply(&admin, &base);
    assert_eq!((policy.retries, policy.body_max, policy.compress.len()), (3, Some(1024), 3));
    assert_eq!(ignored, []);
    assert_eq!(overrides.apply(&other, &base).0.retries, 2);
    assert_eq!(overrides.keys().into_iter().collect::<Vec<_>>(), ["body_max", "retries"]);
    overrides.change(Some(&admin), |settings| settings.remove(&["retries".to_owned()]));
    assert!(overrides.routes.is_empty(), "nothing is left of it");
    assert!(Arc::ptr_eq(&Overrides::default().apply(&other, &base).0, &base), "nothing costs nothing");
}

#[test]
fn files_stay_as_long_as_a_value_names_them() {
    let mut pages = settings(["error_pages={ 404 = \"a.html\", 5xx = \"./b.html\" }"]);
    assert_eq!(pages.wanted_files().into_iter().collect::<Vec<_>>(), ["a.html", "b.html"]);
    pages.files = [("a.html", "A"), ("b.html", "B")].map(|(path, text)| (path.into(), text.into())).into();
    let (policy, ignored) = pages.apply(&Policy::default());
    assert_eq!((policy.page(404).map(|page| &**page), ignored.len()), (Some("A"), 0));
    pages.merge(settings(["error_pages={ 5xx = \"b.html\" }"]));
    assert_eq!(pages.files.keys().collect::<Vec<_>>(), ["b.html"]);
    pages.remove(&["error_pages".to_owned()]);
    assert_eq!(pages, Settings::default());
}

#[test]
fn the_keys_of_a_manifest_are_told_by_table() {
    let toml = "[proxy]\nretries = 1\ndeny = [\n]\n[proxy.cors]\n[[route]]\npath = \"/a\"\n[route.proxy]\nallow = []\n[[route]]\npath = \"/b\"\n";
    let keys = ProxyKeys::of(&Source { toml: Some(toml.to_owned()), ..Source::default() });
    let written = |keys: BTreeMap<String, Option<String>>| {
        keys.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect::<Vec<_>>()
    };
    let said = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(written(keys.app), [said("cors", ""), said("deny", ""), said("retries", "1")]);
    let routes: Vec<_> = keys.routes.into_iter().map(written).collect();
    assert_eq!(routes, [vec![said("allow", "[]")], Vec::new()]);
}

#[test]
fn values_are_not_printed() {
    let secret = settings(["basic_auth={ ann = \"secret\" }"]);
    assert!(!format!("{secret:?}").contains("secret"), "{secret:?}");
}
