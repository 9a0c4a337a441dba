//! `[release] command`: a Job that ends well before anything of the release starts.

use k8s_openapi::api::batch::v1::{Job, JobSpec};

use super::Draft;
use super::pod::Pod;
use super::unit;
use crate::export::object::{NoteKind, Object, Sheet};
use crate::name::ProcessType;

/// For how long its log can be read: until everybody is back from the weekend.
const KEPT_SECONDS: i32 = 7 * 24 * 60 * 60;

/// Adds the Job, if the release has a command.
pub(super) fn add(draft: &Draft<'_>, sheet: &mut Sheet<'_>) {
    let subject = draft.subject;
    let Some(release) = &subject.manifest.release else { return };
    let part = ProcessType::release();
    let pod = Pod {
        part: part.as_str(),
        command: Some(&release.command),
        memory: None,
        cpu: None,
        port: None,
        ports: Vec::new(),
        volumes: Vec::new(),
        runs_once: true,
    };
    let name = draft.names.release(subject.release);
    let job = Job {
        metadata: draft.metadata(name.clone(), Some(part.as_str())),
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            active_deadline_seconds: Some(unit::positive(release.deadline).into()),
            ttl_seconds_after_finished: Some(KEPT_SECONDS),
            template: pod.template(draft),
            ..JobSpec::default()
        }),
        ..Job::default()
    };
    let object = pod
        .commented(Object::new(&subject.app, &job), "/spec/template", &draft.user)
        .comment("", format!("once, before what follows: kubectl wait --for=condition=complete job/{name}"))
        .comment("/spec/backoffLimit", "once: a command that failed half-way is not simply run again");
    sheet.add(object);
    sheet.note(
        NoteKind::Todo,
        "[release] command",
        format!(
            "`kubectl apply` of everything starts the Job `{name}` and the new pods together: apply what comes before it and the Job, \
             wait for it, then the rest; `--apply`, and Helm's hooks, do"
        ),
    );
}
