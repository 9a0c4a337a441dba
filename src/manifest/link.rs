//! `[link]`: which other apps this one may call, and how it is told where they are.

use super::Link;
use super::read::{Entry, Report, Table};
use super::schema::ENV_RESERVED;
use crate::name::AppName;

/// An app that calls more others than this is a mistake, or more than one app.
const LINKS_MAX: usize = 64;
/// Variables that begin so say what minipaas runs.
const PREFIX_RESERVED: &str = "MINIPAAS_";

/// Reads the table. A key is a variable's stem: `billing = "shop-billing"` has `BILLING_URL` lead to the app `shop-billing`.
pub(super) fn links(mut table: Table<'_>, app: Option<&AppName>, report: &mut Report<'_>) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for entry in table.take_all() {
        let Some(link) = link(&entry, report) else { continue };
        if app == Some(&link.app) {
            let message = format!("`{}` links the app to itself", entry.key());
            report.problem(&entry.span(), message, None);
        } else if let Some(other) = links.iter().find(|other| other.variable == link.variable) {
            let message = format!(
                "`{}` and the link to `{}` both set `{}`; give one of them another `env`",
                entry.key(),
                other.app,
                link.variable
            );
            report.problem(&entry.span(), message, None);
        } else if links.len() == LINKS_MAX {
            let message = format!("`{}` is one link too many; at most {LINKS_MAX} are kept", entry.key());
            report.problem(&entry.span(), message, None);
        } else {
            links.push(link);
        }
    }
    links
}

fn link(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<Link> {
    let variable = entry.checked(report, variable_of(entry.key()))?;
    if !entry.is_table() {
        let app = entry.parsed(report, "an app's name, or `{ app = \"…\", env = \"…\" }`", str::parse)?;
        return Some(Link { app, variable });
    }
    let mut table = entry.table(report, format!("[link] `{}`", entry.key()))?;
    let app = match table.take("app") {
        Some(app) => app.parsed(report, "an app's name", str::parse),
        None => entry.checked(report, entry.key().parse::<AppName>()),
    };
    let named = table.take("env").map(|env| env.parsed(report, "a variable's name", variable_named));
    table.finish(report);
    Some(Link { app: app?, variable: named.unwrap_or(Some(variable))? })
}

/// `billing-api` is told as `BILLING_API_URL`.
fn variable_of(stem: &str) -> Result<String, String> {
    variable_named(&format!("{}_URL", stem.to_ascii_uppercase().replace('-', "_")))
        .map_err(|_| format!("`{stem}` is no stem of a variable's name; use letters, digits, `-` and `_`"))
}

fn variable_named(name: &str) -> Result<String, String> {
    let mut characters = name.chars();
    let is_name = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(format!("`{name}` is no name for a variable; use letters, digits and `_`"));
    }
    if ENV_RESERVED.contains(&name) || name.starts_with(PREFIX_RESERVED) {
        return Err(format!("`{name}` is set by minipaas"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use crate::manifest::{Manifest, Source};

    fn check(toml: &str, expected: &Expect) {
        let source = Source { toml: Some(toml.to_owned()), ..Source::default() };
        let told = match Manifest::parse(&source) {
            Ok((manifest, _)) => {
                let links = manifest.links.iter();
                links.map(|link| format!("{} -> {}\n", link.variable, link.app)).collect()
            }
            Err(error) => format!("{error}\n"),
        };
        expected.assert_eq(&told);
    }

    #[test]
    fn a_key_is_the_stem_of_a_variable() {
        check(
            "[link]\nbilling = \"billing\"\nmail-api = \"mail\"\nb = { app = \"billing\", env = \"PAYMENTS\" }\nx = {}\n",
            &expect![[r"
                PAYMENTS -> billing
                BILLING_URL -> billing
                MAIL_API_URL -> mail
                X_URL -> x
            "]],
        );
    }

    #[test]
    fn what_means_nothing_is_refused() {
        check(
            "app = \"shop\"\n[link]\nshop = \"shop\"\na = { app = \"b\", env = \"C_URL\" }\nc = \"d\"\n\
             e = { app = \"f\", env = \"PORT\" }\ng = 1\nh = { ap = \"i\" }\nj = \"No App\"\n",
            &expect![[r#"
                minipaas.toml:3: `shop` links the app to itself
                       minipaas.toml:5: `c` and the link to `b` both set `C_URL`; give one of them another `env`
                       minipaas.toml:6: `PORT` is set by minipaas
                       minipaas.toml:7: `g` is a whole number; it takes an app's name, or `{ app = "…", env = "…" }`
                       minipaas.toml:8: unknown key `ap` in [link] `h`; did you mean `app`?
                       minipaas.toml:9: app name `No App` has `N`; use 1-63 lower-case letters, digits and dashes, starting with a letter
            "#]],
        );
    }
}
