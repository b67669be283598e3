use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// The readiness of the parts of a process; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    components: Arc<Mutex<BTreeMap<&'static str, ComponentState>>>,
}

/// How one part stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComponentState {
    Starting,
    /// It works on being ready, for example replays its input.
    Recovering(String),
    Ready,
    /// Out of service for the reason given, for example because it stops.
    NotReady(String),
    /// It does not get ready without help.
    Failed(String),
}

/// A part that is not ready, as `/readyz` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotReady {
    pub component: &'static str,
    pub state: &'static str,
    pub detail: String,
}

/// With which one part reports its state.
#[derive(Debug, Clone)]
pub struct ComponentHandle {
    health: Health,
    name: &'static str,
}

impl Health {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part, which is starting. A part that restarts takes its place again.
    pub fn component(&self, name: &'static str) -> ComponentHandle {
        let handle = ComponentHandle { health: self.clone(), name };
        handle.set(ComponentState::Starting);
        handle
    }

    pub fn is_ready(&self) -> bool {
        self.not_ready().is_empty()
    }

    /// The parts that are not ready, by name. A process without parts has not come far enough to be ready.
    pub fn not_ready(&self) -> Vec<NotReady> {
        let components = self.lock();
        if components.is_empty() {
            let detail = "no component has reported yet".to_owned();
            return vec![NotReady { component: "process", state: "starting", detail }];
        }
        let entry = |component, state, detail: &str| NotReady { component, state, detail: detail.to_owned() };
        components
            .iter()
            .filter_map(|(&name, state)| match state {
                ComponentState::Ready => None,
                ComponentState::Starting => Some(entry(name, "starting", "")),
                ComponentState::Recovering(detail) => Some(entry(name, "recovering", detail)),
                ComponentState::NotReady(detail) => Some(entry(name, "not_ready", detail)),
                ComponentState::Failed(detail) => Some(entry(name, "failed", detail)),
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, ComponentState>> {
        // Every write is a single insert, so a panic elsewhere leaves nothing half-done.
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ComponentHandle {
    pub fn set_ready(&self) {
        self.set(ComponentState::Ready);
    }

    pub fn set_not_ready(&self, reason: impl Into<String>) {
        self.set(ComponentState::NotReady(reason.into()));
    }

    /// Not ready, but working on it.
    pub fn set_recovering(&self, detail: impl Into<String>) {
        self.set(ComponentState::Recovering(detail.into()));
    }

    /// Not ready, and it will not be without help.
    pub fn set_failed(&self, detail: impl Into<String>) {
        self.set(ComponentState::Failed(detail.into()));
    }

    fn set(&self, state: ComponentState) {
        self.health.lock().insert(self.name, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_not_ready_and_names_who_is_behind() {
        let health = Health::new();
        let names = || health.not_ready().iter().map(|part| (part.component, part.state)).collect::<Vec<_>>();
        assert_eq!(names(), [("process", "starting")]);
        let (scoring, bus) = (health.component("scoring"), health.component("bus"));
        assert_eq!(names(), [("bus", "starting"), ("scoring", "starting")]);
        bus.set_failed("gone");
        scoring.set_ready();
        assert_eq!(names(), [("bus", "failed")]);
        bus.set_ready();
        assert!(health.is_ready());
        health.component("bus");
        assert!(!health.is_ready());
    }
}
