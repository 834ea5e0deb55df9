//! Codes of the errors that the command itself makes, and the pages of all codes.

use portcullis_config::ConfigCode;
use portcullis_fetch::FetchCode;
use portcullis_policy::Code;

/// Codes with their pages.
type Pages = &'static [(&'static str, &'static str)];

macro_rules! pages {
    ($($(#[doc = $doc:literal])+ $code:literal,)+) => { &[$(($code, concat!($($doc, "\n",)+)),)+] };
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        $($(#[doc = $doc])+ pub(crate) const $name: &str = $code;)+

        const OWN: Pages = pages! { $($(#[doc = $doc])+ $code,)+ };
    };
}

/// A plugin of clawft and what lies beside it are too large: the library has the same of the plugin alone.
pub(crate) const TOO_LARGE: &str = "P0511";

/// Codes of `LoadError` and `CallError`.
const HOST_LIBRARY: Pages = pages! {
    /// The plugin's file cannot be read.
    ///
    /// Check the path, and that you may read the file.
    "P0600",
    /// The file is not a WebAssembly component.
    ///
    /// A plugin is a component for the world `portcullis:cli/plugin@0.1.0`, or a command of WASI. Build with `--target wasm32-wasip2`, or turn
    /// a core module into a component with `wasm-tools component new`.
    "P0601",
    /// The component is damaged.
    ///
    /// It does not pass validation: it was cut off, changed, or built by a tool with a fault. Build or fetch it again.
    "P0602",
    /// The plugin imports something that it was not granted, or that does not exist here.
    ///
    /// Every such import is listed. Grant what it needs, or write `late = true` for the plugin to learn of it at the call.
    "P0603",
    /// An import or export has another type than the interface of that name.
    ///
    /// Build the plugin against the WIT package `portcullis:cli@0.1.0` or `my:cli`.
    "P0604",
    /// The plugin's file is larger than any plugin may be.
    ///
    /// The limit is 128 MiB.
    "P0605",
    /// The plugin's file does not have the SHA-256 that the policy names.
    ///
    /// Somebody changed or updated it. If that was meant, write the new digest into the policy's `sha256`.
    "P0606",
    /// A grant reaches files of Portcullis itself.
    ///
    /// Who writes the policy, the cache of compiled code or the program file can do everything; who reads the keys can
    /// forge the rest. No grant reaches them. Grant a directory beside or below them.
    "P0607",
    /// A granted directory cannot be opened.
    ///
    /// Directories are opened before the plugin starts, so that what is missing is found then.
    "P0608",
    /// Compiling the plugin took too long.
    ///
    /// It was stopped; nothing of the plugin has run. A module can be made so that compiling it never ends. Raise
    /// `limits.compile_time` for a plugin that you trust.
    "P0609",
    /// The plugin may run commands, and this machine cannot start any.
    ///
    /// `portcullis doctor` says what is missing.
    "P0610",
    /// Compiling the plugin took too much memory.
    ///
    /// It was stopped; nothing of the plugin has run. A module can be made so that compiling it takes all there is. Raise
    /// `limits.compile_memory` for a plugin that you trust.
    "P0611",
    /// The plugin could not be compiled.
    ///
    /// Plugins are compiled in a process of its own that reaches no file of yours, because a module can be made to attack
    /// the compiler. Either that process cannot be confined here, or it failed. `portcullis doctor` says what is missing;
    /// where it cannot be had, write a weaker `confinement` at the top of the policy.
    "P0612",
    /// The engine that counts instructions cannot be started.
    ///
    /// Plugins with `limits.fuel` have an engine of their own. Leave the limit out: `limits.call` bounds their time all the same.
    "P0613",
    /// The plugin is revoked.
    ///
    /// Its SHA-256, the digest that it has in a registry or the key that signed it is listed under `revoked` in a policy, in a
    /// file of the working tree or in `/etc/portcullis/ceiling.toml`. Nothing of it has run. Get a version that is not revoked;
    /// nothing overrides the list.
    "P0614",
    /// A directory's changes are to be staged, and this host does not stage them.
    ///
    /// An application that embeds the library has to be in a staging namespace that covers the directory. What is to be
    /// staged is never written directly. Use `portcullis run`, or take `staged` out of the grant.
    "P0615",
    /// The plugin cannot be recorded.
    ///
    /// A record is of one plugin, and is written before the plugin is given anything.
    "P0616",
    /// The call into the plugin used up its fuel: it executed more instructions than it may.
    ///
    /// Everything it had started was killed. `limits.fuel` is counted afresh for each call, and for making the instance. Raise
    /// it, leave it out, so that only `limits.call` bounds the plugin's time, or have the plugin work in parts.
    "P0501",
    /// The plugin ran out of memory.
    ///
    /// It was refused what it asked for in this call, or declares more than it may have from the start, and ended for that.
    /// All its memories count together. Raise `limits.memory`.
    "P0502",
    /// The plugin ran out of table elements.
    ///
    /// A table holds references to functions; most plugins have one, of the size of the program. All of them count
    /// together. Raise `limits.table_elements`.
    "P0503",
    /// The plugin was asked to make itself ready, and refused.
    ///
    /// The reason is its own. It is asked again with the next call.
    "P0504",
    /// The plugin has nothing of this name to be called.
    ///
    /// It is made for another world; `portcullis inspect` says for which.
    "P0505",
    /// The plugin is larger than plugins of its world may be.
    ///
    /// Those of clawft are small by its rules. Raise `limits.clawft_module`, `limits.clawft_gzip` or
    /// `limits.clawft_directory`; the plugin itself cannot.
    "P0511",
    /// The call into the plugin passed its deadline.
    ///
    /// Everything it had started was killed. Raise `limits.call`, or have the plugin work in parts.
    "P0701",
    /// The plugin crashed.
    ///
    /// The cause and the place are in the report: those of its own language, where that printed them to standard error before it
    /// gave up, then those of the engine.
    "P0702",
    /// The plugin cannot be started.
    ///
    /// Its component needs more than its limits allow, or its start code failed.
    "P0703",
    /// An earlier call into the plugin did not return.
    ///
    /// Nothing is known of its state then; make a new instance.
    "P0704",
    /// A command changed where a repository's remote or upstream leads.
    ///
    /// The next `git push` or `git pull` goes there. If that was not meant, set it back with `git remote set-url` or
    /// `git branch --set-upstream-to`.
    "P0801",
    /// A command changed its copy of a repository's configuration, and that was not carried over.
    ///
    /// git executes what its configuration names, so commands get a copy of it. Only upstreams and remotes with https
    /// and ssh addresses are carried over, all together or not at all. Set what you want yourself, with `git config`.
    "P0802",
    /// A command made a file that your shell, editor or git executes.
    ///
    /// It has another name now, so that nothing executes it. Look at it before you rename it back. To let commands write
    /// such a name, list it in `unprotect`.
    "P0803",
    /// A protected file was replaced by another program while a command ran.
    ///
    /// A rename over a name takes away what protected it in running commands. Look at what it says.
    "P0804",
    /// A command failed, and says that it could not use a file that it was not granted.
    ///
    /// The file is there, and you could use it; the command could not. Only its own output says that it wanted the file, and
    /// a hostile program can say so of any: grant it only if the command needs it. No command is proposed for what holds
    /// secrets or is much.
    "P0805",
    /// A command wanted a host that it was not granted, or did not ask its proxy.
    ///
    /// Granted hosts are reached through a proxy of the command's own, by name and port.
    "P0806",
    /// A command left more in its cache than is kept.
    ///
    /// It was emptied, and the next command fills it anew. `exec.cache` says how much is kept in each cache; `portcullis
    /// cache list` shows them.
    "P0807",
    /// A command of WASI preview 1 imports what sockets are used by, and preview 1 opens none.
    ///
    /// It runs all the same; each such call answers that it is not supported. Requests over HTTP are there for components
    /// that import `wasi:http` or `portcullis:cli/http`.
    "P0808",
};

codes! {
    /// The plugin asks for more than the policy gives it.
    ///
    /// Its own manifest says what it wants; that alone gives it nothing, and it runs without. The commands grant exactly what
    /// it asks for.
    ASKS = "P0510",
    /// An environment variable names a place that is not believed.
    ///
    /// `HOME`, `XDG_*` and `PORTCULLIS_*` say where the policy, the keys and the trail are. They count only if that place
    /// is owned by you, cannot be written by others, and lies outside the working tree: a file of the tree could have
    /// set them. Unset the variable, or use `--config` and `--data-dir`.
    VARIABLE = "P0901",
    /// There is no such plugin.
    ///
    /// A plugin is named by its id in a policy, or by the path of its file or directory.
    NO_PLUGIN = "P0902",
    /// A file or directory cannot be used.
    ///
    /// The message says which and why.
    UNUSABLE = "P0903",
    /// The audit trail cannot be used.
    ///
    /// Nothing is run that cannot be written down. The directory must be yours alone (0700) and have space left.
    AUDIT = "P0904",
    /// The cache of compiled code cannot be used.
    ///
    /// Its directory and the one of its key must be yours alone (0700).
    CACHE = "P0905",
    /// The host cannot be started.
    ///
    /// `portcullis doctor` says what is missing.
    HOST = "P0906",
    /// A value on the command line has no meaning.
    ///
    /// The message says what is expected.
    ARGUMENT = "P0907",
    /// A policy file of yours can be changed by others.
    ///
    /// Whoever writes it decides what plugins may do. It must be owned by you or root, and be writable by its owner only.
    FILE_NOT_OURS = "P0908",
    /// The output cannot be written.
    ///
    /// The disk is full, or the file or terminal is gone. `portcullis exec` also says so when its standard input cannot
    /// be read; the command was killed.
    OUTPUT = "P0909",
    /// A command that was allowed could not be started.
    ///
    /// The cause is in the report. `portcullis doctor` checks what the host needs to start commands.
    START = "P0910",
    /// A rule allows more than it seems to.
    ///
    /// The program can run any other program, or any text as a program. A rule without `sub`, `flags` or `args` lets the
    /// plugin do with it all that the report says it can reach. Argument rules guard against mistakes; what a command can
    /// reach follows from the plugin's grants, less the rule's `read`, `write`, `net` and `exec`.
    LINT_DUAL_USE = "P0911",
    /// Two rules allow the same program.
    ///
    /// A command that both allow gets only what both leave it: the smaller of two limits, the narrower of two rights.
    LINT_OVERLAP = "P0912",
    /// The change to the policy was not made.
    ///
    /// The reason is in the report: what is asked for would still be denied by another rule, or would still be allowed
    /// by one, or the file is written in a form that no command changes. Edit it by hand.
    EDIT = "P0913",
    /// The paths of a rule do less than they seem to.
    ///
    /// A rule only takes away: a path outside everything the plugin was granted gives nothing, and `read` alone leaves
    /// what the plugin may write, which can also be read. Grant the path with `fs`, or write `write` beside `read`.
    LINT_PATHS = "P0914",
    /// Commands are not confined.
    ///
    /// Under `confinement = "limits"` the kernel enforces none of the plugin's grants on its commands: each can do what
    /// you can do. Write it for the one rule that needs it.
    LINT_UNCONFINED = "P0915",
    /// Commands that are given secrets reach the whole network.
    ///
    /// What is passed with `pass_env` can be sent anywhere. Name the hosts: `net = ["api.example.com:443"]`.
    LINT_OPEN_WITH_SECRETS = "P0916",
    /// A directory that may be written holds programs that are executed.
    ///
    /// What one command, or the plugin itself, writes there runs the next time, and with what that run may reach. Grant
    /// a directory below or beside it.
    LINT_WRITABLE_PROGRAMS = "P0917",
    /// The ceiling cannot be obeyed.
    ///
    /// `/etc/portcullis/ceiling.toml` bounds what anybody can grant on this machine. It is there, and cannot be read, or
    /// somebody else than root could have written it or a directory above it. Nothing is run then.
    CEILING = "P0918",
    /// Something was granted that is above the ceiling.
    ///
    /// `/etc/portcullis/ceiling.toml` is met with everything: no policy, flag, answer or `portcullis trust` goes beyond it.
    /// The report names both lines. Take it out of the policy, or ask whoever administers this machine.
    ABOVE_CEILING = "P0919",
    /// The list of trusted policies cannot be used.
    ///
    /// It lies in the data directory, which must be yours alone (0700, its files 0600). Remove it and trust again.
    TRUST_STORE = "P0920",
    /// There is nothing to trust.
    ///
    /// `portcullis trust` is about a `portcullis.toml` found from the project upwards. It is refused without a terminal,
    /// where a ceiling forbids it, and where you do not type `yes`.
    TRUST = "P0921",
    /// Something of an imported policy is left out, or means something else here.
    ///
    /// `portcullis import` says the policy of another host in our words, and grants nothing that it does not grant. What has
    /// no words here, or fewer, is named in a comment of the entry and in a warning. Grant by hand what is needed after all.
    IMPORT = "P0922",
    /// What is installed cannot be looked at or changed.
    ///
    /// It lies in `plugins` in the data directory, which must be yours alone (0700, its files 0600). What was not changed whole is
    /// as it was. The content of a plugin that is not what was installed is never run: remove the plugin and install it again.
    REGISTRY = "P0930",
    /// The plugin was not installed or updated.
    ///
    /// Everything is as it was. Without a terminal nobody can be asked: `--yes` installs a plugin with nothing but what your
    /// policy gives it, and never answers for an update that asks for more than before.
    NOT_INSTALLED = "P0931",
    /// There is no installed plugin of this name.
    ///
    /// `portcullis list` shows what is installed.
    NO_SUCH_PLUGIN = "P0932",
    /// Nobody vouches for this plugin.
    ///
    /// It is not signed by a key that your policy has for its name, and your policy does not name its digest. It can do no more
    /// than you grant; whether it is what its author wrote, nobody knows.
    UNSIGNED = "P0933",
    /// An installed plugin is not as it should be.
    ///
    /// `portcullis verify` says of each whether its content is what was installed, and whether what vouched for it still does.
    NOT_VERIFIED = "P0934",
    /// There is no test to run.
    ///
    /// A test file is TOML, or Markdown with blocks of ` ```toml test `, and has one `[[test]]` at least. The message says what
    /// is expected. Nothing of the plugin has run.
    TEST = "P0940",
    /// The plugin cannot be built.
    ///
    /// A plugin is built with the tools of its own language; the message says which is missing, or what is wrong with what came
    /// out. They run in a cell that reads the toolchain, writes the plugin's directory, and reaches no network: fetch what the
    /// plugin depends on first, with the language's own tool. `--unconfined` builds without the cell.
    BUILD = "P0941",
    /// The record of a run cannot be made.
    ///
    /// `run --record` makes a new file that only you can read, outside of every directory that the plugin may use. It replaces
    /// nothing.
    RECORD = "P0950",
    /// A record cannot be played.
    ///
    /// A record is what `run --record` wrote. The message says which line of it is none, or why the plugin cannot be run.
    REPLAY = "P0951",
    /// A plugin did something else than what is recorded.
    ///
    /// Lines with `-` are what the record has, lines with `+` what the plugin did. A plugin that is given the same does the
    /// same, so this is another plugin, or another record.
    DIFFERENT = "P0952",
    /// The plugin of a record is not there, or is another.
    ///
    /// A record is played to the plugin that it was made of, by its SHA-256. `--plugin` says where that is, and
    /// `--allow-changed` plays it to another one.
    RECORDED = "P0953",
    /// No test can be made of a record.
    ///
    /// The message says what of it a test file has no words for: a file that was read, for example, or a command beside the
    /// plugin. A record out of which a secret was taken makes none.
    EMIT = "P0954",
    /// What is written cannot be staged.
    ///
    /// Staged writes go to an overlay in a user namespace: that needs Linux 5.11, a user other than root, directories and not
    /// files, and a data directory on a file system with extended attributes. Nothing has run.
    UNSTAGED = "P0960",
    /// What was staged is not committed.
    ///
    /// Everything is as it was before the run. Devices, set-id files, links that lead out, extended attributes and protected
    /// names are never committed, and neither is what somebody else changed meanwhile; with one of these nothing is. Where you
    /// are to be asked, there has to be a terminal.
    NOT_COMMITTED = "P0961",
    /// A commit was cut off, and cannot be taken back.
    ///
    /// Something that it had put in place was changed since, so it is left alone. What was there before is kept, in the
    /// directory that the message names, until you have looked at both.
    UNRECOVERED = "P0962",
    /// Nothing can be learnt from this run.
    ///
    /// `run --learn` runs the plugin again and again, so it keeps what is on its standard input, at most 64 MiB.
    UNLEARNT = "P0970",
    /// The state of a plugin cannot be looked at.
    ///
    /// It lies in the data directory, which must be yours alone (0700, its files 0600), and belongs to the plugin's name, the
    /// plugin's file and the policy file that has `kv`. A file that is damaged is left as it is: move it away, and the
    /// plugin begins anew.
    STATE = "P0449",
}

/// The page of a code, whatever case it is written in.
pub(crate) fn page(code: &str) -> Option<(&'static str, &'static str)> {
    all().find(|(known, _)| known.eq_ignore_ascii_case(code))
}

/// Every code with its page.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let denials = Code::ALL.iter().map(|code| (code.as_str(), code.page()));
    let files = ConfigCode::ALL
        .iter()
        .map(|code| (code.as_str(), code.page()));
    let sources = FetchCode::ALL
        .iter()
        .map(|code| (code.as_str(), code.page()));
    denials
        .chain(files)
        .chain(sources)
        .chain(HOST_LIBRARY.iter().copied())
        .chain(OWN.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    const HEAD: &str = "# Codes\n\nWhat `portcullis explain CODE` says of each code. A code never changes its meaning. [Errors](../errors.md) has what each is seen for. \
        This page is written from the codes' own definitions, by the test that holds it to them \
        (`UPDATE=1 cargo test -p portcullis-cli code::`).\n";

    #[test]
    fn the_page_has_every_code() {
        let codes: BTreeMap<_, _> = super::all().collect();
        let mut page = HEAD.to_owned();
        for (code, text) in codes {
            let paragraphs = text.trim().lines().map(str::trim).collect::<Vec<_>>();
            page.push_str(&format!("\n## {code}\n\n{}\n", paragraphs.join("\n")));
        }
        portcullis_testkit::is_current("docs/reference/codes.md", &page);
    }

    #[test]
    fn a_code_means_one_thing() {
        let codes: Vec<_> = super::all().map(|(code, _)| code).collect();
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
        assert!(
            codes
                .iter()
                .all(|code| code.len() == 5 && code.starts_with("P0"))
        );
    }
}
