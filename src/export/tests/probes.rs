//! Probes, as a kubelet gets them.

use std::time::Duration;

use expect_test::{Expect, expect};

use super::{Healthcheck, Subject, at_of, check_notes, exported, notes, subject};

const CONTAINER: &str = "/spec/template/spec/containers/0";

/// Startup, readiness and liveness of `web`.
#[track_caller]
fn check_probes(toml: &str, expected: &Expect) {
    check_probes_of(subject(toml), expected);
}

#[track_caller]
fn check_probes_of(subject: Subject, expected: &Expect) {
    let export = exported(subject);
    let mut text = String::new();
    for key in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let probe = at_of(&export, "Deployment", "shop", &format!("{CONTAINER}/{key}"));
        text += &format!("{key}: {probe}\n");
    }
    let settle = at_of(&export, "Deployment", "shop", "/spec/minReadySeconds");
    text += &format!("minReadySeconds: {settle}\n{}", notes(&export));
    expected.assert_eq(&text);
}

#[test]
fn without_a_probe_readiness_is_that_the_port_accepts() {
    check_probes(
        "",
        &expect![[r#"
            startupProbe: {"failureThreshold":60,"periodSeconds":1,"tcpSocket":{"port":"http"},"timeoutSeconds":5}
            readinessProbe: {"failureThreshold":3,"periodSeconds":10,"tcpSocket":{"port":"http"},"timeoutSeconds":5}
            livenessProbe: null
            minReadySeconds: null
        "#]],
    );
}

#[test]
fn a_startup_probe_of_the_manifest_goes_before_readiness() {
    check_probes(
        "[process.web]\nstartup = { tcp = true, deadline = \"5m\" }\nready = { http = \"/up?x=1\", port = 9000 }\n\
         live = { command = \"test -e $HOME/ok || echo $(date)\" }\n",
        &expect![[r#"
            startupProbe: {"failureThreshold":300,"periodSeconds":1,"tcpSocket":{"port":"http"},"timeoutSeconds":5}
            readinessProbe: {"failureThreshold":3,"httpGet":{"httpHeaders":[{"name":"Host","value":"shop"},{"name":"X-Forwarded-Proto","value":"https"}],"path":"/up?x=1","port":9000},"periodSeconds":10,"timeoutSeconds":5}
            livenessProbe: {"exec":{"command":["/bin/sh","-c","test -e $HOME/ok || echo $$(date)"]},"failureThreshold":3,"periodSeconds":10,"timeoutSeconds":5}
            minReadySeconds: null
            changed: http probes: a kubelet takes 200 to 399 for well, and follows a redirect; the box takes 2xx alone
            changed: [process.web] live: asked from when the pod has started; on the box from when it was ready once
        "#]],
    );
}

#[test]
fn grpc_is_asked_by_number() {
    check_probes(
        "[process.web]\nready = { grpc = \"shop.v1\" }\nlive = { grpc = true, port = 9000, interval = \"500ms\" }\n",
        &expect![[r#"
            startupProbe: {"failureThreshold":60,"grpc":{"port":8080,"service":"shop.v1"},"periodSeconds":1,"timeoutSeconds":5}
            readinessProbe: {"failureThreshold":3,"grpc":{"port":8080,"service":"shop.v1"},"periodSeconds":10,"timeoutSeconds":5}
            livenessProbe: {"failureThreshold":3,"grpc":{"port":9000},"periodSeconds":1,"timeoutSeconds":5}
            minReadySeconds: null
            changed: durations: a cluster counts whole seconds, so they are rounded up: [process.web] live interval = 500ms is 1 s
        "#]],
    );
}

#[test]
fn the_body_of_a_health_check_is_not_read() {
    check_probes(
        "[process.web]\nready = { hootsuite = true }\n",
        &expect![[r#"
            startupProbe: {"failureThreshold":60,"httpGet":{"httpHeaders":[{"name":"Host","value":"shop"},{"name":"X-Forwarded-Proto","value":"https"}],"path":"/status/aggregate","port":"http"},"periodSeconds":1,"timeoutSeconds":5}
            readinessProbe: {"failureThreshold":3,"httpGet":{"httpHeaders":[{"name":"Host","value":"shop"},{"name":"X-Forwarded-Proto","value":"https"}],"path":"/status/aggregate","port":"http"},"periodSeconds":10,"timeoutSeconds":5}
            livenessProbe: null
            minReadySeconds: null
            dropped: [process.web] ready: a kubelet sees that `/status/aggregate` answers, and not the `CRIT` in its body: have the app answer 503 then, at a path of its own, and write `http = "…"`
        "#]],
    );
}

#[test]
fn a_healthcheck_is_run_in_the_container() {
    let with = |toml: &str, test: &[&str]| {
        let mut subject = subject(toml);
        subject.image.healthcheck = Some(Healthcheck {
            test: test.iter().map(|word| (*word).to_owned()).collect(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_millis(2_500),
            start_period: Duration::from_secs(120),
            retries: 0,
        });
        subject
    };
    check_probes_of(
        with("", &["CMD-SHELL", "curl -f localhost || exit 1"]),
        &expect![[r#"
            startupProbe: {"exec":{"command":["/bin/sh","-c","curl -f localhost || exit 1"]},"failureThreshold":24,"periodSeconds":5,"timeoutSeconds":3}
            readinessProbe: {"exec":{"command":["/bin/sh","-c","curl -f localhost || exit 1"]},"failureThreshold":3,"periodSeconds":30,"timeoutSeconds":3}
            livenessProbe: null
            minReadySeconds: null
            changed: HEALTHCHECK: asked by `/bin/sh -c` in the container, whatever SHELL the Dockerfile says
        "#]],
    );
    check_probes_of(
        with("", &["NONE"]),
        &expect![[r#"
            startupProbe: {"failureThreshold":60,"periodSeconds":1,"tcpSocket":{"port":"http"},"timeoutSeconds":5}
            readinessProbe: {"failureThreshold":3,"periodSeconds":10,"tcpSocket":{"port":"http"},"timeoutSeconds":5}
            livenessProbe: null
            minReadySeconds: null
        "#]],
    );
    check_probes_of(
        with("[process.web]\nlive = { docker = true }\n", &["NONE"]),
        &expect![[r#"
            startupProbe: {"failureThreshold":60,"periodSeconds":1,"tcpSocket":{"port":"http"},"timeoutSeconds":5}
            readinessProbe: {"failureThreshold":3,"periodSeconds":10,"tcpSocket":{"port":"http"},"timeoutSeconds":5}
            livenessProbe: null
            minReadySeconds: null
            dropped: [process.web] live: the image has no HEALTHCHECK, so there is nothing to ask; write `http`, `tcp` or `command`
        "#]],
    );
}

#[test]
fn a_check_without_a_port_is_dropped_and_named() {
    check_notes(
        "[process.bot]\nready = { http = \"/up\" }\nlive = { grpc = true }\n",
        &expect![[r#"
        changed: http probes: a kubelet takes 200 to 399 for well, and follows a redirect; the box takes 2xx alone
        dropped: [process.bot] ready: `bot` has no port to ask at; set `port` in [process.bot]
        dropped: [process.bot] live: `bot` has no port to ask at; set `port` in [process.bot]
    "#]],
    );
}
