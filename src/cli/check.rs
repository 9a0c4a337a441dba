//! `minipaas export --check`: what a cluster of a version would refuse, told before anybody applies it.
//!
//! Standard output has a line for each problem, under the object that it is about; whether there are any is the exit code. The
//! check is offline and pure ([`export::check`](crate::export::check)): nothing is asked of a cluster.

use serde::Serialize;

use super::failure::Failure;
use super::output::{Output, count};
use crate::export::check::{self, Judge, Problem};
use crate::export::{Object, Version};

/// The result with `--json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report<'a> {
    /// For which version it was checked.
    kubernetes: String,
    /// How many objects there are.
    objects: usize,
    problems: Vec<Row<'a>>,
}

/// One problem with `--json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row<'a> {
    kind: &'a str,
    name: &'a str,
    /// Empty: the object as a whole.
    field: &'a str,
    /// `schema` or `server`.
    judge: &'static str,
    rule: &'a str,
}

/// Checks the objects and prints what is wrong with them; anything that is fails the command.
///
/// # Errors
///
/// A usage error for a version whose schemas are not known, a failure if there are problems.
pub(crate) fn run(out: Output, objects: &[Object], version: Version) -> Result<(), Failure> {
    let problems = check::check(objects, version).map_err(|error| Failure::usage(error.to_string()))?;
    if out.is_json() {
        out.json(&Report::new(objects, version, &problems))?;
    } else {
        lines(&problems).iter().try_for_each(|line| out.line(line))?;
    }
    let wrong = apart(&problems).len();
    if wrong > 0 {
        let objects = count(objects.len(), "object");
        return Err(Failure::failed(format!("Kubernetes {version} would not take {wrong} of {objects}")));
    }
    out.notice(format_args!("Kubernetes {version} takes {}", count(objects.len(), "object")));
    Ok(())
}

/// Each object with problems, and below it what they are.
fn lines(problems: &[Problem]) -> Vec<String> {
    let told = |of_one: &[Problem]| {
        let head = of_one.first().map(|problem| format!("{} `{}`", problem.kind, problem.name));
        let rest = of_one.iter().map(|problem| match problem.field.as_str() {
            "" => format!("  {}", problem.rule),
            field => format!("  {field} {}", problem.rule),
        });
        head.into_iter().chain(rest).collect::<Vec<_>>()
    };
    apart(problems).into_iter().flat_map(told).collect()
}

/// The problems of each object.
fn apart(problems: &[Problem]) -> Vec<&[Problem]> {
    problems.chunk_by(|a, b| (&a.kind, &a.name) == (&b.kind, &b.name)).collect()
}

impl<'a> Report<'a> {
    fn new(objects: &[Object], version: Version, problems: &'a [Problem]) -> Self {
        let row = |problem: &'a Problem| Row {
            kind: &problem.kind,
            name: &problem.name,
            field: &problem.field,
            judge: match problem.judge {
                Judge::Schema => "schema",
                Judge::Server => "server",
            },
            rule: &problem.rule,
        };
        Self {
            kubernetes: version.to_string(),
            objects: objects.len(),
            problems: problems.iter().map(row).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    const VERSION: Version = Version { major: 1, minor: 33 };

    fn objects() -> Vec<Object> {
        let service = |name: &str, spec| {
            let value =
                json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": spec });
            Object { app: None, value, comments: Vec::new() }
        };
        vec![
            service("shop", json!({ "port": 80, "ports": [{ "port": 0 }] })),
            service("good", json!({ "ports": [{ "port": 80 }] })),
            service("blog", json!({ "ports": [] })),
        ]
    }

    #[test]
    fn problems_stand_below_their_objects() {
        let problems = check::check(&objects(), VERSION).unwrap();
        expect![[r"
            Service `shop`
              spec.port is no field that there is; did you mean `ports`?
              spec.ports[0].port is 0, which is no port; 1 to 65535
            Service `blog`
              spec.ports is empty"]]
        .assert_eq(&lines(&problems).join("\n"));
    }

    #[test]
    fn json_has_each_problem_with_its_judge() {
        let objects = objects();
        let problems = check::check(&objects, VERSION).unwrap();
        let report = serde_json::to_value(Report::new(&objects, VERSION, &problems)).unwrap();
        assert_eq!(report["kubernetes"], "1.33");
        assert_eq!(report["objects"], 3);
        assert_eq!(
            report["problems"][0],
            json!({ "kind": "Service", "name": "shop", "field": "spec.port", "judge": "schema",
                    "rule": "is no field that there is; did you mean `ports`?" })
        );
        assert_eq!(report["problems"][1]["judge"], "server");
    }
}
