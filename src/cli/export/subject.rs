//! From the box's words about an app to what is exported: its manifest, with all that commands have set over it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::api::{
    ExportedApp, ExportedExternal, ExportedImage, ExportedRoute, ExportedSettings, ExportedVariable,
    SourceTexts,
};
use crate::autoscale::Autoscale;
use crate::cli::failure::Failure;
use crate::environment::{Environment, Kind, Variable, VariableName};
use crate::export::{External, Healthcheck, Image, Subject, Upstream};
use crate::external::Address;
use crate::manifest::{self, Manifest, Overrides, ProbeKind, ProbeSetting, RouteRule, Settings, Source};
use crate::name::{AppName, Host, PathPrefix, ProcessType};

/// The app. Images that no registry has are looked for in this one.
pub(super) fn of(app: &ExportedApp, registry: Option<&str>) -> Result<Subject, Failure> {
    let name: AppName = read(&app.name)?;
    let (mut manifest, _) = Manifest::parse(&source(&app.source))?;
    let environment = environment(&app.variables)?;
    manifest.env.extend(environment.variables());
    manifest.secrets = environment.files().collect();
    set_processes(&mut manifest, app)?;
    let hosts = hosts(&app.hosts)?;
    set_proxy(&mut manifest, &overrides(&app.proxy, &app.routes)?, &hosts);
    let confidential = environment.iter().filter(|(_, variable)| variable.kind == Kind::ExportedSecret);
    Ok(Subject {
        release: read(&app.release)?,
        summary: app.summary.clone(),
        confidential: confidential.map(|(name, _)| name.to_string()).collect::<BTreeSet<_>>(),
        image: image(&app.image, &name, &app.release, registry),
        hosts,
        suspended: app.suspended.iter().cloned().collect(),
        manifest,
        app: name,
    })
}

/// The app that is only a route.
pub(super) fn external(app: &ExportedExternal) -> Result<External, Failure> {
    let mut manifest = Manifest::of_routes(&source(&app.source))?;
    let hosts = hosts(&app.hosts)?;
    set_proxy(&mut manifest, &overrides(&app.proxy, &app.routes)?, &hosts);
    let upstream = |text: &String| {
        let address: Address = read(text)?;
        Ok::<_, Failure>(match (address.literal(), address.name()) {
            (Some(address), _) => Upstream::Address(address),
            (None, name) => Upstream::Name(name.unwrap_or_default().to_owned(), address.port()),
        })
    };
    Ok(External {
        app: read(&app.name)?,
        upstreams: app.upstreams.iter().map(upstream).collect::<Result<_, _>>()?,
        path: read(&app.path)?,
        hosts,
        manifest,
    })
}

fn source(texts: &SourceTexts) -> Source {
    let SourceTexts { toml, procfile, files } = texts.clone();
    Source { toml, procfile, files }
}

fn hosts(hosts: &[String]) -> Result<Vec<Host>, Failure> {
    hosts.iter().map(|host| read(host)).collect()
}

/// A word of the box, which is a valid one unless it is of another version.
fn read<T: std::str::FromStr>(text: &str) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| {
        Failure::failed(format!("the box says what this program does not understand: {error}"))
            .hint("the daemon may be of another version: `minipaas doctor` compares them")
    })
}

/// A secret without a value has an empty one.
fn environment(variables: &[ExportedVariable]) -> Result<Environment, Failure> {
    let each = variables.iter().map(|variable| {
        let name: VariableName = read(&variable.name)?;
        let kind = match (variable.is_secret, variable.is_exported) {
            (false, _) => Kind::Plain,
            (true, false) => Kind::Secret,
            (true, true) => Kind::ExportedSecret,
        };
        let value = variable.value.clone().unwrap_or_default();
        let variable =
            Variable::new(&name, value, kind).map_err(|error| Failure::failed(error.to_string()))?;
        Ok((name, variable))
    });
    Ok(Environment::new(each.collect::<Result<Vec<_>, Failure>>()?))
}

fn set_processes(manifest: &mut Manifest, app: &ExportedApp) -> Result<(), Failure> {
    for (name, limits) in &app.limits {
        let Some(process) = manifest.processes.get_mut(&read::<ProcessType>(name)?) else { continue };
        let memory = limits.memory.as_deref().map(manifest::memory).transpose().map_err(Failure::failed)?;
        let cpu = limits.cpu.as_deref().map(manifest::cpu).transpose().map_err(Failure::failed)?;
        process.memory = memory.or(process.memory);
        process.cpu = cpu.or(process.cpu);
    }
    for (name, settings) in &app.probes {
        let Some(process) = manifest.processes.get_mut(&read::<ProcessType>(name)?) else { continue };
        for (kind, text) in settings {
            let kind: ProbeKind = read(kind)?;
            ProbeSetting::parse(kind, text).map_err(Failure::failed)?.apply(kind, process);
        }
    }
    for (name, count) in &app.counts {
        if let Some(process) = manifest.processes.get_mut(&read::<ProcessType>(name)?) {
            process.replicas = *count;
        }
    }
    for (name, rule) in &app.autoscale {
        let Some(process) = manifest.processes.get_mut(&read::<ProcessType>(name)?) else { continue };
        let rule = rule.as_ref().map(|rule| {
            Ok::<_, Failure>(Autoscale { min: rule.min, max: rule.max, target: read(&rule.target)? })
        });
        process.autoscale = rule.transpose()?;
    }
    Ok(())
}

fn overrides(proxy: &ExportedSettings, routes: &[ExportedRoute]) -> Result<Overrides, Failure> {
    let settings = |settings: &ExportedSettings| Settings {
        values: settings.values.clone(),
        files: settings.files.clone(),
    };
    let routes = routes.iter().map(|route| {
        let name = (read::<Host>(&route.host)?, read::<PathPrefix>(&route.path)?);
        Ok((name, settings(&route.settings)))
    });
    let routes = routes.collect::<Result<BTreeMap<_, _>, Failure>>()?;
    Ok(Overrides { app: settings(proxy), routes })
}

/// Puts `proxy set` over what the manifest says. What does not fit it is ignored, as on the box.
fn set_proxy(manifest: &mut Manifest, overrides: &Overrides, hosts: &[Host]) {
    if overrides.is_empty() {
        return;
    }
    let own = hosts.first();
    let mut left: BTreeSet<_> = overrides.routes.keys().collect();
    for rule in &mut manifest.routes {
        let Some(host) = rule.host.as_ref().or(own) else { continue };
        let name = (host.clone(), rule.path.clone());
        left.remove(&name);
        (rule.policy, _) = overrides.apply(&name, &rule.policy);
    }
    // Hosts that no rule is about lead to `web`: what is said of one of them alone makes it a rule.
    for name in left.into_iter().filter(|(host, path)| hosts.contains(host) && *path == PathPrefix::root()) {
        let (policy, _) = overrides.apply(name, &manifest.proxy);
        let (host, path) = name.clone();
        let host = Some(host).filter(|host| Some(host) != own);
        let process = ProcessType::web();
        manifest.routes.push(RouteRule { host, path, process, strip_prefix: false, policy });
    }
    let (policy, _) = overrides.app.apply(&manifest.proxy);
    manifest.proxy = Arc::new(policy);
}

fn image(image: &ExportedImage, app: &AppName, release: &str, registry: Option<&str>) -> Image {
    let reference = match (&image.pinned, registry) {
        (None, Some(registry)) => format!("{registry}/{app}:{release}"),
        _ => image.reference.clone(),
    };
    Image {
        reference,
        pinned: image.pinned.clone(),
        exposed_ports: image.exposed_ports.clone(),
        user: image.user.clone(),
        entrypoint: image.entrypoint.clone(),
        command: image.command.clone(),
        healthcheck: image.healthcheck.as_ref().map(|check| Healthcheck {
            test: check.test.clone(),
            interval: Duration::from_millis(check.interval_ms),
            timeout: Duration::from_millis(check.timeout_ms),
            start_period: Duration::from_millis(check.start_period_ms),
            retries: check.retries,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::autoscale::Target;
    use crate::manifest::Check;

    const TOML: &str = "
        [process.web]
        replicas = 2
        memory = \"256M\"
        [process.worker]
        command = \"work\"
        autoscale = { min = 1, max = 3, cpu = 70 }
        [[route]]
        host = \"shop.example.com\"
        path = \"/api\"
        [proxy]
        retries = 1
    ";

    fn app(over: Value) -> ExportedApp {
        let mut app = json!({
            "name": "shop", "release": "v7", "summary": "deployed 1f2e3d4c", "source": {"toml": TOML},
            "variables": [], "limits": {}, "counts": {}, "autoscale": {}, "proxy": {"values": {}}, "routes": [],
            "hosts": ["shop.localhost", "added.example.com"], "suspended": [],
            "image": {"id": "sha256:1", "reference": "minipaas/shop:1f2e", "pinned": null, "exposed-ports": [],
                      "user": "", "entrypoint": [], "command": [], "healthcheck": null},
        });
        let (Value::Object(app_map), Value::Object(over)) = (&mut app, over) else { panic!("objects") };
        app_map.extend(over);
        serde_json::from_value(app).unwrap()
    }

    fn subject(over: Value) -> Subject {
        of(&app(over), None).unwrap()
    }

    #[test]
    fn commands_go_before_the_manifest() {
        let subject = subject(json!({
            "limits": {"web": {"cpu": "0.5"}}, "probes": {"web": {"live": "{ tcp = true }"}}, "counts": {"web": 4, "gone": 2},
            "autoscale": {"web": {"min": 2, "max": 8, "target": "cpu=80%"}, "worker": null},
        }));
        let (web, worker) = (&subject.manifest.processes[&ProcessType::web()], "worker".parse().unwrap());
        assert_eq!((web.replicas, web.cpu.unwrap().0), (4, 500));
        assert_eq!(web.live.as_ref().unwrap().check, Check::Tcp { port: None });
        assert_eq!(web.memory.unwrap().0, 256 << 20);
        assert_eq!(web.autoscale.as_ref().unwrap().target, Target::Cpu(80));
        assert_eq!(subject.manifest.processes[&worker].autoscale, None);
    }

    #[test]
    fn secrets_are_files_and_exported_ones_are_confidential() {
        let variable = |name: &str, value: Option<&str>, is_secret, is_exported| json!({"name": name, "value": value, "is-secret": is_secret, "is-exported": is_exported});
        let subject = subject(json!({"variables": [
            variable("PLAIN", Some("x"), false, false),
            variable("KEY", None, true, false),
            variable("URL", Some("postgres://"), true, true),
        ]}));
        assert_eq!(subject.manifest.env["PLAIN"], "x");
        assert_eq!(subject.manifest.env["KEY_FILE"], "/run/secrets/KEY");
        assert_eq!(subject.manifest.secrets["/run/secrets/KEY"].reveal(), "");
        assert_eq!(subject.manifest.secrets["/run/secrets/URL"].reveal(), "postgres://");
        assert_eq!(subject.confidential, ["URL".to_owned()].into());
    }

    #[test]
    fn proxy_settings_hold_where_they_were_made() {
        let of_route = |host: &str, path: &str| json!({"host": host, "path": path, "settings": {"values": {"retries": "3"}}});
        let subject = subject(json!({
            "proxy": {"values": {"retries": "2"}},
            "routes": [of_route("shop.example.com", "/api"), of_route("added.example.com", "/"), of_route("gone.example.com", "/")],
        }));
        assert_eq!(subject.manifest.proxy.retries, 2);
        let routes: Vec<_> = subject
            .manifest
            .routes
            .iter()
            .map(|rule| {
                (rule.host.as_ref().map(ToString::to_string).unwrap_or_default(), rule.policy.retries)
            })
            .collect();
        assert_eq!(routes, [("shop.example.com".to_owned(), 3), ("added.example.com".to_owned(), 3)]);
    }

    #[test]
    fn an_image_that_no_registry_has_is_looked_for_in_ours() {
        let reference = |pinned: Option<&str>, registry| {
            let mut app = app(json!({}));
            app.image.pinned = pinned.map(str::to_owned);
            of(&app, registry).unwrap().image.reference
        };
        assert_eq!(reference(None, None), "minipaas/shop:1f2e");
        assert_eq!(reference(None, Some("ghcr.io/me")), "ghcr.io/me/shop:v7");
        assert_eq!(reference(Some("x/y@sha256:00"), Some("ghcr.io/me")), "minipaas/shop:1f2e");
    }
}
