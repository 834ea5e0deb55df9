//! Promises in a plugin in JavaScript as `portcullis build` makes it: the interpreter comes to none of its own.

use std::fs;
use std::process::Output;

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::context::{Context, skip};
use crate::kit::{done, javascript_author, npm_install};

const MANIFEST: &str = r#"id = "p"
version = "0.1.0"
world = "portcullis:cli/plugin@0.1.0"
description = "Has promises"

[[asks]]
capability = "exec"
program = "sh"
reason = "is waited for"

[[asks]]
capability = "fs"
path = "${project}"
access = "write"
reason = "where commands meet"
"#;

const POLICY: &str = r#"[[plugins]]
id = "p"
path = "p.wasm"
fs.write = ["${project}"]

[plugins.exec]
allow = ["sh"]
"#;

const PLUGIN: &str = r#"import { Failure, plugin } from "@portcullis/sdk";
import { execFile, spawn } from "@portcullis/sdk/exec";

const sh = (script) => execFile("sh", ["-c", script]);

async function deeper(what) {
  await null;
  return what.missing.property;
}

class Work {
  #what = {};

  async begin() {
    return await deeper(this.#what);
  }
}

const SCENARIOS = {
  async resolves() {
    const { stdout, stderr } = await sh("echo out; echo err >&2");
    return stdout + stderr;
  },
  async rejects() {
    try {
      return (await sh("echo out; echo err >&2; exit 3")).stdout;
    } catch ({ kind, code, signal, stdout, stderr }) {
      return [kind, code, signal, stdout.trim(), stderr.trim()].join(" ");
    }
  },
  async nobody_catches() {
    await sh("echo err >&2; exit 3");
  },
  async denied() {
    await execFile("id");
  },
  async fails() {
    await null;
    throw new Failure("no");
  },
  // The second line is written once the first was read.
  async lines() {
    const lines = [];
    const child = spawn("sh", ["-c", "echo one; read answer; echo $answer"]);
    for await (const line of child.stdout.lines()) {
      lines.push(line);
      if (line === "one") {
        child.stdin.end("two\n");
      }
    }
    return [...lines, (await child.finished()).status].join(" ");
  },
  // Each ends once the other has begun.
  async together() {
    const [left, right] = await Promise.all([sh("echo left > there; cat back"), sh("cat there; echo right > back")]);
    return left.stdout + right.stdout;
  },
  async combined() {
    const wrong = () => sh("exit 1");
    const settled = await Promise.allSettled([wrong(), sh("echo a")]);
    const any = await Promise.any([wrong(), sh("echo b")]);
    const first = await Promise.race([new Promise(() => {}), sh("echo c")]);
    const late = wrong();
    await null;
    return [...settled.map(({ status }) => status), any.stdout, first.stdout, await late.catch(({ code }) => code)].join(" ");
  },
  async of_the_platform() {
    const said = [];
    queueMicrotask(() => said.push("microtask"));
    const lines = await Array.fromAsync(spawn("sh", ["-c", "echo a; echo b"]).stdout.lines(), async (line) => line + line);
    async function* later() {
      yield* [Promise.resolve("c"), "d"];
    }
    for await (const one of later()) {
      said.push(one);
    }
    const { name } = await import("./name.js");
    return [...said, ...lines, await name()].join(" ");
  },
  throws: () => new Work().begin(),
  never: () => new Promise(() => {}),
  async unhandled() {
    deeper({});
    await sh("true");
    return "it went on";
  },
  waits_not: () => "at once",
};

export const run = plugin(([name]) => SCENARIOS[name]());
"#;

/// A plugin that was built, in a project in which two pipes are; none without the tools.
fn built() -> Option<Context> {
    let Some(context) = javascript_author() else {
        skip("componentize-qjs is not there");
        return None;
    };
    let (code, stdout, stderr) = context.ended(&["new", "p", "--lang", "javascript"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    npm_install(&context.project().join("p"));
    context.write("p/plugin.toml", MANIFEST);
    context.write("p/portcullis.toml", POLICY);
    context.write("p/plugin.js", PLUGIN);
    context.write(
        "p/name.js",
        "export const name = async () => \"imported\";\n",
    );
    done(&context, "p", &["build"]);
    let meeting = context.project().join("meeting");
    fs::create_dir(&meeting).unwrap();
    for pipe in ["there", "back"] {
        mkfifoat(CWD, meeting.join(pipe), Mode::RUSR | Mode::WUSR).unwrap();
    }
    Some(context)
}

fn run(context: &Context, scenario: &str) -> (i32, String, String) {
    let args = ["run", "--config", "portcullis.toml", "--project"];
    let args = [&args[..], &["../meeting", ".", scenario]].concat();
    let mut command = context.portcullis(&args);
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .current_dir(context.project().join("p"))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_plugin_awaits_its_commands_and_they_run_beside_each_other() {
    let Some(context) = built() else {
        return;
    };
    for (scenario, says) in [
        ("resolves", "out\nerr\n"),
        ("rejects", "failed 3  out err\n"),
        ("lines", "one two 0\n"),
        ("together", "right\nleft\n"),
        ("combined", "rejected fulfilled b\n c\n 1\n"),
        ("of_the_platform", "microtask c d aa bb imported\n"),
        ("waits_not", "at once\n"),
    ] {
        let (code, stdout, stderr) = run(&context, scenario);
        assert_eq!((code, stdout.as_str()), (0, says), "{scenario}: {stderr}");
    }
    for (scenario, expected, says) in [
        ("nobody_catches", 1, "`sh` ended with status 3: err\n"),
        ("denied", 126, "cannot start `id`: denied"),
        ("fails", 1, "no\n"),
    ] {
        let (code, stdout, stderr) = run(&context, scenario);
        assert_eq!(
            (code, stdout.as_str()),
            (expected, ""),
            "{scenario}: {stderr}"
        );
        assert!(stderr.contains(says), "{scenario}: {stderr}");
    }
}

#[test]
fn a_promise_that_goes_wrong_is_a_crash_in_the_authors_own_lines() {
    let Some(context) = built() else {
        return;
    };
    let mistake = "crashed in call `run`: `TypeError: cannot read property 'property' of undefined`\n  \
                   note: raised in `deeper` (/plugin.js:8)";
    let never = "crashed in call `run`: `Error: the plugin waits for a promise that nothing settles any more`";
    for (scenario, says) in [
        ("throws", mistake),
        ("unhandled", mistake),
        ("never", never),
    ] {
        let (code, stdout, stderr) = run(&context, scenario);
        assert_eq!((code, stdout.as_str()), (125, ""), "{scenario}: {stderr}");
        assert!(stderr.contains(says), "{scenario}: {stderr}");
    }
}

#[test]
fn a_mistake_in_a_module_is_told_in_the_authors_own_lines() {
    let Some(context) = built() else {
        return;
    };
    for (text, says) in [
        (
            "const late = () => null.property;\n\nlate();\n",
            "at late (/plugin.js:1)",
        ),
        ("\nexport const run = ;\n", "plugin.js:2:19"),
        ("await null;\n", "Top-level await is not available"),
        (
            "import \"@portcullis/sdk/kv\";\n",
            "`plugin.toml` has no `[[asks]]` with `capability = \"kv\"`",
        ),
    ] {
        let text = format!("import {{ plugin }} from \"@portcullis/sdk\";{text}");
        context.write("p/plugin.js", text);
        let mut build = context.portcullis(&["build"]);
        let output = build
            .current_dir(context.project().join("p"))
            .output()
            .unwrap();
        let told = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!output.status.success() && told.contains(says), "{told}");
    }
}
