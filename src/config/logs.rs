//! The settings of what is kept of apps' logs.

use super::{ConfigError, Setting};
use crate::logs::Budget;

/// The smallest budget: less would keep no more than what happened just now.
const BUDGET_MIN: u64 = 1 << 20;

/// Those of apps' logs, as they were given.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) budget: Option<Setting>,
    pub(super) budget_box: Option<Setting>,
}

impl Settings {
    pub(super) fn resolve(self) -> Result<Budget, ConfigError> {
        let default = Budget::default();
        let app = self.budget.map(size).transpose()?.unwrap_or(default.app);
        let all = self.budget_box.map(size).transpose()?.unwrap_or(default.all.max(app));
        Ok(Budget { app: app.min(all), all })
    }
}

/// `64M`, `1G`: as a manifest has sizes.
fn size(Setting { from, text, .. }: Setting) -> Result<u64, ConfigError> {
    let wrong = |_| ConfigError::Size { from: from.clone(), text: text.clone(), min: BUDGET_MIN >> 20 };
    let bytes = crate::manifest::size(&text).map_err(wrong)?.0;
    if bytes < BUDGET_MIN {
        return Err(wrong(String::new()));
    }
    Ok(bytes)
}
