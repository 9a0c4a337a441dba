//! Settings from every place they can come from, and what is said of those that are wrong.

use expect_test::{Expect, expect};

use super::*;

fn env(variables: &[(&str, &str)]) -> Env {
    let variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Env { variables: variables.collect(), is_root: false }
}

/// The settings of a home whose `server.toml` has this text.
fn resolve(flags: ServerFlags, variables: &[(&str, &str)], file: &str) -> Result<ServerConfig, ConfigError> {
    let home = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(home.path().join(SERVER_FILE), file).expect("a file");
    let flags = ServerFlags { home: Some(home.path().to_owned()), ..flags };
    ServerConfig::resolve(&flags, &env(variables))
}

fn check_error(flags: ServerFlags, variables: &[(&str, &str)], file: &str, expected: &Expect) {
    expected.assert_eq(&resolve(flags, variables, file).expect_err("a rule is broken").to_string());
}

#[test]
fn flag_goes_before_variable_before_file_before_default() {
    let flags = ServerFlags { domain: Some("flag.example".to_owned()), ..ServerFlags::default() };
    let variables = [("MINIPAAS_DOMAIN", "variable.example")];
    let file = "domain = \"file.example\"";
    let domain = |flags, variables: &[_], file| resolve(flags, variables, file).expect("valid").domain;
    assert_eq!(domain(flags, &variables, file), "flag.example");
    assert_eq!(domain(ServerFlags::default(), &variables, file), "variable.example");
    assert_eq!(domain(ServerFlags::default(), &[("MINIPAAS_DOMAIN", "")], file), "file.example");
    assert_eq!(domain(ServerFlags::default(), &[], ""), "localhost");
}

#[test]
fn every_setting_comes_from_every_place() {
    let variables =
        [("MINIPAAS_HTTP", "127.0.0.1:8081"), ("MINIPAAS_HTTPS", ":8444"), ("MINIPAAS_LOG", "debug")];
    let config = resolve(ServerFlags::default(), &variables, "").expect("valid");
    assert_eq!(config.http, ListenChoice::Address("127.0.0.1:8081".parse().expect("an address")));
    assert_eq!(config.https, ListenChoice::Ports(vec![8444]));
    assert_eq!(config.log, "debug");
    let file = "http = \"8081\"\nhttps = \"[::1]:8444\"\nlog = \"minipaas=trace\"\n";
    let config = resolve(ServerFlags::default(), &[], file).expect("valid");
    assert_eq!(config.http, ListenChoice::Ports(vec![8081]));
    assert_eq!(config.https, ListenChoice::Address("[::1]:8444".parse().expect("an address")));
    assert_eq!(config.log, "minipaas=trace");
}

#[test]
fn http3_is_off_unless_it_is_said() {
    let http3 = |flag: Option<&str>, variables: &[_], file| {
        let flags = ServerFlags { http3: flag.map(str::to_owned), ..ServerFlags::default() };
        resolve(flags, variables, file).expect("valid").http3
    };
    assert!(!http3(None, &[], ""));
    assert!(http3(None, &[], "http3 = true"));
    assert!(http3(None, &[("MINIPAAS_HTTP3", "true")], "http3 = false"));
    assert!(!http3(Some("false"), &[("MINIPAAS_HTTP3", "true")], ""));
    check_error(
        ServerFlags::default(),
        &[("MINIPAAS_HTTP3", "on")],
        "",
        &expect!["`MINIPAAS_HTTP3` is `on`; it takes `true` or `false`"],
    );
}

#[test]
fn metrics_are_nowhere_unless_it_is_said_where() {
    let metrics = |text| resolve(ServerFlags::default(), &[], text).expect("valid").metrics;
    assert_eq!(metrics(""), None);
    let local = ListenChoice::Address("127.0.0.1:9464".parse().expect("an address"));
    assert_eq!(metrics("metrics = \"127.0.0.1:9464\""), Some(local));
}

#[test]
fn access_log_is_a_file_in_the_home_or_elsewhere_or_off() {
    let choice = |text: &str| {
        let flags = ServerFlags { access_log: Some(text.to_owned()), ..ServerFlags::default() };
        let config = resolve(flags, &[("MINIPAAS_ACCESS_LOG", "off")], "").expect("valid");
        (config.access_log, config.home)
    };
    assert_eq!(choice("off").0, AccessLogChoice::Off);
    assert_eq!(choice("/var/log/a").0, AccessLogChoice::File("/var/log/a".into()));
    let (found, home) = choice("access.log");
    assert_eq!(found, AccessLogChoice::File(home.join("access.log")));
    let unset = resolve(ServerFlags::default(), &[], "").expect("valid");
    assert_eq!(unset.access_log, AccessLogChoice::Stderr);
}

#[test]
fn home_follows_who_runs_it() {
    let check = |env: &Env, expected: &str| {
        assert_eq!(home(None, env).expect("a home"), Path::new(expected));
    };
    check(&Env { is_root: true, ..env(&[("HOME", "/root")]) }, "/var/lib/minipaas");
    check(&Env { is_root: true, ..env(&[("MINIPAAS_HOME", "/srv/box")]) }, "/srv/box");
    check(&env(&[("HOME", "/home/ada")]), "/home/ada/.local/state/minipaas");
    check(&env(&[("HOME", "/home/ada"), ("XDG_STATE_HOME", "/state")]), "/state/minipaas");
    assert!(matches!(home(None, &env(&[])), Err(ConfigError::NoHome)));
    assert!(home(Some(Path::new("box")), &env(&[])).expect("a home").is_absolute());
}

#[test]
fn default_ports_are_tried_before_unprivileged_ones() {
    let config = resolve(ServerFlags::default(), &[], "").expect("valid");
    let attempts = |choice: &ListenChoice| {
        choice.attempts().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(attempts(&config.http), "[::]:80 0.0.0.0:80 [::]:8080 0.0.0.0:8080");
    assert_eq!(attempts(&config.https), "[::]:443 0.0.0.0:443 [::]:8443 0.0.0.0:8443");
}

#[test]
fn errors_name_the_place_and_the_rule() {
    let flags = ServerFlags { http: Some("localhost".to_owned()), ..ServerFlags::default() };
    check_error(
        flags,
        &[],
        "",
        &expect![
            "`--http` is `localhost`, which is no address; use one such as `127.0.0.1:8080`, or a port such as `:8080`"
        ],
    );
    check_error(
        ServerFlags::default(),
        &[("MINIPAAS_DOMAIN", "*")],
        "",
        &expect!["`MINIPAAS_DOMAIN` is `*`, which is no domain; use a name such as `apps.example.com`"],
    );
    check_error(
        ServerFlags::default(),
        &[],
        "domain = \"Internal\"",
        &expect![
            "`domain` in server.toml is `internal`, below which apps call each other; use another name, such as `box.internal`"
        ],
    );
    check_error(
        ServerFlags::default(),
        &[],
        "log = \"a=b=c\"",
        &expect![
            "`log` in server.toml is `a=b=c`, which is no log filter; use a level such as `info` or `minipaas=debug,warn`"
        ],
    );
    check_error(
        ServerFlags::default(),
        &[],
        "\ndomian = \"example.com\"\nhttp = 80",
        &expect![[r#"
            server.toml:3: `http` is a whole number; it takes a string
                   server.toml:2: unknown key `domian` in the file; did you mean `domain`?"#]],
    );
}

#[test]
fn trusted_proxies_are_addresses_and_networks_from_every_place() {
    let expected = ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"];
    let check = |flags: ServerFlags, variables: &[(&str, &str)], file: &str| {
        let config = resolve(flags, variables, file).expect("valid");
        let proxies: Vec<_> = config.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(proxies, expected);
        assert_eq!(config.client_ip_header.expect("a header"), "cf-connecting-ip");
        assert!(config.proxy_protocol);
    };
    let text = |text: &str| Some(text.to_owned());
    let flags = ServerFlags {
        trusted_proxies: text("10.1.2.3/8, 192.0.2.1,2001:db8::/32"),
        client_ip_header: text("CF-Connecting-IP"),
        proxy_protocol: text("true"),
        ..ServerFlags::default()
    };
    check(flags, &[], "");
    let variables = [
        ("MINIPAAS_TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.1,2001:db8::/32"),
        ("MINIPAAS_CLIENT_IP_HEADER", "cf-connecting-ip"),
        ("MINIPAAS_PROXY_PROTOCOL", "true"),
    ];
    check(ServerFlags::default(), &variables, "");
    let file = "trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.1\", \"2001:db8::/32\"]
client_ip_header = \"cf-connecting-ip\"
proxy_protocol = true
";
    check(ServerFlags::default(), &[], file);
    let config = resolve(ServerFlags::default(), &[], "").expect("valid");
    assert!(config.trusted_proxies.is_empty() && config.client_ip_header.is_none() && !config.proxy_protocol);
}

#[test]
fn nobody_is_trusted_by_mistake() {
    let check = |variables: &[(&str, &str)], expected: &Expect| {
        check_error(ServerFlags::default(), variables, "", expected);
    };
    check(
        &[("MINIPAAS_TRUSTED_PROXIES", "10.0.0.0/8,10.0.0.0/33")],
        &expect![
            "`MINIPAAS_TRUSTED_PROXIES` has `10.0.0.0/33`, which is no network; use addresses and CIDRs such as `10.0.0.0/8,2001:db8::1`"
        ],
    );
    check(
        &[("MINIPAAS_CLIENT_IP_HEADER", "true-client-ip")],
        &expect![
            "`MINIPAAS_CLIENT_IP_HEADER` is for trusted proxies, and there is none; set `trusted_proxies`, too"
        ],
    );
    check(
        &[("MINIPAAS_PROXY_PROTOCOL", "true")],
        &expect![
            "`MINIPAAS_PROXY_PROTOCOL` is for trusted proxies, and there is none; set `trusted_proxies`, too"
        ],
    );
    check(
        &[("MINIPAAS_PROXY_PROTOCOL", "v2"), ("MINIPAAS_TRUSTED_PROXIES", "10.0.0.1")],
        &expect!["`MINIPAAS_PROXY_PROTOCOL` is `v2`; it takes `true` or `false`"],
    );
    check(
        &[("MINIPAAS_CLIENT_IP_HEADER", "a b"), ("MINIPAAS_TRUSTED_PROXIES", "10.0.0.1")],
        &expect![
            "`MINIPAAS_CLIENT_IP_HEADER` is `a b`, which is no header; use a name such as `cf-connecting-ip`"
        ],
    );
}

#[test]
fn certificate_authorities_have_names_or_urls() {
    let acme = |variables: &[_]| resolve(ServerFlags::default(), variables, "").expect("valid").acme;
    let names = |text| {
        let directories = acme(&[("MINIPAAS_ACME_DIRECTORY", text)]).directories;
        directories.into_iter().map(|directory| directory.name).collect::<Vec<_>>()
    };
    assert_eq!(names("off"), [""; 0]);
    assert_eq!(names("zerossl, https://ca.corp:14000/dir"), ["zerossl", "ca.corp:14000/dir"]);
    let of_one_server =
        "https://ca.corp/acme/a/directory https://ca.corp/acme/b/directory http://ca.corp/directory";
    assert_eq!(names(of_one_server), ["ca.corp/acme/a", "ca.corp/acme/b", "ca.corp"]);
    assert_eq!(acme(&[]).directories[0].url, "https://acme-v02.api.letsencrypt.org/directory");

    let file = "acme_root = \"ca.pem\"\nacme_dns = \"hook\"\nacme_email = \"ops@example.com\"\ndns = [\"::1\", \"10.0.0.1:8053\"]";
    let config = resolve(ServerFlags::default(), &[], file).expect("valid");
    assert_eq!(config.acme.root, Some(config.home.join("ca.pem")));
    let typed = acme(&[("MINIPAAS_ACME_ROOT", "ca.pem")]).root;
    assert_eq!(typed, Some(std::env::current_dir().expect("a folder").join("ca.pem")));
    assert_eq!(
        (config.acme.dns.as_deref(), config.acme.email.as_deref()),
        (Some("hook"), Some("ops@example.com"))
    );
    assert_eq!(config.dns.iter().map(ToString::to_string).collect::<Vec<_>>(), ["[::1]:53", "10.0.0.1:8053"]);
    // A list and a string with commas mean the same.
    let file = "acme_directory = [\"letsencrypt-staging\", \"zerossl\"]\ndns = \"10.0.0.1, 10.0.0.2\"";
    let config = resolve(ServerFlags::default(), &[], file).unwrap();
    let names: Vec<_> = config.acme.directories.iter().map(|directory| directory.name.as_str()).collect();
    assert_eq!((names, config.dns.len()), (vec!["letsencrypt-staging", "zerossl"], 2));
}

#[test]
fn a_broken_setting_of_certificates_is_named() {
    let check = |variable, text, expected: &Expect| {
        check_error(ServerFlags::default(), &[(variable, text)], "", expected);
    };
    check(
        "MINIPAAS_ACME_DIRECTORY",
        "letsencript",
        &expect![
            "`MINIPAAS_ACME_DIRECTORY` has `letsencript`, which is no certificate authority; use `letsencrypt`, `letsencrypt-staging`, `zerossl`, the URL of a directory, or `off`"
        ],
    );
    check(
        "MINIPAAS_ACME_EMAIL",
        "ops",
        &expect![
            "`MINIPAAS_ACME_EMAIL` is `ops`, which is no email address; use one such as `ops@example.com`"
        ],
    );
    check(
        "MINIPAAS_ACME_DNS",
        "clodflare",
        &expect![
            "`MINIPAAS_ACME_DNS` is `clodflare`, which is no DNS provider; use one of `cloudflare`, `digitalocean`, `hetzner`, `hook`, `rfc2136`, `route53`"
        ],
    );
    check(
        "MINIPAAS_DNS",
        "dns.example",
        &expect![
            "`MINIPAAS_DNS` has `dns.example`, which is no name server; use addresses such as `10.0.0.53` or `127.0.0.1:8053`"
        ],
    );
}
