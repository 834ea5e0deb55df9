//! The life of a plugin's instance over many calls.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::activity::Activity;
use crate::error::CallError;
use crate::gate::Gate;
use crate::instance::{Call, Instance, Run};
use crate::plugin::Plugin;
use crate::record;

/// A plugin in use: calls one after the other, on an instance that is kept between them.
///
/// Whatever ends a call before it returns ends the instance too: a trap, a limit, a future that was dropped. Its memory is
/// freed at once. The next call makes another instance, which starts from the beginning, so that the plugin can be
/// used again. What is not the guest's own goes on: the numbers of calls in the audit trail, what it did and was refused,
/// what a person allowed it, its rates, quotas and stored values. An error that a guest returns is an answer, and
/// its instance is kept.
///
/// Making an instance has the time and the fuel of a call, and so has each call, fresh.
///
/// Clones are one session. Calls wait for one another, first come, first served, and waiting takes none of their time. For
/// calls at the same time begin several sessions: each has an instance of its own, and none sees the memory of another.
#[derive(Clone)]
pub struct Session {
    plugin: Plugin,
    life: Arc<Mutex<Life>>,
}

/// What goes on while instances come and go.
struct Life {
    run: Arc<str>,
    instance: Option<Instance>,
    /// The gate while there is no instance; `None` before the first.
    gate: Option<Gate>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("plugin", self.plugin.id())
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(plugin: Plugin, run: Arc<str>) -> Self {
        Self {
            plugin,
            life: Arc::new(Mutex::new(Life {
                run,
                instance: None,
                gate: None,
            })),
        }
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Makes the instance now, if there is none, instead of with the next call.
    ///
    /// # Errors
    /// [`CallError`] when the guest cannot be started.
    ///
    /// # Cancellation
    /// Dropping the future ends the instance.
    pub async fn start(&self) -> Result<(), CallError> {
        let mut life = self.life.lock().await;
        Kept(&mut life).ready(&self.plugin).await.map(drop)
    }

    /// Calls the plugin's `run`.
    ///
    /// # Shapes and units
    /// The inner result is the guest's own: text for standard output, or text for standard error.
    ///
    /// # Errors
    /// [`CallError`] when the call does not return, or the guest cannot be started. The next call is not concerned.
    ///
    /// # Cancellation
    /// Dropping the future kills every command the call had started, and ends the instance.
    pub async fn run(&self, args: &[String]) -> Result<Result<String, String>, CallError> {
        self.call(&Run(args)).await
    }

    /// Calls something of the plugin.
    ///
    /// # Errors
    /// As [`run`](Self::run), and when the plugin is of a world that has no such export.
    pub(crate) async fn call<C: Call>(&self, call: &C) -> Result<C::Answer, CallError> {
        if !C::fits(&self.plugin.0.code) {
            return Err(CallError::NoExport {
                plugin: self.plugin.id().clone(),
                call: C::EXPORT,
            });
        }
        let mut life = self.life.lock().await;
        let tape = self.plugin.0.gate.tape.as_ref();
        if let Some(tape) = tape {
            tape.asked(call.asked());
        }
        let answer = Kept(&mut life).called(&self.plugin, call).await;
        if let Some(tape) = tape {
            tape.answered(match &answer {
                Ok(answer) => C::told(answer),
                Err(error) => record::failed(error),
            });
        }
        answer
    }

    /// What the plugin did and was refused since the session began, or since it was [taken](Self::take_activity). Waits
    /// for the call in progress.
    pub async fn activity(&self) -> Activity {
        self.life
            .lock()
            .await
            .activity()
            .cloned()
            .unwrap_or_default()
    }

    /// The same, which is then told to nobody else: for sessions that live long, since an [`Activity`] keeps only the
    /// first of each kind.
    pub async fn take_activity(&self) -> Activity {
        let mut life = self.life.lock().await;
        life.activity().map(std::mem::take).unwrap_or_default()
    }
}

impl Life {
    fn activity(&mut self) -> Option<&mut Activity> {
        match (&mut self.instance, &mut self.gate) {
            (Some(instance), _) => Some(instance.activity_mut()),
            (None, gate) => gate.as_mut().map(|gate| &mut gate.activity),
        }
    }
}

/// A life in use. Whatever ends the use, an instance that cannot be called any more is ended with it.
struct Kept<'a>(&'a mut Life);

impl Kept<'_> {
    async fn called<C: Call>(mut self, plugin: &Plugin, call: &C) -> Result<C::Answer, CallError> {
        self.ready(plugin).await?.call(call).await
    }

    /// The instance; a new one if there is none.
    async fn ready(&mut self, plugin: &Plugin) -> Result<&mut Instance, CallError> {
        let life = &mut *self.0;
        if life.instance.is_none() {
            let context = plugin.0.context();
            let context = context.map_err(|error| CallError::unopened(plugin.id(), &error))?;
            let gate = match life.gate.take() {
                Some(gate) => gate.of_next_instance(),
                None => Gate::new(Arc::clone(&plugin.0.gate), Arc::clone(&life.run)),
            };
            let instance = Instance::prepare(plugin, context, gate);
            life.instance.insert(instance).start().await?;
        }
        match &mut life.instance {
            Some(instance) => Ok(instance),
            None => unreachable!("it was there, or has been made"),
        }
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if let Some(instance) = self.0.instance.take_if(|instance| !instance.is_usable()) {
            self.0.gate = Some(instance.into_gate());
        }
    }
}
