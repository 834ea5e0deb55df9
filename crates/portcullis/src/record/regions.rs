//! Where in a core module's memory the arguments and results of host functions lie.
//!
//! A function of the component model says by its type what is passed. One of a core module has numbers, and what they
//! mean is known for each.

use Arg::{Filled, In, InLists, Number, Out, OutLists, PackedIn, Room};

use crate::abi::{fledge, module, preview1, reglet};

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arg {
    /// A number, and nothing else.
    Number,
    /// Where bytes begin that the guest passes; the next parameter says how many.
    In,
    /// The same packed in one number.
    PackedIn,
    /// Where elements of so many bytes begin that the guest passes; the next parameter but so many says how many.
    Elements { size: u32, count: usize },
    /// Where a list of places begins of which the guest passes the bytes; the next parameter says how many.
    InLists,
    /// Where the host puts so many bytes.
    Out(u32),
    /// Where the host puts elements of so many bytes; the parameter after so many says how many at most.
    OutElements { size: u32, count: usize },
    /// Where a list of places begins that the host fills; the next parameter says how many. How many bytes it was is
    /// at the last place of all.
    OutLists,
    /// Where there is room for the host; the next parameter says how much. All of it is used.
    Room,
    /// The same, and how much of it is used is at the last place of all.
    Filled,
    /// The same, and how much of it is used is what the function returns.
    Taken,
    /// The host puts something anywhere.
    Anywhere,
}

/// What a function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returns {
    /// Numbers, and nothing else.
    Numbers,
    /// Where an answer is, in room that the guest has made for it.
    Answer,
}

/// What a function of a module is.
pub(super) struct Shape {
    pub(super) args: &'static [Arg],
    pub(super) returns: Returns,
}

/// What is known of a function.
pub(super) fn of(of: &str, name: &str) -> Option<Shape> {
    let numbers = |args| {
        Some(Shape {
            args,
            returns: Returns::Numbers,
        })
    };
    let answer = |args| {
        Some(Shape {
            args,
            returns: Returns::Answer,
        })
    };
    match of {
        preview1::MODULE => numbers(of_preview1(name)?),
        fledge::MODULE => numbers(match name {
            "send" | "exec" | "store_set" | "store_get" | "metadata" => &[In, Number],
            "recv" => &[Arg::Taken, Number],
            "exit" => &[Number],
            _ => return None,
        }),
        reglet::MODULE if name == "log_message" => numbers(&[PackedIn]),
        reglet::MODULE => answer(&[PackedIn]),
        module::MODULE => match name {
            "log" => numbers(&[Number, PackedIn]),
            "exec_write" => numbers(&[Number, PackedIn]),
            "exec_cancel" => numbers(&[Number]),
            "exec_poll" => answer(&[Number, Number]),
            _ => answer(&[PackedIn]),
        },
        _ => None,
    }
}

fn of_preview1(name: &str) -> Option<&'static [Arg]> {
    const SUBSCRIPTION: u32 = 48;
    const EVENT: u32 = 32;
    const STAT: u32 = 64;
    Some(match name {
        "args_get" | "environ_get" => &[Arg::Anywhere, Number],
        "args_sizes_get" | "environ_sizes_get" => &[Out(4), Out(4)],
        "clock_res_get" => &[Number, Out(8)],
        "clock_time_get" => &[Number, Number, Out(8)],
        "fd_advise" | "fd_allocate" => &[Number, Number, Number, Number],
        "fd_close" | "fd_datasync" | "fd_sync" | "proc_exit" | "proc_raise" => &[Number],
        "fd_fdstat_get" => &[Number, Out(24)],
        "fd_fdstat_set_flags" | "fd_filestat_set_size" | "fd_renumber" | "sock_shutdown" => {
            &[Number, Number]
        }
        "fd_fdstat_set_rights" => &[Number, Number, Number],
        "fd_filestat_get" => &[Number, Out(STAT)],
        "fd_filestat_set_times" => &[Number, Number, Number, Number],
        "fd_pread" => &[Number, OutLists, Number, Number, Out(4)],
        "fd_prestat_get" => &[Number, Out(8)],
        "fd_prestat_dir_name" => &[Number, Room, Number],
        "fd_pwrite" => &[Number, InLists, Number, Number, Out(4)],
        "fd_read" => &[Number, OutLists, Number, Out(4)],
        "fd_readdir" => &[Number, Filled, Number, Number, Out(4)],
        "fd_seek" => &[Number, Number, Number, Out(8)],
        "fd_tell" => &[Number, Out(8)],
        "fd_write" => &[Number, InLists, Number, Out(4)],
        "path_create_directory" | "path_remove_directory" | "path_unlink_file" => {
            &[Number, In, Number]
        }
        "path_filestat_get" => &[Number, Number, In, Number, Out(STAT)],
        "path_filestat_set_times" => &[Number, Number, In, Number, Number, Number, Number],
        "path_link" => &[Number, Number, In, Number, Number, In, Number],
        "path_open" => &[
            Number,
            Number,
            In,
            Number,
            Number,
            Number,
            Number,
            Number,
            Out(4),
        ],
        "path_readlink" => &[Number, In, Number, Filled, Number, Out(4)],
        "path_rename" => &[Number, In, Number, Number, In, Number],
        "path_symlink" => &[In, Number, Number, In, Number],
        "poll_oneoff" => &[
            Arg::Elements {
                size: SUBSCRIPTION,
                count: 2,
            },
            Arg::OutElements {
                size: EVENT,
                count: 1,
            },
            Number,
            Out(4),
        ],
        "random_get" => &[Room, Number],
        "sched_yield" => &[],
        "sock_accept" => &[Number, Number, Out(4)],
        "sock_recv" => &[Number, OutLists, Number, Number, Out(4), Out(2)],
        "sock_send" => &[Number, InLists, Number, Number, Out(4)],
        _ => return None,
    })
}
