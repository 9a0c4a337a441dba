//! Certificates of an Ingress's hosts.

use k8s_openapi::api::networking::v1::IngressTLS;

use super::super::TlsSource;
use super::draft::{Annotations, Draft};
use super::rule::is_local;
use crate::name::{Host, is_public};

/// The annotation by which cert-manager takes care of an Ingress's hosts.
const CLUSTER_ISSUER: &str = "cert-manager.io/cluster-issuer";

/// Whether the host has a certificate.
pub(super) fn has_https(host: &Host, source: &TlsSource) -> bool {
    secret_name(host, source).is_some()
}

/// The section of the hosts that have a certificate, with what makes it come about.
///
/// Every Ingress of a host says the same of it. cert-manager leaves a Certificate to the Ingress that was first, and
/// controllers that look at single Ingresses redirect to https only where this section is.
pub(super) fn of_ingress(
    hosts: &[&Host],
    annotations: &mut Annotations,
    draft: &mut Draft<'_, '_>,
) -> Option<Vec<IngressTLS>> {
    let source = &draft.options.tls;
    let mut sections: Vec<IngressTLS> = Vec::new();
    for host in hosts {
        let Some(secret) = secret_name(host, source) else {
            note_none(host, source, draft);
            continue;
        };
        let same = sections.iter_mut().find(|section| section.secret_name.as_ref() == Some(&secret));
        match same.and_then(|section| section.hosts.as_mut()) {
            Some(hosts) => hosts.push(host.to_string()),
            None => {
                sections.push(IngressTLS { hosts: Some(vec![host.to_string()]), secret_name: Some(secret) });
            }
        }
        note_private(host, source, draft);
    }
    if let (TlsSource::CertManager(issuer), false) = (source, sections.is_empty()) {
        annotations.set(CLUSTER_ISSUER, issuer);
    }
    (!sections.is_empty()).then_some(sections)
}

/// Where the host's certificate is. With cert-manager each host has its own, so that one whose order fails keeps no other from
/// its certificate. Nobody gives one for every name there is, or for the reader's own machine.
fn secret_name(host: &Host, source: &TlsSource) -> Option<String> {
    match (source, host) {
        (TlsSource::None, _) | (_, Host::Fallback) => None,
        (TlsSource::Secret(name), _) => Some(name.clone()),
        (TlsSource::CertManager(_), host) if is_local(host) => None,
        (TlsSource::CertManager(_), Host::Exact(name)) => Some(format!("{name}-tls")),
        (TlsSource::CertManager(_), Host::Wildcard(name)) => Some(format!("wildcard.{name}-tls")),
    }
}

/// A host without a certificate where others have one.
fn note_none(host: &Host, source: &TlsSource, draft: &mut Draft<'_, '_>) {
    if *source != TlsSource::None && *host == Host::Fallback {
        draft.todo("--tls", "what comes for a host that nobody names gets the controller's own certificate; give it one there");
    }
}

fn note_private(host: &Host, source: &TlsSource, draft: &mut Draft<'_, '_>) {
    let TlsSource::CertManager(issuer) = source else { return };
    if !is_public(&host.to_string()) {
        draft.todo(
            "--tls",
            format!(
                "no public authority signs for `{host}`; unless `{issuer}` is an issuer of your own, name one that is, or a Secret"
            ),
        );
    } else if matches!(host, Host::Wildcard(_)) {
        draft.todo("--tls", format!("`{issuer}` must be able to prove `{host}` by DNS (a `dns01` solver)"));
    }
}
