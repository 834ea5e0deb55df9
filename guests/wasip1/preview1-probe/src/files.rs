//! Files and directories, by the calls of preview 1 themselves.

use wasip1::{Errno, Fd, Oflags, Rights};

/// What was opened or given, closed when it is dropped.
pub(crate) struct File(pub(crate) Fd);

impl Drop for File {
    fn drop(&mut self) {
        let _ = unsafe { wasip1::fd_close(self.0) };
    }
}

pub(crate) struct Directory {
    fd: Fd,
    /// Not of those that it was given.
    owned: bool,
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.owned {
            let _ = unsafe { wasip1::fd_close(self.fd) };
        }
    }
}

/// Follows a link in the last place.
pub(crate) const FOLLOW: wasip1::Lookupflags = wasip1::LOOKUPFLAGS_SYMLINK_FOLLOW;

impl Directory {
    pub(crate) fn fd(&self) -> Fd {
        self.fd
    }

    pub(crate) fn open(&self, path: &str, how: Oflags, rights: Rights) -> Result<File, Errno> {
        self.open_with(FOLLOW, path, how, rights, 0)
    }

    pub(crate) fn open_with(
        &self,
        lookup: wasip1::Lookupflags,
        path: &str,
        how: Oflags,
        rights: Rights,
        flags: wasip1::Fdflags,
    ) -> Result<File, Errno> {
        unsafe { wasip1::path_open(self.fd, lookup, path, how, rights, rights, flags) }.map(File)
    }

    pub(crate) fn open_directory(&self, path: &str) -> Result<Self, Errno> {
        let opened = self.open(path, wasip1::OFLAGS_DIRECTORY, wasip1::RIGHTS_FD_READDIR)?;
        let fd = opened.0;
        std::mem::forget(opened);
        Ok(Self { fd, owned: true })
    }

    pub(crate) fn stat(&self, path: &str) -> Result<wasip1::Filestat, Errno> {
        unsafe { wasip1::path_filestat_get(self.fd, FOLLOW, path) }
    }

    /// The names in it, by as many calls as it takes with little room.
    pub(crate) fn names(&self) -> Result<Vec<String>, Errno> {
        const HEAD: usize = size_of::<wasip1::Dirent>();
        let mut names = Vec::new();
        let mut room = vec![0; 300];
        let mut cookie = 0;
        loop {
            let told =
                unsafe { wasip1::fd_readdir(self.fd, room.as_mut_ptr(), room.len(), cookie) }?;
            let mut rest = &room[..told];
            while rest.len() >= HEAD {
                let next = u64::from_le_bytes(rest[..8].try_into().unwrap());
                let length = u32::from_le_bytes(rest[16..20].try_into().unwrap()) as usize;
                let Some(name) = rest.get(HEAD..HEAD + length) else {
                    break;
                };
                names.push(String::from_utf8_lossy(name).into_owned());
                cookie = next;
                rest = &rest[HEAD + length..];
            }
            if told < room.len() {
                return Ok(names);
            }
        }
    }
}

impl File {
    pub(crate) fn read(&self, most: usize, at: u64) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; most];
        let room = [wasip1::Iovec {
            buf: bytes.as_mut_ptr(),
            buf_len: most,
        }];
        let read = unsafe { wasip1::fd_pread(self.0, &room, at) }?;
        bytes.truncate(read);
        Ok(bytes)
    }

    pub(crate) fn write(&self, bytes: &[u8], at: u64) -> Result<u64, Errno> {
        Ok(unsafe { wasip1::fd_pwrite(self.0, &part(bytes), at) }? as u64)
    }

    /// Where it is at, or at its end.
    pub(crate) fn write_on(&self, bytes: &[u8]) -> Result<u64, Errno> {
        Ok(unsafe { wasip1::fd_write(self.0, &part(bytes)) }? as u64)
    }

    pub(crate) fn set_size(&self, size: u64) -> Result<(), Errno> {
        unsafe { wasip1::fd_filestat_set_size(self.0, size) }
    }
}

/// After a part that is empty.
fn part(bytes: &[u8]) -> [wasip1::Ciovec; 2] {
    [&bytes[..0], bytes].map(|part| wasip1::Ciovec {
        buf: part.as_ptr(),
        buf_len: part.len(),
    })
}

/// The directories that it was given, with their names.
fn given() -> Vec<(Fd, String)> {
    let mut given = Vec::new();
    for fd in 3.. {
        let Ok(found) = (unsafe { wasip1::fd_prestat_get(fd) }) else {
            break;
        };
        let mut name = vec![0; unsafe { found.u.dir }.pr_name_len];
        unsafe { wasip1::fd_prestat_dir_name(fd, name.as_mut_ptr(), name.len()) }.unwrap();
        given.push((fd, String::from_utf8(name).unwrap()));
    }
    given
}

/// Splits an absolute path at the longest given directory that holds it.
pub(crate) fn locate(path: &str) -> Result<(Directory, String), String> {
    let split = |(fd, name): (Fd, String)| {
        let rest = path.strip_prefix(name.trim_end_matches('/'))?;
        let inside = rest.is_empty() || rest.starts_with('/');
        inside.then(|| (name.len(), fd, rest.trim_start_matches('/').to_owned()))
    };
    let found = given()
        .into_iter()
        .filter_map(split)
        .max_by_key(|one| one.0);
    let (_, fd, rest) = found.ok_or_else(|| format!("{path}: no preopened directory holds it"))?;
    let rest = if rest.is_empty() {
        ".".to_owned()
    } else {
        rest
    };
    Ok((Directory { fd, owned: false }, rest))
}

pub(crate) fn first() -> Result<Directory, String> {
    let (fd, _) = given().into_iter().next().ok_or("no preopened directory")?;
    Ok(Directory { fd, owned: false })
}

/// What 0.2 calls it.
pub(crate) fn name(code: Errno) -> String {
    match code {
        wasip1::ERRNO_ACCES => "access",
        wasip1::ERRNO_BADF => "bad-descriptor",
        wasip1::ERRNO_BUSY => "busy",
        wasip1::ERRNO_DQUOT => "quota",
        wasip1::ERRNO_EXIST => "exist",
        wasip1::ERRNO_FBIG => "file-too-large",
        wasip1::ERRNO_ILSEQ => "illegal-byte-sequence",
        wasip1::ERRNO_INVAL => "invalid",
        wasip1::ERRNO_IO => "io",
        wasip1::ERRNO_ISDIR => "is-directory",
        wasip1::ERRNO_LOOP => "loop",
        wasip1::ERRNO_NAMETOOLONG => "name-too-long",
        wasip1::ERRNO_NOENT => "no-entry",
        wasip1::ERRNO_NOTDIR => "not-directory",
        wasip1::ERRNO_NOTEMPTY => "not-empty",
        wasip1::ERRNO_NOTSUP => "unsupported",
        wasip1::ERRNO_PERM => "not-permitted",
        code => code.name(),
    }
    .to_owned()
}
