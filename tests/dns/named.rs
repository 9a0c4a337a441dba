//! BIND's name server, run for one test on a free port of a loopback address.
//!
//! Its binary is copied next to its zones: the AppArmor profile that distributions have for the installed one would keep it
//! from reading them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::free_port;

/// Where the package `bind9` puts it, which tests/prepare installs.
const BINARY: &str = "/usr/sbin/named";
/// The key `acme` may change TXT records of `example.test` and `deep.example.test`.
pub const SECRET: &str = "1kCFBQzn2CTeOQIHJVZZpKEDh5YhyQ3cCGMzTjWtHn0=";
/// Until it serves.
const START_TIME_MAX: Duration = Duration::from_secs(20);

const EXAMPLE: &str = "\
$TTL 60
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
@ NS ns2
ns1 A 127.0.0.1
ns2 A 127.0.0.2
@ CAA 0 issue \"letsencrypt.org; validationmethods=dns-01\"
@ CAA 0 iodef \"mailto:hostmaster@example.test\"
strict CAA 128 IssueWild \";\"
www A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::1
alias CNAME www
_acme-challenge.alias CNAME _acme-challenge.www
loop CNAME pool
pool CNAME loop
text TXT \"one \" \"record\"
text TXT \"another\"
deep NS ns1
";

const DEEP: &str = "\
$TTL 60
@ SOA ns1.example.test. hostmaster 1 3600 600 86400 60
@ NS ns1.example.test.
";

/// A running name server; it ends when this is dropped.
pub struct Named {
    child: Child,
    pub addr: SocketAddr,
    /// Its files.
    dir: TempDir,
}

// === impl Named ===

impl Named {
    /// Serves `example.test`, `deep.example.test` below it, `example.com`, `closed.test`, which nobody may change, and `open.test`, which
    /// everybody may. Nobody is at 127.0.0.2, where `ns2.example.test` is.
    pub async fn start() -> Self {
        let addr = free_port();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        let zone = |name: &str, text: &str, rights: &str| {
            fs::write(dir.path().join(name), text).unwrap();
            format!("zone \"{name}\" {{ type primary; file \"{name}\"; {rights} }};\n")
        };
        let ours = "update-policy { grant acme zonesub TXT; };";
        let zones = [
            zone("example.test", EXAMPLE, ours),
            zone("deep.example.test", DEEP, ours),
            zone("example.com", DEEP, ours),
            zone("closed.test", DEEP, "allow-update { none; };"),
            zone("open.test", DEEP, "allow-update { any; };"),
        ];
        let config = format!(
            "options {{ directory \"{path}\"; pid-file none; session-keyfile none; listen-on port {} {{ {}; }}; listen-on-v6 {{ none; }};\n\
             recursion no; dnssec-validation no; notify no; }};\ncontrols {{ }};\n\
             key \"acme\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n{}",
            addr.port(),
            addr.ip(),
            zones.concat()
        );
        fs::write(dir.path().join("named.conf"), config).unwrap();
        let binary = dir.path().join("named");
        super::install(Path::new(BINARY), &binary);
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(binary);
        command.args(["-g", "-n", "1", "-c"]).arg(dir.path().join("named.conf"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut named = Self { child, addr, dir };
        named.wait().await;
        named
    }

    async fn wait(&mut self) {
        let lookup = minipaas::dns::Lookup::new(&[self.addr]);
        let deadline = tokio::time::Instant::now() + START_TIME_MAX;
        while lookup.addresses("www.example.test").await.is_err() {
            let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(self.child.try_wait().unwrap().is_none(), "named has ended:\n{}", log());
            assert!(tokio::time::Instant::now() < deadline, "named does not serve:\n{}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
