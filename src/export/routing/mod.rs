//! How requests reach an exported app: Services, Ingresses or HTTPRoutes with what `[proxy]` asks for, and who may come in.
//!
//! ```text
//!   Subject ─► rule (host, path ─► Service) ─┬─► service
//!                                            ├─► moves (redirects drawn out) ─► ingress ─► nginx | traefik | a class unknown here
//!                                            │                              └─► gateway
//!                                            └─► network (NetworkPolicy)
//!   Policy  ─► aspect (one thing at a time) ──► annotations, Middlewares, filters, or a note
//! ```
//!
//! Every key of a policy is decided at every entrance: [`aspect`] takes the policy apart without a rest, and each entrance matches
//! every aspect. What it cannot say becomes a note with what to do instead.
//!
//! It makes no Ingress controller and no Gateway, orders no certificate, and knows nothing of maintenance or pauses, which are
//! about the box's proxy at this moment.

mod aspect;
mod credentials;
mod draft;
mod external;
mod gateway;
mod ingress;
mod moves;
mod network;
mod nginx;
mod rule;
mod service;
#[cfg(test)]
mod tests;
mod tls;
mod traefik;

use super::{Entrance, External, Options, Sheet, Subject};
use draft::Draft;
use rule::Rule;

/// The app's Services, and what leads to them.
pub(super) fn add(subject: &Subject, options: &Options, sheet: &mut Sheet<'_>) {
    let mut draft = Draft::new(&subject.app, options, sheet);
    let rules = rule::rules(subject, &mut draft);
    service::add(subject, &rules, &mut draft);
    add_entrance(&rules, &mut draft);
}

/// The app's NetworkPolicy; `subjects` are all that are exported, as links lead both ways.
pub(super) fn add_policies(
    subjects: &[Subject],
    subject: &Subject,
    options: &Options,
    sheet: &mut Sheet<'_>,
) {
    let mut draft = Draft::new(&subject.app, options, sheet);
    network::add(subjects, subject, &mut draft);
}

/// All of an app that is only a route: its upstreams as a Service, and what leads there.
pub(super) fn add_external(subject: &External, options: &Options, sheet: &mut Sheet<'_>) {
    let mut draft = Draft::new(&subject.app, options, sheet);
    let rules = external::rules(subject, &mut draft);
    external::add(subject, &rules, &mut draft);
    add_entrance(&rules, &mut draft);
}

/// What is not public is found by linked apps at its Service alone.
fn add_entrance(rules: &[Rule], draft: &mut Draft<'_, '_>) {
    let public: Vec<_> = rules.iter().filter(|rule| rule.policy.is_public).cloned().collect();
    match draft.options.entrance.clone() {
        Entrance::Ingress(class) => ingress::add(&public, &class, draft),
        Entrance::Gateway(gateway) => gateway::add(&public, &gateway, draft),
    }
}
