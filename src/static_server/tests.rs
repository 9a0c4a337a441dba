//! The server over real sockets: one site in a temporary folder, raw requests, raw answers.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proptest::prelude::{Strategy, any, prop, prop_oneof};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Error, Options, StaticSite, serve};

const SECRET: &str = "the secret beside the root";
const BIG_BYTES: usize = 3_000_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that holds a root to serve and a secret beside it.
struct Folder {
    outer: TempDir,
}

struct Server {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), Error>>,
    folder: Folder,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Folder {
    fn new() -> Folder {
        let folder = Folder { outer: tempfile::tempdir().expect("a temporary directory") };
        std::fs::write(folder.outer.path().join("secret.txt"), SECRET).expect("a file");
        folder.file("index.html", "home").file("about.html", "about us").file("docs/index.html", "docs")
    }

    fn root(&self) -> PathBuf {
        self.outer.path().join("root")
    }

    fn file(self, path: &str, content: impl AsRef<[u8]>) -> Folder {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().expect("a path below the root")).expect("a directory");
        std::fs::write(path, content).expect("a file");
        self
    }

    fn link(self, path: &str, target: impl AsRef<Path>) -> Folder {
        symlink(target, self.root().join(path)).expect("a symlink");
        self
    }

    fn dated(self, path: &str, secs: u64) -> Folder {
        let file = std::fs::File::options().write(true).open(self.root().join(path)).expect("a file");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(secs)).expect("a date");
        self
    }

    async fn serve(self) -> Server {
        self.serve_with(Options::default()).await
    }

    async fn serve_with(self, options: Options) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let site = StaticSite::open(self.root(), options).expect("a root");
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(serve(listener, site, async move {
            let _ = stopped.await;
        }));
        Server { addr, stop, running, folder: self }
    }
}

impl Server {
    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[]).await
    }

    async fn get_with(&self, path: &str, headers: &[&str]) -> Answer {
        self.send("GET", path, headers).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let mut stream = TcpStream::connect(self.addr).await.expect("the server accepts");
        let request = request(method, path, headers, "close");
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut raw = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut raw))
            .await
            .expect("in time")
            .expect("an answer");
        Answer::parse(&raw)
    }

    async fn stop(self) -> Folder {
        self.stop.send(()).expect("the server runs");
        tokio::time::timeout(PATIENCE, self.running)
            .await
            .expect("in time")
            .expect("no panic")
            .expect("no error");
        self.folder
    }
}

impl Answer {
    fn parse(raw: &[u8]) -> Answer {
        let end = raw.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
        let head = String::from_utf8(raw[..end].to_vec()).expect("a head in ASCII");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, head, body: raw[end + 4..].to_vec() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    #[track_caller]
    fn check(&self, status: u16, text: &str) {
        assert_eq!((self.status, self.text()), (status, text), "{}", self.head);
    }
}

fn request(method: &str, path: &str, headers: &[&str], connection: &str) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: site\r\nConnection: {connection}\r\n{headers}\r\n")
}

/// Not a multiple of anything, and no two chunks alike.
fn big() -> Vec<u8> {
    (0..BIG_BYTES).map(|at| u8::try_from(at % 251).expect("below 256")).collect()
}

#[tokio::test]
async fn file_is_served_with_its_type_and_safe_headers() {
    let server = Folder::new().file("app.js", "let a").serve().await;
    let answer = server.get("/app.js").await;
    answer.check(200, "let a");
    assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(answer.header("content-length"), Some("5"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    assert_eq!(answer.header("vary"), None);
}

#[tokio::test]
async fn fingerprinted_file_is_immutable_and_its_absence_is_not() {
    let server = Folder::new().file("app.3f2a9c1b.js", "x").serve().await;
    let cached = server.get("/app.3f2a9c1b.js").await;
    assert_eq!(cached.header("cache-control"), Some("public, max-age=31536000, immutable"));
    let missing = server.get("/app.3f2a9c1c.js").await;
    assert_eq!((missing.status, missing.header("cache-control")), (404, Some("no-cache")));
}

#[tokio::test]
async fn directory_serves_its_index_and_redirects_to_its_slash() {
    let server = Folder::new().file("empty/other.txt", "").serve().await;
    server.get("/").await.check(200, "home");
    server.get("/docs/").await.check(200, "docs");
    let answer = server.get("/docs?page=2").await;
    assert_eq!((answer.status, answer.header("location")), (301, Some("./docs/?page=2")));
    assert_eq!(server.get("/empty").await.status, 404);
    assert_eq!(server.get("/empty/").await.status, 404);
}

#[tokio::test]
async fn path_without_extension_finds_the_page() {
    let server = Folder::new().serve().await;
    server.get("/about").await.check(200, "about us");
    server.get("/about.html?x=1").await.check(200, "about us");
    assert_eq!(server.get("/about/").await.status, 404);
}

#[tokio::test]
async fn dotfiles_are_missing_and_well_known_is_served() {
    let folder = Folder::new().file(".env", SECRET).file(".git/config", SECRET);
    let server = folder.file(".well-known/security.txt", "mail us").serve().await;
    for path in ["/.env", "/%2eenv", "/.git/config", "/.git/"] {
        server.get(path).await.check(404, "not found\n");
    }
    server.get("/.well-known/security.txt").await.check(200, "mail us");
}

#[tokio::test]
async fn other_methods_are_refused_with_what_is_allowed() {
    let server = Folder::new().serve().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = server.send(method, "/", &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let server = Folder::new().file("big.bin", big()).serve().await;
    for path in ["/", "/big.bin", "/missing", "/docs"] {
        let get = server.get(path).await;
        let head = server.send("HEAD", path, &[]).await;
        let without_date = |answer: &Answer| {
            let lines = answer.head.lines().filter(|line| !line.starts_with("date: "));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(without_date(&head), without_date(&get), "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn missing_page_is_the_sites_own_with_status_404() {
    let server = Folder::new().file("404.html", "lost?").serve().await;
    let answer = server.get_with("/nowhere", &["Range: bytes=0-1", "If-None-Match: *"]).await;
    answer.check(404, "lost?");
    assert_eq!(answer.header("etag"), None);
}

#[tokio::test]
async fn single_page_app_gets_its_index_for_navigations_alone() {
    let server = Folder::new().file("404.html", "lost?").serve_with(Options { spa: true }).await;
    let navigation = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";
    server.get_with("/users/7", &[navigation]).await.check(200, "home");
    server.get_with("/users/7/", &[navigation]).await.check(200, "home");
    server.get_with("/users/7", &["Accept: */*"]).await.check(404, "lost?");
    server.get_with("/app.js", &[navigation]).await.check(404, "lost?");
    server.get_with("/.env", &[navigation]).await.check(404, "lost?");
}

#[tokio::test]
async fn unchanged_file_is_not_sent_again() {
    let server = Folder::new().file("a.txt", "one").dated("a.txt", 784_111_777).serve().await;
    let first = server.get("/a.txt").await;
    let etag = first.header("etag").expect("an etag").to_owned();
    assert!(etag.starts_with('"') && etag.len() == 34, "{etag}");
    assert_eq!(first.header("last-modified"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    let again = server.get_with("/a.txt", &[&format!("If-None-Match: {etag}")]).await;
    again.check(304, "");
    assert_eq!(again.header("etag"), Some(etag.as_str()));
    server.get_with("/a.txt", &["If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"]).await.check(304, "");
}

#[tokio::test]
async fn etag_follows_the_content_though_size_and_time_stay() {
    let server = Folder::new().file("a.txt", "one").dated("a.txt", 0).serve().await;
    let first = server.get("/a.txt").await;
    assert_eq!(first.header("last-modified"), None, "an image's fixed time says nothing");
    let folder = server.stop().await.file("a.txt", "two").dated("a.txt", 0);
    let server = folder.serve().await;
    let second = server.get("/a.txt").await;
    second.check(200, "two");
    assert_ne!(first.header("etag"), second.header("etag"));
}

#[tokio::test]
async fn range_gets_its_part_and_only_of_the_same_state() {
    let server = Folder::new().file("big.bin", big()).serve().await;
    let answer = server.get_with("/big.bin", &["Range: bytes=100000-1099999"]).await;
    assert_eq!((answer.status, answer.header("content-range")), (206, Some("bytes 100000-1099999/3000000")));
    assert_eq!(answer.body, big()[100_000..1_100_000]);
    let stale = server.get_with("/big.bin", &["Range: bytes=0-9", "If-Range: \"other\""]).await;
    assert_eq!((stale.status, stale.body.len()), (200, BIG_BYTES));
    let several = server.get_with("/big.bin", &["Range: bytes=0-9,20-29"]).await;
    assert_eq!((several.status, several.body.len()), (200, BIG_BYTES));
    let beyond = server.get_with("/big.bin", &["Range: bytes=3000000-"]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */3000000")));
}

#[tokio::test]
async fn precompressed_sibling_is_chosen_by_weight() {
    let folder = Folder::new().file("app.js", "plain").file("app.js.br", "brotli").file("app.js.gz", "gzip");
    let server = folder.serve().await;
    let plain = server.get("/app.js").await;
    plain.check(200, "plain");
    assert_eq!((plain.header("vary"), plain.header("content-encoding")), (Some("Accept-Encoding"), None));
    let brotli = server.get_with("/app.js", &["Accept-Encoding: gzip, br, zstd"]).await;
    brotli.check(200, "brotli");
    assert_eq!(brotli.header("content-encoding"), Some("br"));
    assert_eq!(brotli.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_ne!(brotli.header("etag"), plain.header("etag"));
    let gzip = server.get_with("/app.js", &["Accept-Encoding: br;q=0.1, gzip;q=0.9"]).await;
    gzip.check(200, "gzip");
}

#[tokio::test]
async fn symlink_out_of_the_root_is_missing() {
    let folder = Folder::new().link("inside.txt", "about.html").link("escape.txt", "../secret.txt");
    let outside = folder.outer.path().to_owned();
    let server = folder.link("absolute.txt", outside.join("secret.txt")).link("up", "..").serve().await;
    server.get("/inside.txt").await.check(200, "about us");
    for path in ["/escape.txt", "/absolute.txt", "/up/secret.txt"] {
        server.get(path).await.check(404, "not found\n");
    }
}

#[tokio::test]
async fn malformed_and_oversized_targets_are_refused() {
    let server = Folder::new().serve().await;
    for path in ["/%", "/%2e%2e/secret.txt", "/../secret.txt", "/%00", "/a%2fb", "//docs"] {
        assert_eq!(server.get(path).await.status, 400, "{path}");
    }
    let long = format!("/{}", "a".repeat(9000));
    assert_eq!(server.get(&long).await.status, 414);
}

#[tokio::test]
async fn connection_is_kept_alive_between_requests() {
    let server = Folder::new().serve().await;
    let mut stream = TcpStream::connect(server.addr).await.expect("the server accepts");
    for _ in 0..3 {
        stream.write_all(request("GET", "/", &[], "keep-alive").as_bytes()).await.expect("a write");
        let mut answer = Vec::new();
        while !answer.ends_with(b"home") {
            assert_ne!(stream.read_buf(&mut answer).await.expect("a read"), 0, "the connection was closed");
        }
    }
}

#[tokio::test]
async fn shutdown_finishes_the_answer_in_flight() {
    // Far more than the socket buffers hold, so that the answer is under way when the server is told to stop.
    let content = vec![7; 64 * 1024 * 1024];
    let server = Folder::new().file("big.bin", &content).serve().await;
    let mut idle = TcpStream::connect(server.addr).await.expect("the server accepts");
    idle.write_all(request("GET", "/", &[], "keep-alive").as_bytes()).await.expect("a write");
    let mut answer = Vec::new();
    while !answer.ends_with(b"home") {
        idle.read_buf(&mut answer).await.expect("a read");
    }
    let mut stream = TcpStream::connect(server.addr).await.expect("the server accepts");
    stream.write_all(request("GET", "/big.bin", &[], "keep-alive").as_bytes()).await.expect("a write");
    let mut raw = vec![0; 1024];
    stream.read_exact(&mut raw).await.expect("the start of the answer");
    let addr = server.addr;
    let stopping = tokio::spawn(server.stop());
    assert_eq!(idle.read_buf(&mut answer).await.expect("a read"), 0, "an idle connection ends at once");
    assert!(TcpStream::connect(addr).await.is_err(), "the listener is closed");
    stream.read_to_end(&mut raw).await.expect("the rest of the answer");
    assert_eq!(Answer::parse(&raw).body.len(), content.len());
    stopping.await.expect("the server stops");
}

#[tokio::test]
async fn root_that_is_no_folder_is_an_error() {
    let folder = Folder::new();
    for path in ["missing", "about.html"] {
        let error = StaticSite::open(folder.root().join(path), Options::default()).expect_err("no folder");
        assert!(error.to_string().starts_with("cannot open the site's root `"), "{error}");
    }
}

#[test]
fn no_request_path_returns_bytes_from_outside_the_root() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let folder = Folder::new().link("escape", "../secret.txt").link("docs/up", "../..").link("top", "/");
    let outer = folder.outer.path().display().to_string();
    let server = runtime.block_on(folder.serve_with(Options { spa: true }));
    let known = ["..", "%2e%2e", ".%2E", "%2f", "/", "\\", "%5c", "%00", ".", "", "%252e%252e%252f", "..%2f"];
    let names =
        ["secret.txt", "secret", "escape", "docs", "up", "top", "root", "proc/self/cwd", outer.as_str()];
    let piece = prop_oneof![
        3 => prop::sample::select([&known[..], &names[..]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()),
        1 => any::<String>(),
    ];
    let separator = prop::sample::select(vec!["/", "/", "/", "%2f", "\\", "//"]);
    let paths = prop::collection::vec((separator, piece), 1..8).prop_map(|pieces| {
        pieces.into_iter().map(|(separator, piece)| format!("{separator}{piece}")).collect::<String>()
    });
    proptest::test_runner::TestRunner::default()
        .run(&paths, |path| {
            let path = path.replace(['\r', '\n', ' '], "");
            let mut stream = std::net::TcpStream::connect(server.addr).expect("the server accepts");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            // A request that hyper refuses may be answered before it is read to its end.
            let _ = stream.write_all(request("GET", &path, &[], "close").as_bytes());
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            let answer = String::from_utf8_lossy(&answer).into_owned();
            proptest::prop_assert!(!answer.contains(SECRET), "{path}");
            proptest::prop_assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
            Ok(())
        })
        .expect("no path leaves the root");
    runtime.block_on(server.stop());
}
