//! Broken plugins, policies and requests, and the message that each gets. `docs/errors.md` is written from this table
//! (`UPDATE=1 cargo test -p portcullis-cli broken`).

use std::collections::BTreeSet;

use portcullis_testkit::{Hostile, assemble, guest_bytes, is_current, wat};

use crate::context::{Context, DEV};

/// What is in a file.
enum Content {
    Text(&'static str),
    Bytes(&'static [u8]),
    /// A component of `guests/`.
    Guest(&'static str),
    /// A fixture of `guests/wat`.
    Wat(&'static str),
    /// WebAssembly in the text format.
    Assemble(&'static str),
    /// What keeps a compiler busy.
    Slow(Hostile),
}

use Content::{Assemble, Bytes, Guest, Slow, Text, Wat};

struct Case {
    /// What is broken.
    what: &'static str,
    /// What `p.wasm` is.
    plugin: Content,
    /// What follows the head of the policy; beginning with `!`, the whole policy.
    policy: &'static str,
    /// The arguments of `portcullis`, between spaces.
    args: &'static str,
    /// The first line of the message.
    says: &'static str,
    /// The exit code.
    exit: i32,
    /// Whether this machine has user namespaces.
    namespaces: bool,
}

/// What `portcullis exec` may do.
const LISTING: &str = "[[plugins]]\nid = \"exec\"\nexec.allow = [\"true\"]\n";
/// Runs the plugin under the policy.
const RUN: &str = "run --config policy.toml p";
/// Checks the policy.
const CHECK: &str = "check policy.toml";

const fn plugin(what: &'static str, plugin: Content, says: &'static str) -> Case {
    Case {
        what,
        plugin,
        policy: "",
        args: RUN,
        says,
        exit: 125,
        namespaces: true,
    }
}

const fn policy(what: &'static str, policy: &'static str, says: &'static str) -> Case {
    Case {
        what,
        plugin: Guest("noop"),
        policy,
        args: CHECK,
        says,
        exit: 2,
        namespaces: true,
    }
}

const fn request(
    what: &'static str,
    policy: &'static str,
    args: &'static str,
    says: &'static str,
) -> Case {
    Case {
        what,
        plugin: Guest("exec-args"),
        policy,
        args,
        says,
        exit: 126,
        namespaces: true,
    }
}

/// What the plugin does itself in `out`, which it may write.
const fn change(what: &'static str, args: &'static str, says: &'static str) -> Case {
    Case {
        what,
        plugin: Guest("wasi-probe"),
        policy: "fs.write = [{ path = \"out\", as = \"/out\" }]\n",
        args,
        says,
        exit: 126,
        namespaces: true,
    }
}

const fn usage(what: &'static str, args: &'static str, exit: i32, says: &'static str) -> Case {
    Case {
        what,
        plugin: Guest("noop"),
        policy: "",
        args,
        says,
        exit,
        namespaces: true,
    }
}

const ECHO: &str = "exec.allow = [\"echo\"]\n";

const PLUGINS: &[Case] = &[
    Case {
        args: "run gone.wasm",
        ..plugin(
            "a file that is not there",
            Text(""),
            "error[P0902]: `gone.wasm` is neither a plugin of the policy nor a file",
        )
    },
    plugin(
        "an empty file",
        Text(""),
        "error[P0601]: cannot load plugin `p`: the file is empty",
    ),
    plugin(
        "the text format",
        Text("(module)"),
        "error[P0601]: cannot load plugin `p`: the file is WebAssembly in the text format",
    ),
    plugin(
        "a native program",
        Bytes(b"\x7fELF\x02\x01\x01\0"),
        "error[P0601]: cannot load plugin `p`: the file is a native program",
    ),
    plugin(
        "a script",
        Text("#!/bin/sh\n"),
        "error[P0601]: cannot load plugin `p`: the file is a script",
    ),
    plugin(
        "an archive",
        Bytes(b"PK\x03\x04\0\0"),
        "error[P0601]: cannot load plugin `p`: the file is an archive",
    ),
    plugin(
        "a picture",
        Bytes(b"\x89PNG\r\n\x1a\n"),
        "error[P0601]: cannot load plugin `p`: the file is not a WebAssembly file",
    ),
    plugin(
        "code compiled ahead of time",
        Bytes(b"\x7fELF\x02\x01\x01\0.wasmtime.engine"),
        "error[P0601]: cannot load plugin `p`: the file is native code compiled ahead of time (`.cwasm`)",
    ),
    plugin(
        "a core module",
        Wat("empty-module"),
        "error[P0601]: cannot load plugin `p`: the file is a core module, and not in the form of plugins",
    ),
    plugin(
        "a WASI preview 1 reactor",
        Assemble("(module (func (export \"_initialize\")))"),
        "error[P0601]: cannot load plugin `p`: the file is a core module that is a reactor of WASI preview 1, and does nothing by itself",
    ),
    plugin(
        "a module that is a WASI command and a reactor",
        Assemble(
            "(module (memory (export \"memory\") 1) (func (export \"_start\")) (func (export \"_initialize\")))",
        ),
        "error[P0604]: cannot load plugin `p`: its interface does not fit",
    ),
    plugin(
        "a module for Extism",
        Assemble("(module (import \"extism:host/env\" \"length\" (func)))"),
        "error[P0601]: cannot load plugin `p`: the file is a core module for Extism",
    ),
    plugin(
        "a module for fledge that imports what fledge has not",
        Assemble("(module (import \"fledge\" \"log\" (func)))"),
        "error[P0603]: cannot load plugin `p`: it imports what it is not given",
    ),
    plugin(
        "a module for Reglet that imports what Reglet has not",
        Assemble("(module (import \"reglet_host\" \"exec\" (func)))"),
        "error[P0603]: cannot load plugin `p`: it imports what it is not given",
    ),
    plugin(
        "a component that was cut off",
        Bytes(b"\0asm\x0d\0\x01\0\x07\x7f"),
        "error[P0602]: cannot load plugin `p`: the component is not valid",
    ),
    Case {
        policy: "limits.compile_time = \"100ms\"\n",
        ..plugin(
            "a component made to be compiled for hours",
            Slow(Hostile::Time),
            "error[P0609]: cannot load plugin `p`: compiling it took more than 100 ms",
        )
    },
    Case {
        policy: "limits.compile_memory = \"64MiB\"\n",
        ..plugin(
            "a component made to fill the memory when it is compiled",
            Slow(Hostile::Memory),
            "error[P0611]: cannot load plugin `p`: compiling it took more than 67108864 bytes of memory",
        )
    },
    plugin(
        "a core module with two memories",
        Assemble(
            "(module (memory 1) (memory (export \"memory\") 1) (func (export \"allocate\")) (func (export \"run\")))",
        ),
        "error[P0602]: cannot load plugin `p`: the module is not valid",
    ),
    plugin(
        "a core module without `run`",
        Assemble("(module (import \"portcullis:core/v1\" \"log\" (func (param i32 i64))))"),
        "error[P0604]: cannot load plugin `p`: its interface does not fit",
    ),
    plugin(
        "a core module with a function that was not granted",
        Wat("core-exec"),
        "error[P0603]: cannot load plugin `p`: it imports what it is not given",
    ),
    plugin(
        "an import that does not exist",
        Wat("unknown-import"),
        "error[P0603]: cannot load plugin `p`: it imports what it is not given",
    ),
    plugin(
        "an import of outgoing HTTP",
        Wat("http-import"),
        "error[P0603]: cannot load plugin `p`: it imports what it is not given",
    ),
    Case {
        policy: ECHO,
        ..plugin(
            "`process` of another type",
            Wat("wrong-process"),
            "error[P0604]: cannot load plugin `p`: its interface does not fit",
        )
    },
    Case {
        policy: ECHO,
        ..plugin(
            "`run` of another type",
            Wat("wrong-run"),
            "error[P0604]: cannot load plugin `p`: its interface does not fit",
        )
    },
    plugin(
        "no `run`",
        Wat("no-run"),
        "error[P0604]: cannot load plugin `p`: its interface does not fit",
    ),
    plugin(
        "an import that was not granted",
        Guest("exec-args"),
        "error[P0603]: cannot load plugin `p`: it imports what it is not given",
    ),
    plugin(
        "more memory than it may have",
        Wat("huge-memory"),
        "error[P0502]: plugin `p` was stopped: call `instantiate` ran out of memory: it has 0 bytes, wanted more, and may have 268435456",
    ),
    plugin(
        "a crash",
        Guest("trap"),
        "error[P0702]: plugin `p` crashed in call `run`: wasm trap: wasm `unreachable` instruction executed",
    ),
    Case {
        policy: "limits.call = \"200ms\"\n",
        ..plugin(
            "a loop without end",
            Guest("spin"),
            "error[P0701]: plugin `p` was stopped: call `run` passed its deadline of 200 ms",
        )
    },
    Case {
        policy: "limits.fuel = 1000000\n",
        ..plugin(
            "a loop without end, with its instructions counted",
            Guest("spin"),
            "error[P0501]: plugin `p` was stopped: call `run` used up its fuel of 1000000 instructions",
        )
    },
    Case {
        policy: "sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n",
        ..plugin(
            "another file than the policy names",
            Guest("noop"),
            "error[P0606]: cannot load plugin `p`: its SHA-256 is `[DIGEST]`, the policy names `[DIGEST]`",
        )
    },
];

const POLICIES: &[Case] = &[
    policy(
        "not TOML",
        "!mode = \n",
        "error[P0108]: string values must be quoted, expected literal string",
    ),
    policy(
        "an unknown key",
        "alow = []\n",
        "error[P0101]: unknown key `alow` in `plugins`",
    ),
    policy(
        "an unknown key in a rule",
        "exec.allow = [{ program = \"git\", subs = [\"log\"] }]\n",
        "error[P0101]: unknown key `subs` in `plugins.exec.allow`",
    ),
    policy(
        "a value of another type",
        "late = \"yes\"\n",
        "error[P0102]: `plugins.late` must be `true` or `false`, not a string",
    ),
    policy(
        "a word that means nothing",
        "!mode = \"strict\"\n",
        "error[P0102]: `strict` is no value of `mode`",
    ),
    policy(
        "an entry without id",
        "!plugins = [{ path = \"p.wasm\" }]\n",
        "error[P0102]: this entry of `plugins` has no key `id`",
    ),
    policy(
        "an entry without path",
        "!plugins = [{ id = \"p\" }]\n",
        "error[P0102]: plugin `p` has no key `path`",
    ),
    policy(
        "an id that is none",
        "!plugins = [{ id = \"a b\", path = \"p.wasm\" }]\n",
        "error[P0102]: `a b` is not a plugin id: 1 to 128 letters, digits, `.`, `_` or `-`, starting with a letter or digit",
    ),
    policy(
        "the same id twice",
        "[[plugins]]\nid = \"p\"\npath = \"q.wasm\"\n",
        "error[P0103]: plugin `p` stands here a second time",
    ),
    policy(
        "a time without unit",
        "limits.timeout = \"30\"\n",
        "error[P0109]: `30` is not a time",
    ),
    policy(
        "a size in another unit",
        "limits.output = \"10MB\"\n",
        "error[P0109]: `10MB` is not a size",
    ),
    policy(
        "a negative number",
        "limits.children = -1\n",
        "error[P0102]: `plugins.limits.children` must not be negative",
    ),
    policy(
        "a directory that is not there",
        "fs.read = [\"gone\"]\n",
        "error[P0104]: `[DIR]/project/gone` cannot be opened: no such file or directory",
    ),
    policy(
        "a device that is granted",
        "fs.write = [\"/dev/null\"]\n",
        "error[P0104]: `/dev/null` is neither a directory nor a file",
    ),
    policy(
        "a host without port",
        "net = [\"example.com\"]\n",
        "error[P0105]: `example.com` is not `host:port`: the port is missing",
    ),
    policy(
        "a confinement that does not exist",
        "exec.allow = [{ program = \"git\", confinement = \"none\" }]\n",
        "error[P0102]: `none` is no value of `plugins.exec.allow.confinement`",
    ),
    policy(
        "a name that is not protected",
        "exec.unprotect = [\".git\"]\n",
        "error[P0102]: `.git` is not protected: there is nothing to lift",
    ),
    policy(
        "a toolchain that is not there",
        "exec.system = [\"gone\"]\n",
        "error[P0104]: `[DIR]/project/gone` cannot be opened: no such file or directory",
    ),
    policy(
        "a place to execute from that leads out",
        "exec.write_exec = [\"../x\"]\n",
        "error[P0104]: `../x` is neither a name below a directory, such as `target`, nor an absolute path",
    ),
    policy(
        "a variable that means nothing",
        "fs.read = [\"${HOME}\"]\n",
        "error[P0104]: `${HOME}` has an unknown variable: known are `${project}`, `${plugin}` and `~`, first in the path",
    ),
    policy(
        "a relative program",
        "exec.allow = [\"./git\"]\n",
        "error[P0105]: `./git` is not a program",
    ),
    policy(
        "a command line instead of a program",
        "exec.allow = [\"git log\"]\n",
        "error[P0105]: `git log` is not a program",
    ),
    policy(
        "a pattern of no known kind",
        "exec.allow = [{ program = \"git\", args = [\"<file>\"] }]\n",
        "error[P0105]: `<file>` is unknown: expected `<read>`, `<write>`, `<new>`, `<int>`, `<word>` or `<url:…>`",
    ),
    policy(
        "a digest that is none",
        "exec.allow = [{ program = \"git\", sha256 = \"abc\" }]\n",
        "error[P0102]: a SHA-256 is 64 hexadecimal digits",
    ),
    policy(
        "two rules of one name",
        "exec.allow = [{ id = \"r\", program = \"a\" }, { id = \"r\", program = \"b\" }]\n",
        "error[P0103]: rule `r` stands here a second time",
    ),
    policy(
        "a test that fails",
        "exec = { allow = [\"git\"], test = [{ deny = [[\"git\", \"push\"]] }] }\n",
        "error[P0106]: the rules must deny [\"git\", \"push\"], and allow it",
    ),
    policy(
        "a grant of the own policy file",
        "fs.write = [\".\"]\n",
        "error[P0110]: `[DIR]/project` may not be written by plugins: it reaches `[DIR]/project/policy.toml`",
    ),
    Case {
        args: "check gone.toml",
        ..policy(
            "a policy file that is not there",
            "",
            "error[P0903]: cannot read the policy file `gone.toml`",
        )
    },
];

const REQUESTS: &[Case] = &[
    request(
        "a program that no rule is about",
        ECHO,
        "run --config policy.toml p exec -- cat",
        "error[P0201]: plugin `p` may not run `/usr/bin/cat`",
    ),
    request(
        "a program that is denied",
        "exec = { allow = [\"echo\"], deny = [\"echo\"] }\n",
        "run --config policy.toml p exec -- echo",
        "error[P0202]: plugin `p` may not run `/usr/bin/echo`",
    ),
    request(
        "other arguments",
        "exec.allow = [{ program = \"git\", sub = [\"log\"] }]\n",
        "run --config policy.toml p exec -- git push",
        "error[P0203]: plugin `p` may not run `/usr/bin/git` with these arguments",
    ),
    request(
        "a relative path",
        ECHO,
        "run --config policy.toml p exec -- ./echo",
        "error[P0210]: plugin `p` may not run `./echo`",
    ),
    request(
        "a program that is not there",
        "exec.allow = [\"nosuch\"]\n",
        "run --config policy.toml p exec -- nosuch",
        "error[P0205]: plugin `p` may not run `nosuch`",
    ),
    request(
        "a file that is no program",
        "exec.allow = [\"/etc/passwd\"]\n",
        "run --config policy.toml p exec -- /etc/passwd",
        "error[P0206]: plugin `p` may not run `/etc/passwd`",
    ),
    request(
        "a directory",
        "exec.allow = [\"/etc\"]\n",
        "run --config policy.toml p exec -- /etc",
        "error[P0206]: plugin `p` may not run `/etc`",
    ),
    request(
        "another program than its digest says",
        "exec.allow = [{ program = \"echo\", sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\" }]\n",
        "run --config policy.toml p exec -- echo",
        "error[P0211]: plugin `p` may not run `/usr/bin/echo`",
    ),
    request(
        "a directory that was not granted",
        ECHO,
        "run --config policy.toml p exec --cwd=/ -- echo",
        "error[P0207]: plugin `p` may not run `/usr/bin/echo` in `/`",
    ),
    request(
        "a directory that is not there",
        ECHO,
        "run --config policy.toml p exec --cwd=gone -- echo",
        "error[P0207]: plugin `p` may not run `/usr/bin/echo` in `gone`",
    ),
    request(
        "a variable that runs other code",
        ECHO,
        "run --config policy.toml p exec --env=LD_PRELOAD=x.so -- echo",
        "error[P0208]: plugin `p` may not set `LD_PRELOAD` for `/usr/bin/echo`",
    ),
    request(
        "a variable outside the prefixes",
        "env_allow_prefixes = [\"AWS_\"]\nexec.allow = [\"echo\"]\n",
        "run --config policy.toml p exec --env=TF_LOG=1 -- echo",
        "error[P0209]: plugin `p` may not set `TF_LOG` for `/usr/bin/echo`",
    ),
    request(
        "a variable without name",
        ECHO,
        "run --config policy.toml p exec --env==x -- echo",
        "error[P0210]: plugin `p` may not run `/usr/bin/echo`",
    ),
    request(
        "standard input where a rule has none",
        "exec.allow = [{ program = \"cat\", stdin = false }]\n",
        "run --config policy.toml p exec --stdin=x -- cat",
        "error[P0212]: plugin `p` may not run `/usr/bin/cat` with standard input",
    ),
    without_namespaces(request(
        "confinement that cannot be enforced, such as here without user namespaces",
        "exec.allow = [{ program = \"echo\", confinement = \"full\" }]\n",
        "run --config policy.toml p exec -- echo",
        "error[P0213]: plugin `p` may not run `/usr/bin/echo`",
    )),
    request(
        "more output than it may have",
        "limits.output = \"10B\"\nexec.allow = [\"seq\"]\n",
        "run --config policy.toml p exec -- seq 1000",
        "error[P0223]: plugin `p` may not read more output of `/usr/bin/seq`",
    ),
    request(
        "more commands than it may start",
        "limits.spawns_per_minute = 0\nexec.allow = [\"echo\"]\n",
        "run --config policy.toml p exec -- echo",
        "error[P0222]: plugin `p` may not run `/usr/bin/echo` now",
    ),
    change(
        "a file that others execute",
        "run --config policy.toml p write /out/.envrc x",
        "error[P0302]: plugin `p` may not write `[DIR]/project/out/.envrc`",
    ),
];

const USAGES: &[Case] = &[
    usage(
        "a plugin that is not there",
        "run nosuch",
        125,
        "error[P0902]: `nosuch` is neither a plugin of the policy nor a file",
    ),
    usage(
        "an empty list of programs",
        "run --allow-exec= p.wasm",
        125,
        "error[P0105]: `` is not a program",
    ),
    usage(
        "a directory that is not there",
        "run --allow-read=gone p.wasm",
        125,
        "error[P0104]: `[DIR]/project/gone` cannot be opened: no such file or directory",
    ),
    usage(
        "a project that is no project",
        "run --project / p.wasm",
        125,
        "error[P0903]: cannot use `/` as the project directory",
    ),
    usage(
        "a project that is not there",
        "run --project gone p.wasm",
        125,
        "error[P0903]: cannot use the project directory `gone`",
    ),
    usage(
        "a command that is not there",
        "exec -- nosuch",
        127,
        "error[P0205]: `portcullis exec` may not run `nosuch`",
    ),
    usage(
        "a command that the policy does not list",
        "exec --policy listing.toml -- echo",
        126,
        "error[P0201]: `portcullis exec` may not run `/usr/bin/echo`",
    ),
    usage(
        "a grant that reaches our own files",
        "exec --write .. -- true",
        125,
        "error[P0110]: `[DIR]` may not be written by plugins: it reaches `[DIR]/home/.config/portcullis/portcullis.toml`",
    ),
    usage(
        "a host without port",
        "exec --net example.org -- true",
        125,
        "error[P0105]: `example.org` is not `host:port`: the port is missing",
    ),
    usage(
        "the entry of `portcullis exec` run as a plugin",
        "run --config listing.toml exec",
        125,
        "error[P0902]: `exec` is no plugin",
    ),
    without_namespaces(usage(
        "a command where nothing can be confined",
        "exec -- true",
        125,
        "error[P0610]: cannot run the command: commands cannot be started on this host",
    )),
    usage(
        "trust in a tree that has no policy",
        "trust",
        2,
        "error[P0921]: there is no `portcullis.toml` of a working tree in `[DIR]/project` or above",
    ),
    usage(
        "a plugin to install that says nothing of itself",
        "install --yes p.wasm",
        2,
        "error[P0931]: `[DIR]/project/p.wasm` cannot be installed",
    ),
    usage(
        "a plugin to install that is not there",
        "install --yes gone",
        2,
        "error[P0852]: cannot read `[DIR]/project/gone`",
    ),
    usage(
        "a plugin that is not installed",
        "show nosuch",
        1,
        "error[P0932]: no plugin `nosuch` is installed",
    ),
    usage(
        "a plugin that is pushed to no registry",
        "push gone gone",
        2,
        "error[P0907]: `gone` is no place in a registry",
    ),
    usage(
        "a key that signs nothing",
        "sign --key policy.toml gone",
        2,
        "error[P0864]: the key is no private key of Ed25519 or P-256 in PEM without a password",
    ),
    usage(
        "a code that is none",
        "explain P9",
        2,
        "error[P0907]: `P9` is no error code",
    ),
    usage(
        "arguments that are no list",
        "grant p.wasm exec git --args log",
        2,
        "error[P0907]: `--args` is no JSON list of strings: expected value at line 1 column 1",
    ),
    usage(
        "a record that is not there",
        "audit explain 99",
        1,
        "error[P0907]: the trail has no record 99",
    ),
    usage(
        "a file that is to be staged",
        "exec --stage --write p.wasm -- true",
        125,
        "error[P0960]: what is written to `[DIR]/project/p.wasm` cannot be staged",
    ),
    usage(
        "a head that is none",
        "audit verify --head x",
        2,
        "error[P0907]: `x` is not a head: expected `<count>:<64 lower-case hex digits>`",
    ),
];

const SECTIONS: [(&str, &[Case]); 4] = [
    ("Plugins", PLUGINS),
    ("Policies", POLICIES),
    ("Requests", REQUESTS),
    ("The command line", USAGES),
];

/// On a machine that has switched user namespaces off.
const fn without_namespaces(mut case: Case) -> Case {
    case.namespaces = false;
    case
}

/// The first line of the message, and the exit code.
fn message(case: &Case) -> (String, Option<i32>) {
    let context = Context::new();
    let bytes = match &case.plugin {
        Text(text) => text.as_bytes().to_vec(),
        Bytes(bytes) => bytes.to_vec(),
        Guest(name) => guest_bytes(name),
        Wat(name) => wat(name),
        Assemble(text) => assemble(text.as_bytes()).unwrap(),
        Slow(hostile) => hostile.component(),
    };
    context.write("p.wasm", bytes);
    context.write("out/file", "");
    let policy = match case.policy.strip_prefix('!') {
        Some(whole) => whole.to_owned(),
        None => format!("{DEV}{}", case.policy),
    };
    context.write("policy.toml", policy);
    context.write("listing.toml", LISTING);
    let args: Vec<_> = case.args.split(' ').collect();
    let output = if case.namespaces {
        context.output(&args)
    } else {
        context.without_namespaces(&args).output().unwrap()
    };
    let stderr = context.plain(&String::from_utf8(output.stderr).unwrap());
    let first = stderr
        .lines()
        .find(|line| line.starts_with("error"))
        .unwrap_or_default();
    let is_digest =
        |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let first: String = first
        .split('`')
        .map(|word| if is_digest(word) { "[DIGEST]" } else { word })
        .collect::<Vec<_>>()
        .join("`");
    (first, output.status.code())
}

#[test]
fn every_mistake_has_its_message() {
    let mut wrong = Vec::new();
    for case in SECTIONS.iter().flat_map(|(_, cases)| *cases) {
        let (first, exit) = message(case);
        if (first.as_str(), exit) != (case.says, Some(case.exit)) {
            wrong.push(format!(
                "{}\n  says  {first}\n  not   {}\n  exit {exit:?}, not {}",
                case.what, case.says, case.exit
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_are_many_and_each_has_a_code() {
    let cases: Vec<_> = SECTIONS.iter().flat_map(|(_, cases)| *cases).collect();
    assert!(cases.len() >= 40, "{}", cases.len());
    let code = |case: &&Case| {
        case.says
            .strip_prefix("error[")
            .and_then(|rest| rest.get(..5))
    };
    let codes: BTreeSet<_> = cases
        .iter()
        .map(|case| code(case).expect(case.what))
        .collect();
    let context = Context::new();
    for code in codes {
        assert!(
            context.output(&["explain", code]).status.success(),
            "{code}"
        );
    }
}

#[test]
fn the_documentation_is_this_table() {
    let mut text = String::from(
        "# Errors\n\nWhat is broken, and the first line of the message. `portcullis explain <code>` prints the page of a code.\n\
         This file is written from the tests of the command (`UPDATE=1 cargo test -p portcullis-cli broken`).\n",
    );
    for (title, cases) in SECTIONS {
        text.push_str(&format!("\n## {title}\n\n| what | message |\n|---|---|\n"));
        for case in cases {
            let says = case.says.replace('|', "\\|");
            text.push_str(&format!(
                "| {} | {} |\n",
                case.what,
                says.strip_prefix("error").unwrap_or(&says)
            ));
        }
    }
    is_current("docs/errors.md", &text);
}
