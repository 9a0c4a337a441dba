//! What `minipaas up` costs beyond running the container: `up` of an image that is there against `docker run` and the
//! app's own readiness, one after the other in each round, so that both see the same machine.
//!
//!     cargo bench --profile dev --bench up_overhead
//!
//! `first` is the app's first release, `next` one that takes over from another, old instance and all. The goal
//! is at most 300 ms.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it found")]

#[allow(dead_code, reason = "each benchmark uses its part")]
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use support::docker::{docker, docker_succeeds};
use support::{Bench, median, project, spread, write_manifest};

const ROUNDS: usize = 15;
/// The network of the containers that are run by hand.
const NETWORK: &str = "minipaas-bench";
/// What marks the leftovers of a run that was cut short.
const LABEL: &str = "minipaas.testbed=1";
/// `docker run` is given up on after this.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

fn main() {
    let image = support::image::test_app_image();
    let project = project(&image);
    let mut bench = Bench::start();
    // The first of all makes the box's network; and whatever is cold gets warm.
    bench.up(project.path(), "warm-up");
    docker_succeeds(["network", "create", "--label", LABEL, NETWORK]);
    run_by_hand(&image);

    let (mut by_hand, mut first, mut next) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        by_hand.push(run_by_hand(&image));
        write_manifest(project.path(), &image, 2 * round);
        first.push(bench.up(project.path(), "bench"));
        write_manifest(project.path(), &image, 2 * round + 1);
        next.push(bench.up(project.path(), "bench"));
        bench.down("bench");
    }
    docker_succeeds(["network", "rm", NETWORK]);
    println!("docker run, ready    {}", spread(by_hand.clone()));
    println!("minipaas up, first   {}", spread(first.clone()));
    println!("minipaas up, next    {}", spread(next.clone()));
    let base = median(by_hand);
    for (name, times) in [("first", first), ("next", next)] {
        let beyond = median(times).as_secs_f64() - base.as_secs_f64();
        println!("beyond docker run, {name:<5} {:.0} ms (goal: 300 ms)", beyond * 1000.0);
    }
}

/// From `docker run` to the first 200 of `/up`, on a network of its own as minipaas has one; the container is removed
/// afterwards.
fn run_by_hand(image: &str) -> Duration {
    let began = Instant::now();
    let id = docker([
        "run",
        "--detach",
        "--init",
        "--env",
        "PORT=8080",
        "--label",
        LABEL,
        "--network",
        NETWORK,
        image,
    ]);
    let addr =
        docker(["inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", &id]);
    while !is_ready(&addr) {
        assert!(began.elapsed() < READY_TIMEOUT, "the test app is not ready");
        thread::sleep(Duration::from_millis(2));
    }
    let took = began.elapsed();
    docker_succeeds(["rm", "--force", "--volumes", &id]);
    took
}

fn is_ready(addr: &str) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect((addr, 8080))?;
        stream.write_all(b"GET /up HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}
