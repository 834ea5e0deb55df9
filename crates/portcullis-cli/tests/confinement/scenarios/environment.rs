//! What a command finds in its environment: no secret of the host, and nothing of the plugin's that runs code.

use super::plays;
use crate::kit::{
    case::{Prepare, Tier},
    machine::User,
    policy::Policy,
    run::{Line, write_policy},
    scene::Scene,
};

plays![
    secrets_of_the_host_do_not_reach_a_command,
    names_that_run_code_cannot_be_set_by_a_plugin,
];

/// Secrets by the patterns of their names, and names that would have a program run code.
const HOST: [&str; 16] = [
    "GITHUB_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "NPM_TOKEN",
    "DATABASE_URL",
    "MYSQL_PWD",
    "SSHPASS",
    "MY_APP_PASSWORD",
    "OPENAI_API_KEY",
    "SSH_AUTH_SOCK",
    "DBUS_SESSION_BUS_ADDRESS",
    "GIT_SSH_COMMAND",
    "BASH_ENV",
    "PYTHONSTARTUP",
    "NODE_OPTIONS",
    "PERL5OPT",
    "PORTCULLIS_TEST_SECRET",
];

/// Names that gave code execution in a harmless program when tried.
const RUN_CODE: [&str; 51] = [
    "LD_PRELOAD",
    "LD_AUDIT",
    "LD_LIBRARY_PATH",
    "GCONV_PATH",
    "BASH_ENV",
    "ENV",
    "BASH_FUNC_x%%",
    "PS4",
    "SHELLOPTS",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONWARNINGS",
    "PYTHONBREAKPOINT",
    "NODE_OPTIONS",
    "npm_config_script_shell",
    "npm_config_node_options",
    "PERL5OPT",
    "PERL5LIB",
    "PERL5DB",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_EXTERNAL_DIFF",
    "GIT_EDITOR",
    "GIT_SEQUENCE_EDITOR",
    "GIT_PAGER",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_GLOBAL",
    "GIT_TEMPLATE_DIR",
    "GIT_EXEC_PATH",
    "GIT_PROXY_COMMAND",
    "GIT_ALLOW_PROTOCOL",
    "MAKEFLAGS",
    "MAKEFILES",
    "COMPILER_PATH",
    "TAR_OPTIONS",
    "PAGER",
    "MANPAGER",
    "EDITOR",
    "VISUAL",
    "LESSOPEN",
    "XDG_CONFIG_HOME",
    "HOME",
    "PATH",
    "OPENSSL_CONF",
];

fn secrets_of_the_host_do_not_reach_a_command(tier: Tier, user: User) {
    let mut scene = Scene::new(user, Prepare::Nothing);
    let nonce = scene.fill("{nonce}");
    for name in HOST {
        scene.set_environment(name, &nonce);
    }
    let free = Line::direct(&scene, &["environment"]).run(&scene, user);
    assert_eq!(
        free.details[0].matches(&nonce).count(),
        HOST.len(),
        "INVALID"
    );
    let policy = Policy::base(&scene).with_exec("inherit_env = true");
    write_policy(&scene, &policy, tier);
    let ran =
        Line::confined_with(&scene, &["--inherit-env"], &[&["environment"]]).run(&scene, user);
    assert!(ran.is_ok(), "{}", ran.text);
    assert!(!ran.details[0].contains(&nonce), "{}", ran.details[0]);
    let policy = Policy::base(&scene).with_exec("pass_env = [\"GITHUB_TOKEN\"]");
    write_policy(&scene, &policy, tier);
    let ran = Line::confined(&scene, &[&["environment"]]).run(&scene, user);
    let passed: Vec<_> = ran.details[0]
        .lines()
        .filter(|line| line.contains(&nonce))
        .collect();
    assert_eq!(passed, [format!("GITHUB_TOKEN={nonce}")], "{}", ran.text);
}

fn names_that_run_code_cannot_be_set_by_a_plugin(tier: Tier, user: User) {
    let scene = Scene::new(user, Prepare::Nothing);
    write_policy(&scene, &Policy::base(&scene), tier);
    let harmless =
        Line::confined_with(&scene, &["--env=HARMLESS=x"], &[&["environment"]]).run(&scene, user);
    assert!(
        harmless.details[0].contains("HARMLESS=x"),
        "INVALID: {}",
        harmless.text
    );
    for name in RUN_CODE {
        let option = format!("--env={name}=x");
        let ran = Line::confined_with(&scene, &[&option], &[&["environment"]]).run(&scene, user);
        assert!(
            ran.details.is_empty(),
            "`{name}` was let through: {}",
            ran.text
        );
        assert!(ran.text.contains("denied"), "`{name}`: {}", ran.text);
    }
}
