//! Single commands in releases and instances, files and ports of instances, and releases with a command of their own.

mod inside;
mod release;
mod run;
mod tty;

use std::process::{Output, Stdio};

use super::traffic::Poller;
use super::world::{Project, TestBox};

/// A project with a shell: busybox, serving its version.
fn manifest(version: &str, tables: &str) -> String {
    format!(
        "[build]\nimage = \"busybox:stable\"\n\n[env]\nVERSION = \"{version}\"\n\n[process.web]\nport = 8080\n\
         command = \"mkdir -p /www && echo version=$VERSION > /www/index.html && exec httpd -f -p $PORT -h /www\"\n\n{tables}\n"
    )
}

/// A box with one release of it that serves.
async fn serving(on: &TestBox) -> Project<'_> {
    let project = on.project("shop").manifest(&manifest("one", ""));
    project.up().await.success();
    project
}

/// Runs a command to its end, with this input.
fn piped(on: &TestBox, project: &Project<'_>, args: &[&str], input: &[u8]) -> Output {
    tokio::task::block_in_place(|| {
        let mut command = on.command(&project.dir, args, &[]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let mut stdin = child.stdin.take().expect("it is piped");
        let input = input.to_vec();
        let writing = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
        let output = child.wait_with_output().expect("it ends");
        // One that does not read does not mind.
        let _ = writing.join().expect("writing does not panic");
        output
    })
}

/// What is written to standard output, after success.
#[track_caller]
fn said(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}:\n{stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn poller(on: &TestBox) -> Poller {
    Poller::start(on, "shop.localhost").await
}
