//! Turns values of a file into values of the policy. Every mistake is put down with its place, and reading goes on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_policy::{
    Confinement, FsAccess, FsGrant, FsKind, Mode, Origin, ProgramRef, Programs, Protect,
};

use crate::context::Base;
use crate::draft::Wanted;
use crate::error::{ConfigCode, ConfigError, Report, is_invisible};
use crate::raw::{ConfinementWord, Directory, ModeWord, SizeText, Text, Texts, TimeText};
use crate::source::{At, Source};
use crate::units;

/// One file, read for one purpose.
pub(crate) struct Reader<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) base: Base<'a>,
    pub(crate) report: &'a mut Report,
}

impl Reader<'_> {
    pub(crate) fn origin<T>(&self, at: &At<T>) -> Origin {
        self.source.origin(at.span().start)
    }

    pub(crate) fn error<T>(
        &self,
        code: ConfigCode,
        at: &At<T>,
        message: impl Into<String>,
    ) -> ConfigError {
        self.source.error(code, at.span(), message)
    }

    /// Puts down a mistake.
    pub(crate) fn wrong<T>(&mut self, code: ConfigCode, at: &At<T>, message: impl Into<String>) {
        let error = self.error(code, at, message);
        self.report.push(error);
    }

    /// The value, or `None` with the mistake put down.
    pub(crate) fn take<T, V>(
        &mut self,
        code: ConfigCode,
        at: &At<T>,
        value: Result<V, String>,
    ) -> Option<V> {
        value.map_err(|message| self.wrong(code, at, message)).ok()
    }

    pub(crate) fn duration(&mut self, text: &At<TimeText>) -> Option<Duration> {
        let read = units::duration(&text.0);
        self.unit(text, read, units::DURATION_UNITS)
    }

    pub(crate) fn size(&mut self, text: &At<SizeText>) -> Option<u64> {
        let read = units::size(&text.0);
        self.unit(text, read, units::SIZE_UNITS)
    }

    fn unit<T, V>(&mut self, at: &At<T>, read: Result<V, String>, expected: &str) -> Option<V> {
        match read {
            Ok(value) => Some(value),
            Err(message) => {
                let error = self.error(ConfigCode::Unit, at, message).label(expected);
                self.report.push(error);
                None
            }
        }
    }

    pub(crate) fn sha256(&mut self, text: &Text) -> Option<[u8; 32]> {
        let mut digest = [0; 32];
        let read = hex::decode_to_slice(text.as_str(), &mut digest).map(|()| digest);
        let read = read.map_err(|_| "a SHA-256 is 64 hexadecimal digits".to_owned());
        self.take(ConfigCode::Value, text, read)
    }

    /// What a rule is about: a program, or with `/*` behind a directory the programs directly in it.
    pub(crate) fn programs<T>(&mut self, at: &At<T>, text: &str) -> Option<Programs> {
        let Some(dir) = text.strip_suffix("/*").filter(|dir| !dir.contains('*')) else {
            return self.program(at, text).map(Programs::Named);
        };
        let read = self
            .expanded(dir)
            .and_then(|dir| programs(&format!("{dir}/*")));
        let message = |why| format!("`{text}` stands for no programs: {why}");
        self.take(ConfigCode::Pattern, at, read.map_err(message))
    }

    /// A path with its variables replaced; anything else as it is.
    fn expanded(&self, text: &str) -> Result<String, String> {
        if !text.starts_with('~') && !text.contains("${") {
            return Ok(text.to_owned());
        }
        let expanded = self.base.expand(text)?;
        Ok(expanded.path.display().to_string())
    }

    /// A bare program name or an absolute path.
    pub(crate) fn program<T>(&mut self, at: &At<T>, text: &str) -> Option<ProgramRef> {
        let read = self.expanded(text).and_then(|path| {
            program_ref(&path).ok_or_else(|| format!("`{text}` is not a program"))
        });
        match read {
            Ok(program) => Some(program),
            Err(message) => {
                let mut error = self
                    .error(ConfigCode::Pattern, at, message)
                    .label("expected a bare name or an absolute path");
                if let Some((program, _)) = text
                    .split_once(char::is_whitespace)
                    .filter(|_| !text.contains('/'))
                {
                    let rule = format!("{{ program = \"{program}\", args = […] }}");
                    error = error.help(format!("arguments are a list of their own: `{rule}`"));
                }
                if text.contains('*') {
                    error = error.help(STAR);
                }
                self.report.push(error);
                None
            }
        }
    }

    /// Names of environment variables, or prefixes of them.
    pub(crate) fn names(&mut self, texts: Option<&Texts>, kind: Names) -> Vec<String> {
        let texts = texts.map(|texts| texts.as_slice()).unwrap_or_default();
        texts
            .iter()
            .filter_map(|text| self.name(text, kind))
            .collect()
    }

    pub(crate) fn name(&mut self, text: &Text, kind: Names) -> Option<String> {
        if kind.has(text) {
            return Some((**text).clone());
        }
        let message = format!("`{}` is not {}", text, kind.describe());
        let mut error = self.error(ConfigCode::Pattern, text, message);
        if kind == Names::Prefixes && text.ends_with('*') {
            error = error.help(format!(
                "write `{}`: a prefix needs no `*`",
                text.trim_end_matches('*')
            ));
        }
        self.report.push(error);
        None
    }

    /// Absolute directories, `~` among them; they need not be there. Never below the project, whose files anybody writes.
    pub(crate) fn search_path(&mut self, texts: &Texts) -> Vec<PathBuf> {
        let mut dirs = Vec::new();
        for text in texts.iter() {
            let home = text.starts_with('~').then(|| self.base.expand(text));
            let home = home.and_then(Result::ok).map(|expanded| expanded.path);
            let dir = home.unwrap_or_else(|| PathBuf::from(text.as_str()));
            let fits = dir.to_str().is_some_and(|dir| !dir.contains([':', '\0']));
            if dir.is_absolute() && fits {
                dirs.push(dir);
            } else {
                self.wrong(
                    ConfigCode::Value,
                    text,
                    format!("`{text}` is not an absolute directory"),
                );
            }
        }
        dirs
    }

    /// A granted directory with the name that a guest sees, or a granted file: its real path.
    pub(crate) fn fs_grant(
        &mut self,
        entry: &At<Directory>,
        access: FsAccess,
        wanted: Wanted,
    ) -> Option<FsGrant> {
        let (path, guest) = match &**entry {
            Directory::Path(path) => (path.as_str(), None),
            Directory::Named(named) => (named.path.as_str(), named.guest.as_ref()),
        };
        let read = self.base.place(path);
        let place = self.take(ConfigCode::Path, entry, read)?;
        if let Some(guest) = guest.filter(|guest| guest.is_empty() || guest.contains(is_invisible))
        {
            self.wrong(ConfigCode::Value, guest, "`as` is the name of a directory");
            return None;
        }
        if let Some(guest) = guest.filter(|_| place.kind == FsKind::File) {
            let path = place.path.display();
            let message =
                format!("`as` is for directories: `{path}` is a file, which has its own name");
            self.wrong(ConfigCode::Value, guest, message);
            return None;
        }
        let kind = match (wanted, place.kind) {
            (Wanted::Any, kind) => kind,
            (Wanted::Repository, FsKind::File) => {
                let message = format!("`{}` is not a working tree", place.path.display());
                self.wrong(ConfigCode::Value, entry, message);
                return None;
            }
            (Wanted::Repository, _) => FsKind::Repository,
        };
        let origin = self.origin(entry);
        let guest = guest.map_or(place.guest, |guest| (**guest).clone());
        let grant = FsGrant {
            host: place.path,
            kind,
            guest,
            access,
            origin,
        };
        self.refuse_own_state(entry, &grant.host, access)
            .then_some(grant)
    }

    /// Puts down that a granted path reaches files of Portcullis itself. True when it does not.
    fn refuse_own_state<T>(&mut self, at: &At<T>, path: &Path, access: FsAccess) -> bool {
        let Some(own) = self.base.context.reached(path, access) else {
            return true;
        };
        let error = self.source.error(ConfigCode::OwnState, at.span(), "");
        let error = own_state(error, path, access, &own.path);
        self.report.push(error);
        false
    }

    /// Directories that commands read and execute.
    pub(crate) fn system(&mut self, texts: &Texts) -> Vec<PathBuf> {
        let mut dirs = Vec::new();
        for text in texts.iter() {
            let read = self.base.directory(text);
            let Some(dir) = self.take(ConfigCode::Path, text, read) else {
                continue;
            };
            if self.refuse_own_state(text, &dir, FsAccess::Read) {
                dirs.push(dir);
            }
        }
        dirs
    }

    /// Names in each directory that may be written, or the real paths of directories.
    pub(crate) fn write_exec(&mut self, texts: &Texts) -> Vec<PathBuf> {
        let mut places = Vec::new();
        for text in texts.iter() {
            let is_path = text.starts_with(['/', '~']) || text.contains("${");
            let read = if is_path {
                self.base.directory(text)
            } else {
                name_below(text)
            };
            places.extend(self.take(ConfigCode::Path, text, read));
        }
        places
    }

    /// Lifts the protection of names of the built-in list.
    pub(crate) fn unprotect(&mut self, texts: &Texts, protect: &mut Protect) {
        for text in texts.iter() {
            let mut names = Protect::BUILT_IN.iter().map(|protected| protected.name);
            if names.clone().any(|name| name == text.as_str()) {
                protect.lift(text);
                continue;
            }
            let mut error = self.error(
                ConfigCode::Value,
                text,
                format!("`{text}` is not protected: there is nothing to lift"),
            );
            if let Some(near) = crate::shape::nearest(text, names.clone()) {
                error = error.help(format!("a protected name that is similar is `{near}`"));
            } else if let Some(below) = names.find(|name| name.starts_with(text.as_str())) {
                error = error.help(format!("names are lifted one by one, such as `{below}`"));
            }
            self.report.push(error);
        }
    }
}

/// A relative path that stays below where it begins.
fn name_below(text: &str) -> Result<PathBuf, String> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(is_invisible);
    if text.split('/').all(plain) {
        Ok(PathBuf::from(text))
    } else {
        Err(format!(
            "`{}` is neither a name below a directory, such as `target`, nor an absolute path",
            text.escape_debug()
        ))
    }
}

/// What helps who wrote a `*` where none is read.
pub(crate) const STAR: &str = "`/usr/bin/*` in `allow` and `deny` stands for the programs directly in a directory; there is no other pattern for programs";

/// A program as it can be written: without spaces, which would be arguments, and without what cannot be seen.
pub(crate) fn program_ref(text: &str) -> Option<ProgramRef> {
    programs(text).ok()?.named().cloned()
}

/// What a rule is about, as it can be written.
///
/// # Errors
/// Why it stands for no programs.
pub(crate) fn programs(text: &str) -> Result<Programs, String> {
    if text.contains(|c: char| c.is_whitespace() || is_invisible(c)) {
        return Err("it has a space, or what cannot be seen".to_owned());
    }
    Programs::parse(text).map_err(|error| error.to_string())
}

/// Fills in what a grant would reach.
pub(crate) fn own_state(
    mut error: ConfigError,
    granted: &Path,
    access: FsAccess,
    own: &Path,
) -> ConfigError {
    let verb = if access == FsAccess::ReadWrite {
        "written"
    } else {
        "read"
    };
    error.message = format!(
        "`{}` may not be {verb} by plugins: it reaches `{}`",
        granted.display(),
        own.display()
    );
    error
        .note("files of Portcullis itself are granted to nobody")
        .help("grant a directory that does not contain it")
}

/// What a list of names of environment variables holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Exact,
    Prefixes,
    Patterns,
}

impl Names {
    /// Whether a text is one of these.
    pub(crate) fn has(self, text: &str) -> bool {
        let body = if self == Self::Patterns {
            text.strip_suffix('*').unwrap_or(text)
        } else {
            text
        };
        let plain = !body.contains(['=', '*'])
            && !body.chars().any(|c| is_invisible(c) || c.is_whitespace());
        plain && !text.is_empty()
    }

    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Exact => "the name of an environment variable",
            Self::Prefixes => "the beginning of names of environment variables",
            Self::Patterns => {
                "the name of an environment variable, or the beginning of one and `*`"
            }
        }
    }
}

impl From<ModeWord> for Mode {
    fn from(word: ModeWord) -> Self {
        match word {
            ModeWord::Production => Self::Production,
            ModeWord::Dev => Self::Dev,
        }
    }
}

impl From<ConfinementWord> for Confinement {
    fn from(word: ConfinementWord) -> Self {
        match word {
            ConfinementWord::Full => Self::Full,
            ConfinementWord::Namespaces => Self::Namespaces,
            ConfinementWord::Landlock => Self::Landlock,
            ConfinementWord::Limits => Self::Limits,
        }
    }
}
