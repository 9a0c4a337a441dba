//! `[proxy]`, and `[route.proxy]`, which says the same for one route.

use super::read::{Report, Table};
use crate::policy::Policy;

/// What the table says, and what `base` says where it is silent.
pub(super) fn policy(mut table: Table<'_>, base: &Policy, report: &mut Report<'_>) -> Policy {
    let mut policy = base.clone();
    if let Some(flag) = table.take("https_redirect").and_then(|entry| entry.boolean(report)) {
        policy.https_redirect = flag;
    }
    table.finish(report);
    policy
}
