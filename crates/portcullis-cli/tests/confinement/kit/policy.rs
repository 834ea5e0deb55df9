//! The policy of a confined run: as narrow as it can be, and what a grant adds to it.

use super::{
    case::{Grant, Tier},
    scene::Scene,
};

/// What the policy of one run says.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    read: Vec<String>,
    write: Vec<String>,
    net: Option<String>,
    system: Vec<String>,
    rule: Vec<String>,
    plugin: Vec<String>,
    exec: Vec<String>,
}

impl Policy {
    /// Reading `{ro}`, writing `{rw}`, and running the probe.
    pub(crate) fn base(scene: &Scene) -> Self {
        Self {
            read: vec![scene.fill("{ro}")],
            write: vec![scene.fill("{rw}")],
            ..Self::default()
        }
    }

    /// The same with what `grant` allows.
    pub(crate) fn with(mut self, scene: &Scene, grant: Grant) -> Self {
        match grant {
            Grant::Never => {}
            Grant::Read(path) => self.read.push(scene.fill(path)),
            Grant::Write(path) => self.write.push(scene.fill(path)),
            Grant::Net(net) => self.net = Some(scene.fill(net)),
            Grant::Exec(programs) => {
                let programs: Vec<_> = programs.iter().map(|name| scene.fill(name)).collect();
                self.rule.push(format!("exec = {programs:?}"));
            }
            Grant::WriteExec(path) => self
                .exec
                .push(format!("write_exec = [{:?}]", scene.fill(path))),
        }
        self
    }

    /// The same without what `grant` would allow, where leaving it out is not enough to say no.
    pub(crate) fn without(mut self, grant: Grant) -> Self {
        if matches!(grant, Grant::Exec(_)) {
            self.rule.push("exec = []".to_owned());
        }
        self
    }

    /// The same with a directory of programs.
    pub(crate) fn with_system(mut self, directory: String) -> Self {
        self.system.push(directory);
        self
    }

    /// The same with a line of the rule that allows the probe.
    pub(crate) fn with_rule(mut self, line: &str) -> Self {
        self.rule.push(line.to_owned());
        self
    }

    /// The same with a line of the plugin's table.
    pub(crate) fn with_plugin(mut self, line: &str) -> Self {
        self.plugin.push(line.to_owned());
        self
    }

    /// The same with a line of the plugin's `exec` table.
    pub(crate) fn with_exec(mut self, line: &str) -> Self {
        self.exec.push(line.to_owned());
        self
    }

    /// The same with another directory to read.
    pub(crate) fn with_read(mut self, directory: String) -> Self {
        self.read.push(directory);
        self
    }

    /// The same with another directory to write.
    pub(crate) fn with_write(mut self, directory: String) -> Self {
        self.write.push(directory);
        self
    }

    /// The text of the file.
    pub(crate) fn text(&self, scene: &Scene, tier: Tier) -> String {
        let net = self.net.as_deref().unwrap_or("\"none\"");
        let mut rule = vec![format!("program = {:?}", scene.probe())];
        rule.extend(self.rule.iter().cloned());
        let mut lines = vec![format!("confinement = {:?}", tier.key())];
        lines.push("[[plugins]]\nid = \"p\"\npath = \"p.wasm\"".to_owned());
        lines.push(format!(
            "fs = {{ read = {:?}, write = {:?} }}\nnet = {net}",
            self.read, self.write
        ));
        lines.extend(self.plugin.iter().cloned());
        lines.push(format!(
            "[plugins.exec]\nallow = [{{ {} }}]",
            rule.join(", ")
        ));
        if !self.system.is_empty() {
            lines.push(format!("system = {:?}", self.system));
        }
        lines.extend(self.exec.iter().cloned());
        lines.push(String::new());
        lines.join("\n")
    }
}
