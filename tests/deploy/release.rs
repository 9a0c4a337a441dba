//! Releases of the test app, as their manifest says.

use crate::support::image::test_app_image;

/// The manifest of a project that runs the test app.
#[derive(Debug, Clone)]
pub(super) struct TestApp {
    env: Vec<(String, String)>,
    web: Vec<String>,
    tables: Vec<String>,
}

impl TestApp {
    /// One instance that says this version, and is asked twenty times a second whether it is ready.
    pub(super) fn version(version: &str) -> Self {
        let app = Self { env: Vec::new(), web: Vec::new(), tables: Vec::new() };
        app.env("VERSION", version).web("ready = { http = \"/up\", interval = \"50ms\", deadline = \"30s\" }")
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With one more line in `[process.web]`, in place of the one for the same key.
    pub(super) fn web(mut self, line: &str) -> Self {
        let key = |line: &str| line.split('=').next().map(|key| key.trim().to_owned());
        self.web.retain(|other| key(other) != key(line));
        self.web.push(line.to_owned());
        self
    }

    /// With one more table.
    pub(super) fn table(mut self, text: &str) -> Self {
        self.tables.push(text.to_owned());
        self
    }

    pub(super) fn toml(&self) -> String {
        let image = tokio::task::block_in_place(test_app_image);
        let env: Vec<_> = self.env.iter().map(|(name, value)| format!("{name} = \"{value}\"")).collect();
        format!(
            "[build]\nimage = \"{image}\"\n\n[env]\n{}\n\n[process.web]\n{}\n\n{}\n",
            env.join("\n"),
            self.web.join("\n"),
            self.tables.join("\n\n")
        )
    }
}
