//! The filter of a command that is observed: each call that names a file waits until the host has looked at the name.
//!
//! It refuses nothing, and the host's one answer is to go on. Where the filter of the cell refuses, it does: of several
//! filters the kernel takes the answer that allows least. A kernel that has `CLOSE_RANGE_CLOEXEC`, without which no
//! command is started, has all that is used here, but for [`KILLABLE`].
//!
//! Source: `seccomp_unotify(2)`.

use super::assemble::{
    ALLOW, ARCH, ARCHITECTURE, ARGUMENTS, IF_ANY_BIT, IF_EQUAL, NUMBER, give, jump, load,
};
use crate::linux::names::CALLS;

/// `SECCOMP_RET_USER_NOTIF`.
const NOTIFY: u32 = 0x7fc0_0000;

/// What stands before the comparisons, and behind them.
const HEAD: usize = 4;
const TAIL: usize = 5;

/// Made when this is compiled: whoever installs it may not allocate.
pub(in crate::linux::inside) static PROGRAM: [libc::sock_filter; HEAD + CALLS.len() + TAIL] =
    program();

/// With flags for the kernel, in the order in which they are tried. With the first a call that the host is looking at is
/// not interrupted by signals that do not kill: where signals come all the time, it would begin anew each time
/// (Linux 5.19).
pub(in crate::linux::inside) const FLAGS: [usize; 2] = [LISTENER | KILLABLE, LISTENER];
const LISTENER: usize = 1 << 3; // SECCOMP_FILTER_FLAG_NEW_LISTENER
const KILLABLE: usize = 1 << 5; // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

const fn program() -> [libc::sock_filter; HEAD + CALLS.len() + TAIL] {
    let count = CALLS.len();
    let mut program = [give(ALLOW); HEAD + CALLS.len() + TAIL];
    program[0] = load(ARCHITECTURE);
    // Of other architectures the numbers are not known; where a cell confines, such a call kills.
    program[1] = jump(IF_EQUAL, ARCH, 0, to(2, HEAD + count + 4));
    program[2] = load(NUMBER);
    program[3] = jump(
        IF_EQUAL,
        number(libc::SYS_execveat),
        to(4, HEAD + count + 1),
        0,
    );
    let mut index = 0;
    while index < count {
        let here = HEAD + index;
        let notify = to(here + 1, HEAD + count + 3);
        program[here] = jump(IF_EQUAL, number(CALLS[index].number), notify, 0);
        index += 1;
    }
    // Behind the last comparison there is the answer ALLOW. What is executed by a descriptor has no name; the
    // command itself begins so.
    program[HEAD + count + 1] = load(ARGUMENTS + 8 * 4);
    let by_descriptor = libc::AT_EMPTY_PATH.cast_unsigned();
    program[HEAD + count + 2] = jump(IF_ANY_BIT, by_descriptor, 1, 0);
    program[HEAD + count + 3] = give(NOTIFY);
    program
}

/// How far to jump from the instruction before `next`.
const fn to(next: usize, target: usize) -> u8 {
    let distance = target - next;
    assert!(distance < 256, "a comparison jumps over 255 instructions");
    #[expect(clippy::cast_possible_truncation, reason = "looked at above")]
    {
        distance as u8
    }
}

const fn number(call: libc::c_long) -> u32 {
    assert!(call >= 0 && call < 0x1000_0000, "a number of a call");
    #[expect(clippy::cast_possible_truncation, reason = "looked at above")]
    {
        call.cast_unsigned() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::{super::assemble::tests::run, *};

    #[test]
    fn calls_that_name_a_file_are_told_and_no_others() {
        let told = |arch, number, arguments| run(&PROGRAM, arch, number, arguments);
        for number in 0..1000_u32 {
            let named = CALLS.iter().any(|call| call.number == i64::from(number));
            let expected = if named { NOTIFY } else { ALLOW };
            assert_eq!(told(ARCH, number, [0; 6]), expected, "{number}");
            assert_eq!(told(ARCH ^ 1, number, [0; 6]), ALLOW, "{number}");
        }
    }

    #[test]
    fn what_is_executed_by_a_descriptor_is_not_told() {
        let told = |number, flags| run(&PROGRAM, ARCH, number, [0, 0, 0, 0, flags, 0]);
        let flags = libc::AT_EMPTY_PATH.cast_unsigned();
        assert_eq!(told(number(libc::SYS_execveat), flags), ALLOW);
        assert_eq!(told(number(libc::SYS_execveat), 0x100), NOTIFY);
        assert_eq!(told(number(libc::SYS_newfstatat), flags), NOTIFY);
    }
}
