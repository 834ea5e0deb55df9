//! `portcullis test`: what a scripted world is like for a plugin, and that nothing real is reached from it.

use std::fs;

use serde_json::Value;

use crate::context::Context;

const HEAD: &str = "plugin = \"../p.wasm\"\npolicy = \"../policy.toml\"\n";
const PLUGIN: &str = "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n";

/// A guest as plugin `p`, with this policy for it and these tests.
fn tested(guest: &str, policy: &str, tests: &str) -> Context {
    let context = Context::with_guest(guest);
    context.write("policy.toml", format!("{PLUGIN}{policy}"));
    context.write("tests/a.toml", format!("{HEAD}{tests}"));
    context
}

/// What was different in each test.
fn differences(context: &Context) -> Vec<Vec<String>> {
    let (code, stdout, stderr) = context.ended(&["test", "--json"]);
    let document: Value =
        serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
    let tests = document["tests"]
        .as_array()
        .unwrap_or_else(|| panic!("{document}"))
        .clone();
    let found: Vec<Vec<String>> = tests
        .iter()
        .map(|test| serde_json::from_value(test["differences"].clone()).unwrap())
        .collect();
    let failed = found.iter().filter(|found| !found.is_empty()).count();
    assert_eq!(code, i32::from(failed > 0), "{document}");
    assert_eq!(document["failed"], failed);
    assert_eq!(document["passed"], found.len() - failed);
    found
}

/// That each test passes.
fn passes(guest: &str, policy: &str, tests: &str) {
    let found = differences(&tested(guest, policy, tests));
    assert!(
        !found.is_empty() && found.iter().all(Vec::is_empty),
        "{found:#?}"
    );
}

/// What was different in the only test.
fn fails(guest: &str, policy: &str, test: &str) -> String {
    let found = differences(&tested(guest, policy, test));
    let [found] = &found[..] else {
        panic!("{found:?}")
    };
    assert!(!found.is_empty());
    found.join("\n")
}

#[test]
fn a_command_does_what_its_script_says() {
    passes(
        "exec-args",
        "exec.allow = [\"git\", \"wc\"]\n",
        r#"
        [[test]]
        name = "output, error and status"
        args = ["exec", "--", "git", "log", "-1"]
        expect.stdout = "status=3\nstdout=one\ntwo\n\nstderr=careful\n"
        [[test.command]]
        run = ["git", "status"]
        [[test.command]]
        run = ["git", "log", "**"]
        stdout = "one\ntwo\n"
        stderr = "careful"
        status = 3
        times = 1

        [[test]]
        name = "by its input"
        args = ["exec", "--stdin=two", "--", "wc", "-c"]
        expect.stdout = { contains = ["stdout=22"] }
        [[test.command]]
        run = ["wc", "-c"]
        stdin = "one"
        stdout = "11"
        [[test.command]]
        run = ["wc", "-c"]
        stdin = "t*"
        stdout = "22"

        [[test]]
        name = "its input as its output"
        args = ["exec", "--stdin=two", "--", "wc"]
        expect.stdout = { contains = ["stdout=<two>"] }
        [[test.command]]
        run = ["wc"]
        steps = [{ stdout = "<" }, { cat = true }, { stdout = ">" }]

        [[test]]
        name = "a signal"
        args = ["exec", "--", "git"]
        expect.stdout = { contains = ["status=137"] }
        [[test.command]]
        run = ["git"]
        signal = 9

        [[test]]
        name = "one after the other"
        args = ["exec", "--", "git", ";;", "exec", "--", "git", ";;", "exec", "--", "git"]
        expect.stdout = { contains = ["stdout=a\n", "stdout=b\n", "status=127"] }
        expect.code = 0
        [[test.command]]
        run = ["git"]
        stdout = "a"
        times = 1
        [[test.command]]
        run = ["git"]
        stdout = "b"
        "#
        .replace(
            r#"contains = ["stdout=a\n", "stdout=b\n", "status=127"]"#,
            r#"contains = ["stdout=a\n", "stdout=b\n"]"#,
        )
        .as_str(),
    );
}

#[test]
fn a_command_has_the_time_that_policy_gives_it() {
    passes(
        "exec-args",
        "exec.allow = [\"git\"]\nlimits.timeout = \"3s\"\n",
        "[[test]]\nname = \"late\"\nargs = [\"exec\", \"--\", \"git\"]\n\
         expect.stdout = { contains = [\"status=124\", \"stdout=begun\"] }\n\
         [[test.command]]\nrun = [\"git\"]\nsteps = [{ stdout = \"begun\" }, { delay = \"1m\" }]\n",
    );
}

#[test]
fn what_is_not_as_expected_is_said() {
    let policy = "exec.allow = [\"git\"]\n";
    let test = "[[test]]\nname = \"a\"\nargs = [\"exec\", \"--\", \"git\", \"push\"]\n";
    let script = "[[test.command]]\nrun = [\"git\", \"push\"]\nstdout = \"done\"\n";
    let all = "status=0\\nstdout=done\\nstderr=\\n";
    passes(
        "exec-args",
        policy,
        &format!("{test}expect.stdout = \"{all}\"\n{script}"),
    );
    let other = fails(
        "exec-args",
        policy,
        &format!("{test}expect.stdout = \"status=0\\nstdout=gone\\n\"\n{script}"),
    );
    assert!(
        other.contains("-stdout=gone") && other.contains("+stdout=done"),
        "{other}"
    );
    let part = fails(
        "exec-args",
        policy,
        &format!("{test}expect.stdout = {{ contains = [\"gone\"] }}\n{script}"),
    );
    assert!(part.contains("\"gone\""), "{part}");
    let code = fails(
        "exec-args",
        policy,
        &format!("{test}expect.code = 1\n{script}"),
    );
    assert!(code.contains("code 0, not 1"), "{code}");
    let unscripted = fails(
        "exec-args",
        policy,
        &format!("{test}{}", script.replace("\"push\"", "\"pull\"")),
    );
    assert!(
        unscripted.contains("`git push`, for which the test has no script"),
        "{unscripted}"
    );
    let times = fails("exec-args", policy, &format!("{test}{script}times = 2\n"));
    assert!(times.contains("1 times, not 2"), "{times}");
    let denied = fails(
        "exec-args",
        "exec.allow = [\"df\"]\n",
        &format!("{test}{script}"),
    );
    assert!(
        denied.contains("P0") && denied.contains("may not"),
        "{denied}"
    );
    let allowed = fails(
        "exec-args",
        policy,
        &format!("{test}expect.denied = [{{ code = \"P0201\" }}]\n{script}"),
    );
    assert!(allowed.contains("there was no denial P0201"), "{allowed}");
}

#[test]
fn a_denial_is_expected_with_its_code_and_object() {
    let test = "[[test]]\nname = \"a\"\nargs = [\"exec\", \"--\", \"git\", \"push\"]\nexpect.code = 126\n\
                expect.denied = [{ code = \"p0203\", object = \"*git push\" }]\n\
                [[test.command]]\nrun = [\"git\", \"**\"]\ntimes = 0\n";
    let policy = "exec.allow = [{ program = \"git\", sub = [\"status\"] }]\n";
    let found = differences(&tested("exec-args", policy, test));
    // Which of both codes it is, is for the policy's own tests: here the expected one is the one that is there.
    let text = found.concat().join("\n");
    let code = text
        .split_once("it was denied ")
        .map(|(_, rest)| rest[..5].to_owned());
    let test = match &code {
        Some(code) => test
            .replace("p0203", code)
            .replace(", object = \"*git push\"", ""),
        None => test.to_owned(),
    };
    passes("exec-args", policy, &test);
    let other = fails("exec-args", policy, &test.replace("expect.denied", "# "));
    assert!(other.contains("it was denied P0"), "{other}");
}

#[test]
fn files_are_those_of_the_test() {
    passes(
        "files",
        "fs.write = [\"${project}\"]\n",
        "[[test]]\nname = \"a\"\nargs = [\"read\\u001fin/a.txt\", \"write\\u001fout.txt\\u001fnew\", \"remove\\u001fold.txt\"]\n\
         files = { \"in/a.txt\" = \"hello\", \"old.txt\" = \"\" }\n\
         expect.stdout = \"hello\\nok\\nok\"\n\
         expect.files = { \"out.txt\" = \"new\", \"old.txt\" = false, \"in/a.txt\" = { contains = [\"ell\"] } }\n",
    );
    let wrong = fails(
        "files",
        "fs.write = [\"${project}\"]\n",
        "[[test]]\nname = \"a\"\nargs = [\"write\\u001fout.txt\\u001fnew\"]\n\
         expect.files = { \"out.txt\" = \"old\", \"other.txt\" = \"\" }\n",
    );
    assert!(
        wrong.contains("-old") && wrong.contains("`other.txt` cannot be read"),
        "{wrong}"
    );
}

#[test]
fn servers_answer_by_their_scripts_over_tls_too() {
    passes(
        "http",
        "http.allow = [\"api.example.com\", { host = \"plain.example.com:8080\", schemes = [\"http\"] }]\n",
        "[[test]]\nname = \"a\"\nargs = [\"https://api.example.com/v1/x?y=1\", \"http://plain.example.com:8080/\"]\n\
         expect.stdout = { contains = [\"404\", \"nothing here\", \"200\", \"plain\"] }\n\
         [[test.http]]\nrequest = \"GET https://api.example.com/v1/*\"\nstatus = 404\nbody = \"nothing here\"\ntimes = 1\n\
         [[test.http]]\nrequest = \"GET http://plain.example.com:8080/\"\nbody = \"plain\"\n",
    );
    let unscripted = fails(
        "http",
        "http.allow = [\"api.example.com\", \"other.example.com\"]\n",
        "[[test]]\nname = \"a\"\nargs = [\"https://api.example.com/v2\", \"https://other.example.com/\"]\n\
         [[test.http]]\nrequest = \"GET https://api.example.com/v1\"\n",
    );
    assert!(
        unscripted.contains("`GET https://api.example.com/v2`"),
        "{unscripted}"
    );
    assert!(
        unscripted.contains("the address of `other.example.com`"),
        "{unscripted}"
    );
}

#[test]
fn addresses_are_checked_as_ever() {
    let tests = |address: &str| {
        format!(
            "[[test]]\nname = \"a\"\nargs = [\"https://api.example.com/\"]\n\
             [[test.http]]\nrequest = \"GET https://api.example.com/\"\naddress = \"{address}\"\n"
        )
    };
    passes(
        "http",
        "http.allow = [\"api.example.com\"]\n",
        &tests("1.1.1.1"),
    );
    let private = fails(
        "http",
        "http.allow = [\"api.example.com\"]\n",
        &tests("10.0.0.1"),
    );
    assert!(private.contains("it was denied P0"), "{private}");
}

#[test]
fn the_rest_of_the_world_is_that_of_the_test() {
    passes(
        "env",
        "env = [\"GREETING\", \"REAL\"]\n",
        "[[test]]\nname = \"a\"\nargs = [\"GREETING\", \"REAL\"]\nenv = { GREETING = \"hello\" }\n\
         expect.stdout = \"GREETING=hello\\nREAL is not there\"\n",
    );
    passes(
        "log",
        "log = true\n",
        "[[test]]\nname = \"a\"\nargs = [\"info\", \"1\", \"x\", \"3\", \"y\"]\nexpect.log = [\"info: xxx*\"]\n",
    );
    passes(
        "prompt",
        "",
        "[[test]]\nname = \"given\"\nargs = [\"text\"]\nanswers = { text = \"Ada\" }\nexpect.stdout = { contains = [\"Ada\"] }\n\
         [[test]]\nname = \"default\"\nargs = [\"text\", \"Bob\"]\nexpect.stdout = { contains = [\"Bob\"] }\n",
    );
    // Each test begins with nothing kept.
    passes(
        "kv",
        "kv = true\n",
        "[[test]]\nname = \"one\"\nargs = [\"get a\", \"set a 1\", \"get a\"]\nexpect.stdout = \"none\\nset\\n1\"\n\
         [[test]]\nname = \"two\"\nargs = [\"get a\"]\nexpect.stdout = \"none\"\n",
    );
}

#[test]
fn a_hostile_policy_gives_nothing_that_is_real() {
    let context = Context::with_guest("files");
    let secret = context.home().join("secret.txt");
    fs::write(&secret, "secret").unwrap();
    let policy = format!(
        "{PLUGIN}fs.write = [{:?}]\nfs.read = [\"${{project}}\", \"/etc\"]\n",
        context.home().join("documents")
    );
    fs::create_dir(context.home().join("documents")).unwrap();
    fs::write(context.home().join("documents/d.txt"), "secret").unwrap();
    context.write("policy.toml", policy);
    let path = context.home().join("documents/d.txt");
    context.write(
        "tests/a.toml",
        format!(
            "{HEAD}[[test]]\nname = \"a\"\nargs = [\"read\\u001f{0}\", \"write\\u001f{0}\\u001fx\", \"read\\u001f/etc/passwd\"]\nexpect.stdout = \"secret\"\n",
            path.display()
        ),
    );
    let found = differences(&context).concat().join("\n");
    assert!(
        !found.contains("+secret") && found.contains("+failed: denied"),
        "{found}"
    );
    assert!(found.contains("is not in the test"), "{found}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "secret");
}

#[test]
fn no_real_program_is_started() {
    let marker = "touched";
    for (policy, program) in [
        ("exec.allow = [\"touch\"]\n", "touch"),
        ("exec.allow = [\"/usr/bin/touch\"]\n", "/usr/bin/touch"),
        ("exec.allow = [\"/bin/touch\"]\n", "/usr/bin/touch"),
        (
            "exec.allow = [\"touch\"]\nexec.exec_path = [\"/usr/bin\"]\n",
            "touch",
        ),
    ] {
        let context = Context::with_guest("exec-args");
        context.write("policy.toml", format!("{PLUGIN}{policy}"));
        let path = context.project().join(marker);
        let script = "[[test.command]]\nrun = [\"git\"]\n";
        context.write("tests/a.toml", format!("{HEAD}[[test]]\nname = \"a\"\nargs = [\"exec\", \"--\", \"{program}\", \"{}\"]\n{script}", path.display()));
        let (code, stdout, stderr) = context.ended(&["test"]);
        assert!(!path.exists(), "{policy}: {stdout}");
        assert!(
            code == 1 || stderr.contains("exec_path"),
            "{policy}: {stdout}{stderr}"
        );
    }
    // In `dev` mode any program is allowed without a list: any that has a script.
    let any = "mode = \"dev\"\n[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\nexec = {}\n";
    let context = Context::with_guest("exec-args");
    context.write("policy.toml", any);
    let path = context.project().join(marker);
    let test = |name: &str, program: &str| {
        format!(
            "[[test]]\nname = \"{name}\"\nargs = [\"exec\", \"--\", \"{program}\", \"{}\"]\n[[test.command]]\nrun = [\"touch\", \"**\"]\nstdout = \"a script\"\n",
            path.display()
        )
    };
    context.write(
        "tests/a.toml",
        format!(
            "{HEAD}{}{}",
            test("by name", "touch"),
            test("by path", "/usr/bin/touch")
        ),
    );
    let found = differences(&context);
    assert!(found[0].is_empty(), "{found:?}");
    assert!(found[1].concat().contains("it was denied"), "{found:?}");
    assert!(!path.exists());
}

#[test]
fn what_stands_in_for_portcullis_is_not_portcullis() {
    passes(
        "exec-args",
        "exec.allow = [\"portcullis\"]\n",
        "[[test]]\nname = \"a\"\nargs = [\"exec\", \"--\", \"portcullis\", \"--version\"]\n\
         expect.stdout = { contains = [\"stdout=a script\"] }\n\
         [[test.command]]\nrun = [\"portcullis\", \"**\"]\nstdout = \"a script\"\n",
    );
}

#[test]
fn the_environment_of_who_tests_is_nowhere() {
    let context = Context::with_guest("exec-args").env("GREETING", "secret");
    context.write(
        "policy.toml",
        format!(
            "{PLUGIN}exec.allow = [\"git\"]\nexec.pass_env = [\"GREETING\"]\nenv = [\"GREETING\"]\n"
        ),
    );
    context.write("tests/a.toml", format!("{HEAD}[[test]]\nname = \"a\"\nargs = [\"exec\", \"--\", \"git\"]\nexpect.stdout = {{ contains = [\"nothing\"] }}\n[[test.command]]\nrun = [\"git\"]\nstdout = \"nothing\"\n"));
    assert_eq!(differences(&context), [Vec::<String>::new()]);
    let (_, stdout, _) = context.ended(&["test", "--filter", "b"]);
    assert_eq!(stdout, "0 tests: 0 passed, 0 failed\n");
}

#[test]
fn a_test_cannot_name_the_state_of_who_tests() {
    let context = Context::with_guest("kv");
    let real = context.home().join(".local/share");
    let test = format!(
        "{HEAD}[[test]]\nname = \"a\"\nargs = [\"set a 1\"]\n\
         env = {{ XDG_DATA_HOME = {real:?}, PORTCULLIS_DATA_DIR = {real:?}, HOME = {:?} }}\n",
        context.home()
    );
    context.write("policy.toml", format!("{PLUGIN}kv = true\n"));
    context.write("tests/a.toml", test);
    assert_eq!(differences(&context), [Vec::<String>::new()]);
    assert!(!real.join("portcullis/kv").exists() && !real.join("kv").exists());
}

#[test]
fn a_file_with_a_mistake_runs_nothing() {
    let context = tested("noop", "", "[[test]]\nname = \"a\"\nexpct = 1\n");
    let (code, stdout, stderr) = context.ended(&["test"]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(
        stderr.contains("P0940") && stderr.contains("a.toml:5`") && stderr.contains("expct"),
        "{stderr}"
    );
    let context = Context::with_guest("noop");
    let (code, _, stderr) = context.ended(&["test"]);
    assert!(code == 2 && stderr.contains("tests"), "{stderr}");
    context.write("tests/a.toml", "[[test]]\nname = \"a\"\n");
    let (code, _, stderr) = context.ended(&["test"]);
    assert!(
        code == 2 && stderr.contains("are about no plugin"),
        "{stderr}"
    );
}

#[test]
fn a_document_is_a_test_file() {
    let context = Context::with_guest("noop");
    context.write("plugin.toml", "id = \"p\"\nversion = \"1.0.0\"\ncomponent = \"p.wasm\"\nworld = \"portcullis:cli/plugin@0.1.0\"\n");
    context.write(
        "tests/a.md",
        "# What it does\n\nNothing:\n\n```toml test\n[[test]]\nname = \"nothing\"\n```\n",
    );
    let (code, stdout, stderr) = context.ended(&["test"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(
        stdout.starts_with("ok      nothing (") && stdout.ends_with("1 test: 1 passed, 0 failed\n"),
        "{stdout}"
    );
}

#[test]
fn the_example_passes_its_own_tests() {
    let context = Context::new();
    let tests = portcullis_testkit::repository().join("examples/repo-report/tests");
    let (code, stdout, stderr) = context.ended(&["test", tests.to_str().unwrap()]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(
        stdout.ends_with("3 tests: 3 passed, 0 failed\n"),
        "{stdout}"
    );
}

#[test]
fn a_trace_has_each_call_with_its_decision() {
    let context = Context::with_policy("exec.allow = [\"true\"]\n");
    let run = ["run", "--trace", "--config", "policy.toml", "p"];
    let args = ["exec", "--", "true", ";;", "exec", "--", "id"];
    let (_, stdout, stderr) = context.ended(&[&run[..], &args].concat());
    assert!(!stdout.contains("trace"), "{stdout}");
    let lines: Vec<_> = stderr
        .lines()
        .filter(|line| line.starts_with("trace "))
        .collect();
    let [allowed, ended, denied] = lines[..] else {
        panic!("{stderr}")
    };
    assert!(
        allowed.contains("call 1: allowed exec [\"true\"] by rule `allow[0]` (policy.toml"),
        "{allowed}"
    );
    assert!(ended.contains("call 1: exit code 0 after"), "{ended}");
    assert!(
        denied.contains("call 2: denied [P0201] exec [\"id\"]"),
        "{denied}"
    );
    let (_, _, stderr) = context.ended(&[&["run"], &run[2..], &args].concat());
    assert!(!stderr.contains("trace "), "{stderr}");
}
