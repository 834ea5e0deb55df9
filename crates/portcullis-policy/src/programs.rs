use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::ProgramRef;

/// The programs that a rule is about. A request is for one program and never spells a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Programs {
    /// One program. It matches by the file found, not by the text.
    Named(ProgramRef),
    /// Those directly in a directory.
    In(ProgramDirectory),
}

/// The programs directly in a directory, `/usr/bin/*` in a policy: what is there now and what will be.
///
/// It allows a program that is asked for by its path in this directory and whose file lies there, and no bare name. It denies
/// whatever lies there or is found there, however it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramDirectory {
    /// Absolute, below the root, without `.` and `..`.
    dir: PathBuf,
    /// If present, the only names of programs that are left.
    only: Option<Vec<String>>,
}

/// A text that stands for no programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrograms {
    /// It is no program.
    #[error("it is neither a bare name nor an absolute path")]
    NoProgram,
    /// It has a `*` in another place than the last.
    #[error(
        "a `*` stands for the programs directly in a directory, as the last part of a path: `/usr/bin/*`"
    )]
    Star,
    /// Its directory is none whose programs can be granted.
    #[error("the directory before `/*` is an absolute path below `/`, without `..`")]
    Directory,
}

impl Programs {
    /// Reads what a rule is about: a program, or with `/*` behind a directory the programs directly in it.
    ///
    /// # Errors
    /// Any other `*`, and what is neither a bare name nor an absolute path.
    pub fn parse(text: &str) -> Result<Self, InvalidPrograms> {
        if let Some(dir) = text.strip_suffix("/*") {
            return ProgramDirectory::new(Path::new(dir)).map(Self::In);
        }
        if text.contains('*') {
            return Err(InvalidPrograms::Star);
        }
        let program = ProgramRef::parse(text).ok_or(InvalidPrograms::NoProgram)?;
        Ok(Self::Named(program))
    }

    /// The one program, if a rule can spell it: what has a `*` in its name would be read as something else.
    pub fn written(program: &ProgramRef) -> Option<Self> {
        let named = Self::Named(program.clone());
        Self::parse(&program.to_string())
            .is_ok_and(|read| read == named)
            .then_some(named)
    }

    /// The one program, if it is one.
    pub fn named(&self) -> Option<&ProgramRef> {
        match self {
            Self::Named(program) => Some(program),
            Self::In(_) => None,
        }
    }

    /// The directory, if it is one.
    pub fn directory(&self) -> Option<&ProgramDirectory> {
        match self {
            Self::Named(_) => None,
            Self::In(directory) => Some(directory),
        }
    }

    /// Whether it is about one program that is called so.
    pub fn is_called(&self, name: &str) -> bool {
        self.named()
            .is_some_and(|program| program.base_name() == name)
    }
}

impl ProgramDirectory {
    /// The programs directly in `dir`.
    ///
    /// # Errors
    /// The root, what is relative, has a `..`, a `*` or a NUL.
    pub fn new(dir: &Path) -> Result<Self, InvalidPrograms> {
        let text = dir.to_str().ok_or(InvalidPrograms::Directory)?;
        if text.contains('*') {
            return Err(InvalidPrograms::Star);
        }
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        if !dir.is_absolute()
            || dir.file_name().is_none()
            || text.contains('\0')
            || !dir.components().all(plain)
        {
            return Err(InvalidPrograms::Directory);
        }
        Ok(Self {
            dir: dir.components().collect(),
            only: None,
        })
    }

    /// The directory as the rule spells it.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Whether a path is spelled as one of a program in it: no link is followed, and no `..`.
    pub fn holds(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        path.parent() == Some(self.path()) && name.is_some_and(|name| self.leaves(name))
    }

    /// Whether a program of this name is left, if it lies in it.
    pub fn leaves(&self, name: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| only.iter().any(|left| left == name))
    }

    /// The same with no other programs than these. A bare name is that of any file.
    #[must_use]
    pub fn only(&self, programs: &[&ProgramRef]) -> Self {
        let named = programs.iter().filter(|program| match program {
            ProgramRef::Name(name) => self.leaves(name),
            ProgramRef::Path(path) => self.holds(path),
        });
        let mut only: Vec<_> = named
            .map(|program| program.base_name().to_owned())
            .collect();
        only.sort_unstable();
        only.dedup();
        Self {
            dir: self.dir.clone(),
            only: Some(only),
        }
    }

    /// Whether no program is left.
    pub fn is_empty(&self) -> bool {
        self.only.as_ref().is_some_and(Vec::is_empty)
    }
}

impl From<ProgramRef> for Programs {
    fn from(program: ProgramRef) -> Self {
        Self::Named(program)
    }
}

impl fmt::Display for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(program) => program.fmt(f),
            Self::In(directory) => directory.fmt(f),
        }
    }
}

impl fmt::Display for ProgramDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dir = self.dir.display();
        match &self.only {
            None => write!(f, "{dir}/*"),
            Some(only) if only.is_empty() => write!(f, "none of {dir}/*"),
            Some(only) => {
                let paths: Vec<_> = only.iter().map(|name| format!("{dir}/{name}")).collect();
                f.write_str(&paths.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(text: &str) -> ProgramDirectory {
        match Programs::parse(text) {
            Ok(Programs::In(directory)) => directory,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn one_program_or_those_of_a_directory() {
        for (text, shown) in [
            ("/usr/bin/*", "/usr/bin/*"),
            ("//usr//bin//*", "/usr/bin/*"),
            ("/usr/./bin/./*", "/usr/bin/*"),
            ("/o p/*", "/o p/*"),
        ] {
            assert_eq!(directory(text).to_string(), shown, "{text}");
        }
        for text in ["git", "/usr/bin/git", "[", "/usr/bin/["] {
            let named = Programs::Named(ProgramRef::parse(text).unwrap());
            assert_eq!(Programs::parse(text), Ok(named));
        }
        use InvalidPrograms::{Directory, NoProgram, Star};
        for (text, why) in [
            ("*", Star),
            ("git*", Star),
            ("/usr/bin/**", Star),
            ("/usr/bin/g*", Star),
            ("/usr/*/git", Star),
            ("/usr/*/*", Star),
            ("/usr/bin/*/", Star),
            ("/*", Directory),
            ("//*", Directory),
            ("/./*", Directory),
            ("bin/*", Directory),
            ("./*", Directory),
            ("/usr/bin/../lib/*", Directory),
            ("/usr/bin/..//*", Directory),
            ("/a\0/*", Directory),
            ("", NoProgram),
            ("/", NoProgram),
            ("a/b", NoProgram),
        ] {
            assert_eq!(Programs::parse(text), Err(why), "{text:?}");
        }
    }

    #[test]
    fn a_directory_holds_what_is_spelled_directly_in_it() {
        let bin = directory("/usr/bin/*");
        for path in [
            "/usr/bin/git",
            "//usr//bin//git",
            "/usr/./bin/git",
            "/usr/bin/*",
        ] {
            assert!(bin.holds(Path::new(path)), "{path}");
        }
        for path in [
            "git",
            "usr/bin/git",
            "/usr/bin",
            "/usr/bin/",
            "/usr/bin/a/git",
            "/usr/bin/../bin/git",
            "/usr/bin/..",
            "/usr/binary/git",
            "/opt/../usr/bin/git",
            "/bin/git",
        ] {
            assert!(!bin.holds(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn of_a_directory_those_are_left_that_are_asked_for() {
        let parse = |text: &str| ProgramRef::parse(text).unwrap();
        let asked = ["jq", "/usr/bin/git", "/opt/df", "git"].map(parse);
        let left = directory("/usr/bin/*").only(&asked.each_ref());
        assert_eq!(left.to_string(), "/usr/bin/git, /usr/bin/jq");
        assert!(left.holds(Path::new("/usr/bin/git")) && !left.holds(Path::new("/usr/bin/df")));
        let less = left.only(&[&parse("git"), &parse("df")]);
        assert_eq!(less.to_string(), "/usr/bin/git");
        let none = less.only(&[&parse("jq")]);
        assert!(none.is_empty() && !none.holds(Path::new("/usr/bin/jq")));
    }
}
