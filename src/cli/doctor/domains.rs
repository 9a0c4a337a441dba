//! Whether the hosts of apps lead here.

use super::Finding;
use crate::api::client::Client;
use crate::api::{Domain, DomainsQuery, Status};
use crate::cli::output::count;
use crate::name::is_public;

/// Has the daemon look at every public host of every app.
pub(super) async fn finding(client: &Client, status: &Status) -> Finding {
    let looks = status.apps.iter().filter_map(|app| app.name.parse().ok()).map(|app| async move {
        let found = client.domains(&app, &DomainsQuery { look: true }).await;
        found.map(|found| found.domains).unwrap_or_default()
    });
    judge(&futures_util::future::join_all(looks).await.concat())
}

fn judge(domains: &[Domain]) -> Finding {
    let finding = Finding::about("domains");
    let public: Vec<_> = domains.iter().filter(|domain| is_public(&domain.host)).collect();
    let elsewhere: Vec<_> = public.iter().filter_map(|domain| domain.elsewhere.clone()).collect();
    match (public.len(), elsewhere.len()) {
        (0, _) => finding.ok("no app has a public one".to_owned()),
        (all, 0) => {
            finding.ok(format!("{} of apps found, or not known to lead elsewhere", count(all, "public host")))
        }
        _ => finding.warn(elsewhere.join("; ")).hint("`minipaas domains wait` waits until it is so"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn only_public_hosts_can_lead_elsewhere() {
        let domain = |host: &str, elsewhere: Option<&str>| Domain {
            host: host.to_owned(),
            written: None,
            process: Some("web".to_owned()),
            from: "command".to_owned(),
            by: None,
            at: None,
            certificate: None,
            elsewhere: elsewhere.map(str::to_owned),
        };
        assert_eq!(judge(&[domain("shop.localhost", None)]).message, "no app has a public one");
        assert_eq!(judge(&[domain("shop.example.com", None)]).verdict, Verdict::Ok);
        let away = judge(&[domain("a.example.com", None), domain("b.example.com", Some("`b` leads to c"))]);
        assert_eq!((away.verdict, away.message.as_str()), (Verdict::Warn, "`b` leads to c"));
    }
}
