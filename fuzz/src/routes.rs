//! Route matching: the table finds what looking at every route would find.

use std::sync::Arc;

use http::Uri;
use minipaas::name::{AppName, Host, PathPrefix, ProcessType};
use minipaas::route::{Mode, Route, RouteTable};

use super::Input;

const HOSTS: [&str; 12] = ["a", "b", "x-y", ".", "*.", "*", "A", "example", ".example.com", "..", "-", "1"];
const PATHS: [&str; 10] = ["/", "/a", "/b", "a", "//", ".", "..", "%2e", "\\", "\u{e9}"];

pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let routes: Vec<_> = (0..input.below(12)).filter_map(|_| route(&mut input)).collect();
    let table = RouteTable::new(1, routes.clone());
    while !input.is_empty() {
        let host = input.text(&HOSTS, 5).to_ascii_lowercase();
        let path = input.text(&PATHS, 5);
        let path = path.parse::<Uri>().map_or(path.clone(), |uri| uri.path().to_owned());
        let found = table.find(&host, &path).map(|(index, route)| {
            assert_eq!(*route, routes[index]);
            index
        });
        assert_eq!(found, best(&routes, &host, &path), "{host:?} {path:?} in {routes:#?}");
        let is_served = routes.iter().any(|route| route.host != Host::Fallback && route.host.matches(&host));
        assert_eq!(table.serves(&host), is_served, "{host:?}");
    }
}

/// The route as the rules say it: the most specific kind of host that any route names it by, then the longest path, then the
/// first.
fn best(routes: &[Route], host: &str, path: &str) -> Option<usize> {
    let kind = |host: &Host| match host {
        Host::Exact(_) => 0,
        Host::Wildcard(_) => 1,
        Host::Fallback => 2,
    };
    let named = || routes.iter().enumerate().filter(|(_, route)| route.host.matches(host));
    let nearest = named().map(|(_, route)| kind(&route.host)).min()?;
    named()
        .filter(|(_, route)| kind(&route.host) == nearest && route.path.matches(path))
        .min_by_key(|(index, route)| (std::cmp::Reverse(route.path.as_str().len()), *index))
        .map(|(index, _)| index)
}

fn route(input: &mut Input<'_>) -> Option<Route> {
    let (host, path) = (input.text(&HOSTS, 4), input.text(&PATHS, 4));
    let app: AppName = "app".parse().expect("it is a name");
    let (host, path): (Host, PathPrefix) = (host.parse().ok()?, path.parse().ok()?);
    assert_eq!(host.to_string().parse(), Ok(host.clone()));
    assert_eq!(path.to_string().parse(), Ok(path.clone()));
    Some(Route {
        app,
        process: ProcessType::web(),
        host,
        path,
        strip_prefix: false,
        policy: Arc::default(),
        mode: Mode::Open,
        canary: None,
        is_held: false,
        is_scaled_to_zero: false,
        upstreams: Vec::new(),
    })
}
