//! Results on stdout; nothing else is written there.

use std::io::{self, ErrorKind, Write};

use crate::base::text::printable;

/// Writes `text` to stdout and flushes it.
///
/// If the reader has closed the pipe (`bngpu ... | head`), the process exits here, silently, with code 0. Errors: any
/// other failed write, for example to a full disk.
pub fn print(text: &str) -> io::Result<()> {
    if print_to(&mut io::stdout().lock(), text)? == Reader::Gone {
        std::process::exit(0);
    }
    Ok(())
}

/// The same for a text for people: control characters of names in it are escaped.
pub fn show(text: &str) -> io::Result<()> {
    print(&printable(text))
}

/// Whether the reading end of the pipe is open.
#[derive(Debug, PartialEq, Eq)]
enum Reader {
    There,
    Gone,
}

fn print_to(out: &mut dyn Write, text: &str) -> io::Result<Reader> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_broken_pipe_is_quiet_and_a_full_disk_is_not() {
        let mut out = Vec::new();
        assert_eq!(print_to(&mut out, "x\n").unwrap(), Reader::There);
        assert_eq!(out, b"x\n");
        assert_eq!(print_to(&mut Broken(ErrorKind::BrokenPipe), "x").unwrap(), Reader::Gone);
        assert_eq!(
            print_to(&mut Broken(ErrorKind::StorageFull), "x").unwrap_err().kind(),
            ErrorKind::StorageFull
        );
    }
}
