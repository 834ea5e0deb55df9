//! The names and values that a child's environment must not have: a table with its matchers.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Names that make common programs load or run something else, by the manual pages of ld.so, bash, git, and each
/// tool. A trailing `*` matches any rest. Compared without case, because some tools read either.
#[rustfmt::skip]
const DANGEROUS: &[&str] = &[
    // the loader and the C library
    "LD_*", "DYLD_*", "LIBPATH", "SHLIB_PATH", "LDR_*", "_RLD*", "GCONV_PATH", "GLIBC_TUNABLES",
    "LOCPATH", "NLSPATH", "TZDIR", "MALLOC_*", "HOSTALIASES", "RES_OPTIONS", "LOCALDOMAIN",
    "RESOLV_HOST_CONF", "NIS_PATH", "GETCONF_DIR", "TMPDIR", "TEMP", "TMP",
    // shells
    "BASH_ENV", "ENV", "BASH_FUNC_*", "PS4", "SHELLOPTS", "BASHOPTS", "PROMPT_COMMAND", "IFS",
    "CDPATH", "GLOBIGNORE", "FPATH", "ZDOTDIR", "NULLCMD", "READNULLCMD", "SHELL", "HISTFILE",
    // language runtimes
    "PYTHON*", "PIP_*", "UV_*", "VIRTUAL_ENV", "NODE_*", "NPM_CONFIG_*", "YARN_*", "PERL*", "RUBY*",
    "GEM_*", "BUNDLE_*", "PYTEST_*", "IPYTHONDIR", "JUPYTER_*", "CONDA_*", "POETRY_*", "DENO_*",
    "LUA_*", "R_PROFILE*", "R_ENVIRON*", "JULIA_*", "GUILE_*", "ERL_*", "PHPRC", "PHP_INI_SCAN_DIR",
    "TCLLIBPATH", "TCL_LIBRARY", "TK_LIBRARY", "OCAML*", "CAML_LD_LIBRARY_PATH", "MIX_*", "ELIXIR_*",
    "TS_NODE_*", "ELECTRON_*", "COMPOSER_*", "AWKPATH", "AWKLIBPATH", "BC_ENV_ARGS", "DC_ENV_ARGS",
    "EMACSLOADPATH", "EMACSDATA", "EMACSPATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_OPTS",
    "JAVA_HOME", "JRE_HOME", "CLASSPATH", "ANT_*", "MAVEN_*", "GRADLE_*", "SBT_OPTS",
    "DOTNET_STARTUP_HOOKS", "CORECLR_*", "COR_PROFILER*", "GOFLAGS", "GOROOT", "GOPATH", "GOPROXY",
    "GOTOOLCHAIN", "GOENV", "GOCACHEPROG", "GOAUTH", "CGO_*", "RUSTC*", "RUSTFLAGS", "RUSTDOC*",
    "CARGO_*", "RUSTUP_*",
    // git
    "GIT_*", "HGRCPATH", "HGMERGE", "SVN_*",
    // builds and archives
    "MAKEFLAGS", "MAKEFILES", "GNUMAKEFLAGS", "COMPILER_PATH", "GCC_EXEC_PREFIX", "CC", "CPP",
    "CXX", "LD", "AR", "AS", "MAKE", "CFLAGS", "CPPFLAGS", "CXXFLAGS", "LDFLAGS", "CCACHE_*",
    "DISTCC_*", "CMAKE_*", "PKG_CONFIG*", "TAR_OPTIONS", "TAPE", "RSH", "RSYNC_*", "GREP_OPTIONS",
    "ZIPOPT", "UNZIP", "ZIPINFO", "NIX_*", "VALGRIND_*", "LLVM_PROFILE_FILE", "GCOV_*",
    "GMON_OUT_PREFIX", "TEXMF*", "TEXINPUTS",
    // pagers, editors, desktops
    "VISUAL", "LESS*", "MANOPT", "MANROFFOPT", "VIMINIT", "EXINIT", "VIM", "VIMRUNTIME", "NVIM_*", "FZF_*", "BAT_*",
    "RIPGREP_CONFIG_PATH", "ACKRC", "PSQLRC", "PGSERVICEFILE", "PGSYSCONFDIR", "PGPASSFILE",
    "GH_CONFIG_DIR", "SSH_ASKPASS*", "SSH_SK_*", "SSH_PKCS11_HELPER", "SUDO_*", "SYSTEMD_*",
    "XDG_*", "HOME", "CURL_HOME", "WGETRC", "INPUTRC", "TERMINFO*", "TERMCAP", "TERMPATH", "PATH",
    "DBUS_*", "SSH_AUTH_SOCK", "GPG_AGENT_INFO", "GNUPGHOME", "DISPLAY", "WAYLAND_DISPLAY",
    "XAUTHORITY", "XLOCALEDIR", "SCREENRC", "SYSSCREENRC", "LYNX_CFG", "MYSQL_HOME", "LIBMYSQL_*",
    "SQLITE_HISTORY", "GDBHISTFILE", "KRB5*", "QT_PLUGIN_PATH", "QT_QPA_*", "GTK_*", "GIO_*", "GST_*", "GDK_PIXBUF_*",
    "LIBGL_*", "VK_*", "MAGICK_*",
    // TLS and network
    "OPENSSL_*", "SSL_CERT_*", "SSLKEYLOGFILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    // clouds
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_DATA_PATH", "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL*", "AWS_CONTAINER_*", "AZURE_CONFIG_DIR", "AZURE_EXTENSION_DIR",
    "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_EXTERNAL_ACCOUNT_*", "CLOUDSDK_CONFIG",
    "CLOUDSDK_PYTHON*", "BOTO_CONFIG", "KUBECONFIG", "KUBECTL_*", "HELM_*", "TF_CLI_*",
    "TF_PLUGIN_CACHE_DIR", "TF_DATA_DIR", "TF_LOG_PATH", "DOCKER_HOST", "DOCKER_CONFIG",
    "DOCKER_CERT_PATH", "COMPOSE_*", "ANSIBLE_*", "VAULT_*",
    // our own configuration
    "PORTCULLIS_*",
];

/// Endings of names whose value is a command that the program runs, a proxy, or options of a runtime that loads what
/// they name: `AWS_PAGER`, `KUBE_EDITOR`, `KAFKA_OPTS`, `ASAN_OPTIONS`.
const DANGEROUS_SUFFIXES: &[&str] = &[
    "PAGER",
    "EDITOR",
    "BROWSER",
    "ASKPASS",
    "_RSH",
    "_WRAPPER",
    "_PRELOAD",
    "_PROXY",
    "SAN_OPTIONS",
    "_OPTS",
];

/// Names whose value chooses a file when it is a path: catalogues of messages, zones, terminals.
const NAMES_FILES: &[&str] = &["LANG", "LANGUAGE", "LC_*", "LINGUAS", "COLORTERM", "TERM"];

/// Variables of those families that a plugin may set: they name a person, a date or a format and run nothing.
#[rustfmt::skip]
const HARMLESS: &[&str] = &[
    "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE", "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_DATE", "GIT_OPTIONAL_LOCKS", "GIT_TERMINAL_PROMPT",
    "NODE_ENV", "MIX_ENV", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE",
    "CARGO_TERM_COLOR", "RUST_BACKTRACE",
];

/// Parts of names that usually hold secrets; never inherited unless the policy names the variable itself.
#[rustfmt::skip]
const SECRET: &[&str] = &[
    "AUTH", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "APIKEY", "API_KEY",
    "ACCESS_KEY", "PRIVATE_KEY", "CREDENTIAL", "COOKIE", "SESSION", "BEARER", "DATABASE_URL",
    "CONNECTION_STRING", "WEBHOOK", "MYSQL_PWD", "SSHPASS", "CREDS", "JWT",
];
/// Words that contain one of those parts and are no secrets.
const NO_SECRETS: &[&str] = &["AUTHOR", "TOKENIZER"];

#[rustfmt::skip]
const SECRET_PREFIXES: &[&str] = &[
    "AWS_", "AZURE_", "ARM_", "GOOGLE_", "GCP_", "CLOUDSDK_", "GITLAB_", "CI_JOB_", "NPM_", "PYPI_",
    "TWINE_", "DOCKER_", "KUBE", "VAULT_", "OPENAI_", "ANTHROPIC_", "HF_", "SLACK_", "STRIPE_",
    "TWILIO_", "DATADOG_", "DD_", "SENTRY_", "ACTIONS_", "SIGNING_", "PORTCULLIS_",
];
const SECRET_SUFFIXES: &[&str] = &["_KEY", "_PAT", "_PASS", "_PWD", "_SAS", "DSN"];

/// Beginnings of values that are credentials of well-known services.
const SECRET_VALUES: &[&str] = &[
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxa-",
    "xoxb-",
    "xoxr-",
    "xoxs-",
    "xoxp-",
    "sk-",
    "npm_",
    "pypi-",
    "AIza",
    "ya29.",
    "AKIA",
    "ASIA",
    "-----BEGIN ",
];

/// Whether a name, whatever its case, is one that makes programs load or run something else.
pub(crate) fn is_dangerous(name: &str, value: &str) -> bool {
    let listed = is_listed(name)
        || DANGEROUS_SUFFIXES
            .iter()
            .any(|suffix| ends_with(name, suffix));
    listed && !HARMLESS.contains(&name) || is_dangerous_value(name, value)
}

/// Whether one of [`DANGEROUS`] matches. Only those that begin with the same letter are compared.
fn is_listed(name: &str) -> bool {
    static BY_FIRST: LazyLock<BTreeMap<u8, Vec<&str>>> = LazyLock::new(|| {
        let mut lists = BTreeMap::<_, Vec<_>>::new();
        for pattern in DANGEROUS {
            lists.entry(first(pattern)).or_default().push(*pattern);
        }
        lists
    });
    let mut list = BY_FIRST.get(&first(name)).into_iter().flatten();
    list.any(|pattern| matches_name(pattern, name))
}

/// The first byte, without case.
fn first(text: &str) -> u8 {
    let first = text.bytes().next();
    first.unwrap_or_default().to_ascii_uppercase()
}

/// Values that make a harmless name dangerous: what old shells take for a function, and paths where a plain name is
/// expected (sudoers(5) checks the same).
fn is_dangerous_value(name: &str, value: &str) -> bool {
    value.starts_with("()")
        || name == "TZ" && !is_plain_zone(value)
        || value.contains(['/', '%'])
            && NAMES_FILES
                .iter()
                .any(|pattern| matches_name(pattern, name))
}

/// A zone name below the system's zone directory: tzset(3) would open anything after `:` or `/`.
pub(crate) fn is_plain_zone(zone: &str) -> bool {
    let plain = zone
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+' | ',' | '.'));
    plain && !zone.starts_with('/') && !zone.contains("..")
}

/// Whether a name usually holds a secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words = NO_SECRETS
        .iter()
        .fold(name.clone(), |name, word| name.replace(word, "_"));
    SECRET.iter().any(|part| words.contains(part))
        || name.contains("AUTHORIZATION")
        || SECRET_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
        || SECRET_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Whether a value looks like a credential: a known token, a private key, a JSON web token, or a URL with
/// `user:password@`.
pub fn mentions_secret(value: &str) -> bool {
    let token = |text: &str| SECRET_VALUES.iter().any(|prefix| text.starts_with(prefix));
    let userinfo = value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or(rest);
        authority
            .rsplit_once('@')
            .is_some_and(|(user, _)| user.contains(':') || token(user))
    });
    userinfo || token(value) || value.starts_with("eyJ") && value.contains(".eyJ")
}

/// A pattern of the tables against a name, without case.
fn matches_name(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix)),
        None => name.eq_ignore_ascii_case(pattern),
    }
}

fn ends_with(name: &str, suffix: &str) -> bool {
    let start = name.len().checked_sub(suffix.len());
    start
        .and_then(|start| name.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names of the table, also changed a little, and any others.
    fn name() -> impl Strategy<Value = String> {
        let listed = prop::sample::select(DANGEROUS.to_vec());
        let changed = (
            listed,
            "[a-zA-Z_]{0,3}",
            any::<bool>(),
            any::<prop::sample::Index>(),
        );
        let changed = changed.prop_map(|(pattern, rest, lower, cut)| {
            let name = format!("{}{rest}", pattern.trim_end_matches('*'));
            let name = name[..=cut.index(name.len())].to_owned();
            if lower {
                name.to_ascii_lowercase()
            } else {
                name
            }
        });
        prop_oneof![changed, ".{0,8}"]
    }

    proptest! {
        #[test]
        fn a_name_is_listed_if_any_pattern_of_the_whole_table_matches(name in name()) {
            let listed = DANGEROUS.iter().any(|pattern| matches_name(pattern, &name));
            prop_assert_eq!(is_listed(&name), listed, "{}", name);
        }
    }

    #[test]
    fn no_pattern_of_the_table_is_lost() {
        for pattern in DANGEROUS {
            // A bare `*` would match names with any first letter.
            assert!(pattern.len() > 1 && first(pattern) != b'*', "{pattern}");
            assert!(is_listed(pattern.trim_end_matches('*')), "{pattern}");
        }
    }
}
