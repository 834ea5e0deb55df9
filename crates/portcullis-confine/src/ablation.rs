//! Layers of the wall that can be left out one by one, for the tests that show what each of them carries.
//!
//! An ordinary build has all of them, always: there is nothing in it that could be told to leave one out.

/// A part of the wall. Only [`Tier::Full`](crate::Tier::Full) and [`Tier::Namespaces`](crate::Tier::Namespaces) are
/// built of all of them, and only there can they be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "ablation"),
    expect(dead_code, unreachable_pub, reason = "only tests name them outside")
)]
#[non_exhaustive]
pub enum Layer {
    /// The root of one's own, scratch directories, and a `/proc` that cannot be written.
    Mounts,
    /// The Landlock domain.
    Landlock,
    /// The system call filter.
    Seccomp,
    /// Process, network, ipc and host name of one's own, and that no more user namespaces can be made. The user
    /// namespace itself goes only together with the mounts, which need it.
    Namespaces,
    /// Having no capabilities, and getting none by executing a program.
    Caps,
    /// Limits of resources.
    Rlimits,
    /// An environment that is built from nothing.
    Env,
    /// Closing what the host has open.
    Fds,
    /// That a cell's init cannot be read or traced by its command.
    Hidden,
}

#[cfg(all(feature = "ablation", not(debug_assertions)))]
compile_error!(
    "the feature `ablation` is for tests: no release build may leave out a layer of the wall"
);

/// Whether a layer is left out: never.
#[cfg(not(feature = "ablation"))]
pub(crate) const fn is_left_out(_layer: Layer) -> bool {
    false
}

#[cfg(feature = "ablation")]
pub use switch::is_left_out;

#[cfg(feature = "ablation")]
pub(crate) use switch::{is_any_left_out, variable};

#[cfg(feature = "ablation")]
mod switch {
    use std::{ffi::OsString, sync::OnceLock};

    use super::Layer;

    /// Names of layers, with commas between them.
    const VARIABLE: &str = "PORTCULLIS_ABLATE";

    impl Layer {
        const ALL: [(&'static str, Self); 9] = [
            ("mounts", Self::Mounts),
            ("landlock", Self::Landlock),
            ("seccomp", Self::Seccomp),
            ("namespaces", Self::Namespaces),
            ("caps", Self::Caps),
            ("rlimits", Self::Rlimits),
            ("env", Self::Env),
            ("fds", Self::Fds),
            ("hidden", Self::Hidden),
        ];
    }

    /// The variable as it has to be passed on to a spawn server, whose environment is otherwise empty.
    pub(crate) fn variable() -> Option<(&'static str, OsString)> {
        std::env::var_os(VARIABLE).map(|value| (VARIABLE, value))
    }

    /// Whether a layer is left out, as the environment of this process says.
    ///
    /// # Panics
    /// If it names a layer that there is not: a test would show nothing.
    pub fn is_left_out(layer: Layer) -> bool {
        left_out().contains(&layer)
    }

    /// Whether any is.
    pub(crate) fn is_any_left_out() -> bool {
        !left_out().is_empty()
    }

    fn left_out() -> &'static [Layer] {
        static LEFT_OUT: OnceLock<Vec<Layer>> = OnceLock::new();
        LEFT_OUT.get_or_init(|| {
            let value = variable().map(|(_, value)| value.to_string_lossy().into_owned());
            let names = value.unwrap_or_default();
            let find = |name: &str| match Layer::ALL.iter().find(|(known, _)| *known == name) {
                Some((_, layer)) => *layer,
                None => panic!("no layer `{name}`"),
            };
            names
                .split(',')
                .filter(|name| !name.is_empty())
                .map(find)
                .collect()
        })
    }
}
