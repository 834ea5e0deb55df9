use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serialize;

const MIB: u64 = 1024 * 1024;

/// How much of the machine one plugin may use.
///
/// # Defaults
/// - a command: 30 s, 10 MiB of each output stream, no grace after its deadline
/// - a plugin: 8 children at once, 600 spawns a minute, 256 MiB of output in all
/// - the guest's own requests, a minute: 60 over HTTP, 60 lookups, 60 connections, 60 to mail servers, 100 lines of log,
///   60,000 of each other function
/// - the guest's own files: 8 MiB read and 4 MiB written at once, 256 MiB written by an instance in all
/// - the guest's own HTTP requests: 1 MiB sent, 4 MiB received, 30 s
/// - the guest's own lookups and connections: 30 s each
/// - the directory that a plugin of fledge has of its own: 1,000 files, 64 MiB each
/// - a call of the guest: 120 s, 256 MiB of linear memory and 10,000 table elements; its instructions are not counted
/// - a plugin of clawft: 300 KiB, 120 KiB when it is packed, 10 MiB with all that lies beside it
///
/// Rates are counted in the host process that holds the plugin; two host processes count separately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Wall-clock time of one command.
    pub timeout: Duration,
    /// Time between SIGTERM and SIGKILL, taken out of `timeout`.
    pub term_grace: Duration,
    /// Bytes of standard output, and of standard error, of one command.
    pub output: u64,
    /// Bytes of output of all commands of one instance.
    pub total_output: u64,
    /// Commands running at once.
    pub children: u32,
    /// Commands started in any 60 seconds.
    pub spawns_per_minute: u32,
    /// HTTP requests of the guest itself within a minute, those that are refused included. As many may come at once.
    pub http_per_minute: u32,
    /// Lookups of names within a minute, connections, and connections to mail servers, those that are refused included. As
    /// many of each may come at once.
    pub net_per_minute: u32,
    /// Lines of log within a minute; what is more is dropped. As many may come at once.
    pub log_per_minute: u32,
    /// Calls of any other one function of a capability within a minute, those that are refused included. As many may come
    /// at once.
    pub calls_per_minute: u32,
    /// Bytes of a file that the guest reads at once.
    pub file_read: u64,
    /// Bytes of a file that the guest writes at once.
    pub file_write: u64,
    /// Bytes that one instance of the guest writes to files in all.
    pub total_file_write: u64,
    /// Files, directories and links in the directory that a plugin of fledge has of its own.
    pub data_files: u32,
    /// Bytes of one file in it.
    pub data_file: u64,
    /// Bytes of the body of one HTTP request of the guest itself.
    pub http_request: u64,
    /// Bytes of the body of a response that the guest is given, counted when it is unpacked; the rest is cut off.
    pub http_response: u64,
    /// Wall-clock time of one HTTP request of the guest itself, from its name to the end of the response.
    pub http_timeout: Duration,
    /// Wall-clock time of one lookup or connection of the guest itself, its name and TLS included.
    pub net_timeout: Duration,
    /// Wall-clock time of one call into the guest, everything it waits for included.
    pub call: Duration,
    /// Bytes of linear memory, all memories of the instance together.
    pub memory: u64,
    /// Elements of all tables of the instance together.
    pub table_elements: u64,
    /// Wall-clock time of its compilation.
    pub compile_time: Duration,
    /// Bytes of memory that its compilation may take.
    pub compile_memory: u64,
    /// Instructions of the guest in one call, about; `None`: they are not counted, which is faster. A number outside
    /// [`Limits::FUEL`] counts as the nearest in it.
    pub fuel: Option<u64>,
    /// Bytes of the component of a plugin of clawft.
    pub clawft_module: u64,
    /// Bytes of it when gzip has packed it.
    pub clawft_gzip: u64,
    /// Bytes of all files in the directory of a plugin of clawft.
    pub clawft_directory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            term_grace: Duration::ZERO,
            output: 10 * MIB,
            total_output: 256 * MIB,
            children: 8,
            spawns_per_minute: 600,
            http_per_minute: 60,
            net_per_minute: 60,
            log_per_minute: 100,
            calls_per_minute: 60_000,
            file_read: 8 * MIB,
            file_write: 4 * MIB,
            total_file_write: 256 * MIB,
            data_files: 1000,
            data_file: 64 * MIB,
            http_request: MIB,
            http_response: 4 * MIB,
            http_timeout: Duration::from_secs(30),
            net_timeout: Duration::from_secs(30),
            call: Duration::from_secs(120),
            memory: 256 * MIB,
            table_elements: 10_000,
            compile_time: Duration::from_secs(120),
            compile_memory: 2048 * MIB,
            fuel: None,
            clawft_module: 300 * 1024,
            clawft_gzip: 120 * 1024,
            clawft_directory: 10 * MIB,
        }
    }
}

impl Limits {
    /// What [`Limits::fuel`] can be: with less hardly a guest comes to its first line, and more is no limit.
    pub const FUEL: RangeInclusive<u64> = 1_000_000..=10_000_000_000;
    /// What worlds give that count instructions where nothing is written: about a second of them.
    pub const FUEL_DEFAULT: u64 = 1_000_000_000;

    /// The nearest number in [`Limits::FUEL`].
    pub fn clamp_fuel(fuel: u64) -> u64 {
        fuel.clamp(*Self::FUEL.start(), *Self::FUEL.end())
    }

    /// The smaller of each pair: what holds when both apply.
    #[must_use]
    pub fn min(&self, other: &Self) -> Self {
        Self {
            timeout: self.timeout.min(other.timeout),
            term_grace: self.term_grace.min(other.term_grace),
            output: self.output.min(other.output),
            total_output: self.total_output.min(other.total_output),
            children: self.children.min(other.children),
            spawns_per_minute: self.spawns_per_minute.min(other.spawns_per_minute),
            http_per_minute: self.http_per_minute.min(other.http_per_minute),
            net_per_minute: self.net_per_minute.min(other.net_per_minute),
            log_per_minute: self.log_per_minute.min(other.log_per_minute),
            calls_per_minute: self.calls_per_minute.min(other.calls_per_minute),
            file_read: self.file_read.min(other.file_read),
            file_write: self.file_write.min(other.file_write),
            total_file_write: self.total_file_write.min(other.total_file_write),
            data_files: self.data_files.min(other.data_files),
            data_file: self.data_file.min(other.data_file),
            http_request: self.http_request.min(other.http_request),
            http_response: self.http_response.min(other.http_response),
            http_timeout: self.http_timeout.min(other.http_timeout),
            net_timeout: self.net_timeout.min(other.net_timeout),
            call: self.call.min(other.call),
            memory: self.memory.min(other.memory),
            table_elements: self.table_elements.min(other.table_elements),
            compile_time: self.compile_time.min(other.compile_time),
            compile_memory: self.compile_memory.min(other.compile_memory),
            fuel: [self.fuel, other.fuel].into_iter().flatten().min(),
            clawft_module: self.clawft_module.min(other.clawft_module),
            clawft_gzip: self.clawft_gzip.min(other.clawft_gzip),
            clawft_directory: self.clawft_directory.min(other.clawft_directory),
        }
    }
}

/// What the kernel has to enforce on a plugin's children. There is no "best effort".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confinement {
    /// Namespaces, a fresh root, Landlock and seccomp: the default.
    #[default]
    Full,
    /// As `full`, without Landlock.
    Namespaces,
    /// Landlock and seccomp, without namespaces.
    Landlock,
    /// Environment, arguments, time and output only: the child has all rights of the operator.
    Limits,
}

impl Confinement {
    /// The word used in policy files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Namespaces => "namespaces",
            Self::Landlock => "landlock",
            Self::Limits => "limits",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuel_that_is_not_counted_is_the_most() {
        let with = |fuel| Limits {
            fuel,
            ..Limits::default()
        };
        let met = |one, other| with(one).min(&with(other)).fuel;
        assert_eq!(met(None, None), None);
        assert_eq!(met(Some(2), None), Some(2));
        assert_eq!(met(None, Some(2)), Some(2));
        assert_eq!(met(Some(3), Some(2)), Some(2));
    }

    #[test]
    fn fuel_is_between_a_million_and_ten_billions() {
        for (asked, given) in [
            (0, 1_000_000),
            (5_000_000, 5_000_000),
            (u64::MAX, 10_000_000_000),
        ] {
            assert_eq!(Limits::clamp_fuel(asked), given);
        }
    }
}
