//! An example for each key of `[proxy]`, as it is typed behind `minipaas proxy set`.

/// By key; lists and tables stand in the shell's quotes. A password has a command of its own.
const EXAMPLES: [(&str, &str); 28] = [
    ("public", "public=false"),
    ("https_redirect", "https_redirect=false"),
    ("canonical_host", "canonical_host=www.example.com"),
    ("redirects", r#"'redirects=[{ from = "/old/*", to = "/new/*" }]'"#),
    ("hsts", "hsts=true"),
    ("allow", r#"'allow=["10.0.0.0/8"]'"#),
    ("deny", r#"'deny=["10.9.0.0/16"]'"#),
    ("rate_limit", "rate_limit=100/1m"),
    ("cors", r#"'cors={ origins = ["https://app.example.com"] }'"#),
    ("body_max", "body_max=20M"),
    ("buffer_requests", "buffer_requests=true"),
    ("buffer_responses", "buffer_responses=true"),
    ("request_headers", r#"'request_headers={ set = { x-from = "proxy" } }'"#),
    ("response_headers", r#"'response_headers={ remove = ["server"] }'"#),
    ("compress", "compress=true"),
    ("scope_cookies", "scope_cookies=true"),
    ("error_pages", r#"'error_pages={ 404 = "errors/404.html" }'"#),
    ("connect_timeout", "connect_timeout=5s"),
    ("first_byte_timeout", "first_byte_timeout=60s"),
    ("idle_timeout", "idle_timeout=2m"),
    ("timeout", "timeout=5m"),
    ("retries", "retries=1"),
    ("balance", "balance=round-robin"),
    ("eject", "eject=false"),
    ("max_connections", "max_connections=50"),
    ("queue", r#"'queue={ max = 100, wait = "30s" }'"#),
    ("protocol", "protocol=h2"),
    ("log", r#"'log={ exclude = ["/up"] }'"#),
];

/// A setting of this key, as it is typed in a shell; `None` for what is no key.
#[must_use]
pub fn example(key: &str) -> Option<&'static str> {
    EXAMPLES.iter().find(|(known, _)| *known == key).map(|(_, example)| *example)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Settings, setting, shown};
    use crate::policy::Policy;

    #[test]
    fn every_key_has_an_example_that_can_be_typed() {
        for (key, _) in shown(&Policy::default()).into_iter().filter(|(key, _)| *key != "basic_auth") {
            let typed = example(key).unwrap_or_else(|| panic!("{key} has none")).trim_matches('\'');
            let values = [setting(typed).unwrap()].into();
            let files = [("errors/404.html".to_owned(), String::new())].into();
            let (_, ignored) = Settings { values, files }.apply(&Policy::default());
            assert_eq!(ignored, [], "{typed}");
        }
    }
}
