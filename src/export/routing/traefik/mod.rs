//! Policies as Middlewares of Traefik (doc.traefik.io, v3), which an Ingress names in an annotation.
//!
//! What is about the connections to the instances is said by annotations of the Service, so one process type has one of each.
//! Middlewares run in the order of the list ([`Stage`]). Routes that want the same of one share it. What clients must show in a
//! handshake is asked host by host, and Traefik falls back to asking nothing where two Ingresses of a host differ, so all of a
//! host's have it.

mod addresses;
mod headers;

use std::time::Duration;

use serde_json::{Value, json};

use super::aspect::{Aspect, aspects};
use super::credentials::{htpasswd, pem};
use super::draft::{Annotations, Draft};
use super::ingress::Group;
use super::moves::{can_meet, canonical};
use super::rule::Rule;
use crate::policy::{Balance, Buffering, ClientCa, Encoding, Redirect, Timeouts};

/// The class that this is for.
pub(super) const CLASS: &str = "traefik";
const API_VERSION: &str = "traefik.io/v1alpha1";
const PREFIX: &str = "traefik.ingress.kubernetes.io";

/// When a middleware runs: as the box's guards do, and what changes a request only behind whatever may refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Redirect,
    Address,
    Rate,
    /// Before passwords: a browser's preflight request has none.
    Headers,
    Password,
    Body,
    Strip,
    Retry,
}

/// The chain of one group's middlewares.
struct Chain<'g, 'd, 's, 'r> {
    group: &'g Group<'g>,
    draft: &'r mut Draft<'d, 's>,
    /// The names, with when they run.
    links: Vec<(Stage, String)>,
}

/// What the group's Ingress says, with the objects that it names.
pub(super) fn annotations(group: &Group<'_>, rules: &[Rule], draft: &mut Draft<'_, '_>) -> Annotations {
    let mut to = Annotations::default();
    let rule = group.first().rule;
    let policy = &rule.policy;
    if group.entries.iter().any(|entry| entry.rule.path.as_str() != "/") {
        draft.changed(
            "[[route]] path",
            "Traefik takes `/api` for the beginning of `/apiary`, too, unless `providers.kubernetesIngress.strictPrefixMatching` \
             is set",
        );
    }
    let mut chain = Chain { group, draft, links: Vec::new() };
    if policy.https_redirect && group.has_https {
        let to = json!({ "redirectScheme": { "scheme": "https", "permanent": true } });
        chain.link(Stage::Redirect, "https", &to);
    }
    for aspect in aspects(policy) {
        chain.add(aspect, canonical(rule, rules), &mut to);
    }
    chain.add_bodies();
    if let Some(headers) = headers::of_policy(policy, chain.draft) {
        chain.link(Stage::Headers, "headers", &json!({ "headers": headers }));
    }
    if rule.strips {
        chain.link(Stage::Strip, "strip", &json!({ "stripPrefix": { "prefixes": [rule.path.as_str()] } }));
    }
    if policy.retries > 0 {
        // The first one counts.
        chain.link(Stage::Retry, "retry", &json!({ "retry": { "attempts": policy.retries + 1 } }));
    }
    let mut links = std::mem::take(&mut chain.links);
    links.sort_by_key(|(stage, _)| *stage);
    if !links.is_empty() {
        let namespace = draft.namespace();
        let references = links.iter().map(|(_, name)| reference(&namespace, name));
        to.set(key("router.middlewares"), references.collect::<Vec<_>>().join(","));
    }
    if let Some(ca) = &group.client_ca {
        add_client_ca(ca, group, &mut to, draft);
    }
    to
}

/// What the Service says: how Traefik connects to the instances. Where routes to one process type differ, the first one's
/// holds.
pub(super) fn of_service(name: &str, rules: &[&Rule], draft: &mut Draft<'_, '_>) -> Annotations {
    let mut to = Annotations::default();
    let mut public = rules.iter().filter(|rule| rule.policy.is_public);
    let Some(rule) = public.next() else { return to };
    let policy = &rule.policy;
    let of_service = |rule: &Rule| {
        let Timeouts { connect, first_byte, .. } = rule.policy.timeouts;
        (rule.policy.balance, connect, first_byte, rule.speaks_http2)
    };
    if public.any(|other| of_service(other) != of_service(rule)) {
        draft.changed(
            "[route.proxy]",
            format!(
                "Traefik has `balance`, `protocol`, `connect_timeout` and `first_byte_timeout` once for Service `{name}`; those of \
                 `{}{}` hold",
                rule.host, rule.path
            ),
        );
    }
    if rule.speaks_http2 {
        to.set(key("service.serversscheme"), "h2c");
    }
    if policy.balance == Balance::Sticky {
        to.set(key("service.sticky.cookie"), "true");
        to.set(key("service.sticky.cookie.httponly"), "true");
    }
    let transport = transport(name, &policy.timeouts, draft);
    to.set(key("service.serverstransport"), transport);
    to
}

/// How long Traefik waits for an instance: it has no limit for the first byte of its own.
fn transport(name: &str, timeouts: &Timeouts, draft: &mut Draft<'_, '_>) -> String {
    let timeouts = json!({
        "dialTimeout": duration(timeouts.connect),
        "responseHeaderTimeout": duration(timeouts.first_byte),
    });
    draft.add_untyped(API_VERSION, "ServersTransport", name, &json!({ "forwardingTimeouts": timeouts }));
    let namespace = draft.namespace();
    reference(&namespace, name)
}

fn add_client_ca(ca: &ClientCa, group: &Group<'_>, to: &mut Annotations, draft: &mut Draft<'_, '_>) {
    let (part, comment) = (group.part("client-ca"), "certificates of the CAs; nothing in it is secret");
    let secret = draft.share_secret(&part, "ca.crt", pem(ca), comment);
    let auth = json!({ "secretNames": [secret], "clientAuthType": "RequireAndVerifyClientCert" });
    let name = draft.share_untyped(API_VERSION, "TLSOption", &part, &json!({ "clientAuth": auth }));
    to.set(key("router.tls"), "true");
    to.set(key("router.tls.options"), reference(&draft.namespace(), &name));
    draft.changed("[tls] client_ca", "Traefik asks for it at every path of the host");
}

fn key(name: &str) -> String {
    format!("{PREFIX}/{name}")
}

/// How annotations name objects of Traefik's own kinds.
fn reference(namespace: &str, name: &str) -> String {
    format!("{namespace}-{name}@kubernetescrd")
}

/// As Go reads it.
fn duration(time: Duration) -> String {
    if time.subsec_nanos() == 0 { format!("{}s", time.as_secs()) } else { format!("{}ms", time.as_millis()) }
}

// === impl Chain ===

impl Chain<'_, '_, '_, '_> {
    /// A Middleware, behind those before of the same stage.
    fn link(&mut self, stage: Stage, part: &str, spec: &Value) {
        let name = self.draft.share_untyped(API_VERSION, "Middleware", &self.group.part(part), spec);
        self.links.push((stage, name));
    }

    fn add(&mut self, aspect: Aspect<'_>, canonical: Option<&str>, to: &mut Annotations) {
        match aspect {
            // Carried by what is added or left out around this, by the Service, or told for every class alike.
            Aspect::PlainHttp
            | Aspect::Hsts(_)
            | Aspect::Cors(_)
            | Aspect::RequestHeaders
            | Aspect::ResponseHeaders(_)
            | Aspect::ConnectTimeout(_)
            | Aspect::FirstByteTimeout(_)
            | Aspect::Retries(_)
            | Aspect::Balance(Balance::Sticky | Balance::RoundRobin)
            | Aspect::Protocol(_)
            | Aspect::ClientCa(_)
            | Aspect::Issuer(_)
            | Aspect::Ask => {}
            Aspect::CanonicalHost(_) => self.canonical(aspect, canonical),
            Aspect::Redirects(redirects) => {
                let rule = self.group.first().rule;
                let met = redirects.iter().filter(|redirect| can_meet(rule, redirect));
                for (number, redirect) in met.enumerate() {
                    self.redirect(number + 1, redirect);
                }
            }
            Aspect::Allow(_) | Aspect::Deny(_) => self.addresses(aspect),
            Aspect::BasicAuth(credentials) => {
                let part = self.group.part("basic-auth");
                let comment = "users and bcrypt hashes, as htpasswd writes them";
                let name = self.draft.share_secret(&part, "users", htpasswd(credentials), comment);
                let auth = json!({ "secret": name, "realm": self.draft.app.as_str(), "removeHeader": true });
                self.link(Stage::Password, "basic-auth", &json!({ "basicAuth": auth }));
            }
            Aspect::RateLimit(limit) => {
                let rate = json!({ "average": limit.requests, "period": duration(limit.per), "burst": limit.burst });
                self.link(Stage::Rate, "rate-limit", &json!({ "rateLimit": rate }));
                self.draft.changed(aspect.key(), "every pod of Traefik counts for itself");
            }
            Aspect::BodyMax(_) => self.draft.changed(
                aspect.key(),
                "Traefik collects requests and responses of the route to see how large they are; nothing streams",
            ),
            Aspect::BufferRequests | Aspect::BufferResponses => self.draft.changed(
                aspect.key(),
                "Traefik collects requests and responses both, or neither",
            ),
            Aspect::Compress(encodings) => {
                let encodings: Vec<_> = encodings.iter().copied().map(Encoding::as_str).collect();
                self.link(Stage::Body, "compress", &json!({ "compress": { "encodings": encodings } }));
            }
            Aspect::RequestsMax(max) => {
                let amount = u64::from(max) * u64::from(self.group.first().rule.instances.max(1));
                self.link(Stage::Body, "in-flight", &json!({ "inFlightReq": { "amount": amount } }));
                self.draft.changed(
                    aspect.key(),
                    format!("Traefik counts {amount} for all instances together, and answers 429 beyond it"),
                );
            }
            Aspect::Balance(Balance::Least | Balance::ClientIp) => {
                self.draft.dropped(aspect.key(), "Traefik goes round, or by a cookie (`balance = \"sticky\"`)");
            }
            Aspect::Logging(logging) => {
                let path = self.group.first().rule.path.as_str();
                if logging.exclude.iter().any(|exclude| exclude.matches(path)) {
                    to.set(key("router.observability.accesslogs"), "false");
                }
                self.draft.dropped(
                    aspect.key(),
                    "what Traefik logs is in its own configuration (`accessLog.filters` and `accessLog.fields`)",
                );
            }
            Aspect::ScopeCookies
            | Aspect::ErrorPages
            | Aspect::IdleTimeout(_)
            | Aspect::Timeout
            | Aspect::Ejection
            | Aspect::Queue => {
                let text = format!("Traefik has nothing like it for an Ingress: {}", aspect.advice());
                self.draft.dropped(aspect.key(), text);
            }
        }
    }

    fn canonical(&mut self, aspect: Aspect<'_>, canonical: Option<&str>) {
        let Aspect::CanonicalHost(host) = aspect else { return };
        if let Some(canonical) = canonical {
            let regex = "^(https?)://[^/]+/(.*)$";
            let to = format!("${{1}}://{canonical}/${{2}}");
            self.link(Stage::Redirect, "canonical", &redirect_regex(regex, &to, true));
        } else if !self.group.entries.iter().all(|entry| entry.rule.host == *host) {
            self.draft.changed(
                aspect.key(),
                format!("`{host}` has no route of its own in what is exported, so nothing leads there"),
            );
        }
    }

    fn redirect(&mut self, number: usize, redirect: &Redirect) {
        let is_permanent = matches!(redirect.status, 301 | 308);
        if redirect.status == 303 {
            self.draft.changed("[proxy] redirects", "Traefik answers 302 or 307, and never 303");
        }
        // The query comes along unless there is another.
        let query = if redirect.to.contains('?') { "" } else { "${query}" };
        let of_query = "(?P<query>\\?.*)?$";
        let (path, to) = match (redirect.from.strip_suffix('*'), redirect.to.strip_suffix('*')) {
            (None, _) => (escaped(&redirect.from), replacement(&redirect.to)),
            (Some(prefix), None) => (format!("{}[^?]*", escaped(prefix)), replacement(&redirect.to)),
            // A rest that begins with a slash would lead to another host; browsers take a backslash for one.
            (Some(prefix), Some("/")) => {
                (format!("{}[/\\\\]*(?P<rest>[^?]*)", escaped(prefix)), "/${rest}".to_owned())
            }
            (Some(prefix), Some(to)) => {
                (format!("{}(?P<rest>[^?]*)", escaped(prefix)), format!("{}${{rest}}", replacement(to)))
            }
        };
        let regex = format!("^https?://[^/]+{path}{of_query}");
        let spec = redirect_regex(&regex, &format!("{to}{query}"), is_permanent);
        self.link(Stage::Redirect, &format!("redirect-{number}"), &spec);
    }

    /// Traefik collects bodies to count them.
    fn add_bodies(&mut self) {
        let policy = &self.group.first().rule.policy;
        if policy.body_max.is_some() || policy.buffering != Buffering::default() {
            // 0 is no limit there.
            let max = policy.body_max.map_or(0, |bytes| bytes.max(1));
            self.link(Stage::Body, "buffering", &json!({ "buffering": { "maxRequestBodyBytes": max } }));
        }
    }

    /// `deny` is said by what is left of everything that is allowed.
    fn addresses(&mut self, aspect: Aspect<'_>) {
        let access = &self.group.first().rule.policy.access;
        // Both make one Middleware.
        if matches!(aspect, Aspect::Deny(_)) && !access.allow.is_empty() {
            return;
        }
        let ranges: Vec<_> = addresses::permitted(access).iter().map(ToString::to_string).collect();
        self.link(Stage::Address, "addresses", &json!({ "ipAllowList": { "sourceRange": ranges } }));
        self.draft.todo(
            aspect.key(),
            "Traefik must see the clients' addresses: `externalTrafficPolicy: Local` on its Service, or the PROXY protocol",
        );
    }
}

fn redirect_regex(regex: &str, replacement: &str, is_permanent: bool) -> Value {
    json!({ "redirectRegex": { "regex": regex, "replacement": replacement, "permanent": is_permanent } })
}

/// A text that a regular expression matches as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if "^$.|?*+()[]{}\\".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A text that a replacement has as it is.
fn replacement(text: &str) -> String {
    text.replace('$', "$$")
}
