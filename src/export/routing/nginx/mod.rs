//! Policies as annotations of ingress-nginx (kubernetes.github.io/ingress-nginx, "Annotations", controller v1.15).
//!
//! Snippets are off in that controller by default, so none is used. Its own defaults differ from the box's where it limits
//! bodies to 1 MiB, collects requests, and cuts what is silent for a minute; those three are said for every Ingress. Where one
//! host has a path whose prefix is taken off, or a redirect that keeps the rest of the path, ingress-nginx takes every path of
//! the host for a regular expression; then all of them are written as one, with tails of one length, because the longest goes
//! first there.

mod limits;
mod redirect;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;

use super::super::Object;
use super::aspect::{Aspect, aspects};
use super::credentials::{htpasswd, is_secret, pem};
use super::draft::{Annotations, Draft};
use super::ingress::Group;
use super::moves::Action;
use crate::name::{Host, PathPrefix};
use crate::policy::{Balance, Cors, HeaderEdits, Hsts, Policy, Protocol, Timeouts};

pub(super) use redirect::{needs_regex, regex};

/// The class that this is for.
pub(super) const CLASS: &str = "nginx";
const PREFIX: &str = "nginx.ingress.kubernetes.io";
/// For what may be silent as long as it likes on the box; the number that ingress-nginx names for WebSockets.
const SILENCE: Duration = Duration::from_secs(3600);

/// What the group's Ingress says, with the objects that it names.
pub(super) fn annotations(group: &Group<'_>, draft: &mut Draft<'_, '_>) -> Annotations {
    let mut to = Annotations::default();
    if group.is_regex {
        to.explain(
            key("use-regex"),
            "true",
            "ingress-nginx takes all paths of these hosts for regular expressions",
        );
        draft.changed(
            "[[route]] path",
            "ingress-nginx finds routes without regard to case in hosts with `strip_prefix` or redirects",
        );
    }
    let policy = &group.first().rule.policy;
    if let Action::Move(location) = &group.first().action {
        redirect::add(location, &mut to, draft);
        // It answers before anything else is asked, but for what the connection is about.
        for aspect in aspects(policy) {
            if matches!(aspect, Aspect::PlainHttp | Aspect::ClientCa(_)) {
                add(aspect, group, &mut to, draft);
            }
        }
        return to;
    }
    of_box(policy, &mut to);
    if group.first().rule.strips {
        to.set(key("rewrite-target"), "/$2");
        to.set(key("x-forwarded-prefix"), group.first().rule.path.as_str());
    }
    for aspect in aspects(policy) {
        add(aspect, group, &mut to, draft);
    }
    if group.first().rule.speaks_http2 && policy.protocol != Protocol::Http2 {
        add(Aspect::Protocol(Protocol::Http2), group, &mut to, draft);
    }
    to
}

/// The name of an annotation.
pub(super) fn key(name: &str) -> String {
    format!("{PREFIX}/{name}")
}

/// What ingress-nginx does otherwise unless it is told.
fn of_box(policy: &Policy, to: &mut Annotations) {
    if policy.body_max.is_none() {
        to.explain(key("proxy-body-size"), "0", "no limit, as on the box; ingress-nginx has one of 1 MiB");
    }
    if !policy.buffering.requests {
        to.explain(key("proxy-request-buffering"), "off", "passed on as they come, as on the box");
    }
    let (read, why) = read_timeout(&policy.timeouts);
    to.explain(key("proxy-read-timeout"), seconds(read), why);
    to.set(key("proxy-send-timeout"), seconds(policy.timeouts.idle.map_or(SILENCE, |idle| idle.max(read))));
}

/// nginx has one time for the first byte and for each one after it.
fn read_timeout(timeouts: &Timeouts) -> (Duration, &'static str) {
    let is_said = timeouts.first_byte != Timeouts::default().first_byte;
    match timeouts.idle {
        Some(idle) => {
            (idle.max(timeouts.first_byte), "the longer one of `idle_timeout` and `first_byte_timeout`")
        }
        None if is_said => (timeouts.first_byte, "`first_byte_timeout`, and for every byte after it"),
        None => (SILENCE, "event streams and WebSockets may be silent for long, as on the box"),
    }
}

fn add(aspect: Aspect<'_>, group: &Group<'_>, to: &mut Annotations, draft: &mut Draft<'_, '_>) {
    let rule = group.first().rule;
    match aspect {
        Aspect::PlainHttp => to.set(key("ssl-redirect"), "false"),
        Aspect::CanonicalHost(host) => note_canonical(host, group, draft),
        // They have Ingresses of their own.
        Aspect::Redirects(_) => {}
        Aspect::Hsts(hsts) => note_hsts(aspect, hsts, draft),
        Aspect::Allow(networks) => {
            to.set(key("whitelist-source-range"), limits::list(networks));
            note_addresses(aspect, draft);
        }
        Aspect::Deny(networks) => {
            to.set(key("denylist-source-range"), limits::list(networks));
            note_addresses(aspect, draft);
        }
        Aspect::BasicAuth(credentials) => {
            let (part, comment) = (group.part("basic-auth"), "users and bcrypt hashes, as htpasswd writes them");
            let name = draft.share_secret(&part, "auth", htpasswd(credentials), comment);
            to.set(key("auth-type"), "basic");
            to.set(key("auth-secret"), name);
            to.set(key("auth-realm"), draft.app.as_str());
        }
        Aspect::ClientCa(ca) => {
            let (part, comment) = (group.part("client-ca"), "certificates of the CAs; nothing in it is secret");
            let (name, namespace) = (draft.share_secret(&part, "ca.crt", pem(ca), comment), draft.namespace());
            to.set(key("auth-tls-secret"), format!("{namespace}/{name}"));
            to.set(key("auth-tls-verify-client"), "on");
            draft.changed(aspect.key(), "ingress-nginx asks for it at every path of the host, and answers 400 without");
        }
        Aspect::RateLimit(limit) => limits::rate(limit, to, draft),
        Aspect::Cors(cors) => add_cors(cors, to, draft),
        Aspect::BodyMax(bytes) => to.set(key("proxy-body-size"), limits::size(bytes)),
        Aspect::BufferRequests => to.set(key("proxy-request-buffering"), "on"),
        Aspect::BufferResponses => to.set(key("proxy-buffering"), "on"),
        Aspect::RequestHeaders => draft.dropped(
            aspect.key(),
            "ingress-nginx changes them for all apps alone (`proxy-set-headers` of its ConfigMap); set them there, or in the app",
        ),
        Aspect::ResponseHeaders(edits) => add_response_headers(edits, group, to, draft),
        Aspect::Compress(_) => draft.dropped(
            aspect.key(),
            "ingress-nginx compresses for all apps or none: set `use-gzip` and `enable-brotli` in its ConfigMap",
        ),
        Aspect::ScopeCookies if rule.strips => {
            to.set(key("proxy-cookie-path"), format!("/ {}/", rule.path));
        }
        // No prefix is taken off.
        Aspect::ScopeCookies => {}
        Aspect::ErrorPages => draft.dropped(
            aspect.key(),
            "ingress-nginx shows pages of a Service: make one that answers with them, and name it by `default-backend` and \
             `custom-http-errors`",
        ),
        Aspect::ConnectTimeout(time) => {
            to.set(key("proxy-connect-timeout"), seconds(time));
            note_fraction(aspect, time, draft);
        }
        Aspect::FirstByteTimeout(time) => {
            draft.changed(aspect.key(), "ingress-nginx has one timeout for the first byte and for every one after it");
            note_fraction(aspect, time, draft);
        }
        Aspect::IdleTimeout(time) => note_fraction(aspect, time, draft),
        Aspect::Timeout => {
            draft.dropped(aspect.key(), "ingress-nginx has no limit for a whole request; have the app give up by itself");
        }
        Aspect::Retries(0) => to.set(key("proxy-next-upstream"), "off"),
        Aspect::Retries(retries) => to.set(key("proxy-next-upstream-tries"), (retries + 1).to_string()),
        Aspect::Balance(balance) => add_balance(balance, to),
        Aspect::Protocol(Protocol::Http2) => {
            to.set(key("backend-protocol"), "GRPC");
            draft.changed(aspect.key(), "ingress-nginx speaks HTTP/2 with an app as gRPC does, for every request of the route");
        }
        // As it is.
        Aspect::Protocol(Protocol::Auto | Protocol::Http1) => {}
        Aspect::Logging(logging) => {
            let is_off = logging.exclude.iter().any(|path| path.matches(rule.path.as_str()));
            if is_off {
                to.set(key("enable-access-log"), "false");
            }
            let path_only = logging.headers.is_empty() && logging.mask.is_empty() && logging.exclude.len() == 1;
            if !(is_off && path_only) {
                draft.dropped(
                    aspect.key(),
                    "ingress-nginx writes one form of log for all apps (`log-format-upstream` of its ConfigMap)",
                );
            }
        }
        // Told for every class alike.
        Aspect::Issuer(_) | Aspect::Ask => {}
        Aspect::Ejection | Aspect::RequestsMax(_) | Aspect::Queue => {
            draft.dropped(aspect.key(), format!("ingress-nginx has nothing like it: {}", aspect.advice()));
        }
    }
}

/// Other hosts have Ingresses of their own, which lead to this one; unless there is none to lead to.
fn note_canonical(host: &Host, group: &Group<'_>, draft: &mut Draft<'_, '_>) {
    if !group.entries.iter().all(|entry| entry.rule.host == *host) {
        draft.changed(
            "[proxy] canonical_host",
            format!("`{host}` has no route of its own in what is exported, so nothing leads there; every host answers"),
        );
    }
}

fn note_hsts(aspect: Aspect<'_>, hsts: Hsts, draft: &mut Draft<'_, '_>) {
    draft.changed(
        aspect.key(),
        format!(
            "ingress-nginx sends it for all apps, by default for a year and with subdomains; in its ConfigMap set \
             `hsts-max-age: \"{}\"`, `hsts-include-subdomains: \"{}\"` and `hsts-preload: \"{}\"`",
            hsts.max_age.as_secs(),
            hsts.subdomains,
            hsts.preload
        ),
    );
}

fn note_addresses(aspect: Aspect<'_>, draft: &mut Draft<'_, '_>) {
    draft.todo(
        aspect.key(),
        "the controller must see the clients' addresses: `externalTrafficPolicy: Local` on its Service, or the PROXY protocol",
    );
}

fn note_fraction(aspect: Aspect<'_>, time: Duration, draft: &mut Draft<'_, '_>) {
    if time.subsec_nanos() > 0 {
        draft.changed(aspect.key(), format!("{time:?} is rounded up to {} s", seconds(time)));
    }
}

fn add_balance(balance: Balance, to: &mut Annotations) {
    match balance {
        Balance::Least => to.set(key("load-balance"), "ewma"),
        Balance::RoundRobin => to.set(key("load-balance"), "round_robin"),
        Balance::Sticky => {
            to.set(key("affinity"), "cookie");
            // One that is scaled up takes no client from another, as on the box.
            to.set(key("affinity-mode"), "persistent");
            to.set(key("session-cookie-path"), PathPrefix::root().as_str());
            to.set(key("session-cookie-change-on-failure"), "true");
        }
        Balance::ClientIp => to.set(key("upstream-hash-by"), "$binary_remote_addr"),
    }
}

/// ingress-nginx sends every header with each answer, and has long defaults for those that nobody named.
fn add_cors(cors: &Cors, to: &mut Annotations, draft: &mut Draft<'_, '_>) {
    let methods = ["GET", "HEAD", "POST", "OPTIONS"].into_iter();
    let more = cors
        .methods
        .iter()
        .map(http::Method::as_str)
        .filter(|method| !["GET", "HEAD", "POST", "OPTIONS"].contains(method));
    let methods: Vec<_> = methods.chain(more).collect();
    // Always permitted; an empty list would stand for its own.
    let headers = ["accept", "accept-language", "content-language"].into_iter();
    let headers: Vec<_> = headers.chain(cors.headers.iter().map(http::HeaderName::as_str)).collect();
    to.set(key("enable-cors"), "true");
    to.set(key("cors-allow-origin"), cors.origins.join(", "));
    to.set(key("cors-allow-methods"), methods.join(", "));
    to.set(key("cors-allow-headers"), headers.join(", "));
    to.set(key("cors-allow-credentials"), cors.credentials.to_string());
    to.set(key("cors-max-age"), cors.max_age.as_secs().to_string());
    if !cors.expose.is_empty() {
        let expose: Vec<_> = cors.expose.iter().map(http::HeaderName::as_str).collect();
        to.set(key("cors-expose-headers"), expose.join(", "));
    }
    if cors.origins.iter().any(|origin| origin.contains('[')) {
        draft.dropped("[proxy] cors", "ingress-nginx takes no origin with an IPv6 address; name its host");
    }
}

/// Headers of responses are in a ConfigMap, and the controller refuses the whole route while it does not permit each of them.
fn add_response_headers(
    edits: &HeaderEdits,
    group: &Group<'_>,
    to: &mut Annotations,
    draft: &mut Draft<'_, '_>,
) {
    let what = "[proxy] response_headers";
    if !edits.remove.is_empty() {
        draft.dropped(
            what,
            "ingress-nginx takes none off for one app (`hide-headers` of its ConfigMap does for all)",
        );
    }
    let mut data = BTreeMap::new();
    for (name, value) in &edits.set {
        let text = value.to_str().ok().filter(|_| !is_secret(name, value));
        match text.filter(|text| is_sayable(name.as_str(), text)) {
            Some(value) => {
                data.insert(name.to_string(), value.to_owned());
            }
            None => draft.dropped(
                what,
                format!("`{name}` is a secret, or has a character that ingress-nginx refuses; have the app send it"),
            ),
        }
    }
    if data.is_empty() {
        return;
    }
    let (name, namespace) = (draft.name(&group.part("response-headers")), draft.namespace());
    let names: Vec<_> = data.keys().map(String::as_str).collect();
    draft.todo(
        what,
        format!(
            "ingress-nginx answers 503 until `global-allowed-response-headers` of its ConfigMap permits `{}`",
            names.join(",")
        ),
    );
    let map = ConfigMap { metadata: draft.metadata(name.clone()), data: Some(data), ..ConfigMap::default() };
    draft.add(Object::new(draft.app, &map).comment("", "headers of every response of the route"));
    to.set(key("custom-headers"), format!("{namespace}/{name}"));
}

/// Whether the controller takes it: anything else would have it refuse the route.
fn is_sayable(name: &str, value: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_value = |c: char| c.is_ascii_alphanumeric() || " _:;.,\\/\"'?!(){}[]@<>=-+*#$&`|~^%".contains(c);
    !value.is_empty() && name.chars().all(is_name) && value.chars().all(is_value)
}

/// Whole ones, at least one: nginx knows no parts of them here, and 0 is not what anybody means.
fn seconds(time: Duration) -> String {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1).to_string()
}
