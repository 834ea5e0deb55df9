//! The functions of WASI preview 1 that are called, as they are, and a little on top.

/// An `errno` that is not `success`.
pub type Answer<T> = Result<T, i32>;

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn args_sizes_get(count: *mut usize, bytes: *mut usize) -> i32;
    fn args_get(argv: *mut *mut u8, bytes: *mut u8) -> i32;
    fn environ_sizes_get(count: *mut usize, bytes: *mut usize) -> i32;
    fn environ_get(environ: *mut *mut u8, bytes: *mut u8) -> i32;
    fn fd_prestat_get(fd: i32, prestat: *mut [u32; 2]) -> i32;
    fn fd_prestat_dir_name(fd: i32, name: *mut u8, length: usize) -> i32;
    fn fd_read(fd: i32, iovs: *const Slice, count: usize, read: *mut usize) -> i32;
    fn fd_write(fd: i32, iovs: *const Slice, count: usize, written: *mut usize) -> i32;
    fn path_open(
        fd: i32,
        dirflags: i32,
        path: *const u8,
        length: usize,
        oflags: i32,
        rights: i64,
        inheriting: i64,
        fdflags: i32,
        opened: *mut i32,
    ) -> i32;
    fn path_create_directory(fd: i32, path: *const u8, length: usize) -> i32;
    fn path_unlink_file(fd: i32, path: *const u8, length: usize) -> i32;
    fn proc_exit(code: i32) -> !;
    fn proc_raise(signal: i32) -> i32;
    fn sock_accept(fd: i32, flags: i32, accepted: *mut i32) -> i32;
    fn sock_shutdown(fd: i32, how: i32) -> i32;
}

#[repr(C)]
struct Slice(*const u8, usize);

fn done(errno: i32) -> Answer<()> {
    if errno == 0 { Ok(()) } else { Err(errno) }
}

type Sizes = unsafe extern "C" fn(*mut usize, *mut usize) -> i32;
type Get = unsafe extern "C" fn(*mut *mut u8, *mut u8) -> i32;

fn strings(sizes: Sizes, get: Get) -> Vec<String> {
    let (mut count, mut bytes) = (0, 0);
    // SAFETY: both are as large as the host says.
    let buffer = unsafe {
        done(sizes(&mut count, &mut bytes)).unwrap();
        let mut buffer = vec![0; bytes];
        let mut starts = vec![std::ptr::null_mut(); count];
        done(get(starts.as_mut_ptr(), buffer.as_mut_ptr())).unwrap();
        buffer
    };
    let text = String::from_utf8(buffer).unwrap();
    let texts = text.split_terminator('\0');
    texts.map(str::to_owned).collect()
}

/// What it is called with, its own name first.
pub fn args() -> Vec<String> {
    strings(args_sizes_get, args_get)
}

/// Its environment, `NAME=value` each.
pub fn environ() -> Vec<String> {
    strings(environ_sizes_get, environ_get)
}

/// The names of the directories that it was given, from descriptor 3 on.
pub fn preopens() -> Vec<String> {
    let name = |fd| {
        let mut prestat = [0; 2];
        // SAFETY: the name is as long as the host says.
        unsafe {
            done(fd_prestat_get(fd, &mut prestat)).ok()?;
            let mut name = vec![0; prestat[1] as usize];
            done(fd_prestat_dir_name(fd, name.as_mut_ptr(), name.len())).ok()?;
            String::from_utf8(name).ok()
        }
    };
    (3..).map_while(name).collect()
}

/// The directory that a path begins with, and the rest; `badf` where there is none.
pub fn find(path: &str) -> Answer<(i32, &str)> {
    const BAD: i32 = 8;
    let found = (3..).zip(preopens()).find_map(|(fd, name)| {
        let rest = path.strip_prefix(&name)?.strip_prefix('/')?;
        Some((fd, rest))
    });
    found.ok_or(BAD)
}

/// Something that was opened.
pub struct File(pub i32);

impl File {
    /// Opens a path to read it, or to write it anew.
    pub fn open(path: &str, write: bool) -> Answer<Self> {
        const READ: i64 = 1 << 1;
        const WRITE: i64 = 1 << 6;
        const CREATE_AND_TRUNCATE: i32 = 1 | 8;
        let (dir, rest) = find(path)?;
        let (oflags, rights) = if write {
            (CREATE_AND_TRUNCATE, WRITE)
        } else {
            (0, READ)
        };
        let mut opened = -1;
        // SAFETY: the path is passed with its length.
        done(unsafe {
            path_open(
                dir,
                1,
                rest.as_ptr(),
                rest.len(),
                oflags,
                rights,
                0,
                0,
                &mut opened,
            )
        })?;
        Ok(Self(opened))
    }

    /// Writes all of it.
    pub fn write(&self, bytes: &[u8]) -> Answer<String> {
        write_all(self.0, bytes).map(|()| String::new())
    }
}

fn write_all(fd: i32, mut bytes: &[u8]) -> Answer<()> {
    while !bytes.is_empty() {
        let mut written = 0;
        let slice = Slice(bytes.as_ptr(), bytes.len());
        // SAFETY: one slice, and it is passed with its length.
        done(unsafe { fd_write(fd, &slice, 1, &mut written) })?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Writes to standard output.
pub fn print(text: &str) {
    write_all(1, text.as_bytes()).unwrap();
}

/// Reads to the end.
pub fn read_all(fd: i32) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let mut read = 0;
        let slice = Slice(buffer.as_mut_ptr(), buffer.len());
        // SAFETY: one slice, and it is passed with its length.
        done(unsafe { fd_read(fd, &slice, 1, &mut read) }).unwrap();
        if read == 0 {
            return all;
        }
        all.extend_from_slice(&buffer[..read]);
    }
}

/// Makes a directory.
pub fn make_directory(dir: i32, path: &str) -> Answer<String> {
    // SAFETY: the path is passed with its length.
    done(unsafe { path_create_directory(dir, path.as_ptr(), path.len()) }).map(|()| String::new())
}

/// Removes a file.
pub fn unlink(dir: i32, path: &str) -> Answer<String> {
    // SAFETY: the path is passed with its length.
    done(unsafe { path_unlink_file(dir, path.as_ptr(), path.len()) }).map(|()| String::new())
}

/// What calls about sockets and signals answer.
pub fn sockets() -> [i32; 3] {
    let mut accepted = 0;
    // SAFETY: nothing is passed but numbers and a place for one.
    unsafe {
        [
            sock_accept(3, 0, &mut accepted),
            sock_shutdown(3, 0),
            proc_raise(1),
        ]
    }
}

/// Ends the command.
pub fn exit(code: i32) -> ! {
    // SAFETY: it does not return.
    unsafe { proc_exit(code) }
}
