//! From a list of entries to a program for the kernel's filter machine.

use std::collections::BTreeMap;

use super::entries::{Entry, Test};

#[cfg(target_arch = "x86_64")]
pub(super) const ARCH: u32 = 0xc000_003e; // AUDIT_ARCH_X86_64
#[cfg(target_arch = "aarch64")]
pub(super) const ARCH: u32 = 0xc000_00b7; // AUDIT_ARCH_AARCH64

/// Numbers from here on are those of the x32 ABI, which reaches the same calls by other numbers.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// Offsets in `struct seccomp_data`.
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCHITECTURE: u32 = 4;
pub(super) const ARGUMENTS: u32 = 16;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
pub(super) const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const ALWAYS: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
pub(super) const IF_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

pub(super) const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const KILL_PROCESS: u32 = 0x8000_0000;

/// Assembles the program: the first entry for a call whose tests all hold gives its error, any other call is allowed.
///
/// When a filter is installed the kernel runs it once for every system call there is, to learn which it always allows,
/// and those that test arguments run it at each call. So it is no list but a search: the numbers are cut into ranges
/// of one answer each, and a call is a handful of comparisons away from its own.
pub(super) fn assemble(entries: &[Entry]) -> Vec<libc::sock_filter> {
    let mut program = vec![
        load(ARCHITECTURE),
        jump(IF_EQUAL, ARCH, 1, 0),
        // A 32-bit call has other numbers, about which the list says nothing.
        give(KILL_PROCESS),
        load(NUMBER),
    ];
    program.extend(search(&ranges(entries)));
    program
}

/// Calls from this number on, up to the next range, and what is done with them.
struct Range {
    first: u32,
    answer: Vec<libc::sock_filter>,
}

fn ranges(entries: &[Entry]) -> Vec<Range> {
    let mut answers: BTreeMap<u32, Vec<libc::sock_filter>> = BTreeMap::new();
    for entry in entries {
        let number = u32::try_from(entry.number).unwrap_or(u32::MAX);
        answers.entry(number).or_default().extend(tests(entry));
    }
    let mut ranges = vec![Range {
        first: 0,
        answer: vec![give(ALLOW)],
    }];
    let mut start = |first: u32, answer: Vec<libc::sock_filter>| match ranges.last_mut() {
        Some(last) if last.first == first => last.answer = answer,
        _ => ranges.push(Range { first, answer }),
    };
    for (number, mut answer) in answers {
        answer.push(give(ALLOW));
        // What stands behind an answer that is always given is never reached.
        if answer.first().is_some_and(|first| first.code == RETURN) {
            answer.truncate(1);
        }
        start(number, answer);
        start(number.saturating_add(1), vec![give(ALLOW)]);
    }
    #[cfg(target_arch = "x86_64")]
    start(X32, vec![give(ERRNO | libc::ENOSYS.cast_unsigned())]);
    // Neighbours with one answer are one range.
    ranges.dedup_by(|next, range| same(&next.answer, &range.answer));
    ranges
}

fn same(one: &[libc::sock_filter], other: &[libc::sock_filter]) -> bool {
    let fields = |i: &libc::sock_filter| (i.code, i.jt, i.jf, i.k);
    one.iter().map(fields).eq(other.iter().map(fields))
}

/// Finds the range of the number that has been loaded.
fn search(ranges: &[Range]) -> Vec<libc::sock_filter> {
    let (below, above) = match ranges {
        [] => return vec![give(KILL_PROCESS)],
        [range] => return range.answer.clone(),
        _ => ranges.split_at(ranges.len() / 2),
    };
    let first = above.first().map_or(u32::MAX, |range| range.first);
    let (below, above) = (search(below), search(above));
    let mut program = match u8::try_from(below.len()) {
        Ok(skip) => vec![jump(IF_AT_LEAST, first, skip, 0)],
        // A comparison jumps over 255 instructions at most.
        Err(_) => vec![
            jump(IF_AT_LEAST, first, 0, 1),
            jump(ALWAYS, u32::try_from(below.len()).unwrap_or(u32::MAX), 0, 0),
        ],
    };
    program.extend(below);
    program.extend(above);
    program
}

/// One entry's tests and its error; what follows is reached if one of them does not hold.
fn tests(entry: &Entry) -> Vec<libc::sock_filter> {
    let mut program = Vec::new();
    for (index, test) in entry.when.iter().enumerate() {
        let rest = (entry.when.len() - 1 - index) * 2 + 1;
        let to_end = u8::try_from(rest).unwrap_or(u8::MAX);
        let (argument, operation, value, holds_if_true) = match *test {
            Test::AnyOf(argument, bits) => (argument, IF_ANY_BIT, bits, true),
            Test::NoneOf(argument, bits) => (argument, IF_ANY_BIT, bits, false),
            Test::Is(argument, value) => (argument, IF_EQUAL, value, true),
            Test::IsNot(argument, value) => (argument, IF_EQUAL, value, false),
        };
        let (if_true, if_false) = if holds_if_true {
            (0, to_end)
        } else {
            (to_end, 0)
        };
        // The lower half: the arguments tested are all `int` or smaller, of which the kernel reads no more.
        program.push(load(ARGUMENTS + 8 * argument));
        program.push(jump(operation, value, if_true, if_false));
    }
    program.push(give(ERRNO | entry.errno.cast_unsigned()));
    program
}

pub(super) const fn load(offset: u32) -> libc::sock_filter {
    jump(LOAD, offset, 0, 0)
}

pub(super) const fn give(answer: u32) -> libc::sock_filter {
    jump(RETURN, answer, 0, 0)
}

pub(super) const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What the kernel's machine does, as far as the programs made here use it.
    pub(in super::super) fn run(
        program: &[libc::sock_filter],
        arch: u32,
        number: u32,
        arguments: [u32; 6],
    ) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let libc::sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let taken = match code {
                LOAD if k == NUMBER => {
                    accumulator = number;
                    continue;
                }
                LOAD if k == ARCHITECTURE => {
                    accumulator = arch;
                    continue;
                }
                LOAD => {
                    accumulator = arguments[((k - ARGUMENTS) / 8) as usize];
                    continue;
                }
                RETURN => return k,
                ALWAYS => {
                    at += k as usize;
                    continue;
                }
                IF_EQUAL => accumulator == k,
                IF_ANY_BIT => accumulator & k != 0,
                IF_AT_LEAST => accumulator >= k,
                _ => panic!("unknown instruction {code:x}"),
            };
            at += usize::from(if taken { jt } else { jf });
        }
    }

    fn errno(errno: i32) -> u32 {
        ERRNO | errno.cast_unsigned()
    }

    #[test]
    fn tests_hold_together_and_the_next_entry_is_still_reached() {
        const TWO: [Test; 3] = [Test::AnyOf(1, 0o100), Test::IsNot(2, 1), Test::Is(0, 7)];
        let entry = |number, errno, when| Entry {
            number,
            errno,
            when,
            reason: "",
        };
        let entries = [
            entry(10, libc::EPERM, &[][..]),
            entry(11, libc::EACCES, &TWO[..]),
            entry(11, libc::ENOSYS, &[Test::IsNot(0, 7)][..]),
            entry(12, libc::EXDEV, &[][..]),
        ];
        let program = assemble(&entries);
        let call = |number, arguments| run(&program, ARCH, number, arguments);
        assert_eq!(call(10, [0; 6]), errno(libc::EPERM));
        assert_eq!(call(11, [7, 0o100, 0, 0, 0, 0]), errno(libc::EACCES));
        assert_eq!(call(11, [7, 0o100, 1, 0, 0, 0]), ALLOW);
        assert_eq!(call(11, [7, 0o200, 0, 0, 0, 0]), ALLOW);
        assert_eq!(call(11, [8, 0o100, 0, 0, 0, 0]), errno(libc::ENOSYS));
        assert_eq!(call(12, [0; 6]), errno(libc::EXDEV));
        assert_eq!(call(13, [0; 6]), ALLOW);
        assert_eq!(run(&program, ARCH ^ 1, 13, [0; 6]), KILL_PROCESS);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(call(X32 | 13, [0; 6]), errno(libc::ENOSYS));
    }

    #[test]
    fn every_entry_can_be_reached_and_gives_its_error() {
        for list in [
            super::super::entries::ALWAYS,
            super::super::entries::WITHOUT_INTERNET,
            super::super::entries::WITH_INTERNET,
            super::super::entries::WITHOUT_NAMESPACES,
            super::super::entries::OF_ONE,
        ] {
            let program = assemble(list);
            for entry in list {
                let mut arguments = [0; 6];
                for test in entry.when {
                    match *test {
                        Test::AnyOf(argument, bits) => arguments[argument as usize] |= bits,
                        Test::NoneOf(argument, bits) => arguments[argument as usize] &= !bits,
                        Test::Is(argument, value) => arguments[argument as usize] = value,
                        Test::IsNot(argument, value) => {
                            arguments[argument as usize] = value ^ 0x1000_0000
                        }
                    }
                }
                let number = u32::try_from(entry.number).unwrap();
                assert_eq!(
                    run(&program, ARCH, number, arguments),
                    errno(entry.errno),
                    "{}",
                    entry.reason
                );
            }
        }
    }

    /// What the list says, read from its top.
    fn listed(list: &[Entry], number: u32, arguments: [u32; 6]) -> u32 {
        let holds = |test: &Test| match *test {
            Test::AnyOf(argument, bits) => arguments[argument as usize] & bits != 0,
            Test::NoneOf(argument, bits) => arguments[argument as usize] & bits == 0,
            Test::Is(argument, value) => arguments[argument as usize] == value,
            Test::IsNot(argument, value) => arguments[argument as usize] != value,
        };
        let found = list
            .iter()
            .find(|entry| entry.number == i64::from(number) && entry.when.iter().all(holds));
        found.map_or(ALLOW, |entry| errno(entry.errno))
    }

    #[test]
    fn the_search_answers_as_the_list_does() {
        let list: Vec<Entry> = [
            super::super::entries::ALWAYS,
            super::super::entries::WITH_INTERNET,
            super::super::entries::WITHOUT_NAMESPACES,
            super::super::entries::OF_ONE,
        ]
        .concat();
        let program = assemble(&list);
        let values = [
            0,
            1,
            2,
            8,
            0o100,
            0o4000,
            0o4100,
            0x5412,
            0x1000_0000,
            u32::MAX,
        ];
        let numbers = (0..700).chain([0x3fff_ffff, 0x7fff_ffff, u32::MAX]);
        for number in numbers {
            for first in values {
                for second in values {
                    let arguments = [first, second, first, second, first, second];
                    let expected = if cfg!(target_arch = "x86_64") && number >= 0x4000_0000 {
                        errno(libc::ENOSYS)
                    } else {
                        listed(&list, number, arguments)
                    };
                    let found = run(&program, ARCH, number, arguments);
                    assert_eq!(found, expected, "{number} {arguments:x?}");
                }
            }
        }
    }

    #[test]
    fn more_entries_than_a_comparison_can_jump_over() {
        let entries: Vec<Entry> = (0..2000)
            .map(|number| Entry {
                number: number * 2,
                errno: libc::EPERM,
                when: &[],
                reason: "",
            })
            .collect();
        let program = assemble(&entries);
        for number in 0..4000 {
            let found = run(&program, ARCH, number, [0; 6]);
            let expected = if number % 2 == 0 {
                errno(libc::EPERM)
            } else {
                ALLOW
            };
            assert_eq!(found, expected, "{number}");
        }
    }
}
