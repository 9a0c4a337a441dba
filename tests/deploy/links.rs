//! Apps that call each other, from inside of their containers: by name, with whatever resolver their image has.

use std::process::Command;

use serde_json::Value;

use super::command::{Running, until};
use super::release::TestApp;
use super::world::{Project, TestBox};
use crate::support::docker::docker;

/// A page server that can also be told to ask: glibc's resolver.
const PYTHON: &str = "[build]\nimage = \"python:3.13-slim\"\n[process.web]\n\
    command = [\"python3\", \"-m\", \"http.server\", \"3000\"]\nport = 3000\nstop_grace = \"1s\"\n";
/// The same with busybox's own resolver.
const BUSYBOX: &str = "[build]\nimage = \"busybox:stable\"\n[process.web]\n\
    command = [\"httpd\", \"-f\", \"-p\", \"3000\", \"-h\", \"/\"]\nport = 3000\nstop_grace = \"1s\"\n";
/// Prints status and body, or the error's words.
const ASK: &str = "import sys, urllib.request, urllib.error\n\
try:\n    answer = urllib.request.urlopen(sys.argv[1], timeout=20)\n    print(answer.status, answer.read().decode())\n\
except urllib.error.HTTPError as error:\n    print(error.code, error.read().decode())\n\
except Exception as error:\n    print('failed:', error)\n";
/// Asks again and again, each time on a new connection, until there is a file `/tmp/stop`; prints how it went.
const ASK_ON: &str = "import collections, os, sys, time, urllib.request\n\
found = collections.Counter()\n\
while not os.path.exists('/tmp/stop'):\n    try:\n        \
answer = urllib.request.urlopen(sys.argv[1], timeout=20).read().decode()\n        \
found[answer.split()[0]] += 1\n    except Exception as error:\n        found['failed: %s' % error] += 1\n    time.sleep(0.005)\n\
print(dict(found))\n";
const LINK: &str = "[link]\nbilling = \"billing\"\n";

/// What a container asks, and is told.
struct Inside {
    container: String,
}

impl Inside {
    /// The container of the app's only instance.
    async fn of(on: &TestBox, app: &str) -> Self {
        let filters = [format!("label=minipaas.box={}", on.id().await), format!("label=minipaas.app={app}")];
        let list = docker(["ps", "--quiet", "--filter", &filters[0], "--filter", &filters[1]]);
        let container = list.lines().next().expect("it runs").to_owned();
        Self { container }
    }

    fn run(&self, command: &[&str]) -> String {
        let output = self.command(command).output().expect("docker runs");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    fn start(&self, command: &[&str]) -> Running {
        Running::of(self.command(command))
    }

    fn ask(&self, url: &str) -> String {
        self.run(&["python3", "-c", ASK, url])
    }

    fn variable(&self, name: &str) -> String {
        self.run(&["printenv", name]).trim().to_owned()
    }

    fn command(&self, command: &[&str]) -> Command {
        let mut docker = Command::new("docker");
        docker.args(["exec", &self.container]).args(command);
        docker
    }
}

async fn up(project: &Project<'_>, manifest: &str) {
    project.write("minipaas.toml", manifest);
    project.up().await.success();
}

/// The gateway of the box's network.
async fn gateway(on: &TestBox) -> String {
    let network = format!("minipaas-{}", on.id().await);
    docker(["network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", &network])
        .trim()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_calls_another_that_it_is_linked_to() {
    let on = TestBox::new();
    let port = on.http().port();
    let shop = on.project("shop");
    shop.write("minipaas.toml", &format!("{PYTHON}{LINK}"));
    shop.up().await.success().saying(&["there is no app `billing` yet"]);
    let billing = on.project("billing");
    billing.deploy(&TestApp::version("b1")).await.success();
    let box_of_busy = on.project("busy");
    up(&box_of_busy, &format!("{BUSYBOX}{LINK}")).await;

    let inside = Inside::of(&on, "shop").await;
    let url = inside.variable("BILLING_URL");
    assert_eq!(url, format!("http://billing.internal:{port}"));
    let answer = inside.ask(&format!("{url}/"));
    assert!(answer.starts_with("200 version=b1 "), "{answer}");
    let own = docker([
        "inspect",
        "--format",
        "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        &inside.container,
    ]);
    let headers = inside.ask(&format!("{url}/headers"));
    assert!(headers.contains(&format!("x-forwarded-for: {}\n", own.trim())), "{headers}");
    assert!(headers.contains("x-forwarded-proto: http\n"), "{headers}");
    let busy = Inside::of(&on, "busy").await;
    let answer = busy.run(&["wget", "-q", "-O", "-", &format!("{url}/")]);
    assert!(answer.starts_with("version=b1 "), "{answer}");
    // busybox' nslookup reads no file: this is the box's name server, by way of the engine's.
    let known = busy.run(&["nslookup", "billing.internal"]);
    assert!(known.contains(&gateway(&on).await), "{known}");
    let unknown = busy.run(&["nslookup", "shop.internal"]);
    assert!(unknown.contains("NXDOMAIN"), "{unknown}");

    let metrics = on.run(&["metrics", "--json"]).await.success().stdout;
    let metrics: Value = serde_json::from_str(&metrics).expect("JSON");
    let calls = metrics["calls"].as_array().expect("a list").clone();
    let shops = calls.iter().find(|call| call["caller"] == "shop").expect("the pair");
    assert_eq!((shops["app"].as_str(), shops["requests"]["2xx"].as_u64()), (Some("billing"), Some(2)));
    let graph = on.run(&["status", "--graph"]).await.success().stdout;
    assert_eq!(graph, "busy  up\n└─ billing  up\nshop  up\n└─ billing  up\n");

    on.run(&["down", "billing", "--yes"]).await.success();
    let answer = inside.ask(&format!("{url}/"));
    assert!(answer.starts_with("404 "), "{answer}");
    let graph = on.run(&["status", "--graph"]).await.success().stdout;
    assert!(graph.contains("shop  up, degraded: billing is down\n└─ billing  is not there\n"), "{graph}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_link_nothing_of_another_app_is_reached() {
    let on = TestBox::new();
    let port = on.http().port();
    let billing = on.project("billing");
    billing.deploy(&TestApp::version("b1").table("[proxy]\npublic = false")).await.success();
    let (shop, friend) = (on.project("shop"), on.project("friend"));
    up(&shop, PYTHON).await;
    up(&friend, &format!("{PYTHON}{LINK}")).await;

    let inside = Inside::of(&on, "shop").await;
    let answer = inside.ask(&format!("http://billing.internal:{port}/"));
    assert!(answer.starts_with("failed: "), "it has no such name: {answer}");
    let gateway = gateway(&on).await;
    let ask_as = |inside: &Inside, host: &str| {
        let script = format!(
            "import http.client\nc = http.client.HTTPConnection('{gateway}', {port}, timeout=20)\n\
             c.request('GET', '/', headers={{'Host': '{host}'}})\nr = c.getresponse()\n\
             print(r.status, r.read().decode())"
        );
        inside.run(&["python3", "-c", &script])
    };
    let answer = ask_as(&inside, "billing.internal");
    assert!(answer.starts_with("403 "), "{answer}");
    assert!(answer.contains("app `shop` may not call `billing`"), "{answer}");
    assert!(answer.contains("Add `billing = \"billing\"` to `[link]` in the manifest of `shop`"), "{answer}");
    // It is not public, so that its own host is nobody's; and one that is public is led to https like anybody.
    assert!(ask_as(&inside, "billing.localhost").starts_with("404 "));
    assert!(ask_as(&inside, "friend.localhost").starts_with("308 "));
    assert_eq!(on.get("billing.localhost", "/").await.status, 404);
    // Somebody who is no container: to him there is no such host.
    let reply = crate::support::client::Client::connect(on.http())
        .await
        .send(crate::support::client::get("billing.internal", "/"))
        .await;
    assert_eq!(reply.status, 404, "{}", reply.body);

    // The containers themselves do not reach each other.
    let other = Inside::of(&on, "billing").await;
    let addr = docker([
        "inspect",
        "--format",
        "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        &other.container,
    ]);
    let script = format!(
        "import socket\ns = socket.socket(); s.settimeout(2)\ntry:\n    s.connect(('{}', 8080)); print('open')\n\
         except Exception as error: print('closed', error)",
        addr.trim()
    );
    let answer = inside.run(&["python3", "-c", &script]);
    assert!(answer.starts_with("closed"), "{answer}");

    let friends = Inside::of(&on, "friend").await;
    let answer = friends.ask(&format!("http://billing.internal:{port}/"));
    assert!(answer.starts_with("200 version=b1 "), "{answer}");
    up(&shop, &format!("{PYTHON}{LINK}")).await;
    let answer = Inside::of(&on, "shop").await.ask(&format!("http://billing.internal:{port}/"));
    assert!(answer.starts_with("200 version=b1 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_through_a_swap_and_come_back_after_a_crash() {
    let on = TestBox::new();
    let daemon = on.serve(&[]).await;
    let url = format!("http://billing.internal:{}/", on.http().port());
    let (billing, shop) = (on.project("billing"), on.project("shop"));
    billing.deploy(&TestApp::version("b1")).await.success();
    up(&shop, &format!("{PYTHON}{LINK}")).await;
    let inside = Inside::of(&on, "shop").await;

    let asking = inside.start(&["python3", "-c", ASK_ON, &url]);
    for version in ["b2", "b3"] {
        billing.deploy(&TestApp::version(version)).await.success();
    }
    inside.run(&["touch", "/tmp/stop"]);
    let told = asking.finish().await.success().stdout;
    assert!(told.contains("version=b1") && told.contains("version=b3"), "{told}");
    assert!(!told.contains("failed"), "{told}");
    println!("through two swaps: {}", told.trim());

    daemon.kill();
    let without =
        inside.run(&["python3", "-c", "import socket; print(socket.gethostbyname('billing.internal'))"]);
    assert_eq!(without.trim(), gateway_of(&on), "names do not need the daemon");
    let _daemon = on.serve(&[]).await;
    until("it is called again", || inside.ask(&url).starts_with("200 version=b3 ")).await;
}

/// The gateway of the box's network, while no daemon runs that would tell the box's id.
fn gateway_of(on: &TestBox) -> String {
    let store = minipaas::store::Store::open(&on.home()).expect("nobody has it open");
    let network = format!("minipaas-{}", store.box_id());
    docker(["network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", &network])
        .trim()
        .to_owned()
}
