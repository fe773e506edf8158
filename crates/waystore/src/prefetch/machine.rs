//! What to fetch next, and what follows from how it went: the rules of a prefetch without its fetching.
//!
//! Time and randomness are arguments; what is to be done is a value. Knows no cache and no network.

use std::collections::{BTreeSet, HashSet};

use url::Url;

use super::{
    Event, MAX_CONCURRENCY, MAX_RETRIES, Outcome, Prefetch, PrefetchLimits, Reason, WhenSaving,
    lanes::Lanes,
    links::{Link, storable},
    progress::{Done, Progress, Row},
};

/// The first wait before another attempt; each further one is twice as long.
const FIRST_WAIT_MS: u64 = 500;

/// The longest wait, also where a server asks for a longer one.
const LONGEST_WAIT_MS: u64 = 30_000;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Fetch(Task),
    /// Wait for what runs, or until this time.
    Wait(Option<u64>),
    /// All is done.
    Ended,
}

/// One attempt that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) row: usize,
    lane: usize,
    pub(super) url: Url,
    pub(super) attempt: u32,
    /// Whether its document is searched for further URLs.
    pub(super) follow: bool,
}

/// How an attempt went.
#[derive(Debug)]
pub(super) struct Attempted {
    pub(super) done: Done,
    /// What its document names.
    pub(super) links: Vec<Link>,
    /// Set where another attempt may help: the least wait that was asked for, in milliseconds.
    pub(super) again_after_ms: Option<u64>,
}

impl From<Done> for Attempted {
    fn from(done: Done) -> Self {
        Self { done, links: Vec::new(), again_after_ms: None }
    }
}

/// The state of a prefetch.
#[derive(Debug)]
pub(super) struct Machine {
    limits: PrefetchLimits,
    at_once: usize,
    retries: u32,
    progress: Progress,
    /// URLs that have a row: what cuts cycles.
    seen: HashSet<String>,
    lanes: Lanes,
    /// Rows that wait for another attempt, by the time of it.
    delayed: BTreeSet<(u64, usize)>,
    running: usize,
    done: usize,
    started_ms: u64,
}

impl Machine {
    /// A prefetch that begins at `now_ms`.
    pub(super) fn start(plan: &Prefetch, base: &Url, now_ms: u64) -> Self {
        let mut machine = Self::empty(plan, Progress::default(), now_ms);
        let base = plan.base.as_ref().unwrap_or(base);
        for target in &plan.urls {
            let url = base.join(target.url.trim()).ok().and_then(storable);
            machine.ask(&target.url, url, target.required);
        }
        machine.save_data(plan);
        machine
    }

    /// A prefetch that goes on at `now_ms`, where `progress` holds together.
    pub(super) fn resume(plan: &Prefetch, progress: Progress, now_ms: u64) -> Self {
        let mut machine = Self::empty(plan, progress, now_ms);
        for index in 0..machine.progress.rows.len() {
            let row = &machine.progress.rows[index];
            machine.seen.insert(row.url.clone());
            match Url::parse(&row.url).ok().and_then(storable) {
                _ if row.done.is_some() => machine.done += 1,
                Some(url) => machine.lanes.push(&origin(&url), index),
                None => machine.set(index, no_url()),
            }
        }
        machine
    }

    fn empty(plan: &Prefetch, progress: Progress, now_ms: u64) -> Self {
        Self {
            limits: plan.limits,
            at_once: plan.concurrency.clamp(1, MAX_CONCURRENCY),
            retries: plan.retries.min(MAX_RETRIES),
            started_ms: now_ms.saturating_sub(progress.spent_ms),
            progress,
            seen: HashSet::new(),
            lanes: Lanes::new(plan.concurrency_per_origin),
            delayed: BTreeSet::new(),
            running: 0,
            done: 0,
        }
    }

    /// A row for a URL that was asked for.
    fn ask(&mut self, text: &str, url: Option<Url>, required: bool) {
        let row = self.progress.rows.len();
        let url_text = url.as_ref().map_or_else(|| shortened(text), Url::to_string);
        let over = self.seen.len() >= self.limits.count;
        let new = url.is_some() && !self.seen.contains(&url_text);
        self.progress.rows.push(Row { url: url_text.clone(), required, depth: 0, from: None, attempts: 0, done: None });
        match url {
            None => self.set(row, no_url()),
            Some(_) if !new => {
                self.set(row, Done::because(Outcome::Skipped, Reason::Duplicate, "the same URL comes earlier"));
            }
            Some(_) if over => self.set(row, self.too_many()),
            Some(url) => {
                self.seen.insert(url_text);
                self.lanes.push(&origin(&url), row);
            }
        }
    }

    /// Leaves out what is not to be fetched where the asker wants to save data.
    fn save_data(&mut self, plan: &Prefetch) {
        if plan.when_saving == WhenSaving::Fetch || !plan.connection.wants_to_save() {
            return;
        }
        let required_too = plan.when_saving == WhenSaving::Skip;
        let leave_out = |row: &Row| required_too || !row.required;
        let reason = Done::because(Outcome::Skipped, Reason::SaveData, "the asker saves data or has a slow connection");
        self.lanes.drain();
        for index in 0..self.progress.rows.len() {
            let row = &self.progress.rows[index];
            match Url::parse(&row.url) {
                _ if row.done.is_some() => {}
                Ok(url) if !leave_out(row) => self.lanes.push(&origin(&url), index),
                _ => self.set(index, reason.clone()),
            }
        }
    }

    /// What to do at `now_ms`. What is to be fetched counts as running until [`finished`](Self::finished) is told.
    pub(super) fn next(&mut self, now_ms: u64) -> (Next, Vec<Event>) {
        let mut events = Vec::new();
        if let Some((reason, detail)) = self.exhausted(now_ms) {
            events = self.end_waiting(&Done::because(Outcome::Skipped, reason, detail));
        }
        self.wake(now_ms);
        let next = match self.take() {
            Some(task) => Next::Fetch(task),
            None if self.running == 0 && self.lanes.is_empty() && self.delayed.is_empty() => Next::Ended,
            None => Next::Wait(self.delayed.first().map(|(at, _)| *at)),
        };
        (next, events)
    }

    fn take(&mut self) -> Option<Task> {
        if self.running >= self.at_once {
            return None;
        }
        let (lane, row) = self.lanes.pop()?;
        self.running += 1;
        let entry = &mut self.progress.rows[row];
        entry.attempts += 1;
        let url = Url::parse(&entry.url).expect("only what is a URL is put into a lane");
        Some(Task { row, lane, url, attempt: entry.attempts, follow: entry.depth < self.limits.depth })
    }

    /// The limit that is reached, if one is.
    fn exhausted(&self, now_ms: u64) -> Option<(Reason, String)> {
        if now_ms >= self.deadline_ms() {
            return Some((Reason::Time, format!("all of it may take {} ms", self.limits.time_ms)));
        }
        (self.progress.bytes >= self.limits.bytes)
            .then(|| (Reason::Bytes, format!("all of it may have {} bytes", self.limits.bytes)))
    }

    fn wake(&mut self, now_ms: u64) {
        while let Some(first) = self.delayed.first().copied().filter(|(at, _)| *at <= now_ms) {
            self.delayed.remove(&first);
            let row = first.1;
            let url = Url::parse(&self.progress.rows[row].url).expect("it was fetched, so it is a URL");
            self.lanes.push(&origin(&url), row);
        }
    }

    /// Takes in how an attempt went, at `now_ms`. `random` spreads those who wait.
    pub(super) fn finished(&mut self, task: &Task, attempted: Attempted, now_ms: u64, random: u64) -> Vec<Event> {
        let Attempted { mut done, links, again_after_ms } = attempted;
        self.running -= 1;
        self.lanes.release(task.lane);
        let url = task.url.to_string();
        if let Some(asked_ms) = again_after_ms
            && self.progress.rows[task.row].required
            && task.attempt <= self.retries
        {
            let after_ms = wait_ms(task.attempt, random).max(asked_ms.min(LONGEST_WAIT_MS));
            self.delayed.insert((now_ms.saturating_add(after_ms), task.row));
            return vec![Event::Retrying { url, detail: done.detail.unwrap_or_default(), after_ms }];
        }
        let mut events = Vec::new();
        if !links.is_empty() {
            let first = self.progress.rows.len();
            let left_out = self.follow(task.row, links);
            let end = self.progress.rows.len();
            if end > first {
                done.followed = Some((first, end));
                events.push(Event::Followed { url, urls: end - first });
            }
            if left_out > 0 && done.reason.is_none() {
                done.reason = Some(Reason::Count);
                done.detail = Some(format!(
                    "{left_out} of the URLs that it names are left out: all of it may have {}",
                    self.limits.count
                ));
            }
        }
        self.set(task.row, done);
        events.insert(0, self.event_of(task.row));
        events
    }

    /// Rows for those of `links` that are new; returns how many there was no room for.
    fn follow(&mut self, from: usize, links: Vec<Link>) -> usize {
        let depth = self.progress.rows[from].depth + 1;
        let mut left_out = 0;
        for Link { url, required } in links {
            let text = url.to_string();
            if self.seen.contains(&text) {
                continue;
            }
            if self.seen.len() >= self.limits.count {
                left_out += 1;
                continue;
            }
            self.lanes.push(&origin(&url), self.progress.rows.len());
            self.seen.insert(text.clone());
            self.progress.rows.push(Row { url: text, required, depth, from: Some(from), attempts: 0, done: None });
        }
        left_out
    }

    /// Ends everything that is not done.
    pub(super) fn abort(&mut self) -> Vec<Event> {
        self.running = 0;
        let aborted = Done::because(Outcome::Aborted, Reason::Aborted, "it was aborted");
        self.lanes.drain();
        self.delayed.clear();
        let open: Vec<usize> = self.open_rows().collect();
        open.into_iter().map(|row| self.end(row, aborted.clone())).collect()
    }

    /// Ends what waits; what runs goes on.
    fn end_waiting(&mut self, done: &Done) -> Vec<Event> {
        let mut waiting: Vec<usize> = self.delayed.iter().map(|(_, row)| *row).collect();
        self.delayed.clear();
        waiting.extend(self.lanes.drain());
        waiting.sort_unstable();
        waiting.into_iter().map(|row| self.end(row, done.clone())).collect()
    }

    fn end(&mut self, row: usize, done: Done) -> Event {
        self.set(row, done);
        self.event_of(row)
    }

    fn open_rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.progress.rows.iter().enumerate().filter(|(_, row)| row.done.is_none()).map(|(index, _)| index)
    }

    fn set(&mut self, row: usize, done: Done) {
        self.done += 1;
        self.progress.rows[row].done = Some(done);
    }

    fn event_of(&self, row: usize) -> Event {
        let row = self.progress.row(row).expect("it was just set");
        match row.outcome {
            Outcome::Stored => Event::Stored(row),
            Outcome::Cached | Outcome::Skipped => Event::Skipped(row),
            Outcome::Failed | Outcome::Aborted => Event::Failed(row),
        }
    }

    /// The rows that were done before anything was fetched, as events.
    pub(super) fn done_at_start(&self) -> Vec<Event> {
        let done = |index: &usize| self.progress.rows[*index].done.is_some();
        (0..self.progress.rows.len()).filter(done).map(|index| self.event_of(index)).collect()
    }

    pub(super) fn progress(&self, now_ms: u64) -> Progress {
        Progress { spent_ms: now_ms.saturating_sub(self.started_ms), ..self.progress.clone() }
    }

    /// URLs whose outcome is known, and all that are known.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.done, self.progress.rows.len())
    }

    /// Bytes that came from the network.
    pub(super) fn bytes(&self) -> u64 {
        self.progress.bytes
    }

    /// So many bytes came from the network until now, whatever became of them.
    pub(super) fn set_bytes(&mut self, bytes: u64) {
        self.progress.bytes = bytes;
    }

    /// When the time for all of it is over.
    pub(super) fn deadline_ms(&self) -> u64 {
        self.started_ms.saturating_add(self.limits.time_ms)
    }

    fn too_many(&self) -> Done {
        Done::because(Outcome::Skipped, Reason::Count, format!("all of it may have {} URLs", self.limits.count))
    }
}

/// How long to wait after the attempt of this number: half of it by chance, so that those who failed together do not
/// come back together.
fn wait_ms(attempt: u32, random: u64) -> u64 {
    let doubled = FIRST_WAIT_MS.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST_WAIT_MS);
    doubled / 2 + random % (doubled / 2 + 1)
}

fn no_url() -> Done {
    Done::because(Outcome::Failed, Reason::Url, "it is not an absolute HTTP(S) URL without user name and password")
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests;
