//! What a command does that is observed: this executable again, in the role of one that names files in ways that no
//! ordinary program does.
#![expect(
    unsafe_code,
    reason = "system calls with arguments that the standard library would not make"
)]

use std::{
    ffi::{CStr, CString, OsString},
    fs, io,
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    process::ExitCode,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    time::Duration,
};

/// Does what the arguments say; ends well if the kernel answered as it would have without anybody looking.
pub(crate) fn play(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.collect();
    let act: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let count = |text: &str| text.parse::<usize>().unwrap();
    match act[..] {
        ["invalid"] => assert_eq!(open_at_address(1), Some(libc::EFAULT)),
        ["endless"] => assert_eq!(open_at_address(endless()), Some(libc::EFAULT)),
        ["long"] => {
            let path = CString::new(vec![b'a'; 5000]).unwrap();
            assert_eq!(open(&path), Some(libc::ENAMETOOLONG));
        }
        ["raw"] => {
            let name = OsString::from_vec(b"\xff\n\xfe".to_vec());
            fs::write(&name, "").unwrap();
            fs::remove_file(name).unwrap();
        }
        ["many", number] => {
            for number in 0..count(number) {
                let path = CString::new(format!("/nowhere/{number}")).unwrap();
                assert_eq!(open(&path), Some(libc::ENOENT));
            }
        }
        ["load", number] => (0..count(number)).for_each(|_| assert_eq!(open(c"/dev/null"), None)),
        ["alarms", number] => {
            alarms();
            (0..count(number)).for_each(|_| assert_eq!(open(c"/dev/null"), None));
        }
        ["race", number] => race(count(number)),
        ["busy"] => busy(),
        ["die"] => die(),
        ["below", directory, from, to] => below(directory, from, to),
        ["openat2", path] => assert_eq!(openat2(path), None),
        ref other => panic!("{other:?}"),
    }
    ExitCode::SUCCESS
}

/// Opens and closes; the error number, if there is one.
fn open(path: &CStr) -> Option<i32> {
    open_at_address(path.as_ptr() as usize)
}

fn open_at_address(address: usize) -> Option<i32> {
    let path = address as *const libc::c_char;
    // SAFETY: the kernel says if there is no string.
    let opened = unsafe { libc::open(path, libc::O_RDONLY | libc::O_CLOEXEC) };
    close(opened)
}

fn close(opened: i32) -> Option<i32> {
    if opened < 0 {
        return io::Error::last_os_error().raw_os_error();
    }
    // SAFETY: it was opened here.
    unsafe { libc::close(opened) };
    None
}

/// A string that ends where memory does.
fn endless() -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let null = std::ptr::null_mut();
    // SAFETY: new memory, of which the second page is given back.
    unsafe {
        let pages = libc::mmap(null, 8192, access, flags, -1, 0);
        assert_ne!(pages, libc::MAP_FAILED);
        libc::munmap(pages.add(4096), 4096);
        libc::memset(pages, i32::from(b'a'), 4096);
        pages as usize + 4096 - 10
    }
}

/// A signal every millisecond, after which a call goes on.
fn alarms() {
    extern "C" fn nothing(_: libc::c_int) {}
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: 1000,
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: plain data, and a handler that does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
    }
}

/// Opens by a name that another thread writes anew all the time.
fn race(number: usize) {
    static NAME: [AtomicU8; 3] = [AtomicU8::new(b'/'), AtomicU8::new(b'0'), AtomicU8::new(0)];
    std::thread::spawn(|| {
        for digit in (b'0'..=b'9').cycle() {
            NAME[1].store(digit, Ordering::Relaxed);
        }
    });
    for _ in 0..number {
        assert_eq!(open_at_address(NAME.as_ptr() as usize), Some(libc::ENOENT));
    }
}

/// Four threads that open for ever.
fn busy() {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    let threads = (0..4).map(|_| {
        std::thread::spawn(|| {
            loop {
                open(c"/dev/null");
                OPENED.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    while OPENED.load(Ordering::Relaxed) < 200 {
        std::thread::sleep(Duration::from_millis(1));
    }
    io::Write::write_all(&mut io::stdout(), b"\n").unwrap();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

/// Ends while others of its threads are in the middle of a call.
fn die() {
    for _ in 0..4 {
        std::thread::spawn(|| {
            loop {
                open(c"/dev/null");
            }
        });
    }
    std::thread::sleep(Duration::from_millis(5));
}

/// Moves a file within a directory by a descriptor of that.
fn below(directory: &str, from: &str, to: &str) {
    let [directory, from, to] = [directory, from, to].map(|text| CString::new(text).unwrap());
    // SAFETY: the strings live until the calls return.
    unsafe {
        let flags = libc::O_DIRECTORY | libc::O_CLOEXEC;
        let directory = libc::open(directory.as_ptr(), flags);
        assert!(directory >= 0);
        let opened = libc::openat(directory, from.as_ptr(), libc::O_RDONLY);
        assert_eq!(close(opened), None);
        let moved = libc::renameat(directory, from.as_ptr(), directory, to.as_ptr());
        assert_eq!(moved, 0);
    }
}

fn openat2(path: &str) -> Option<i32> {
    let path = CString::new(path).unwrap();
    let how = [libc::O_RDWR.unsigned_abs().into(), 0_u64, 0];
    // SAFETY: the string and the three words live until the call returns.
    let opened = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            libc::AT_FDCWD,
            path.as_ptr(),
            how.as_ptr(),
            size_of_val(&how),
        )
    };
    close(i32::try_from(opened).unwrap())
}

/// Makes this thread, and what it starts, one whose calls somebody answers: only one, which there is not.
pub(crate) fn answer_calls() -> OwnedFd {
    rustix::thread::set_no_new_privs(true).unwrap();
    let instruction = |code: u32, k, jt, jf| libc::sock_filter {
        code: code.try_into().unwrap(),
        jt,
        jf,
        k,
    };
    let program = [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 4000, 0, 1),
        instruction(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_USER_NOTIF,
            0,
            0,
        ),
        instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: four instructions are there until the call returns, and the descriptor is a new one.
    unsafe {
        let (mode, flags) = (
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
        );
        let listener = libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program);
        OwnedFd::from_raw_fd(i32::try_from(listener).unwrap())
    }
}
