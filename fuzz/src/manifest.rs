//! `minipaas.toml` and `Procfile`: whatever is in them is a manifest, or a list of problems with lines that are there.

use minipaas::manifest::{MANIFEST_FILE, Manifest, Source};

use super::Input;

const WORDS: [&str; 64] = [
    "app = \"a\"\n",
    "[build]\n",
    "[env]\n",
    "[process.web]\n",
    "[process.worker]\n",
    "[[route]]\n",
    "[proxy]\n",
    "[deploy]\n",
    "[volume.data]\n",
    "[[port]]\n",
    "[route.proxy]\n",
    "command = ",
    "port = ",
    "replicas = ",
    "ready = ",
    "memory = ",
    "cpu = ",
    "stop_grace = ",
    "host = ",
    "path = ",
    "listen = ",
    "process = ",
    "strip_prefix = ",
    "redirects = ",
    "{ from = \"/*\", to = \"/x/*\" }",
    "compress = ",
    "timeouts = ",
    "body_max = ",
    "basic_auth = ",
    "allow = ",
    "deny = ",
    "rate_limit = ",
    "headers = ",
    "cors = ",
    "error_pages = ",
    "canonical_host = ",
    "hsts = ",
    "canary = ",
    "watch_window = ",
    "drain = ",
    "dockerfile = ",
    "image = ",
    "\"",
    "'",
    "\"\"\"",
    "[",
    "]",
    "{",
    "}",
    ", ",
    " = ",
    "\n",
    "\r\n",
    "#",
    "true",
    "0",
    "-1",
    "1e400",
    "9223372036854775807",
    "\"10s\"",
    "\"/x\"",
    "\"*.example.com\"",
    "\"99999999999999999999G\"",
    "\u{e9}\u{10ffff}",
];

pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let toml = if input.flag() {
        let mut text = String::new();
        while !input.is_empty() && text.len() < 4096 {
            text.push_str(&input.text(&WORDS, 32));
        }
        text
    } else {
        String::from_utf8_lossy(input.take(usize::MAX)).into_owned()
    };
    // What is after a form feed is the Procfile.
    let (toml, procfile) =
        toml.split_once('\u{c}').map_or((toml.as_str(), None), |(toml, rest)| (toml, Some(rest)));
    let mut source =
        Source { toml: Some(toml.to_owned()), procfile: procfile.map(str::to_owned), ..Source::default() };
    for wanted in source.wanted_files() {
        let is_below = !wanted.path.starts_with('/') && wanted.path.split('/').all(|part| part != "..");
        assert!(is_below, "{wanted:?}");
        source.files.insert(wanted.path, "page".to_owned());
    }
    match Manifest::parse(&source) {
        Ok((manifest, _)) => {
            assert!(!manifest.processes.is_empty());
            assert_eq!(Manifest::parse(&source).map(|(again, _)| again), Ok(manifest));
        }
        Err(error) => {
            assert!(!error.problems.is_empty());
            for problem in &error.problems {
                let text = if problem.file == MANIFEST_FILE { toml } else { procfile.unwrap_or_default() };
                let lines = text.matches('\n').count() + 1;
                assert!((1..=lines).contains(&problem.line), "{problem:?} of {lines} lines");
                assert!(!problem.message.is_empty());
            }
        }
    }
}
