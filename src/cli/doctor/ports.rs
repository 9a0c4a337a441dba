//! Whether the ports are free, and who has them.

use std::net::SocketAddr;

use super::Finding;
use crate::config::ListenChoice;
use crate::port::owner;

/// The ports that the choice could take.
pub(super) fn finding(scheme: &'static str, choice: &ListenChoice) -> Finding {
    let mut ports: Vec<u16> = choice.attempts().iter().map(SocketAddr::port).collect();
    ports.dedup();
    let taken: Vec<(u16, String)> = ports.iter().filter_map(|port| Some((*port, owner(*port)?))).collect();
    judge(scheme, &ports, &taken)
}

fn judge(scheme: &'static str, ports: &[u16], taken: &[(u16, String)]) -> Finding {
    let finding = Finding::about(scheme);
    let by = taken.iter().map(|(port, owner)| format!("port {port} is taken by {owner}"));
    let by = by.collect::<Vec<_>>().join(", ");
    let hint = format!("end what has it, or choose another address: `minipaas server --{scheme} ADDR`");
    let free = ports.iter().find(|port| taken.iter().all(|(other, _)| other != *port));
    match (free, taken.is_empty()) {
        (Some(port), true) => finding.ok(format!("port {port} is free")),
        (Some(port), false) => finding.warn(format!("{by}; port {port} will be used")).hint(hint),
        (None, _) => finding.fail(by).hint(hint),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn second_port_is_a_warning_and_no_port_a_failure() {
        let taken = |ports: &[u16]| {
            ports.iter().map(|port| (*port, "`nginx` (pid 7)".to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(judge("http", &[80, 8080], &[]).verdict, Verdict::Ok);
        let second = judge("http", &[80, 8080], &taken(&[80]));
        assert_eq!(
            (second.verdict, second.message.as_str()),
            (Verdict::Warn, "port 80 is taken by `nginx` (pid 7); port 8080 will be used")
        );
        assert_eq!(judge("http", &[80, 8080], &taken(&[80, 8080])).verdict, Verdict::Fail);
    }
}
