//! On which ports a container's processes listen.
//!
//! The kernel tells, in `/proc/<pid>/net/tcp`: read from here when the container's process can be seen from here, else from
//! inside, where that needs a `cat` in the image. Docker's own name server, which listens inside every container on a
//! user-defined network, is left out.

use std::collections::BTreeSet;
use std::time::Duration;

use super::DockerEngine;

/// How long a `cat` may take.
const CAT_TIME_MAX: Duration = Duration::from_secs(5);
/// How much of its output is read: a socket is a line of about 150 bytes.
const CAT_BYTES_MAX: usize = 256 * 1024;
/// A listening socket's state in `/proc/net/tcp` (`TCP_LISTEN`).
const LISTENING: &str = "0A";
/// Where Docker's name server listens (127.0.0.11), as `/proc/net/tcp` writes it on machines of either byte order.
const NAME_SERVER: [&str; 2] = ["0B00007F", "7F00000B"];

impl DockerEngine {
    pub(super) async fn ports_in_use(&self, container: &str) -> Vec<u16> {
        let Ok(Some(found)) = self.inspect(container).await else { return Vec::new() };
        let pid = found.state.and_then(|state| state.pid).filter(|pid| *pid > 0);
        let id = found.id.unwrap_or_default();
        if let Some(tables) = pid.and_then(|pid| read_tables(pid, &id)) {
            return parse_tables(&tables);
        }
        let argv = ["cat", "/proc/net/tcp", "/proc/net/tcp6"].map(str::to_owned);
        match self.execute_keeping(container, &argv, CAT_TIME_MAX, "read sockets", CAT_BYTES_MAX).await {
            Ok((_, tables)) => parse_tables(&String::from_utf8_lossy(&tables)),
            Err(error) => {
                tracing::debug!(container, %error, "cannot see on which ports a container listens");
                Vec::new()
            }
        }
    }
}

/// `None` when the process is not to be seen from here, or is another one that has its number here.
fn read_tables(pid: i64, container: &str) -> Option<String> {
    let proc = format!("/proc/{pid}");
    let cgroup = std::fs::read_to_string(format!("{proc}/cgroup")).ok()?;
    if container.is_empty() || !cgroup.contains(container) {
        return None;
    }
    let tcp = std::fs::read_to_string(format!("{proc}/net/tcp")).ok()?;
    // A kernel without IPv6 has no such file.
    let tcp6 = std::fs::read_to_string(format!("{proc}/net/tcp6")).unwrap_or_default();
    Some(tcp + &tcp6)
}

fn parse_tables(tables: &str) -> Vec<u16> {
    let ports: BTreeSet<u16> = tables.lines().filter_map(parse_socket).collect();
    ports.into_iter().collect()
}

/// The port of a line about a listening socket: `0: 00000000:0BB8 00000000:0000 0A …`.
fn parse_socket(line: &str) -> Option<u16> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, _remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    let (addr, port) = local.split_once(':')?;
    if state != LISTENING || NAME_SERVER.contains(&addr) {
        return None;
    }
    u16::from_str_radix(port, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_found_and_the_name_server_is_not_one() {
        let tables = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B00007F:A1B2 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 00000000:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2
   2: 020011AC:0BB8 010011AC:C001 01 00000000:00000000 00:00000000 00000000     0        0 3
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 00000000:00000000
";
        assert_eq!(parse_tables(tables), [80, 3000]);
    }
}
