//! Whether the host that all others are led to is one of the app's.

use crate::name::Host;
use crate::policy::Policy;

/// `canonical_host` names a host that the app does not have: whoever asks for the app would be led to where nothing answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`canonical_host` is `{canonical}`, which is no host of the app, so that nothing would answer")]
pub struct NoSuchHost {
    /// What it names.
    pub canonical: Host,
    /// The app's hosts.
    pub known: Vec<Host>,
}

/// Finds the first canonical host that leads away from the app.
///
/// # Errors
///
/// [`NoSuchHost`], with the hosts that there are.
pub fn check_canonical_hosts<'p>(
    hosts: &[&Host],
    policies: impl Iterator<Item = &'p Policy>,
) -> Result<(), NoSuchHost> {
    let is_known = |canonical: &str| hosts.iter().any(|host| host.matches(canonical));
    for policy in policies {
        if let Some(canonical @ Host::Exact(name)) = &policy.canonical_host
            && !is_known(name)
        {
            let mut known: Vec<_> = hosts.iter().map(|host| (*host).clone()).collect();
            known.dedup();
            return Err(NoSuchHost { canonical: canonical.clone(), known });
        }
    }
    Ok(())
}

impl NoSuchHost {
    /// What to do about it.
    #[must_use]
    pub fn hints(&self) -> [String; 2] {
        let known: Vec<_> = self.known.iter().map(|host| format!("`{host}`")).collect();
        [
            format!("a `[[route]]` with `host = \"{}\"` makes it one", self.canonical),
            format!("the app has {}", known.join(", ")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_host_is_one_of_the_apps() {
        let check = |hosts: &[&str], canonical: &str| {
            let hosts: Vec<Host> = hosts.iter().map(|host| host.parse().unwrap()).collect();
            let policy = Policy { canonical_host: Some(canonical.parse().unwrap()), ..Policy::default() };
            check_canonical_hosts(&hosts.iter().collect::<Vec<_>>(), std::iter::once(&policy))
                .map_err(|error| error.hints())
        };
        assert_eq!(check(&["shop.localhost", "www.example.com"], "www.example.com"), Ok(()));
        assert_eq!(check(&["*.example.com"], "www.example.com"), Ok(()));
        let hints = check(&["shop.localhost", "shop.localhost"], "www.example.com").unwrap_err();
        assert_eq!(
            hints,
            ["a `[[route]]` with `host = \"www.example.com\"` makes it one", "the app has `shop.localhost`"]
        );
    }
}
