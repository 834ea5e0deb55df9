//! The messages between host, server and init: encoding, and decoding that trusts nobody.
//!
//! All are single SEQPACKET messages of little-endian words. Every one but [`request`] and the plan
//! ([`plan`]) has a fixed size; the words that a message does not use are zero, and anything else is
//! refused.

pub(crate) mod plan;

use std::{ffi::CString, time::Duration};

use crate::{
    Event, MAX_ARGV_BYTES, MAX_ENV_BYTES, Report, SendError, Status, Step, Usage,
    rlimits::{RLIMIT_COUNT, Rlimits},
};

/// Size of [`make_cell`].
pub(crate) const MAKE_CELL_BYTES: usize = 8;
/// Size of [`CellReply`] and of [`terminate`].
pub(crate) const REPLY_BYTES: usize = 16;
/// Size of an [`Event`].
pub(crate) const EVENT_BYTES: usize = 40;
/// Size of the fixed part of a request.
const HEADER_BYTES: usize = 7 * 4 + RLIMIT_COUNT * 8;
/// Largest message there is.
pub(crate) const MAX_REQUEST_BYTES: usize = HEADER_BYTES + MAX_ARGV_BYTES + MAX_ENV_BYTES;
/// Descriptors that go with a request: stdin, stdout, stderr, program, working directory.
pub(crate) const REQUEST_FDS: usize = 5;

const MAKE_CELL: u32 = 0x5043_0001;
const CELL: u32 = 0x5043_0002;
const CELL_ERROR: u32 = 0x5043_0003;
const REQUEST: u32 = 0x5043_0004;
const TERMINATE: u32 = 0x5043_0005;
const FAILED: u32 = 0x5043_0006;
const EXITED: u32 = 0x5043_0007;
const KILLED: u32 = 0x5043_0008;
const MAKE_TEMPLATE: u32 = 0x5043_0009;
const OVER_MEMORY: u32 = 0x5043_000a;
const WATCH: u32 = 0x5043_000b;
const LISTENER: u32 = 0x5043_000c;

/// Stands for "keep the host's limit"; the kernel's own "no limit" lowers nothing either.
const UNSET: u64 = u64::MAX;

/// Why a message was refused.
pub(crate) type Refusal = &'static str;

/// Reads words off the front of a message.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (head, rest) = self.0.split_first_chunk().ok_or("it is too short")?;
        self.0 = rest;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, Refusal> {
        self.array().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Result<i32, Refusal> {
        self.array().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Refusal> {
        self.array().map(u64::from_le_bytes)
    }

    /// A word that is one or zero.
    fn flag(&mut self) -> Result<bool, Refusal> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("a flag is neither set nor unset"),
        }
    }

    fn end(&self) -> Result<(), Refusal> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err("it is too long")
        }
    }

    fn zero(&mut self) -> Result<(), Refusal> {
        if self.u32()? == 0 {
            Ok(())
        } else {
            Err("an unused word is not zero")
        }
    }
}

/// Asks a template for one cell.
pub(crate) fn make_cell() -> [u8; MAKE_CELL_BYTES] {
    let mut message = [0; MAKE_CELL_BYTES];
    message[..4].copy_from_slice(&MAKE_CELL.to_le_bytes());
    message
}

pub(crate) fn parse_make_cell(message: &[u8]) -> Result<(), Refusal> {
    let mut words = Words(message);
    if words.u32()? != MAKE_CELL {
        return Err("its kind is unknown");
    }
    words.zero()?;
    words.end()
}

/// What comes back for a [`make_cell`]; from the init to the server, and on to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellReply {
    /// A parked cell; the init itself does not know its pid outside and says 0.
    Cell {
        pid: u32,
        report: Report,
    },
    Error {
        step: Step,
        errno: i32,
    },
}

impl CellReply {
    pub(crate) fn encode(self) -> [u8; REPLY_BYTES] {
        let words = match self {
            Self::Cell { pid, report } => {
                let [bits, second] = report.words();
                [CELL, pid, bits, second]
            }
            Self::Error { step, errno } => [CELL_ERROR, step.code(), errno.cast_unsigned(), 0],
        };
        reply(words)
    }

    pub(crate) fn parse(message: &[u8]) -> Result<Self, Refusal> {
        let mut words = Words(message);
        let parsed = match words.u32()? {
            CELL => {
                let pid = words.u32()?;
                let report = Report::from_words([words.u32()?, words.u32()?]);
                let report = report.ok_or("its report is unknown")?;
                Self::Cell { pid, report }
            }
            CELL_ERROR => {
                let error = Self::Error {
                    step: step(&mut words)?,
                    errno: errno(&mut words)?,
                };
                words.zero()?;
                error
            }
            _ => return Err("its kind is unknown"),
        };
        words.end()?;
        Ok(parsed)
    }
}

fn reply(words: [u32; REPLY_BYTES / 4]) -> [u8; REPLY_BYTES] {
    let mut message = [0; REPLY_BYTES];
    for (bytes, word) in message.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    message
}

fn step(words: &mut Words<'_>) -> Result<Step, Refusal> {
    Step::from_code(words.u32()?).ok_or("its step is unknown")
}

fn errno(words: &mut Words<'_>) -> Result<i32, Refusal> {
    match words.i32()? {
        errno @ 1..4096 => Ok(errno),
        _ => Err("its error number is none"),
    }
}

/// Asks the init to send SIGTERM to the command.
pub(crate) fn terminate() -> [u8; REPLY_BYTES] {
    reply([TERMINATE, 0, 0, 0])
}

pub(crate) fn is_terminate(message: &[u8]) -> bool {
    message == terminate()
}

/// Asks the init to kill a tree that has more bytes of memory than this. Comes before the request, which the init does
/// not see.
pub(crate) fn watch_memory(most: u64) -> [u8; REPLY_BYTES] {
    let mut message = reply([WATCH, 0, 0, 0]);
    message[8..].copy_from_slice(&most.to_le_bytes());
    message
}

pub(crate) fn parse_watch(message: &[u8]) -> Option<u64> {
    let mut words = Words(message);
    let (WATCH, 0) = (words.u32().ok()?, words.u32().ok()?) else {
        return None;
    };
    let most = words.u64().ok()?;
    words.end().ok()?;
    Some(most)
}

/// Goes with the descriptor by which the host observes the command; from the process that becomes it.
pub(crate) fn listener() -> [u8; REPLY_BYTES] {
    reply([LISTENER, 0, 0, 0])
}

pub(crate) fn is_listener(message: &[u8]) -> bool {
    message == listener()
}

/// The command of a cell, as it goes over the socket.
pub(crate) fn request(
    argv: &[CString],
    env: &[CString],
    limits: &Rlimits,
    observed: bool,
    flags: u32,
) -> Result<Vec<u8>, SendError> {
    if argv.is_empty() {
        return Err(SendError::NoArguments);
    }
    let size = |strings: &[CString]| -> usize {
        strings
            .iter()
            .map(|string| string.as_bytes_with_nul().len())
            .sum()
    };
    let (argv_bytes, env_bytes) = (size(argv), size(env));
    if argv_bytes > MAX_ARGV_BYTES {
        return Err(SendError::ArgumentsTooLong {
            bytes: argv_bytes,
            limit: MAX_ARGV_BYTES,
        });
    }
    if env_bytes > MAX_ENV_BYTES {
        return Err(SendError::EnvironmentTooLong {
            bytes: env_bytes,
            limit: MAX_ENV_BYTES,
        });
    }
    let mut message = Vec::with_capacity(HEADER_BYTES + argv_bytes + env_bytes);
    // A string takes at least one byte, so the limits above bound the counts too.
    let counts = [argv.len(), env.len(), argv_bytes, env_bytes].map(|n| u32::try_from(n).ok());
    message.extend(REQUEST.to_le_bytes());
    message.extend(flags.to_le_bytes());
    for count in counts {
        message.extend(count.unwrap_or(u32::MAX).to_le_bytes());
    }
    message.extend(u32::from(observed).to_le_bytes());
    for value in limits.values() {
        message.extend(value.unwrap_or(UNSET).to_le_bytes());
    }
    for string in argv.iter().chain(env) {
        message.extend(string.as_bytes_with_nul());
    }
    Ok(message)
}

/// A request as the init reads it; the strings stay where they arrived.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Which test point to stop at; zero where there are none.
    pub(crate) flags: u32,
    /// Whether the host wants to see what the command looks at.
    pub(crate) observed: bool,
    pub(crate) argc: usize,
    pub(crate) envc: usize,
    /// `argc` strings, each with its terminating zero byte.
    pub(crate) argv: &'a [u8],
    /// `envc` strings, each with its terminating zero byte.
    pub(crate) env: &'a [u8],
    pub(crate) limits: [Option<u64>; RLIMIT_COUNT],
}

pub(crate) fn parse_request(message: &[u8]) -> Result<Request<'_>, Refusal> {
    let mut words = Words(message);
    if words.u32()? != REQUEST {
        return Err("its kind is unknown");
    }
    let flags = words.u32()?;
    let mut size = || words.u32().map(|word| word as usize);
    let (argc, envc, argv_bytes, env_bytes) = (size()?, size()?, size()?, size()?);
    let observed = words.flag()?;
    let mut limits = [None; RLIMIT_COUNT];
    for limit in &mut limits {
        *limit = Some(words.u64()?).filter(|&value| value != UNSET);
    }
    if argv_bytes > MAX_ARGV_BYTES || env_bytes > MAX_ENV_BYTES {
        return Err("its strings are too long");
    }
    if words.0.len() != argv_bytes + env_bytes {
        return Err("its size is not what it says");
    }
    let (argv, env) = words.0.split_at(argv_bytes);
    if argc == 0 || !holds_strings(argv, argc) || !holds_strings(env, envc) {
        return Err("its strings are not what it says");
    }
    Ok(Request {
        flags,
        observed,
        argc,
        envc,
        argv,
        env,
        limits,
    })
}

/// Whether `bytes` is exactly `count` zero-terminated strings.
fn holds_strings(bytes: &[u8], count: usize) -> bool {
    bytes.last().is_none_or(|&last| last == 0) && bytes.iter().filter(|&&b| b == 0).count() == count
}

/// An event with the raw wait status, which only the init has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Failed {
        step: Step,
        errno: i32,
    },
    Exited {
        wait_status: i32,
        stragglers: u32,
        usage: Usage,
    },
    Killed {
        processes: u32,
        usage: Usage,
    },
    OverMemory {
        processes: u32,
        usage: Usage,
    },
}

pub(crate) fn outcome(outcome: Outcome) -> [u8; EVENT_BYTES] {
    let (words, usage) = match outcome {
        Outcome::Failed { step, errno } => (
            [FAILED, step.code(), errno.cast_unsigned(), 0],
            Usage::default(),
        ),
        Outcome::Exited {
            wait_status,
            stragglers,
            usage,
        } => ([EXITED, wait_status.cast_unsigned(), stragglers, 0], usage),
        Outcome::Killed { processes, usage } => ([KILLED, 0, processes, 0], usage),
        Outcome::OverMemory { processes, usage } => ([OVER_MEMORY, 0, processes, 0], usage),
    };
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mut message = [0; EVENT_BYTES];
    message[..REPLY_BYTES].copy_from_slice(&reply(words));
    let longs = [
        micros(usage.user),
        micros(usage.system),
        usage.max_rss_bytes,
    ];
    for (bytes, long) in message[REPLY_BYTES..].chunks_exact_mut(8).zip(longs) {
        bytes.copy_from_slice(&long.to_le_bytes());
    }
    message
}

pub(crate) fn parse_event(message: &[u8]) -> Result<Event, Refusal> {
    let mut words = Words(message);
    let (kind, first) = (words.u32()?, words.i32()?);
    let (second, unused) = (words.u32()?, words.u32()?);
    let usage = Usage {
        user: Duration::from_micros(words.u64()?),
        system: Duration::from_micros(words.u64()?),
        max_rss_bytes: words.u64()?,
    };
    words.end()?;
    if unused != 0 {
        return Err("an unused word is not zero");
    }
    match kind {
        FAILED if usage == Usage::default() => {
            let mut words = Words(&message[4..12]);
            Ok(Event::Failed {
                step: step(&mut words)?,
                errno: errno(&mut words)?,
            })
        }
        EXITED => {
            let status = Status::from_wait(first).ok_or("its wait status is none")?;
            Ok(Event::Exited {
                status,
                stragglers: second,
                usage,
            })
        }
        KILLED if first == 0 => Ok(Event::Killed {
            processes: second,
            usage,
        }),
        OVER_MEMORY if first == 0 => Ok(Event::OverMemory {
            processes: second,
            usage,
        }),
        _ => Err("its kind is unknown"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strings(list: &[&str]) -> Vec<CString> {
        list.iter()
            .map(|text| CString::new(*text).unwrap())
            .collect()
    }

    #[test]
    fn make_cell_round_trip() {
        assert_eq!(parse_make_cell(&make_cell()), Ok(()));
        assert!(parse_make_cell(&[0; MAKE_CELL_BYTES]).is_err());
        assert!(parse_make_cell(&make_cell()[..7]).is_err());
    }

    #[test]
    fn request_round_trip() {
        let limits = Rlimits {
            open_files: Some(64),
            ..Rlimits::default()
        };
        let message = request(
            &strings(&["sh", "-c", ""]),
            &strings(&["A=1"]),
            &limits,
            true,
            0,
        )
        .unwrap();
        let parsed = parse_request(&message).unwrap();
        assert_eq!((parsed.argc, parsed.argv), (3, &b"sh\0-c\0\0"[..]));
        assert_eq!((parsed.envc, parsed.env), (1, &b"A=1\0"[..]));
        assert_eq!(parsed.limits, limits.values());
        assert!(parsed.observed);
        let watch = watch_memory(u64::MAX - 7);
        assert_eq!(parse_watch(&watch), Some(u64::MAX - 7));
        assert_eq!(parse_watch(&terminate()), None);
        assert!(!is_terminate(&watch));
        assert!(is_listener(&listener()) && !is_listener(&terminate()));
    }

    #[test]
    fn requests_have_limits() {
        let long = |bytes: usize| vec![CString::new(vec![b'x'; bytes - 1]).unwrap()];
        let none = Rlimits::default();
        assert!(matches!(
            request(&[], &[], &none, false, 0),
            Err(SendError::NoArguments)
        ));
        let full = request(&long(MAX_ARGV_BYTES), &long(MAX_ENV_BYTES), &none, false, 0).unwrap();
        assert_eq!(full.len(), MAX_REQUEST_BYTES);
        assert!(parse_request(&full).is_ok());
        assert!(matches!(
            request(&long(MAX_ARGV_BYTES + 1), &[], &none, false, 0),
            Err(SendError::ArgumentsTooLong { .. })
        ));
        assert!(matches!(
            request(&long(1), &long(MAX_ENV_BYTES + 1), &none, false, 0),
            Err(SendError::EnvironmentTooLong { .. })
        ));
    }

    #[test]
    fn a_request_whose_counts_lie_is_refused() {
        let message = request(&strings(&["a", "b"]), &[], &Rlimits::default(), false, 0).unwrap();
        for word in 2..6 {
            let mut lie = message.clone();
            lie[word * 4] ^= 1;
            assert!(parse_request(&lie).is_err(), "word {word}");
        }
    }

    #[test]
    fn events_round_trip() {
        let usage = Usage {
            user: Duration::from_micros(7),
            max_rss_bytes: 9,
            ..Usage::default()
        };
        let exited = outcome(Outcome::Exited {
            wait_status: 3 << 8,
            stragglers: 2,
            usage,
        });
        assert_eq!(
            parse_event(&exited),
            Ok(Event::Exited {
                status: Status::Code(3),
                stragglers: 2,
                usage
            })
        );
        let killed = outcome(Outcome::Killed {
            processes: 4,
            usage,
        });
        assert_eq!(
            parse_event(&killed),
            Ok(Event::Killed {
                processes: 4,
                usage
            })
        );
        let over_memory = outcome(Outcome::OverMemory {
            processes: 4,
            usage,
        });
        assert_eq!(
            parse_event(&over_memory),
            Ok(Event::OverMemory {
                processes: 4,
                usage
            })
        );
        let failed = outcome(Outcome::Failed {
            step: Step::Exec,
            errno: 8,
        });
        assert_eq!(
            parse_event(&failed),
            Ok(Event::Failed {
                step: Step::Exec,
                errno: 8
            })
        );
    }

    proptest! {
        /// What is accepted is exactly what would have been sent, so nothing hides in a message.
        #[test]
        fn hostile_replies(message in message_like(REPLY_BYTES)) {
            if let Ok(reply) = CellReply::parse(&message) {
                prop_assert_eq!(&reply.encode()[..], &message[..]);
            }
        }

        #[test]
        fn hostile_events(message in message_like(EVENT_BYTES)) {
            match parse_event(&message) {
                Err(_) => {}
                Ok(Event::Failed { step, errno }) => {
                    prop_assert_eq!(&outcome(Outcome::Failed { step, errno })[..], &message[..]);
                }
                Ok(Event::Exited { status, stragglers, usage }) => {
                    let raw = match status {
                        Status::Code(code) => i32::from(code) << 8,
                        Status::Signal(signal) => signal,
                    };
                    let core = i32::from(message[4] & 0x80);
                    let wait_status = raw | core;
                    let again = outcome(Outcome::Exited { wait_status, stragglers, usage });
                    prop_assert_eq!(&again[..], &message[..]);
                }
                Ok(Event::Killed { processes, usage }) => {
                    let again = outcome(Outcome::Killed { processes, usage });
                    prop_assert_eq!(&again[..], &message[..]);
                }
                Ok(Event::OverMemory { processes, usage }) => {
                    let again = outcome(Outcome::OverMemory { processes, usage });
                    prop_assert_eq!(&again[..], &message[..]);
                }
            }
        }

        #[test]
        fn hostile_requests(message in message_like(HEADER_BYTES + 16)) {
            let _: Result<_, Refusal> = parse_request(&message);
            let _: Result<_, Refusal> = parse_make_cell(&message);
            let _: Result<_, Refusal> = plan::parse(&message, Vec::new());
        }
    }

    /// Random bytes of about the right size, mostly behind a kind that exists.
    fn message_like(size: usize) -> impl Strategy<Value = Vec<u8>> {
        let bytes = prop_oneof![
            3 => prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], size),
            1 => prop::collection::vec(any::<u8>(), 0..size * 2),
        ];
        (bytes, prop_oneof![Just(0_u32), 1_u32..13]).prop_map(|(mut bytes, kind)| {
            if let Some(head) = bytes.first_chunk_mut::<4>() {
                *head = (MAKE_CELL - 1 + kind).to_le_bytes();
            }
            bytes
        })
    }
}
