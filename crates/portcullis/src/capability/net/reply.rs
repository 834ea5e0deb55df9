//! What a mail server says: one reply, of one or several lines, RFC 5321 section 4.2.

/// Bytes of one line; RFC 5321 has 512.
pub(super) const MAX_LINE: usize = 1024;
/// Lines of one reply.
const MAX_LINES: usize = 100;

/// A reply that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// Each line with its code, without its end. What is no UTF-8 is replaced.
    pub(super) lines: Vec<String>,
}

/// Why bytes are no reply, as a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoReply(pub(super) &'static str);

impl Reply {
    /// Reads the reply that the bytes begin with, and how many they are; `None` while it has not ended.
    ///
    /// However the bytes come, no more than [`MAX_LINES`] lines of [`MAX_LINE`] bytes are ever waited for.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, NoReply> {
        let mut lines = Vec::new();
        let mut code = None;
        let mut rest = bytes;
        loop {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                return match rest.len() > MAX_LINE {
                    true => Err(TOO_LONG),
                    false => Ok(None),
                };
            };
            let (line, after) = rest.split_at(end + 1);
            rest = after;
            if line.len() > MAX_LINE {
                return Err(TOO_LONG);
            }
            let line = line.strip_suffix(b"\r\n").ok_or(NO_REPLY)?;
            let (digits, more) = line.split_at_checked(3).ok_or(NO_REPLY)?;
            let is = number(digits).ok_or(NO_REPLY)?;
            // All lines of one reply have the same code.
            if *code.get_or_insert(is) != is {
                return Err(NO_REPLY);
            }
            lines.push(String::from_utf8_lossy(line).into_owned());
            match more.first() {
                None | Some(b' ') => {
                    let used = bytes.len() - rest.len();
                    return Ok(Some((Self { code: is, lines }, used)));
                }
                Some(b'-') if lines.len() < MAX_LINES => {}
                Some(b'-') => return Err(NoReply("it says more lines than a reply has")),
                Some(_) => return Err(NO_REPLY),
            }
        }
    }

    /// What the lines say after their codes.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .map(|line| line.get(4..).unwrap_or_default())
    }
}

const TOO_LONG: NoReply = NoReply("it says a line that does not end");
const NO_REPLY: NoReply = NoReply("what it says is no reply of a mail server");

/// A code: 200 to 559.
fn number(digits: &[u8]) -> Option<u16> {
    match digits {
        [
            first @ b'2'..=b'5',
            second @ b'0'..=b'5',
            third @ b'0'..=b'9',
        ] => {
            let digits = [first, second, third].map(|digit| u16::from(digit - b'0'));
            Some(digits.into_iter().fold(0, |sum, digit| sum * 10 + digit))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<(u16, usize, usize)>, NoReply> {
        let read = Reply::read(text.as_bytes())?;
        Ok(read.map(|(reply, used)| (reply.code, reply.lines.len(), used)))
    }

    #[test]
    fn a_reply_ends_with_the_line_that_has_no_hyphen() {
        assert_eq!(read("220 mail ESMTP\r\n"), Ok(Some((220, 1, 16))));
        assert_eq!(read("220\r\n"), Ok(Some((220, 1, 5))));
        assert_eq!(read("250-a\r\n250-b\r\n250 c\r\n"), Ok(Some((250, 3, 21))));
        assert_eq!(read("220 a\r\n250 b\r\n"), Ok(Some((220, 1, 7))));
        for begun in [
            "",
            "2",
            "220",
            "220 mail",
            "220 mail\r",
            "220-mail\r\n",
            "220-a\r\n220",
        ] {
            assert_eq!(read(begun), Ok(None), "{begun:?}");
        }
        let (reply, _) = Reply::read(b"250-mail\r\n250-STARTTLS\r\n250 X\xff\r\n")
            .unwrap()
            .unwrap();
        assert_eq!(
            reply.texts().collect::<Vec<_>>(),
            ["mail", "STARTTLS", "X\u{fffd}"]
        );
        assert_eq!(reply.lines[0], "250-mail");
    }

    #[test]
    fn what_is_no_reply_is_told_at_its_first_line() {
        for no_reply in [
            "220 mail\n",
            "\n",
            "\r\n",
            "22 mail\r\n",
            "2200 mail\r\n",
            "220_mail\r\n",
            "120 mail\r\n",
            "620 mail\r\n",
            "260 mail\r\n",
            "+20 mail\r\n",
            " 220 mail\r\n",
            "220-a\r\n221 b\r\n",
            "HTTP/1.1 400 Bad Request\r\n",
            "SSH-2.0-OpenSSH\r\n",
        ] {
            assert_eq!(read(no_reply), Err(NO_REPLY), "{no_reply:?}");
        }
    }

    #[test]
    fn a_line_and_a_reply_that_do_not_end_are_given_up() {
        assert_eq!(read(&"2".repeat(MAX_LINE)), Ok(None));
        assert_eq!(read(&"2".repeat(MAX_LINE + 1)), Err(TOO_LONG));
        let long = format!("220 {}\r\n", "x".repeat(MAX_LINE));
        assert_eq!(read(&long), Err(TOO_LONG));
        assert_eq!(read(&"220-x\r\n".repeat(MAX_LINES - 1)), Ok(None));
        assert!(read(&"220-x\r\n".repeat(MAX_LINES)).is_err());
    }

    #[test]
    fn however_it_is_cut_it_is_read_the_same() {
        let whole = b"250-mail.example\r\n250-SIZE 1000\r\n250 STARTTLS\r\n220 next\r\n";
        let (all, used) = Reply::read(whole).unwrap().unwrap();
        for cut in 0..used {
            assert_eq!(Reply::read(&whole[..cut]), Ok(None), "{cut}");
        }
        for cut in used..=whole.len() {
            assert_eq!(Reply::read(&whole[..cut]), Ok(Some((all.clone(), used))));
        }
    }
}
