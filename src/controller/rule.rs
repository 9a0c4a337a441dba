//! By what rule the number of a process type's instances changes, as a command wants it.
//!
//! The wish is kept in the app's record before the plan of what serves has it; who follows the rule reads it from the view.

use std::sync::Arc;

use super::ReformError;
use super::task::Task;
use crate::autoscale::Autoscale;
use crate::formation::FormationError;
use crate::name::{AppName, ProcessType};
use crate::plan::Plan;
use crate::store::AppRecord;

impl Task {
    /// Sets the rule; `Some(None)` is none, whatever the manifest says, and `None` is the manifest's.
    pub(super) async fn change_rule(
        &mut self,
        name: &AppName,
        process: ProcessType,
        rule: Option<Option<Autoscale>>,
    ) -> Result<(), ReformError> {
        let app = self.apps.get_mut(name).ok_or_else(|| ReformError::Unknown(name.clone()))?;
        if app.record.external.is_some() {
            return Err(ReformError::External(name.clone()));
        }
        let (Some(serving), Some(current)) = (app.serving.clone(), app.current()) else {
            return Err(ReformError::NoRelease(name.clone()));
        };
        if !serving.processes.contains_key(&process) {
            let known = serving.processes.keys().cloned().collect();
            return Err(FormationError::Unknown { process, known }.into());
        }
        let mut formation = app.record.formation.clone();
        match rule {
            Some(rule) => drop(formation.autoscale.insert(process, rule)),
            None => drop(formation.autoscale.remove(&process)),
        }
        // The counts may be those of a scale that is under way; what serves keeps its own until that has ended.
        let next = app.plan_as(current, &self.domain, &formation)?;
        let mut plan = Plan::clone(&serving);
        for (process, planned) in &mut plan.processes {
            planned.autoscale = next.processes.get(process).and_then(|next| next.autoscale.clone());
        }
        let record = AppRecord { formation, ..app.record.clone() };
        if record != app.record {
            self.deps.store.save_app(&record).await?;
            tracing::info!(app = %name, "autoscaling changed");
            app.record = record;
            app.serving = Some(Arc::new(plan));
            self.publish_view();
        }
        Ok(())
    }
}
