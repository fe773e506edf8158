//! Bodies to stdout and into files. A file is written whole or not at all.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{Stop, interrupt::Interrupt, progress::Line};
use crate::{
    caches::{Answer, Part, Record},
    failure::Failure,
};

/// Where the body of an answer comes from: its parts, until they end.
pub(super) struct Incoming {
    answer: Answer,
    line: Line,
}

impl Incoming {
    /// The rest of `answer`, of which `length` bytes are to come; `verb` is what happens to them.
    pub(super) fn rest(answer: Answer, verb: &'static str, length: Option<u64>) -> Self {
        Self { answer, line: Line::new(verb, length) }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Stop> {
        while let Some(part) = self.answer.next().await? {
            match part {
                Part::Bytes(bytes) => {
                    self.line.advance(bytes.len() as u64);
                    return Ok(Some(bytes));
                }
                Part::Record(record) => {
                    if let Record::Exporting { about } = *record {
                        self.line.expect(about);
                    }
                }
            }
        }
        Ok(None)
    }
}

pub(super) async fn to_stdout(mut body: Incoming, out: &mut dyn Write) -> Result<(), Stop> {
    while let Some(chunk) = body.next().await? {
        out.write_all(&chunk)?;
    }
    Ok(())
}

/// Writes a file whole or not at all: what was there before stays until the body is complete. What cannot
/// be replaced, such as a pipe or a device, is written as it comes.
pub(super) async fn to_file(mut body: Incoming, file: &Path) -> Result<(), Stop> {
    let refused = |error: io::Error| {
        Failure::failed(format!("`{}` cannot be written: {error}", file.display())).hint(match error.kind() {
            io::ErrorKind::StorageFull => "make room on its volume, or name a file elsewhere",
            io::ErrorKind::NotFound => "its folder is not there: make it, or name another file",
            _ => "name a file that may be written",
        })
    };
    let mut part = PartFile::beside(file).map_err(refused)?;
    let written = async {
        while let Some(chunk) = body.next().await? {
            part.out.write_all(&chunk).map_err(refused)?;
        }
        Ok::<_, Stop>(())
    };
    let interrupt = Interrupt::listen()?;
    tokio::select! {
        written = written => written?,
        () = interrupt.asked() => return Err(Failure::failed("interrupted").hint(format!("`{}` is as it was", file.display())).into()),
    }
    part.complete(file).map_err(|error| refused(error).into())
}

/// The file that is written beside the one it will be; gone when dropped before that.
struct PartFile {
    out: BufWriter<File>,
    path: Option<PathBuf>,
}

impl PartFile {
    fn beside(file: &Path) -> io::Result<Self> {
        if std::fs::metadata(file).is_ok_and(|facts| !facts.is_file() && !facts.is_dir()) {
            return Ok(Self { out: BufWriter::new(File::options().write(true).open(file)?), path: None });
        }
        if file.is_dir() || file.file_name().is_none() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Its own for each process, so that two that write the same file do not write into one.
        let path = file.with_added_extension(format!("{}.part", std::process::id()));
        let out = File::options().write(true).create_new(true).open(&path)?;
        Ok(Self { out: BufWriter::new(out), path: Some(path) })
    }

    fn complete(mut self, file: &Path) -> io::Result<()> {
        self.out.flush()?;
        if let Some(path) = &self.path {
            std::fs::rename(path, file)?;
            self.path = None;
        }
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // The failure that led here is the one to tell.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::commands::cache::samples::failure;

    /// An answer of these chunks that ends so.
    fn incoming(chunks: &[&'static str], ended: Result<(), Failure>) -> Incoming {
        let (sender, parts) = mpsc::channel(8);
        for chunk in chunks {
            sender.try_send(Part::Bytes(Bytes::from_static(chunk.as_bytes()))).unwrap();
        }
        Incoming::rest(Answer::new(parts, tokio::spawn(async { ended })), "reading", None)
    }

    #[tokio::test]
    async fn a_file_is_written_whole_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.txt");
        to_file(incoming(&["hel", "lo"], Ok(())), &file).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "hello");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_body_that_fails_leaves_the_file_that_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.txt");
        std::fs::write(&file, "before").unwrap();
        let cut = incoming(&["half"], Err(Failure::failed("the body ended early")));
        let error = failure(to_file(cut, &file).await.unwrap_err());
        assert!(error.contains("the body ended early"), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "before");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_named_and_a_device_is_written_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        for wrong in [dir.path().to_path_buf(), dir.path().join("no/such/x")] {
            let error = failure(to_file(incoming(&["x"], Ok(())), &wrong).await.unwrap_err());
            assert!(error.contains(&format!("`{}` cannot be written", wrong.display())), "{error}");
        }
        to_file(incoming(&["x"], Ok(())), Path::new("/dev/null")).await.unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }
}
