//! Ports of this machine: listening on one ([`listen_at`], for UDP [`receive_at`]), and who does already ([`owner`]).
//!
//! The owner is read from `/proc/net/tcp`, `/proc/net/tcp6` and the processes' own lists of open
//! files. Only root sees those of other users' processes; for anybody else such a port is taken by somebody. Linux only:
//! elsewhere no port has an owner.

mod listen;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

pub use listen::{ListenError, every_interface, listen_at, receive_at};

/// `TCP_LISTEN` in the tables' column of states.
const LISTEN: &str = "0A";

/// Who listens on the port, on any address; `None` when nobody does.
#[must_use]
pub fn owner(port: u16) -> Option<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut inodes = listening(&read("/proc/net/tcp"), port);
    inodes.extend(listening(&read("/proc/net/tcp6"), port));
    if inodes.is_empty() {
        return None;
    }
    let process = fs::read_dir("/proc").ok().and_then(|processes| {
        processes
            .flatten()
            .map(|process| process.path())
            .find(|process| is_process(process) && has_open(process, &inodes))
    });
    Some(process.map_or_else(
        || "a process of another user".to_owned(),
        |process| {
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            let pid = process.file_name().map(|pid| pid.to_string_lossy().into_owned());
            format!("`{}` (pid {})", name.trim(), pid.unwrap_or_default())
        },
    ))
}

/// The sockets that listen on the port, by inode.
fn listening(table: &str, port: u16) -> BTreeSet<u64> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, LISTEN, _, _, _, _, _, inode, ..] = fields[..] else { return None };
        let is_ours = u16::from_str_radix(local.rsplit_once(':')?.1, 16) == Ok(port);
        is_ours.then(|| inode.parse().ok()).flatten()
    };
    table.lines().filter_map(socket).collect()
}

/// `self` and `thread-self` are there, too.
fn is_process(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
}

fn has_open(process: &Path, inodes: &BTreeSet<u64>) -> bool {
    let inode = |link: &Path| {
        let target = fs::read_link(link).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()
    };
    fs::read_dir(process.join("fd")).is_ok_and(|files| {
        files.flatten().any(|file| inode(&file.path()).is_some_and(|inode| inodes.contains(&inode)))
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:0050 0100007F:9A3C 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0
";

    #[test]
    fn only_listeners_on_the_port_count() {
        assert_eq!(listening(TABLE, 80), BTreeSet::from([4711]));
        assert_eq!(listening(TABLE, 8080), BTreeSet::from([4713]));
        assert_eq!(listening(TABLE, 443), BTreeSet::new());
    }

    #[test]
    fn listener_of_this_process_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let owner = owner(port).expect("an owner");
        assert!(owner.contains(&format!("pid {}", std::process::id())), "{owner}");
    }
}
