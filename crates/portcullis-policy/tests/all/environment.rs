//! The tables of names: what a plugin may not set, what is not inherited, and what passes.

use portcullis_policy::{
    Code, DropReason, Environment, ExecRequest, Grants, HostEnvironment, ProgramRule,
    mentions_secret,
};

use crate::support::{allowed, exec, grants, is_allowed, refused};

/// Names that made a harmless program run other code or write a file, each tried with a real program.
#[rustfmt::skip]
const RUNS_CODE: &[&str] = &[
    "LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "GCONV_PATH", "BASH_ENV", "ENV", "BASH_FUNC_ls%%",
    "PS4", "SHELLOPTS", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONWARNINGS",
    "BROWSER", "PYTHONBREAKPOINT", "NODE_OPTIONS", "npm_config_script_shell",
    "npm_config_node_options", "PERL5OPT", "PERL5LIB", "PERL5DB", "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "RUSTC_WRAPPER", "CARGO_BUILD_RUSTC", "GIT_SSH",
    "GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_PAGER",
    "GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0", "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_GLOBAL", "GIT_TEMPLATE_DIR", "GIT_EXEC_PATH", "GIT_PROXY_COMMAND",
    "GIT_ALLOW_PROTOCOL", "MAKEFLAGS", "MAKEFILES", "COMPILER_PATH", "TAR_OPTIONS", "PAGER",
    "MANPAGER", "EDITOR", "VISUAL", "LESSOPEN", "XDG_CONFIG_HOME", "HOME", "PATH", "OPENSSL_CONF",
    "GIT_TRACE", "CURL_HOME", "WGETRC", "BC_ENV_ARGS", "TCL_LIBRARY", "VALGRIND_LIB",
];

/// Names that the manuals of their programs describe as commands, libraries or files to load.
#[rustfmt::skip]
const BY_THE_MANUAL: &[&str] = &[
    "LD_DEBUG_OUTPUT", "LD_PROFILE", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH", "TZDIR",
    "MALLOC_TRACE", "HOSTALIASES", "RES_OPTIONS", "LOCALDOMAIN", "RESOLV_HOST_CONF", "NIS_PATH",
    "GETCONF_DIR", "TMPDIR", "DYLD_INSERT_LIBRARIES", "LIBPATH", "SHLIB_PATH", "LDR_CNTRL",
    "_RLD_LIST", "BASHOPTS", "PROMPT_COMMAND", "IFS", "CDPATH", "GLOBIGNORE", "FPATH", "ZDOTDIR",
    "NULLCMD", "READNULLCMD", "PYTHONHOME", "PYTHONINSPECT", "PYTHONEXECUTABLE", "PYTHONPLATLIBDIR",
    "PIP_INDEX_URL", "UV_INDEX_URL", "VIRTUAL_ENV", "NODE_PATH", "NODE_EXTRA_CA_CERTS",
    "NODE_REPL_EXTERNAL_MODULE", "YARN_RC_FILENAME", "PERLLIB", "PERLIO_DEBUG", "RUBYOPT",
    "RUBYLIB", "GEM_HOME", "BUNDLE_GEMFILE", "LUA_INIT", "LUA_INIT_5_4", "LUA_PATH", "LUA_CPATH",
    "PHPRC", "PHP_INI_SCAN_DIR", "TCLLIBPATH", "CLASSPATH", "MAVEN_OPTS", "GRADLE_OPTS", "SBT_OPTS",
    "DOTNET_STARTUP_HOOKS", "CORECLR_PROFILER", "GOFLAGS", "GOROOT", "GOPROXY", "RUSTFLAGS",
    "CARGO_HOME", "RUSTUP_HOME", "GIT_ASKPASS", "GIT_CONFIG_SYSTEM", "GIT_DIR", "GIT_WORK_TREE",
    "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_INDEX_FILE", "GCC_EXEC_PREFIX",
    "CC", "CXX", "LD", "AR", "CMAKE_TOOLCHAIN_FILE", "PKG_CONFIG_PATH", "TAPE", "RSH", "RSYNC_RSH",
    "RSYNC_CONNECT_PROG", "GREP_OPTIONS", "ZIPOPT", "UNZIP", "LESSCLOSE", "LESS", "LESSKEYIN",
    "SSH_ASKPASS", "SUDO_ASKPASS", "SYSTEMD_PAGER", "INPUTRC", "TERMINFO", "TERMCAP", "TERMPATH",
    "OPENSSL_ENGINES", "OPENSSL_MODULES", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "https_proxy", "RSYNC_PROXY",
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "KUBECONFIG", "CLOUDSDK_CONFIG",
    "TF_CLI_CONFIG_FILE", "TF_CLI_ARGS_plan", "TF_PLUGIN_CACHE_DIR", "DOCKER_HOST", "DOCKER_CONFIG",
    "ANSIBLE_CONFIG", "VAULT_ADDR", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK", "GPG_AGENT_INFO",
    "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "KRB5_CONFIG", "KRB5_KTNAME",
    "KRB5CCNAME", "AWS_PAGER", "GH_PAGER", "BAT_PAGER", "KUBE_EDITOR", "HGEDITOR",
    "KUBECTL_EXTERNAL_DIFF", "CLOUDSDK_PYTHON", "RIPGREP_CONFIG_PATH", "PYTEST_ADDOPTS",
    "GOCACHEPROG", "CFLAGS", "LDFLAGS", "JAVA_HOME", "CCACHE_PREFIX", "SSH_SK_PROVIDER", "VIMINIT",
    "FZF_DEFAULT_COMMAND", "GTK_MODULES", "AWKPATH", "AWKLIBPATH", "EMACSLOADPATH", "NIX_CONFIG",
    "MIX_HOME", "ASAN_OPTIONS", "ELIXIR_ERL_OPTIONS", "OCAMLRUNPARAM", "CAML_LD_LIBRARY_PATH", "TS_NODE_REQUIRE",
    "ELECTRON_RUN_AS_NODE", "COMPOSER_HOME", "COMPOSE_FILE", "LLVM_PROFILE_FILE", "GCOV_PREFIX",
    "TEXINPUTS", "VIMRUNTIME", "NVIM_APPNAME", "SCREENRC", "MYSQL_HOME", "KAFKA_OPTS",
    "PORTCULLIS_CONFIG",
];

/// One name for each pattern of secrets.
#[rustfmt::skip]
const SECRETS: &[&str] = &[
    "MY_TOKEN_X", "my_secret", "DB_PASSWORD_1", "FTP_PASSWD", "GPG_PASSPHRASE", "FOOAPIKEY",
    "FOO_API_KEY", "X_ACCESS_KEY_Y", "X_PRIVATE_KEY_Y", "FOO_CREDENTIALS", "OAUTH_X",
    "AUTHORIZATION", "HTTP_AUTHORIZATION", "ENCRYPTION_KEY", "AZURE_PAT", "CI_PAT", "COOKIE_JAR",
    "SESSION_ID", "BEARER", "SENTRY_DSN", "MY_DSN", "DATABASE_URL", "PG_CONNECTION_STRING_1",
    "SLACK_WEBHOOK", "SIGNING_CERT", "AWS_PROFILE", "AZURE_CLIENT", "ARM_CLIENT", "GOOGLE_PROJECT",
    "GCP_PROJECT", "CLOUDSDK_CORE", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_USER", "CI_JOB_TOKEN",
    "NPM_TOKEN", "PYPI_USER", "TWINE_USERNAME", "DOCKER_USER", "KUBE_NS", "OPENAI_ORG",
    "ANTHROPIC_X", "HF_TOKEN", "SLACK_CHANNEL", "STRIPE_X", "TWILIO_X", "DATADOG_X", "DD_SITE",
    "SENTRY_X", "ACTIONS_ID", "MYSQL_PWD", "SSHPASS", "APP_CREDS", "ID_JWT", "SMTP_PASS",
];

/// What people have in their shells and pipelines, and programs need.
#[rustfmt::skip]
const HARMLESS: &[(&str, &str)] = &[
    ("AUTHOR", "me"), ("AUTHORS_FILE", "AUTHORS"), ("KEYBOARD", "de"), ("MONKEY", "1"),
    ("TOKENIZERS_PARALLELISM", "false"), ("COLUMNS", "80"), ("LINES", "24"),
    ("LC_ALL", "en_US.UTF-8"), ("LC_TIME", "C"), ("LANGUAGE", "de:en"),
    ("LANG", "de_DE.UTF-8@euro"), ("TERM", "xterm-256color"), ("COLORTERM", "truecolor"),
    ("TZ", "Europe/Berlin"), ("USER", "me"), ("LOGNAME", "me"), ("HOSTNAME", "box"),
    ("HOSTTYPE", "x86_64"), ("PWD", "/srv/x"), ("OLDPWD", "/srv"), ("SHLVL", "1"),
    ("NO_COLOR", "1"), ("CLICOLOR", "1"), ("FORCE_COLOR", "0"), ("CI", "true"), ("DEBUG", "1"),
    ("RUST_LOG", "info"), ("RUST_BACKTRACE", "1"), ("NODE_ENV", "test"), ("GOOS", "linux"),
    ("GOMAXPROCS", "4"), ("OMP_NUM_THREADS", "2"), ("SOURCE_DATE_EPOCH", "0"),
    ("TF_VAR_region", "eu"), ("TF_IN_AUTOMATION", "1"), ("MYAPP_MODE", "fast"),
    ("GIT_AUTHOR_NAME", "me"), ("GIT_COMMITTER_DATE", "now"), ("PYTHONUNBUFFERED", "1"),
    ("CARGO_TERM_COLOR", "never"), ("GITHUB_REPOSITORY", "a/b"), ("BUILD_NUMBER", "7"),
    ("KEYMAP", "us"), ("LS_COLORS", "di=1"), ("COMPASS", "n"), ("RUNNER_OS", "Linux"),
    ("DEBIAN_FRONTEND", "noninteractive"), ("GREETING", "(hello)"),
];

fn inheriting() -> Grants {
    let mut grants = grants(vec![ProgramRule::any_arguments("git")], vec![]);
    exec(&mut grants).inherit_env = true;
    grants
}

fn setting(name: &str, value: &str) -> ExecRequest {
    ExecRequest {
        env: vec![(name.to_owned(), value.to_owned())],
        ..ExecRequest::example("git", &[])
    }
}

fn inherited(grants: &Grants, vars: &[(&str, &str)]) -> Environment {
    let vars = vars
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let request = ExecRequest {
        inherit_env: true,
        host_env: HostEnvironment::new(vars),
        ..ExecRequest::example("git", &[])
    };
    allowed(grants, request).terms().environment.clone()
}

fn value<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    environment
        .vars
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| &**value)
}

fn reason(environment: &Environment, name: &str) -> Option<DropReason> {
    environment
        .dropped
        .iter()
        .find(|dropped| dropped.name == name)
        .map(|dropped| dropped.reason)
}

#[test]
fn dangerous_names_are_refused_when_set_and_dropped_when_inherited() {
    for name in RUNS_CODE.iter().chain(BY_THE_MANUAL) {
        let mut grants = inheriting();
        let denial = refused(&grants, setting(name, "attack"));
        assert_eq!(
            (denial.code, denial.action),
            (
                Code::EnvDangerous,
                format!("set `{name}` for `/usr/bin/git`")
            )
        );
        let environment = inherited(&grants, &[(name, "attack")]);
        // The base has some of them too, with values of its own; HOME stays where it is.
        let wanted = if *name == "HOME" {
            None
        } else {
            Some(DropReason::Dangerous)
        };
        assert_eq!(reason(&environment, name), wanted, "{name}");
        assert_eq!(
            value(&environment, name) == Some("attack"),
            *name == "HOME",
            "{name}"
        );
        exec(&mut grants).allow_dangerous_env = vec![(*name).to_owned()];
        let terms = allowed(&grants, setting(name, "wanted"));
        assert_eq!(
            value(&terms.terms().environment, name),
            Some("wanted"),
            "{name}"
        );
    }
}

#[test]
fn no_spelling_of_a_dangerous_name_passes() {
    for name in [
        "ld_preload",
        "Ld_Preload",
        "git_ssh_command",
        "Path",
        "pager",
        "NPM_CONFIG_SCRIPT_SHELL",
        "All_Proxy",
    ] {
        assert_eq!(
            refused(&inheriting(), setting(name, "x")).code,
            Code::EnvDangerous,
            "{name}"
        );
    }
    // Other names, for the kernel and for every program.
    for name in ["\u{ff30}ATH", "XLD_LIBRARY", "PATHS", "HOMEPAGE", "MYENV"] {
        assert!(is_allowed(&inheriting(), setting(name, "x")), "{name}");
    }
}

#[test]
fn harmless_names_with_dangerous_values() {
    for (name, value) in [
        ("ANYTHING", "() { :;}; id"),
        ("TZ", ":/tmp/x"),
        ("TZ", "/tmp/x"),
        ("TZ", "../../tmp/x"),
        ("LANGUAGE", "../tmp"),
        ("LC_ALL", "/tmp/x"),
        ("LANG", "%s%n"),
        ("TERM", "../../tmp/x"),
    ] {
        assert_eq!(
            refused(&inheriting(), setting(name, value)).code,
            Code::EnvDangerous,
            "{name}={value}"
        );
        let environment = inherited(&inheriting(), &[(name, value)]);
        assert_eq!(
            reason(&environment, name),
            Some(DropReason::Dangerous),
            "{name}={value}"
        );
    }
}

#[test]
fn secrets_are_dropped_when_inherited_and_pass_only_by_name() {
    for name in SECRETS {
        let environment = inherited(&inheriting(), &[(name, "s3cr3t")]);
        assert_eq!(
            reason(&environment, name),
            Some(DropReason::SecretName),
            "{name}"
        );
        assert_eq!(value(&environment, name), None, "{name}");
        let mut grants = inheriting();
        exec(&mut grants).pass_env = vec![(*name).to_owned()];
        let environment = inherited(&grants, &[(name, "s3cr3t")]);
        assert_eq!(
            (value(&environment, name), reason(&environment, name)),
            (Some("s3cr3t"), None),
            "{name}"
        );
    }
}

#[test]
fn values_that_are_credentials_are_dropped_under_any_name() {
    for secret in [
        "ghp_0123",
        "github_pat_0",
        "glpat-0",
        "xoxb-0",
        "sk-0",
        "npm_0",
        "pypi-0",
        "AIza0",
        "ya29.0",
        "AKIA0",
        "ASIA0",
        "eyJhbGciOi.eyJzdWIi.sig",
        "-----BEGIN RSA PRIVATE KEY-----",
        "https://me:pw@example.com/x",
        "https://ghp_0@github.com/a/b",
        "postgres://u:p@db/x",
    ] {
        assert!(mentions_secret(secret), "{secret}");
        let environment = inherited(&inheriting(), &[("INDEX", secret)]);
        assert_eq!(
            reason(&environment, "INDEX"),
            Some(DropReason::SecretValue),
            "{secret}"
        );
    }
    for plain in [
        "",
        "hello",
        "https://example.com/a@b:c",
        "ssh://git@example.com/x",
        "me@example.com",
        "task-1",
        "eyJ",
    ] {
        assert!(!mentions_secret(plain), "{plain}");
    }
}

#[test]
fn what_people_set_passes() {
    assert!(HARMLESS.len() >= 40);
    for &(name, text) in HARMLESS {
        let environment = inherited(&inheriting(), &[(name, text)]);
        assert_eq!(
            (value(&environment, name), reason(&environment, name)),
            (Some(text), None),
            "{name} inherited"
        );
        let terms = allowed(&inheriting(), setting(name, text));
        assert_eq!(
            value(&terms.terms().environment, name),
            Some(text),
            "{name} set"
        );
    }
}

#[test]
fn a_guest_cannot_make_the_decision_slow() {
    let many: Vec<_> = (0..100_000)
        .map(|n| (format!("N{n}"), String::new()))
        .collect();
    let denial = refused(
        &inheriting(),
        ExecRequest {
            env: many.clone(),
            ..ExecRequest::example("git", &[])
        },
    );
    assert_eq!(
        (denial.code, denial.notes),
        (
            Code::ExecInvalid,
            vec!["its environment is longer than 64 KiB together".to_owned()]
        )
    );
    let fits = ExecRequest {
        env: many[..5_000].to_vec(),
        ..ExecRequest::example("git", &[])
    };
    assert_eq!(
        value(&allowed(&inheriting(), fits).terms().environment, "N4999"),
        Some("")
    );
}

#[test]
fn the_env_of_a_rule_is_compared_with_case() {
    let mut grants = inheriting();
    exec(&mut grants).allow[0].narrowing.env = Some(vec!["foo".to_owned(), "TF_*".to_owned()]);
    for (name, wanted) in [
        ("foo", true),
        ("TF_X", true),
        ("FOO", false),
        ("tf_x", false),
        ("food", false),
    ] {
        assert_eq!(is_allowed(&grants, setting(name, "1")), wanted, "{name}");
    }
}
