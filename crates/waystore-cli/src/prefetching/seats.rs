//! How many jobs there may be: in all, and of one client.
//!
//! Knows numbers: not what a job is, nor how many run at a time.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use waystore::prefetch::PrefetchLimits;

/// How much prefetching a gateway does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobLimits {
    /// Jobs that run at a time; others wait for their turn.
    pub(crate) running: usize,
    /// Jobs that run or wait.
    pub(crate) all: usize,
    /// Jobs of one page that run or wait.
    pub(crate) of_client: usize,
    /// URLs that a page's plan may name.
    pub(crate) urls: usize,
    /// What a page's plan may cost.
    pub(crate) plan: PrefetchLimits,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self { running: 4, all: 64, of_client: 4, urls: 1000, plan: PrefetchLimits::default() }
    }
}

/// Why a job was not begun. Nothing was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The gateway has as many as it takes.
    Busy { jobs: usize },
    /// The client has as many as it may.
    ClientBusy { jobs: usize },
    /// The plan names more URLs than a page may.
    TooManyUrls { urls: usize, most: usize },
    /// The plan does not say where the responses go.
    NoCache,
    /// The gateway stops.
    Stopping,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { jobs } => write!(f, "{jobs} prefetches are under way already; try again later"),
            Self::ClientBusy { jobs } => {
                write!(f, "this client has {jobs} prefetches under way already; wait for one of them")
            }
            Self::TooManyUrls { urls, most } => write!(f, "the plan names {urls} URLs, and may name {most}; split it"),
            Self::NoCache => f.write_str("the plan has no `cache`: the name of the cache to store into"),
            Self::Stopping => f.write_str("the gateway stops"),
        }
    }
}

impl std::error::Error for Refused {}

/// The places that jobs take.
#[derive(Debug)]
pub(super) struct Seats {
    limits: JobLimits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<String, usize>,
}

impl Seats {
    pub(super) fn new(limits: JobLimits) -> Self {
        Self { limits, taken: Mutex::default() }
    }

    /// A place for a job, `client`'s where it is one's; free again when it is dropped.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) fn take(self: &Arc<Self>, client: Option<&str>) -> Result<Seat, Refused> {
        let mut taken = self.lock();
        if let Some(client) = client {
            let own = taken.of.get(client).copied().unwrap_or_default();
            if own >= self.limits.of_client {
                return Err(Refused::ClientBusy { jobs: own });
            }
        }
        if taken.all >= self.limits.all {
            return Err(Refused::Busy { jobs: taken.all });
        }
        taken.all += 1;
        if let Some(client) = client {
            *taken.of.entry(client.to_owned()).or_default() += 1;
        }
        Ok(Seat { seats: Arc::clone(self), client: client.map(str::to_owned) })
    }

    /// A place for a job that was begun before, by a client that is gone since. It is there, however many there are.
    pub(super) fn keep(self: &Arc<Self>) -> Seat {
        self.lock().all += 1;
        Seat { seats: Arc::clone(self), client: None }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job's place.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    client: Option<String>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all -= 1;
        let Some(client) = &self.client else { return };
        let left = taken.of.get_mut(client).map(|own| {
            *own -= 1;
            *own
        });
        if left == Some(0) {
            taken.of.remove(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(all: usize, of_client: usize) -> Arc<Seats> {
        Arc::new(Seats::new(JobLimits { all, of_client, ..JobLimits::default() }))
    }

    #[test]
    fn a_client_that_has_all_it_may_leaves_room_to_others() {
        let seats = seats(10, 2);
        let (one, _two) = (seats.take(Some("a")).unwrap(), seats.take(Some("a")).unwrap());
        assert_eq!(seats.take(Some("a")).unwrap_err(), Refused::ClientBusy { jobs: 2 });
        let _other = seats.take(Some("b")).unwrap();
        drop(one);
        let _again = seats.take(Some("a")).unwrap();
    }

    #[test]
    fn all_together_have_a_bound_and_nothing_is_left_of_who_is_gone() {
        let seats = seats(2, 2);
        let held = (seats.take(Some("a")).unwrap(), seats.take(None).unwrap());
        assert_eq!(seats.take(Some("b")).unwrap_err(), Refused::Busy { jobs: 2 });
        assert_eq!(seats.take(None).unwrap_err(), Refused::Busy { jobs: 2 });
        drop(held);
        let taken = seats.lock();
        assert!(taken.all == 0 && taken.of.is_empty(), "{taken:?}");
    }
}
