//! The log's lines on their way out: through a buffer, so that who logs does not wait for who reads.
//!
//! One thread writes what has come together. The buffer is bounded: while nobody takes the lines, those that do not
//! fit are lost and counted, and a line says how many. Knows bytes, not what they say.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// The most that waits to be written, in bytes.
const MOST_BYTES: usize = 1024 * 1024;
/// How long lines may come together after some were written.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the end waits for who reads.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes whole lines. Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    lost: u64,
    /// Whether the thread has nothing to do and has to be told of the next line.
    asleep: bool,
    finished: bool,
    /// Whether the thread has written everything and gone.
    done: bool,
}

impl Lines {
    /// Starts the thread that writes to `out`; `lost` is the line that says how many are missing.
    ///
    /// # Errors
    ///
    /// There is no room for another thread.
    pub(super) fn written_to(out: impl Write + Send + 'static, lost: fn(u64) -> String) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("waystore-log".to_owned()).spawn(move || of_thread.write(out, lost))?;
        *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Self(shared))
    }

    /// Waits until everything is written, or nobody takes it; what comes later is not.
    pub(super) fn finish(&self) {
        let mut state = self.0.state();
        state.finished = true;
        self.0.changed.notify_all();
        let waited = self.0.changed.wait_timeout_while(state, PATIENCE, |state| !state.done);
        let done = waited.unwrap_or_else(PoisonError::into_inner).0.done;
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (true, Some(thread)) = (done, thread) {
            // It only writes; a panic there has been printed.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > MOST_BYTES {
            state.lost += 1;
            return;
        }
        state.waiting.extend_from_slice(line);
        if std::mem::take(&mut state.asleep) {
            self.changed.notify_all();
        }
    }

    /// What the thread does.
    fn write(&self, mut out: impl Write, words: fn(u64) -> String) {
        let mut lines = Vec::new();
        loop {
            let lost = {
                let mut state = self.state();
                while state.waiting.is_empty() && !state.finished {
                    state.asleep = true;
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                if state.waiting.is_empty() {
                    state.done = true;
                    self.changed.notify_all();
                    return;
                }
                std::mem::swap(&mut lines, &mut state.waiting);
                std::mem::take(&mut state.lost)
            };
            // Where stderr is gone, so is the log; the gateway goes on.
            let _ = out.write_all(&lines);
            if lost > 0 {
                let _ = writeln!(out, "{}", words(lost));
            }
            let _ = out.flush();
            lines.clear();
            let state = self.state();
            drop(self.changed.wait_timeout_while(state, PAUSE, |state| !state.finished));
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

/// The way of one line.
#[derive(Debug)]
pub(super) struct Line<'a>(&'a Shared);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Gives what it is told to write to the other end, which has to take it.
    struct Handed(mpsc::SyncSender<Vec<u8>>);

    impl Write for Handed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lost(count: u64) -> String {
        format!("{count} lost")
    }

    fn log(lines: &Lines, text: &[u8]) {
        lines.make_writer().write_all(text).unwrap();
    }

    #[test]
    fn lines_are_written_in_order_and_all_of_them_before_the_end() {
        let (sender, written) = mpsc::sync_channel(1000);
        let lines = Lines::written_to(Handed(sender), lost).unwrap();
        let expected: String = (0..100).map(|number| format!("line {number}\n")).collect();
        for line in expected.split_inclusive('\n') {
            log(&lines, line.as_bytes());
        }
        lines.finish();
        assert_eq!(written.try_iter().flatten().collect::<Vec<_>>(), expected.as_bytes());
    }

    #[test]
    fn a_log_that_nobody_reads_stops_nobody_and_says_what_was_lost() {
        let (sender, written) = mpsc::sync_channel(0);
        let lines = Lines::written_to(Handed(sender), lost).unwrap();
        let line = [b'x'; 1024];
        // Whether or not the thread took the first ones, two thousand do not fit.
        for _ in 0..3000 {
            log(&lines, &line);
        }
        assert!(lines.0.state().waiting.len() <= MOST_BYTES);
        let reader = thread::spawn(move || written.iter().flatten().collect::<Vec<_>>());
        lines.finish();
        drop(lines);
        let text = String::from_utf8(reader.join().unwrap()).unwrap();
        let kept = text.matches('x').count() / line.len();
        assert!(text.contains(&format!("{} lost\n", 3000 - kept)), "{kept} were written");
        assert!(text.len() < 2 * MOST_BYTES + 4096);
    }

    #[test]
    fn who_cannot_be_written_to_does_not_keep_the_end_waiting() {
        let (sender, written) = mpsc::sync_channel(0);
        drop(written);
        let lines = Lines::written_to(Handed(sender), lost).unwrap();
        log(&lines, b"nobody reads this\n");
        lines.finish();
        assert!(lines.0.state().done);
    }
}
