//! `env`: the environment that the host was started with.

use portcullis_audit::{Effect, Masked};
use portcullis_policy::{Capability, EnvRequest};

use crate::gate::{Gate, Refused};
use crate::needs::Need;

/// Bytes of a name: no system has longer ones, and what is longer is not looked for.
const NAME: usize = 32 * 1024;

impl Gate {
    /// The value of a variable; `None` where it is not set. That it was not granted is an error here, and looks the same
    /// to the guest: adapters have to see to that.
    ///
    /// # Errors
    /// It was not granted, it is asked for too often, or the trail cannot be written.
    pub(crate) fn env(&mut self, mut name: String) -> Result<Option<String>, Refused> {
        let used = self.begin(Capability::Env, "get", Masked::new(&name))?;
        name.truncate(name.floor_char_boundary(NAME));
        let host_env = self.host_env();
        let is_set = host_env.get(&name).is_some();
        self.parts().needs.tell(|| Need::Variable {
            name: name.clone(),
            is_set,
        });
        let authorized = self.authorize(&used, EnvRequest { name, host_env })?;
        let EnvRequest { name, host_env } = authorized.request();
        let value = host_env.get(name);
        let effect = match value {
            Some(value) => Effect {
                bytes_in: value.len() as u64,
                ..Effect::default()
            },
            None => Effect {
                failed: Some(Masked::new("it is not set")),
                ..Effect::default()
            },
        };
        self.told(&used, None, effect)?;
        self.note_variable(name, value);
        Ok(value.map(str::to_owned))
    }
}
