//! Which variables hold a secret, as far as a name and a value tell.
//!
//! A secret that is taken for none would end up in a file that is checked in, so the rule is wide: a plain value that is taken
//! for a secret costs one command.
//!
//! Where a project puts a variable into another text (`--password ${DB_PASSWORD}`), the text gets a mark in place of a secret
//! value, which nothing but [`unmasked`] reads: so a value that was not meant to cannot get into a manifest or a message.

use std::collections::BTreeSet;

/// A word of a variable's name that makes it a secret.
const WORDS: [&str; 15] = [
    "APIKEY",
    "AUTHKEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "DSN",
    "PASS",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PASSWORDS",
    "PWD",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "TOKENS",
];
/// A last word that makes it a secret: `STRIPE_KEY`.
const LAST_WORDS: [&str; 3] = ["KEY", "KEYS", "SALT"];
/// A last word with which it is only about one: `TOKEN_TTL`.
const ABOUT_WORDS: [&str; 16] = [
    "AGE",
    "ALGORITHM",
    "DIR",
    "ENABLED",
    "EXPIRES",
    "EXPIRY",
    "FILE",
    "HEADER",
    "ID",
    "ISSUER",
    "LENGTH",
    "NAME",
    "PATH",
    "SECONDS",
    "TIMEOUT",
    "TTL",
];

/// Around a variable's name, in place of its value. Of the private use area: no text has them.
const MASK: (char, char) = ('\u{E000}', '\u{E001}');

/// The value as other texts get it.
pub(super) fn masked(name: &str, value: &str) -> String {
    if is_secret(name, value) { format!("{}{name}{}", MASK.0, MASK.1) } else { value.to_owned() }
}

/// The text with `${NAME}` for each secret that it would hold, and their names.
pub(super) fn unmasked(text: &str) -> (String, BTreeSet<String>) {
    let (mut out, mut names) = (String::new(), BTreeSet::new());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MASK.0) {
        let (name, after) = after.split_once(MASK.1).unwrap_or((after, ""));
        out.push_str(&format!("{before}${{{name}}}"));
        names.insert(name.to_owned());
        rest = after;
    }
    out.push_str(rest);
    (out, names)
}

/// Whether the value is for no file that is checked in.
pub(super) fn is_secret(name: &str, value: &str) -> bool {
    // Nothing to keep: `ALLOW_EMPTY_PASSWORD=yes`, `PASSWORD=`.
    let is_flag =
        matches!(value.to_ascii_lowercase().as_str(), "" | "true" | "false" | "yes" | "no" | "0" | "1");
    (!is_flag && is_secret_name(name))
        || value.contains(MASK.0)
        || has_password(value)
        || value.contains("PRIVATE KEY-----")
}

/// Whether a variable of this name holds a secret, whatever its value is.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words: Vec<_> = name.split(['_', '-', '.']).collect();
    let last = words.last().copied().unwrap_or_default();
    !ABOUT_WORDS.contains(&last)
        && (LAST_WORDS.contains(&last) || words.iter().any(|word| WORDS.contains(word)))
}

/// `scheme://user:password@host`.
fn has_password(value: &str) -> bool {
    value.match_indices("://").any(|(at, separator)| {
        let authority = value[at + separator.len()..].split(['/', '?', '#', ' ']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        user.and_then(|user| user.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_all_that_is_left_of_a_secret() {
        let text = format!("--password={} --user={}", masked("DB_PASSWORD", "hunter2"), masked("USER", "me"));
        assert!(!text.contains("hunter2") && is_secret("ARGS", &text));
        let (shown, names) = unmasked(&text);
        assert_eq!(shown, "--password=${DB_PASSWORD} --user=me");
        assert_eq!(names, ["DB_PASSWORD".to_owned()].into());
    }

    #[test]
    fn names_and_values_tell() {
        for (name, value) in [
            ("DB_PASSWORD", "x"),
            ("STRIPE_KEY", "x"),
            ("secret_key_base", "x"),
            ("DATABASE_URL", "postgres://a:b@db/x"),
            ("SENTRY_DSN", "x"),
            ("PEM", "-----BEGIN PRIVATE KEY-----"),
        ] {
            assert!(is_secret(name, value), "{name}");
        }
        for (name, value) in [
            ("TOKEN_TTL", "3600"),
            ("KEYCLOAK_HOST", "x"),
            ("PASSWORD_FILE", "/run/secrets/x"),
            ("ALLOW_EMPTY_PASSWORD", "yes"),
            ("API_URL", "http://user@api/x"),
            ("MONKEY", "x"),
        ] {
            assert!(!is_secret(name, value), "{name}");
        }
    }
}
