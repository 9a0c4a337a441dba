//! `server.toml`: the settings that somebody wrote down, each as the text that a variable would have.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use toml::de::DeTable;

use super::{ConfigError, SERVER_FILE};
use crate::manifest::ManifestError;
use crate::manifest::read::{Entry, Report, Table};

/// Gives a value of the file as the text that a variable would have.
type Reader = fn(&Entry<'_>, &mut Report<'_>) -> Option<String>;
/// Every key of the file.
const READERS: [(&str, Reader); 21] = [
    ("http", |entry, report| entry.string(report)),
    ("https", |entry, report| entry.string(report)),
    ("http3", |entry, report| Some(entry.boolean(report)?.to_string())),
    ("domain", |entry, report| entry.string(report)),
    ("host", |entry, report| entry.string(report)),
    ("trusted_proxies", strings),
    ("client_ip_header", |entry, report| entry.string(report)),
    ("proxy_protocol", |entry, report| Some(entry.boolean(report)?.to_string())),
    ("acme_directory", strings),
    ("acme_root", |entry, report| entry.string(report)),
    ("acme_email", |entry, report| entry.string(report)),
    ("acme_eab_file", |entry, report| entry.string(report)),
    ("acme_dns", |entry, report| entry.string(report)),
    ("acme_dns_file", |entry, report| entry.string(report)),
    ("dns", strings),
    ("log", |entry, report| entry.string(report)),
    ("metrics", |entry, report| entry.string(report)),
    ("access_log", |entry, report| entry.string(report)),
    ("log_budget", |entry, report| entry.string(report)),
    ("log_budget_box", |entry, report| entry.string(report)),
    ("log_router", |entry, report| Some(entry.boolean(report)?.to_string())),
];

/// A list, or what flags and variables take in its place: one string with commas.
fn strings(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<String> {
    if entry.is_string() { entry.string(report) } else { Some(entry.strings(report)?.join(",")) }
}

/// The file's settings by key; none when there is no file.
pub(super) fn read_file(path: &Path) -> Result<BTreeMap<&'static str, String>, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
    };
    let mut problems = Vec::new();
    let settings = parse_file(&text, &mut Report::new(SERVER_FILE, &text, &mut problems));
    if problems.is_empty() { Ok(settings) } else { Err(ManifestError { problems }.into()) }
}

fn parse_file(text: &str, report: &mut Report<'_>) -> BTreeMap<&'static str, String> {
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let at = error.span().unwrap_or(0..0);
            report.problem(&at, format!("not valid TOML: {}", error.message()), None);
            return BTreeMap::new();
        }
    };
    let mut table = Table::new("the file", document.get_ref());
    let mut settings = BTreeMap::new();
    for (key, read) in READERS {
        settings.extend(table.take(key).and_then(|entry| Some((key, read(&entry, report)?))));
    }
    table.finish(report);
    settings
}
