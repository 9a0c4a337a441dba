//! What users of Heroku and Deis type: the command of ours that does it, or what to do instead; the same of options.
//!
//! The words before a command's own arguments are looked up after its colons have become spaces, the longest match first; what
//! is in no list is minipaas's own, or nobody's. Options are ours; one that a command of ours does not know is looked up in
//! `options`. `docs/coming-from.md` is made of the same lists, so that they cannot disagree.

mod options;

use std::ffi::OsString;

use super::colons::command_position;

pub(super) use self::options::{Meaning as OptionMeaning, exchanged, meaning};

/// What something typed means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The same as these words.
    Words(&'static str),
    /// Nothing; this is what to do instead, as a sentence.
    Instead(&'static str),
}

use Meaning::{Instead, Words};

const ACCESS: &str = "an app's owner says who may use it, and as what: `minipaas access`";
const DIFF: &str =
    "`minipaas releases info` shows what is new about a release; `minipaas up --plan` what a deploy would do";
const FAVORITES: &str = "`minipaas apps` lists all apps that you may see";
const NO_ACCOUNTS: &str = "there are no accounts to make: an admin's `minipaas invite` prints a link, and `minipaas login LINK` takes it";
const NO_ADDONS: &str = "there are no add-ons: run the service as an app of its own, with a [volume] for its data, and name it in the [link] table of the apps that use it";
const NO_BUILDPACKS: &str = "there are no buildpacks: a Dockerfile in the folder says how it is built; without one it is served as a static site";
const NO_CI: &str = "there is no CI of its own: have yours run `minipaas login URL --token -` with a token of its own, and then `minipaas up`";
const NO_FEATURES: &str =
    "there are no features to switch: what the box can do is in its settings, `minipaas server --help`";
const NO_KEYS: &str =
    "there are no ssh keys: `minipaas tokens create` makes a token, and `minipaas login` keeps it";
const NO_PIPELINES: &str = "there are no pipelines yet: deploy the same image to another app with `minipaas up --image REF --app NAME`";
const NO_PLACEMENT: &str = "there is nothing to place: a box is one host";
const NO_PLUGINS: &str =
    "there are no plugins: `--json` on every command, and the API at /v1, are for programs of your own";
const REGISTRY: &str = "the engine's own login is used: `docker login` on the box";
const HTTPS: &str =
    "https is always on; `minipaas proxy set https_redirect=false` lets plain http through, too";
const RENAME: &str = "an app keeps its name: `minipaas up --app NEW` deploys it under another, `minipaas domains add` takes its hosts along, and `minipaas down OLD` ends the old one";
const STACK: &str = "there are no stacks: the first line of the Dockerfile says what the app runs on";

/// What is typed elsewhere, in the order of the documentation.
pub(crate) const FOREIGN: &[(&str, Meaning)] = &[
    ("create", Words("apps create")),
    ("destroy", Words("apps destroy")),
    ("info", Words("apps info")),
    ("apps rename", Instead(RENAME)),
    ("rename", Instead(RENAME)),
    ("transfer", Words("apps transfer")),
    ("apps open", Words("open")),
    ("apps logs", Words("logs")),
    ("apps run", Words("run")),
    ("apps delete", Words("apps destroy")),
    ("apps errors", Words("logs --source router")),
    ("apps stacks", Instead(STACK)),
    ("apps lock", Instead(ACCESS)),
    ("apps unlock", Instead(ACCESS)),
    ("lock", Instead(ACCESS)),
    ("unlock", Instead(ACCESS)),
    ("apps join", Instead(ACCESS)),
    ("join", Instead(ACCESS)),
    ("apps leave", Instead(ACCESS)),
    ("leave", Instead(ACCESS)),
    ("apps favorites", Instead(FAVORITES)),
    ("favorites", Instead(FAVORITES)),
    ("apps diff", Instead(DIFF)),
    ("diff", Instead(DIFF)),
    ("stack", Instead(STACK)),
    ("auth register", Instead(NO_ACCOUNTS)),
    ("register", Instead(NO_ACCOUNTS)),
    ("auth login", Words("login")),
    ("auth logout", Words("logout")),
    ("auth whoami", Words("whoami")),
    ("auth token", Words("tokens")),
    ("auth regenerate", Words("tokens rotate")),
    ("authorizations", Words("tokens")),
    ("auth passwd", Instead("there are no passwords: `minipaas tokens rotate` makes the token a new one")),
    ("passwd", Instead("there are no passwords: `minipaas tokens rotate` makes the token a new one")),
    ("auth cancel", Instead("an admin removes a user: `minipaas users remove NAME`")),
    ("autoscale list", Words("autoscale")),
    ("ps autoscale enable", Words("autoscale set")),
    ("ps autoscale disable", Words("autoscale unset")),
    (
        "builds",
        Instead("`minipaas releases` lists what was built; `minipaas up --image REF` deploys an image"),
    ),
    ("pull", Instead("`minipaas up --image REF` deploys an image")),
    ("container login", Instead(REGISTRY)),
    (
        "container",
        Instead(
            "`minipaas up` builds the folder's Dockerfile and deploys it; `minipaas up --image REF` deploys an image",
        ),
    ),
    ("buildpacks", Instead(NO_BUILDPACKS)),
    ("registry", Instead(REGISTRY)),
    ("certs update", Words("certs add")),
    ("certs auto refresh", Words("certs renew")),
    ("certs auto enable", Words("certs")),
    (
        "certs auto disable",
        Instead("`minipaas server --acme-directory off` has the box order no certificates"),
    ),
    ("certs auto", Words("certs")),
    ("certs generate", Instead("certificates come by themselves; `minipaas certs` shows them")),
    (
        "certs attach",
        Instead("a certificate is used for every host that it names: `minipaas certs add` is enough"),
    ),
    ("certs detach", Words("certs remove")),
    ("tls info", Words("certs")),
    ("tls", Instead(HTTPS)),
    ("config remove", Words("config unset")),
    ("config add", Words("config set")),
    ("domains update", Instead("`minipaas certs add` brings a certificate; the hosts that it names use it")),
    ("git clone", Instead("code is where you keep it: minipaas deploys a folder")),
    ("git remote", Instead("`minipaas up -r BOX` deploys the folder; there is no git remote to push to yet")),
    ("git remove", Instead("there is no git remote to remove")),
    ("healthchecks list", Words("health")),
    ("healthchecks", Words("health")),
    ("keys", Instead(NO_KEYS)),
    ("labels", Instead("apps have no labels; their names and `minipaas access` say whose they are")),
    ("tags", Instead(NO_PLACEMENT)),
    ("local", Instead("`minipaas up` is the same on this machine: it starts a box of its own")),
    ("maintenance info", Words("maintenance")),
    ("maintenance list", Words("maintenance")),
    ("perms list", Words("access")),
    ("perms create", Words("access add")),
    ("perms delete", Words("access remove")),
    ("perms", Words("access")),
    ("sharing list", Words("access")),
    ("sharing add", Words("access add")),
    ("sharing remove", Words("access remove")),
    ("sharing", Words("access")),
    ("members add", Words("access add")),
    ("members remove", Words("access remove")),
    ("members", Words("access")),
    ("ps list", Words("ps")),
    ("ps scale", Words("scale")),
    ("ps restart", Words("restart")),
    ("ps stop", Words("restart")),
    ("ps kill", Words("restart")),
    ("ps exec", Words("exec")),
    ("ps copy", Words("cp")),
    ("ps forward", Words("port-forward")),
    ("ps resize", Words("limits set")),
    ("dyno scale", Words("scale")),
    ("dyno restart", Words("restart")),
    ("dyno stop", Words("restart")),
    ("dyno kill", Words("restart")),
    ("releases retry", Instead("`minipaas up` makes another release of the same folder")),
    ("reviewapps", Instead("there are no review apps: `minipaas up --app NAME-pr-7` from the branch is one")),
    ("routing info", Words("apps info")),
    (
        "routing",
        Instead(
            "`[proxy]` of the manifest says who reaches the app; `minipaas proxy set allow=…` closes it at once",
        ),
    ),
    ("users list", Words("users")),
    ("whitelist add", Instead("`minipaas proxy set 'allow=[\"10.0.0.0/8\"]'` lets only these networks in")),
    ("whitelist remove", Instead("`minipaas proxy unset allow` lets everybody in")),
    ("whitelist list", Words("proxy")),
    ("whitelist", Words("proxy")),
    ("webhooks deliveries", Words("hooks deliveries")),
    ("webhooks add", Words("hooks add")),
    ("webhooks remove", Words("hooks remove")),
    ("webhooks", Words("hooks")),
    ("addons", Instead(NO_ADDONS)),
    ("pg", Instead(NO_ADDONS)),
    ("redis", Instead(NO_ADDONS)),
    ("pipelines", Instead(NO_PIPELINES)),
    ("ci", Instead(NO_CI)),
    ("features", Instead(NO_FEATURES)),
    ("labs", Instead(NO_FEATURES)),
    ("spaces", Instead(NO_PLACEMENT)),
    ("regions", Instead(NO_PLACEMENT)),
    ("autocomplete", Words("completions")),
    ("plugins", Instead(NO_PLUGINS)),
    ("update", Instead("install the newer binary, and restart the daemon: no request is lost")),
];

/// The arguments, with what is typed elsewhere as it is typed here.
///
/// # Errors
///
/// What to do instead of something that has no counterpart, with the words.
pub(super) fn translate(mut argv: Vec<OsString>) -> Result<Vec<OsString>, (String, &'static str)> {
    let Some(at) = command_position(&argv) else { return Ok(argv) };
    let typed: Vec<_> = argv[at..].iter().map_while(|word| word.to_str()).collect();
    let matches = |words: &str| {
        let words: Vec<_> = words.split(' ').collect();
        typed.starts_with(&words)
    };
    let found = FOREIGN.iter().filter(|(words, _)| matches(words));
    match found.max_by_key(|(words, _)| words.split(' ').count()) {
        None => Ok(argv),
        Some((words, Words(ours))) => {
            let end = at + words.split(' ').count();
            argv.splice(at..end, ours.split(' ').map(OsString::from));
            Ok(argv)
        }
        Some((words, Instead(hint))) => Err(((*words).replace(' ', ":"), hint)),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use clap::CommandFactory as _;
    use expect_test::expect_file;

    use super::super::{Args, parse};
    use super::*;

    /// Every command of Heroku's CLI 11.9 and Deis' 2.18 that is about apps.
    const ELSEWHERE: &str = "apps apps:create apps:list apps:info apps:open apps:logs apps:run apps:destroy apps:transfer \
        auth:register auth:login auth:logout auth:passwd auth:whoami auth:cancel auth:regenerate autoscale:list autoscale:set \
        autoscale:unset builds:list builds:create certs:list certs:add certs:remove certs:info certs:attach certs:detach \
        config:list config:set config:unset config:pull config:push domains:add domains:list domains:remove git:remote \
        git:remove healthchecks:list healthchecks:set healthchecks:unset keys:list keys:add keys:remove labels:list labels:set \
        labels:unset limits:list limits:set limits:unset maintenance:info maintenance:on maintenance:off perms:list \
        perms:create perms:delete ps:list ps:restart ps:scale registry:list registry:set registry:unset releases:list \
        releases:info releases:rollback routing:info routing:enable routing:disable tags:list tags:set tags:unset tls:info \
        tls:enable tls:disable users:list whitelist:add whitelist:list whitelist:remove version create destroy info login \
        logout logs open passwd pull register rollback run scale sharing sharing:list sharing:add sharing:remove whoami \
        apps:rename apps:lock apps:unlock apps:diff apps:favorites apps:errors apps:stacks apps:stacks:set apps:join apps:leave \
        rename transfer lock unlock diff favorites join leave git:clone container:push container:release container:run \
        container:rm container:pull container:login buildpacks buildpacks:set buildpacks:add config config:get config:remove \
        config:edit ps ps:stop ps:kill ps:exec ps:copy ps:forward ps:type ps:resize ps:wait ps:autoscale:enable \
        ps:autoscale:disable releases releases:output releases:retry run:detached run:inside domains domains:info \
        domains:clear domains:update domains:wait certs certs:update certs:generate certs:auto certs:auto:enable \
        certs:auto:disable certs:auto:refresh addons addons:create addons:attach pg:psql pg:backups redis:cli pipelines \
        pipelines:create pipelines:promote reviewapps:enable ci:run maintenance drains drains:add drains:remove features \
        access access:add access:remove members members:add members:remove keys local local:run webhooks webhooks:add \
        webhooks:remove webhooks:deliveries status auth:token autocomplete plugins";

    const OPTIONS_BEGIN: &str = "
Options that are ours under another name, or mean nothing here. `minipaas` takes them behind the command that they are listed with,
whatever that was called when it was typed.

| command here | option there | here |
|---|---|---|
";

    fn argv(typed: &str) -> Vec<OsString> {
        std::iter::once("minipaas").chain(typed.split(' ')).map(OsString::from).collect()
    }

    #[test]
    fn everything_that_is_typed_elsewhere_has_a_meaning() {
        let mut nothing = Vec::new();
        for typed in ELSEWHERE.split_whitespace() {
            let Ok(translated) = translate(super::super::colons::expand_colons(argv(typed))) else {
                continue;
            };
            let words: Vec<_> = translated.iter().skip(1).filter_map(|word| word.to_str()).collect();
            let mut command = Args::command();
            for word in words.iter().take_while(|word| !word.starts_with('-')) {
                match command.find_subcommand(word) {
                    Some(found) => command = found.clone(),
                    None => {
                        nothing.push(format!("{typed} -> {}", words.join(" ")));
                        break;
                    }
                }
            }
        }
        assert!(nothing.is_empty(), "{}", nothing.join("\n"));
    }

    #[test]
    fn arguments_stay_and_hints_say_what_to_type() {
        let words = |typed: &str| {
            let translated = translate(argv(typed)).expect("words");
            translated
                .into_iter()
                .skip(1)
                .map(|word| word.into_string().expect("UTF-8"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(words("-a shop ps scale web=2"), "-a shop scale web=2");
        assert_eq!(words("create shop"), "apps create shop");
        assert_eq!(words("ps autoscale enable web"), "autoscale set web");
        assert_eq!(words("logs create"), "logs create");
        let error = parse(argv("addons:create heroku-postgresql")).expect_err("none").to_string();
        assert!(error.contains("`addons` is not a command") && error.contains("[link]"), "{error}");
    }

    #[test]
    fn the_documentation_is_the_list() {
        let mut text = include_str!("there.md").to_owned();
        for (words, meaning) in FOREIGN {
            let typed = words.replace(' ', ":");
            let ours = match meaning {
                Words(ours) => format!("`minipaas {ours}`"),
                Instead(hint) => (*hint).to_owned(),
            };
            let _ = writeln!(text, "| `{typed}` | {} |", ours.replace('|', "\\|"));
        }
        text.push_str(OPTIONS_BEGIN);
        for (command, names, meaning) in options::OPTIONS {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let command = if command.is_empty() { "any".to_owned() } else { format!("`{command}`") };
            let ours = match meaning {
                OptionMeaning::Ours(ours) => format!("`{ours}`"),
                OptionMeaning::Bare => "its value, without the option".to_owned(),
                OptionMeaning::Nothing | OptionMeaning::NothingWithValue => "it is so anyway".to_owned(),
                OptionMeaning::Instead(hint) => (*hint).to_owned(),
            };
            let _ = writeln!(text, "| {command} | {} | {} |", names.join(", "), ours.replace('|', "\\|"));
        }
        expect_file!["../../../../docs/coming-from.md"].assert_eq(&text);
    }
}
