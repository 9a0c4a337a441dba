use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{NAME, ONE, install, open, try_open};
use crate::support::eventually;

/// A shell script, and the directory that it and what it writes are in.
fn script(dir: &Path, body: &str) -> PathBuf {
    let path = dir.join("hook");
    let source = dir.join("hook.source");
    fs::write(&source, format!("#!/bin/sh\ncd \"$(dirname \"$0\")\"\n{body}\n")).unwrap();
    install(&source, &path);
    path
}

#[tokio::test]
async fn it_is_called_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let body =
        r#"echo "$1 $2 $3 $# $MINIPAAS_DNS_NAME $MINIPAAS_DNS_VALUE" >>calls; echo noise; echo noise >&2"#;
    let path = script(dir.path(), body);
    let hook = open("hook", &[("HOOK_COMMAND", path.to_str().unwrap())]);
    hook.add_txt("_ACME-challenge.shop.example.test.", ONE).await.unwrap();
    hook.remove_txt(NAME, ONE).await.unwrap();
    let calls = fs::read_to_string(dir.path().join("calls")).unwrap();
    assert_eq!(calls, format!("add {NAME} {ONE} 3 {NAME} {ONE}\nremove {NAME} {ONE} 3 {NAME} {ONE}\n"));
    assert!(hook.add_txt("a;b", ONE).await.is_err() && hook.add_txt(NAME, "$(x) y").await.is_err());
}

#[tokio::test]
async fn the_end_of_its_standard_error_is_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    // More than a pipe holds, so that it would hang if nobody read.
    let body = "i=0; while [ $i -lt 3000 ]; do echo 'line of no interest to anybody at all' >&2; i=$((i+1)); done\n\
                echo 'no such zone' >&2; echo >&2; exit 3";
    let path = script(dir.path(), body);
    let hook = open("hook", &[("HOOK_COMMAND", path.to_str().unwrap())]);
    let error = hook.add_txt(NAME, ONE).await.unwrap_err().to_string();
    let expected = format!(
        "DNS provider `hook` did not add the TXT record of `{NAME}`: `{}` ended with exit status: 3: ",
        path.display()
    );
    assert!(error.starts_with(&expected) && error.ends_with("| no such zone"), "{error}");
    assert!(error.len() < 3000, "{}", error.len());
}

#[tokio::test]
async fn a_child_that_holds_its_standard_error_open_delays_nothing_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(dir.path(), "sleep 600 & echo $! >child; exit 0");
    let hook = open("hook", &[("HOOK_COMMAND", path.to_str().unwrap())]);
    hook.add_txt(NAME, ONE).await.unwrap();
    let child = fs::read_to_string(dir.path().join("child")).unwrap();
    // What it left running goes on.
    assert!(Path::new(&format!("/proc/{}", child.trim())).exists());
    assert!(Command::new("kill").arg(child.trim()).status().await.unwrap().success());
}

#[tokio::test]
async fn it_is_killed_with_all_its_children_when_its_time_is_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(dir.path(), "echo working >&2; sleep 600 & echo $! >child; sleep 600");
    let hook = open("hook", &[("HOOK_COMMAND", path.to_str().unwrap()), ("HOOK_TIMEOUT", "1")]);
    let error = hook.remove_txt(NAME, ONE).await.unwrap_err().to_string();
    let expected =
        format!("`{}` was killed, as it took longer than 1 s (`HOOK_TIMEOUT`): working", path.display());
    assert!(error.ends_with(&expected), "{error}");
    let child = fs::read_to_string(dir.path().join("child")).unwrap();
    eventually("the child is dead", || is_dead(child.trim())).await;
}

#[tokio::test]
async fn it_is_killed_when_nobody_waits_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(dir.path(), "sleep 600 & echo $! >child.tmp; mv child.tmp child; sleep 600");
    let hook = open("hook", &[("HOOK_COMMAND", path.to_str().unwrap())]);
    let call = tokio::spawn(async move { hook.add_txt(NAME, ONE).await });
    let file = dir.path().join("child");
    eventually("it has started", || file.exists()).await;
    let child = fs::read_to_string(&file).unwrap();
    call.abort();
    eventually("the child is dead", || is_dead(child.trim())).await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let hook = open("hook", &[("HOOK_COMMAND", "/nowhere/hook")]);
    let error = hook.add_txt(NAME, ONE).await.unwrap_err();
    let expected =
        format!("DNS provider `hook` could not use `/nowhere/hook` to add the TXT record of `{NAME}`");
    assert_eq!(error.to_string(), expected);
    let credentials = [("HOOK_COMMAND", "/bin/true"), ("HOOK_TIMEOUT", "1h")];
    let error = try_open("hook", &credentials).unwrap_err().to_string();
    assert_eq!(error, "`HOOK_TIMEOUT` of DNS provider `hook` is no number of seconds from 1 to 3600");
}

/// Gone, or a zombie that nobody has asked after.
fn is_dead(process: &str) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat"))
        .map_or(true, |stat| stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z')))
}
