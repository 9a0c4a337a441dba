//! What an export of many apps takes: `minipaas export --all` of 100 apps, as one text and as a chart.
//!
//!     cargo bench --profile dev --bench export
//!
//! Each app has two process types, a job, variables and a route. One of them runs a container; no other has an instance, as an
//! export asks for none. The time is that of the whole command: the box's answer, with a look at each image, and the text. The goal
//! is at most 1 s.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it found")]

#[allow(dead_code, reason = "each benchmark uses its part")]
mod support;

use std::fs;

use tokio::time::Instant;

use support::{Bench, spread};

const APPS: usize = 100;
const ROUNDS: usize = 10;

fn main() {
    let image = support::image::test_app_image();
    let project = tempfile::tempdir().expect("a temporary folder can be made");
    let mut bench = Bench::start();
    for number in 1..=APPS {
        let manifest = format!(
            r#"
            [build]
            image = "{image}"
            [env]
            GREETING = "hello"
            NUMBER = "{number}"
            [process.web]
            replicas = {replicas}
            [process.worker]
            command = "work"
            replicas = 0
            [cron.report]
            schedule = "0 3 * * *"
            command = "report"
            [[route]]
            host = "shop-{number}.example.com"
            "#,
            replicas = usize::from(number == 1),
        );
        fs::write(project.path().join("minipaas.toml"), manifest).expect("the folder can be written");
        bench.up(project.path(), &format!("shop-{number}"));
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = folder.path().to_str().expect("the path is text");
    for (what, args) in [
        ("one text", &["export", "--all"][..]),
        ("files", &["export", "--all", "-o", folder]),
        ("a chart", &["export", "--all", "-o", folder, "--format", "helm"]),
    ] {
        let times = (0..ROUNDS).map(|_| {
            let began = Instant::now();
            let output = bench.minipaas(args);
            let took = began.elapsed();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            took
        });
        println!("{APPS} apps as {what:<9} {}", spread(times.collect()));
    }
}
