//! What a command found or did, as JSON for programs.

use std::io::{self, Write};

use serde::Serialize;

/// One value over several lines, and the end of the last one.
pub(super) fn write_json(told: &(impl Serialize + ?Sized), out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, told)?;
    writeln!(out)
}
