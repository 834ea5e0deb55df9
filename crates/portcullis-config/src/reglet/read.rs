//! Reads the key `reglet` of a plugin's entry: into the same drafts as our own keys, so that whatever holds for those holds for
//! it.

use portcullis_policy::{
    ArgumentRule, ConnectRule, DnsNames, FsAccess, FsKind, HttpHosts, HttpRule, LookupRule,
    Narrowing, Places, ProgramRule, Programs, RegletGrant, RuleId,
};

use super::{Mapped, Right, command, entry, hosts, path, variable};
use crate::draft::{Draft, ExecDraft, Wanted, unite};
use crate::error::ConfigCode;
use crate::raw::{Directory, GrantSet, Reglet, Text};
use crate::reader::Reader;
use crate::source::At;

/// The rights of one entry, with the place of it.
type Placed<'a> = (&'a Text, String, Mapped);

impl Reader<'_> {
    /// Puts what is granted in Reglet's words on top of what stands in a draft.
    pub(crate) fn reglet(&mut self, raw: &At<Reglet>, draft: &mut Draft) {
        draft.reglet.get_or_insert_default();
        let entries: Vec<Placed<'_>> = match &**raw {
            Reglet::List(list) => {
                let list = list.iter().enumerate();
                list.map(|(index, text)| (text, format!("reglet[{index}]"), entry(text)))
                    .collect()
            }
            Reglet::Set(set) => of_set(set),
        };
        let mut last = Vec::new();
        for (text, id, mapped) in entries {
            let message = |why| format!("`{}` is no grant of ours: {why}", text.as_str());
            let rights = self.take(ConfigCode::Pattern, text, mapped.map_err(message));
            for right in rights.into_iter().flatten() {
                match right {
                    Right::DangerousVariable(name) => last.push(name),
                    right => self.right(text, &id, right, draft),
                }
            }
        }
        // Without commands there is nobody to be given them.
        if let Some(exec) = &mut draft.exec {
            unite(&mut exec.allow_dangerous_env, last);
        }
    }

    fn right(&mut self, text: &Text, id: &str, right: Right, draft: &mut Draft) {
        match right {
            Right::AnyProgram => {
                self.exec_of(text, draft).any_program = true;
            }
            Right::Program(program) => {
                let rule = self.rule_for(text, id, program);
                let allow = self.exec_of(text, draft).allow.get_or_insert_default();
                unite(allow, [rule]);
            }
            Right::InlineCode(program) => {
                let reglet = draft.reglet.get_or_insert_with(RegletGrant::default);
                unite(&mut reglet.inline_code, [program]);
            }
            Right::Variable(name) | Right::DangerousVariable(name) => unite(&mut draft.env, [name]),
            Right::Path {
                path,
                access,
                below,
            } => self.path_for(text, path, access, below, draft),
            Right::Host(host) => {
                let read = HttpHosts::parse(&host).map_err(|error| error.to_string());
                if let Some(hosts) = self.take(ConfigCode::Pattern, text, read) {
                    let rule = HttpRule {
                        id: RuleId(id.to_owned()),
                        origin: self.origin(text),
                        hosts,
                        schemes: Vec::new(),
                        methods: Vec::new(),
                        paths: Vec::new(),
                    };
                    unite(&mut draft.http, [rule]);
                }
            }
            Right::Connect(place) => {
                let read = Places::parse(&place).map_err(|error| error.to_string());
                if let Some(places) = self.take(ConfigCode::Pattern, text, read) {
                    let rule = ConnectRule {
                        id: RuleId(id.to_owned()),
                        origin: self.origin(text),
                        places,
                    };
                    unite(&mut draft.connect, [rule]);
                }
            }
            Right::Lookup(name) => {
                let read = DnsNames::parse(&name).map_err(|error| error.to_string());
                if let Some(names) = self.take(ConfigCode::Pattern, text, read) {
                    let rule = LookupRule {
                        id: RuleId(id.to_owned()),
                        origin: self.origin(text),
                        names,
                    };
                    unite(&mut draft.lookup, [rule]);
                }
            }
        }
    }

    /// The commands of a draft. Whoever names some means no others, in whatever mode.
    fn exec_of<'a>(&self, text: &Text, draft: &'a mut Draft) -> &'a mut ExecDraft {
        let origin = self.origin(text);
        let exec = draft.exec.get_or_insert_with(|| ExecDraft::new(origin));
        exec.allow.get_or_insert_default();
        exec
    }

    fn rule_for(&self, text: &Text, id: &str, program: Programs) -> ProgramRule {
        ProgramRule {
            id: RuleId(id.to_owned()),
            origin: self.origin(text),
            program,
            sha256: None,
            arguments: ArgumentRule::default(),
            plugin_sha256: None,
            narrowing: Narrowing::default(),
        }
    }

    fn path_for(
        &mut self,
        text: &Text,
        path: String,
        access: FsAccess,
        below: bool,
        draft: &mut Draft,
    ) {
        let directory = text.with(Directory::Path(path));
        let Some(grant) = self.fs_grant(&directory, access, Wanted::Any) else {
            return;
        };
        if (grant.kind == FsKind::File) == below {
            let shown = grant.host.display();
            let message = if below {
                format!("`{shown}` is a file, and has nothing below it")
            } else {
                format!("`{shown}` is a directory: with `/**` behind it all below it is granted")
            };
            self.wrong(ConfigCode::Value, text, message);
            return;
        }
        let guest = grant.guest.clone();
        if let Err(other) = draft.add_fs(grant) {
            let message = format!("`{guest}` is already the name of `{}`", other.display());
            self.wrong(ConfigCode::Duplicate, text, message);
        }
    }
}

/// The entries of a set, section by section.
fn of_set(set: &GrantSet) -> Vec<Placed<'_>> {
    let mut entries: Vec<Placed<'_>> = Vec::new();
    let exec = set.exec.as_deref();
    for (index, text) in texts(exec.and_then(|exec| exec.commands.as_ref())) {
        entries.push((text, format!("reglet.exec[{index}]"), command(text)));
    }
    for (index, text) in texts(exec.and_then(|exec| exec.inline.as_ref())) {
        let inline = entry(&format!("inline:{}", text.as_str()));
        entries.push((text, format!("reglet.inline[{index}]"), inline));
    }
    let rules = set.fs.iter().flat_map(|fs| fs.rules.iter().flatten());
    for (number, rule) in rules.enumerate() {
        for (list, access) in [
            (&rule.read, FsAccess::Read),
            (&rule.write, FsAccess::ReadWrite),
        ] {
            for (_, text) in texts(list.as_ref()) {
                entries.push((text, format!("reglet.fs[{number}]"), path(text, access)));
            }
        }
    }
    let rules = set
        .network
        .iter()
        .flat_map(|network| network.rules.iter().flatten());
    for (number, rule) in rules.enumerate() {
        let ports: Vec<_> = texts(Some(&rule.ports))
            .map(|(_, text)| text.as_str())
            .collect();
        for (_, text) in texts(Some(&rule.hosts)) {
            let mapped = hosts(&[text.as_str()], &ports);
            entries.push((text, format!("reglet.network[{number}]"), mapped));
        }
    }
    for (index, text) in texts(set.env.as_ref().map(|env| &env.vars)) {
        entries.push((text, format!("reglet.env[{index}]"), variable(text)));
    }
    entries
}

fn texts(list: Option<&crate::raw::Texts>) -> impl Iterator<Item = (usize, &Text)> {
    list.into_iter().flat_map(|list| list.iter()).enumerate()
}
