//! Files and stdin, as they are read.

use std::{os::fd::AsFd, path::Path};

use futures::StreamExt;
use tokio_util::io::ReaderStream;
use waystore::{Body, BodyError};

use super::interrupt::Interrupt;
use crate::failure::Failure;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// A file's bytes as they are read; `-` is stdin.
pub(in crate::commands) async fn open(file: &Path, interrupt: &Interrupt) -> Result<Body, Failure> {
    let name = if file == Path::new("-") { "stdin".to_owned() } else { format!("`{}`", file.display()) };
    let refused = {
        let name = name.clone();
        move |error: std::io::Error| {
            Failure::failed(format!("{name} cannot be read: {error}"))
                .hint("name a file that is there and may be read, or `-` for stdin")
        }
    };
    let (opened, length) = if file == Path::new("-") {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned().map_err(refused)?;
        (tokio::fs::File::from_std(std::fs::File::from(stdin)), None)
    } else {
        let opened = tokio::fs::File::open(file).await.map_err(&refused)?;
        let facts = opened.metadata().await.map_err(&refused)?;
        if facts.is_dir() {
            return Err(Failure::failed(format!("{name} is a folder")).hint("name a file, or `-` for stdin"));
        }
        // A pipe has no length.
        (opened, facts.is_file().then_some(facts.len()))
    };
    let failed = move |error: std::io::Error| BodyError::failed(format!("{name} cannot be read: {error}"));
    let chunks = ReaderStream::with_capacity(opened, CHUNK_BYTES).map(move |chunk| chunk.map_err(&failed));
    Ok(Body::from_stream(interrupt.ends(chunks).boxed(), length))
}
