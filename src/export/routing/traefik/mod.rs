//! Policies as Middlewares of Traefik (doc.traefik.io, v3), which an Ingress names in an annotation.
//!
//! What is about the connections to the instances is said by annotations of the Service, so one process type has one of each.
//! Middlewares run in the order of the list: redirects, then guards, then changes to the request, and at last the retry.

mod addresses;
mod headers;

use std::time::Duration;

use serde_json::{Value, json};

use super::aspect::{Aspect, aspects};
use super::credentials::{htpasswd, pem};
use super::draft::{Annotations, Draft};
use super::ingress::Group;
use super::moves::canonical;
use super::rule::Rule;
use crate::policy::{Balance, Encoding, Protocol, Redirect, Timeouts};

/// The class that this is for.
pub(super) const CLASS: &str = "traefik";
const API_VERSION: &str = "traefik.io/v1alpha1";
const PREFIX: &str = "traefik.ingress.kubernetes.io";

/// The chain of one group's middlewares, in the order in which they run.
struct Chain<'g, 'd, 's, 'r> {
    group: &'g Group<'g>,
    draft: &'r mut Draft<'d, 's>,
    /// The names.
    links: Vec<String>,
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
        chain.link("https", json!({ "redirectScheme": { "scheme": "https", "permanent": true } }));
    }
    for aspect in aspects(policy) {
        chain.add(aspect, canonical(rule, rules), &mut to);
    }
    if let Some(headers) = headers::of_policy(policy, chain.draft) {
        chain.link("headers", json!({ "headers": headers }));
    }
    if policy.body_max.is_some() || policy.buffering.requests || policy.buffering.responses {
        // 0 is no limit there.
        let max = policy.body_max.map(|bytes| bytes.max(1));
        chain.link("buffering", json!({ "buffering": { "maxRequestBodyBytes": max.unwrap_or_default() } }));
    }
    if rule.strips {
        chain.link("strip", json!({ "stripPrefix": { "prefixes": [rule.path.as_str()] } }));
    }
    if policy.retries > 0 {
        // The first one counts.
        chain.link("retry", json!({ "retry": { "attempts": policy.retries + 1 } }));
    }
    let links = std::mem::take(&mut chain.links);
    if !links.is_empty() {
        let namespace = draft.namespace();
        let references = links.iter().map(|name| reference(&namespace, name));
        to.set(key("router.middlewares"), references.collect::<Vec<_>>().join(","));
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
    /// A Middleware, behind those before.
    fn link(&mut self, part: &str, spec: Value) {
        let name = self.draft.name(&self.group.part(part));
        self.draft.add_untyped(API_VERSION, "Middleware", &name, &spec);
        self.links.push(name);
    }

    fn add(&mut self, aspect: Aspect<'_>, canonical: Option<&str>, to: &mut Annotations) {
        match aspect {
            // Carried by what is added or left out around this, by the Service, or told for every class alike.
            Aspect::PlainHttp
            | Aspect::Hsts(_)
            | Aspect::Cors(_)
            | Aspect::RequestHeaders(_)
            | Aspect::ResponseHeaders(_)
            | Aspect::ConnectTimeout(_)
            | Aspect::FirstByteTimeout(_)
            | Aspect::Retries(_)
            | Aspect::Balance(Balance::Sticky | Balance::RoundRobin)
            | Aspect::Issuer(_)
            | Aspect::Ask(_) => {}
            Aspect::CanonicalHost(_) => self.canonical(aspect, canonical),
            Aspect::Redirects(redirects) => {
                for (number, redirect) in redirects.iter().enumerate() {
                    self.redirect(number + 1, redirect);
                }
            }
            Aspect::Allow(_) | Aspect::Deny(_) => self.addresses(aspect),
            Aspect::BasicAuth(credentials) => {
                let name = self.draft.name(&self.group.part("basic-auth"));
                let comment = "users and bcrypt hashes, as htpasswd writes them";
                self.draft.add_secret(&name, "users", htpasswd(credentials), comment);
                let auth = json!({ "secret": name, "realm": self.draft.app.as_str(), "removeHeader": true });
                self.link("basic-auth", json!({ "basicAuth": auth }));
            }
            Aspect::ClientCa(ca) => {
                let name = self.draft.name(&self.group.part("client-ca"));
                self.draft.add_secret(&name, "ca.crt", pem(ca), "certificates of the CAs; nothing in it is secret");
                let auth = json!({ "secretNames": [name], "clientAuthType": "RequireAndVerifyClientCert" });
                self.draft.add_untyped(API_VERSION, "TLSOption", &name, &json!({ "clientAuth": auth }));
                let namespace = self.draft.namespace();
                to.set(key("router.tls"), "true");
                to.set(key("router.tls.options"), reference(&namespace, &name));
                self.draft.changed(aspect.key(), "Traefik asks for it at every path of the host");
            }
            Aspect::RateLimit(limit) => {
                let rate = json!({ "average": limit.requests, "period": duration(limit.per), "burst": limit.burst });
                self.link("rate-limit", json!({ "rateLimit": rate }));
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
                self.link("compress", json!({ "compress": { "encodings": encodings } }));
            }
            Aspect::RequestsMax(max) => {
                let amount = u64::from(max) * u64::from(self.group.first().rule.instances.max(1));
                self.link("in-flight", json!({ "inFlightReq": { "amount": amount } }));
                self.draft.changed(
                    aspect.key(),
                    format!("Traefik counts {amount} for all instances together, and answers 429 beyond it"),
                );
            }
            Aspect::Balance(Balance::Least | Balance::ClientIp) => {
                self.draft.dropped(aspect.key(), "Traefik goes round, or by a cookie (`balance = \"sticky\"`)");
            }
            Aspect::Protocol(Protocol::Http2 | Protocol::Http1 | Protocol::Auto) => {}
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
            | Aspect::Timeout(_)
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
            self.link("canonical", redirect_regex(regex, &to, true));
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
        let query = if redirect.to.contains('?') { "" } else { "${2}" };
        let (regex, to) = match redirect.from.strip_suffix('*') {
            None => {
                (format!("^https?://[^/]+{}()(\\?.*)?$", escaped(&redirect.from)), replacement(&redirect.to))
            }
            Some(prefix) => {
                let regex = format!("^https?://[^/]+{}([^?]*)(\\?.*)?$", escaped(prefix));
                let to = redirect.to.strip_suffix('*');
                (
                    regex,
                    to.map_or_else(|| replacement(&redirect.to), |to| format!("{}${{1}}", replacement(to))),
                )
            }
        };
        self.link(
            &format!("redirect-{number}"),
            redirect_regex(&regex, &format!("{to}{query}"), is_permanent),
        );
    }

    /// `deny` is said by what is left of everything that is allowed.
    fn addresses(&mut self, aspect: Aspect<'_>) {
        let access = &self.group.first().rule.policy.access;
        // Both make one Middleware.
        if matches!(aspect, Aspect::Deny(_)) && !access.allow.is_empty() {
            return;
        }
        let ranges: Vec<_> = addresses::permitted(access).iter().map(ToString::to_string).collect();
        self.link("addresses", json!({ "ipAllowList": { "sourceRange": ranges } }));
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
