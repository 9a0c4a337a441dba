//! Addresses that may come in, said without those that may not: Traefik knows a list of the former alone.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::policy::Access;

/// The networks that hold every address that may come in, and no other.
pub(super) fn permitted(access: &Access) -> Vec<IpNet> {
    let everything = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
    let allowed = if access.allow.is_empty() { everything.to_vec() } else { access.allow.clone() };
    let without =
        |nets: Vec<IpNet>, deny: &IpNet| nets.into_iter().flat_map(|net| rest(net, *deny)).collect();
    access.deny.iter().fold(allowed, without)
}

/// What is left of a network: halves of it, of its half, and so on, 128 at most.
fn rest(net: IpNet, deny: IpNet) -> Vec<IpNet> {
    if deny.contains(&net) {
        return Vec::new();
    }
    if !net.contains(&deny) {
        return vec![net];
    }
    let halves = net.subnets(net.prefix_len() + 1).expect("a network that holds a smaller one has halves");
    halves.flat_map(|half| rest(half, deny)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_is_cut_out_of_what_is_allowed() {
        for (allow, deny, expected) in [
            (vec![], vec![], "0.0.0.0/0 ::/0"),
            (vec!["10.0.0.0/8"], vec!["10.0.0.0/9"], "10.128.0.0/9"),
            (vec!["10.0.0.0/30"], vec!["10.0.0.1/32"], "10.0.0.0/32 10.0.0.2/31"),
            (vec!["10.0.0.0/8"], vec!["11.0.0.0/8", "::/0"], "10.0.0.0/8"),
            (vec!["10.0.0.0/8"], vec!["0.0.0.0/0"], ""),
        ] {
            let nets = |texts: Vec<&str>| texts.iter().map(|text| text.parse().unwrap()).collect();
            let access = Access { allow: nets(allow), deny: nets(deny) };
            let permitted: Vec<_> = permitted(&access).iter().map(ToString::to_string).collect();
            assert_eq!(permitted.join(" "), expected, "{access:?}");
        }
    }
}
