//! `server.toml` with the settings that were typed: what is there otherwise, comments too, stays as it is.

use toml::de::DeTable;

/// A file's new text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Merged {
    pub(super) text: String,
    /// The keys whose value is another one now.
    pub(super) changed: Vec<&'static str>,
}

/// Puts the values into the text.
///
/// # Errors
///
/// When the text is not TOML.
pub(super) fn merge(text: &str, wanted: &[(&'static str, String)]) -> Result<Merged, toml::de::Error> {
    let document = DeTable::parse(text)?;
    let mut edits = Vec::new();
    let mut changed = Vec::new();
    for (key, value) in wanted {
        let found = document.get_ref().iter().find(|(name, _)| name.get_ref() == key);
        if found.and_then(|(_, found)| found.get_ref().as_str()) == Some(value) {
            continue;
        }
        // A string of JSON is one of TOML.
        let value = serde_json::Value::from(value.as_str()).to_string();
        changed.push(*key);
        match found {
            Some((_, found)) => edits.push((found.span(), value)),
            None => edits.push((text.len()..text.len(), format!("{key} = {value}\n"))),
        }
    }
    // From the end on, so that places before stay where they are; what is added keeps its order.
    edits.sort_by_key(|(span, _)| span.start);
    let mut merged = text.to_owned();
    if !merged.is_empty() && !merged.ends_with('\n') && edits.iter().any(|(span, _)| span.is_empty()) {
        merged.push('\n');
    }
    let added: String =
        edits.iter().filter(|(span, _)| span.is_empty()).map(|(_, line)| line.as_str()).collect();
    for (span, value) in edits.into_iter().rev().filter(|(span, _)| !span.is_empty()) {
        merged.replace_range(span, &value);
    }
    merged.push_str(&added);
    Ok(Merged { text: merged, changed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: &[(&'static str, &str)], changed: &[&str], expected: &str) {
        let wanted: Vec<_> = wanted.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        let merged = merge(text, &wanted).expect("TOML");
        assert_eq!((merged.changed.as_slice(), merged.text.as_str()), (changed, expected));
        assert!(merge(&merged.text, &wanted).expect("TOML").changed.is_empty(), "once is enough");
    }

    #[test]
    fn new_keys_come_last_in_the_order_they_were_typed() {
        check(
            "",
            &[("domain", "a.com"), ("acme_email", "a@b.c")],
            &["domain", "acme_email"],
            "domain = \"a.com\"\nacme_email = \"a@b.c\"\n",
        );
        check("http3 = true", &[("domain", "a.com")], &["domain"], "http3 = true\ndomain = \"a.com\"\n");
    }

    #[test]
    fn what_is_there_stays() {
        let text = "# ours\ndomain = 'a.com' # since May\ndns = [\"10.0.0.1\"]\n";
        check(text, &[("domain", "a.com")], &[], text);
        check(
            text,
            &[("domain", "bb.com"), ("log", "x\"y")],
            &["domain", "log"],
            "# ours\ndomain = \"bb.com\" # since May\ndns = [\"10.0.0.1\"]\nlog = \"x\\\"y\"\n",
        );
        check(
            "acme_directory = [\"a\", \"b\"]\n",
            &[("acme_directory", "off")],
            &["acme_directory"],
            "acme_directory = \"off\"\n",
        );
    }

    #[test]
    fn what_is_no_toml_is_not_touched() {
        assert!(merge("domain = \n", &[]).is_err());
    }
}
