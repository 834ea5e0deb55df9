//! From a list of entries to a program for the kernel's filter machine.

use super::entries::{Entry, Test};

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e; // AUDIT_ARCH_X86_64
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7; // AUDIT_ARCH_AARCH64

/// Numbers from here on are those of the x32 ABI, which reaches the same calls by other numbers.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
#[cfg(target_arch = "x86_64")]
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const IF_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const KILL_PROCESS: u32 = 0x8000_0000;

/// Assembles the program: the first entry for a call whose tests all hold gives its error, any other call is allowed.
pub(super) fn assemble(entries: &[Entry]) -> Vec<libc::sock_filter> {
    let mut program = vec![
        load(ARCHITECTURE),
        jump(IF_EQUAL, ARCH, 1, 0),
        // Another architecture (int 0x80) has other numbers, about which the list says nothing.
        give(KILL_PROCESS),
        load(NUMBER),
    ];
    #[cfg(target_arch = "x86_64")]
    program.extend([
        jump(IF_AT_LEAST, X32, 0, 1),
        give(ERRNO | libc::ENOSYS.cast_unsigned()),
    ]);
    for entry in entries {
        program.extend(block(entry));
    }
    program.push(give(ALLOW));
    program
}

/// One entry: skipped whole if the number is another one.
fn block(entry: &Entry) -> Vec<libc::sock_filter> {
    let mut inner = Vec::new();
    // After the tests: the answer, and for the next entries the number again.
    let after_tests = if entry.when.is_empty() { 1 } else { 2 };
    let size = entry.when.len() * 2 + after_tests;
    for (index, test) in entry.when.iter().enumerate() {
        // Where a test that does not hold goes: to the instruction that loads the number again.
        let to_end = u8::try_from(size - 1 - (index + 1) * 2).unwrap_or(u8::MAX);
        let (argument, operation, value, holds_if_true) = match *test {
            Test::AnyOf(argument, bits) => (argument, IF_ANY_BIT, bits, true),
            Test::Is(argument, value) => (argument, IF_EQUAL, value, true),
            Test::IsNot(argument, value) => (argument, IF_EQUAL, value, false),
        };
        let (if_true, if_false) = if holds_if_true {
            (0, to_end)
        } else {
            (to_end, 0)
        };
        // The lower half: the arguments tested are all `int` or smaller, of which the kernel reads no more.
        inner.push(load(ARGUMENTS + 8 * argument));
        inner.push(jump(operation, value, if_true, if_false));
    }
    inner.push(give(ERRNO | entry.errno.cast_unsigned()));
    if !entry.when.is_empty() {
        inner.push(load(NUMBER));
    }
    let number = u32::try_from(entry.number).unwrap_or(u32::MAX);
    let skip = u8::try_from(inner.len()).unwrap_or(u8::MAX);
    let mut block = vec![jump(IF_EQUAL, number, 0, skip)];
    block.extend(inner);
    block
}

const fn load(offset: u32) -> libc::sock_filter {
    jump(LOAD, offset, 0, 0)
}

const fn give(answer: u32) -> libc::sock_filter {
    jump(RETURN, answer, 0, 0)
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel's machine does, as far as the programs made here use it.
    fn run(program: &[libc::sock_filter], arch: u32, number: u32, arguments: [u32; 6]) -> u32 {
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
                IF_EQUAL => accumulator == k,
                IF_ANY_BIT => accumulator & k != 0,
                0x35 => accumulator >= k,
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
        ] {
            let program = assemble(list);
            for entry in list {
                let mut arguments = [0; 6];
                for test in entry.when {
                    match *test {
                        Test::AnyOf(argument, bits) => arguments[argument as usize] |= bits,
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
}
