//! What a choice may depend on besides the upstreams: who asks.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::COOKIE;

/// Who asks. Made for every request, so nothing in it is looked at before a policy needs it.
#[derive(Debug, Clone, Copy)]
pub struct Client<'r> {
    /// Its address.
    pub ip: IpAddr,
    /// The headers of its request.
    pub headers: &'r HeaderMap,
}

impl<'r> Client<'r> {
    /// The values of the cookies of this name: a browser sends one for each path that it was set for, the longest first.
    pub fn cookies<'n>(&self, name: &'n str) -> impl Iterator<Item = &'r str> + use<'r, 'n> {
        let pairs = self
            .headers
            .get_all(COOKIE)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'));
        pairs.filter_map(move |pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("xa=1; a=2;a=3; ab=4; a"))]);
        let client = Client { ip: Ipv4Addr::LOCALHOST.into(), headers: &headers };
        assert_eq!(client.cookies("a").collect::<Vec<_>>(), ["2", "3"]);
        assert_eq!(client.cookies("b").count(), 0);
    }
}
