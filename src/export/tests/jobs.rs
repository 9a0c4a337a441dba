//! The release's own command, and jobs that run at times.

use expect_test::expect;

use super::{at_of, check_notes, exported, notes, object, printed, subject};

#[test]
fn a_release_command_as_a_person_reads_it() {
    let export = exported(subject("[release]\ncommand = \"npm run migrate\"\ndeadline = \"10m\"\n"));
    expect![[r#"
        # : once, before what follows: kubectl wait --for=condition=complete job/shop-release-v42
        # /spec/backoffLimit: once: a command that failed half-way is not simply run again
        apiVersion: batch/v1
        kind: Job
        metadata:
          labels:
            app.kubernetes.io/component: release
            app.kubernetes.io/managed-by: minipaas
            app.kubernetes.io/name: shop
            app.kubernetes.io/version: v42
          name: shop-release-v42
        spec:
          activeDeadlineSeconds: 600
          backoffLimit: 0
          template:
            metadata:
              annotations:
                minipaas.dev/config-hash: 5e63268339fc2f68
              labels:
                app.kubernetes.io/component: release
                app.kubernetes.io/managed-by: minipaas
                app.kubernetes.io/name: shop
                app.kubernetes.io/version: v42
                version: v42
            spec:
              automountServiceAccountToken: false
              containers:
              - args:
                - npm
                - run
                - migrate
                env:
                - name: MINIPAAS_PROCESS
                  value: release
                - name: MINIPAAS_INSTANCE
                  valueFrom:
                    fieldRef:
                      fieldPath: metadata.name
                envFrom:
                - configMapRef:
                    name: shop
                image: >-
                  ghcr.io/acme/shop@sha256:0000000000000000000000000000000000000000000000000000000000000000
                imagePullPolicy: IfNotPresent
                name: release
                securityContext:
                  allowPrivilegeEscalation: false
                  capabilities:
                    drop:
                    - ALL
              enableServiceLinks: false
              restartPolicy: Never
              securityContext:
                runAsNonRoot: true
                runAsUser: 1000
                seccompProfile:
                  type: RuntimeDefault
              serviceAccountName: shop
              shareProcessNamespace: true
          ttlSecondsAfterFinished: 604800
    "#]]
    .assert_eq(&printed(object(&export, "Job", "shop-release-v42")));
    expect![[r#"
        to do: [release] command: `kubectl apply` of everything starts the Job `shop-release-v42` and the new pods together: apply what comes before it and the Job, wait for it, then the rest; `--apply`, and Helm's hooks, do
    "#]].assert_eq(&notes(&export));
}

#[test]
fn a_job_as_a_person_reads_it() {
    let toml = "[cron.report]\nschedule = \"@daily\"\ntimezone = \"europe/berlin\"\ncommand = \"report > /dev/null\"\n\
                memory = \"1G\"\n[volume.data]\npath = \"/data\"\n";
    let mut subject = subject(toml);
    subject.suspended.insert("report".to_owned());
    let export = exported(subject);
    expect![[r#"
        # /spec/jobTemplate/spec/template/spec/containers/0/resources: asked for as much as the limit, as the box had it to give; ask for less where nodes are full
        # /spec/startingDeadlineSeconds: as on the box, a run that was missed is made up for so long
        # /spec/schedule: `@daily` in the manifest
        apiVersion: batch/v1
        kind: CronJob
        metadata:
          labels:
            app.kubernetes.io/component: cron-report
            app.kubernetes.io/managed-by: minipaas
            app.kubernetes.io/name: shop
            app.kubernetes.io/version: v42
          name: shop-report
        spec:
          concurrencyPolicy: Forbid
          failedJobsHistoryLimit: 3
          jobTemplate:
            metadata:
              labels:
                app.kubernetes.io/component: cron-report
                app.kubernetes.io/managed-by: minipaas
                app.kubernetes.io/name: shop
                app.kubernetes.io/version: v42
            spec:
              activeDeadlineSeconds: 3600
              backoffLimit: 0
              template:
                metadata:
                  annotations:
                    minipaas.dev/config-hash: 5e63268339fc2f68
                  labels:
                    app.kubernetes.io/component: cron-report
                    app.kubernetes.io/managed-by: minipaas
                    app.kubernetes.io/name: shop
                    app.kubernetes.io/version: v42
                    version: v42
                spec:
                  automountServiceAccountToken: false
                  containers:
                  - args:
                    - /bin/sh
                    - -c
                    - report > /dev/null
                    env:
                    - name: MINIPAAS_PROCESS
                      value: cron-report
                    - name: MINIPAAS_INSTANCE
                      valueFrom:
                        fieldRef:
                          fieldPath: metadata.name
                    envFrom:
                    - configMapRef:
                        name: shop
                    image: >-
                      ghcr.io/acme/shop@sha256:0000000000000000000000000000000000000000000000000000000000000000
                    imagePullPolicy: IfNotPresent
                    name: cron-report
                    resources:
                      limits:
                        memory: 1Gi
                      requests:
                        memory: 1Gi
                    securityContext:
                      allowPrivilegeEscalation: false
                      capabilities:
                        drop:
                        - ALL
                  enableServiceLinks: false
                  restartPolicy: Never
                  securityContext:
                    runAsNonRoot: true
                    runAsUser: 1000
                    seccompProfile:
                      type: RuntimeDefault
                  serviceAccountName: shop
                  shareProcessNamespace: true
          schedule: 0 0 * * *
          startingDeadlineSeconds: 300
          successfulJobsHistoryLimit: 3
          suspend: true
          timeZone: Europe/Berlin
    "#]].assert_eq(&printed(object(&export, "CronJob", "shop-report")));
}

#[test]
fn a_job_overlaps_only_where_it_may() {
    let toml = "[cron.a]\nschedule = \"@daily\"\ncommand = \"a\"\noverlap = true\n[cron.b]\nschedule = \"@daily\"\ncommand = \"b\"\n";
    let export = exported(subject(toml));
    assert_eq!(at_of(&export, "CronJob", "shop-a", "/spec/concurrencyPolicy"), "Allow");
    assert_eq!(at_of(&export, "CronJob", "shop-b", "/spec/concurrencyPolicy"), "Forbid");
    assert!(at_of(&export, "CronJob", "shop-a", "/spec/suspend").is_null());
}

#[test]
fn a_schedule_that_a_cluster_cannot_keep_is_told() {
    check_notes(
        "[cron.a]\nschedule = \"*/10 * * * * *\"\ncommand = \"a\"\n[cron.b]\nschedule = \"0 9 * * 5L\"\ncommand = \"b\"\n\
         [cron.c]\nschedule = \"30 0 9 * * *\"\ncommand = \"c\"\n",
        &expect![[r#"
            dropped: [cron.a] schedule: a cluster knows no seconds: of `*/10 * * * * *` one run of 6 in a minute is left; a process type that does it in a loop keeps all
            dropped: [cron.b] schedule: no CronJob is written: `0 9 * * 5L` names years, or counts weekdays, which a cluster cannot; let it run on more days, and have the command look which day it is
            changed: [cron.c] schedule: a cluster knows no seconds: `30 0 9 * * *` runs 30 s earlier, at the full minute
        "#]],
    );
}
