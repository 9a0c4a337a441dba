//! What an upstream has answered so far: a release is judged by it.

/// How often an upstream answered, and how often that was a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Requests that ended one way or the other.
    pub requests: u64,
    /// Those that ended with 5xx, a broken answer, or no connection.
    pub failures: u64,
}

impl Tally {
    /// What came after `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(before.requests),
            failures: self.failures.saturating_sub(before.failures),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { requests: self.requests + other.requests, failures: self.failures + other.failures }
    }
}
