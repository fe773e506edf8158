//! Ids of navigations, for the pages that they make. Pure.
//!
//! An id is in an answer's header, and answers can be kept by others: so an id is bound once, soon, and
//! where the navigation told who asked, by nobody else.

use std::collections::{HashMap, VecDeque};

use waystore::CredentialHash;

/// How long an id waits for its page.
const WAIT_MS: u64 = 60_000;
/// Ids that wait; the oldest make room.
const MOST: usize = 4096;

/// Ids that were given out.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    waiting: HashMap<String, Option<CredentialHash>>,
    order: VecDeque<(u64, String)>,
}

impl Reservations {
    /// Notes an id that was given to whoever has these credentials.
    pub(crate) fn reserve(&mut self, id: String, credentials: Option<CredentialHash>, now_ms: u64) {
        self.expire(now_ms);
        while self.order.len() >= MOST
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.waiting.remove(&oldest);
        }
        self.waiting.insert(id.clone(), credentials);
        self.order.push_back((now_ms, id));
    }

    /// Whether whoever has these credentials may have this id; nobody else will, then.
    pub(crate) fn claim(&mut self, id: &str, credentials: Option<CredentialHash>, now_ms: u64) -> bool {
        self.expire(now_ms);
        match self.waiting.get(id) {
            Some(owner) if owner.is_none() || *owner == credentials => self.waiting.remove(id).is_some(),
            _ => false,
        }
    }

    fn expire(&mut self, now_ms: u64) {
        while let Some((_, id)) = self.order.pop_front_if(|(at_ms, _)| *at_ms + WAIT_MS <= now_ms) {
            self.waiting.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: Option<CredentialHash> = Some(CredentialHash([1; 16]));
    const BEN: Option<CredentialHash> = Some(CredentialHash([2; 16]));

    fn with(id: &str, owner: Option<CredentialHash>) -> Reservations {
        let mut reservations = Reservations::default();
        reservations.reserve(id.to_owned(), owner, 0);
        reservations
    }

    #[test]
    fn an_id_is_bound_once() {
        let mut reservations = with("a", ANNA);
        assert!(reservations.claim("a", ANNA, 0));
        assert!(!reservations.claim("a", ANNA, 0), "somebody kept the answer and gave it again");
        assert!(!reservations.claim("b", ANNA, 0));
    }

    #[test]
    fn nobody_takes_the_id_of_another_visitor() {
        assert!(!with("a", ANNA).claim("a", BEN, 0) && !with("a", ANNA).claim("a", None, 0));
        assert!(with("a", None).claim("a", BEN, 0), "the first answer sets the cookie");
    }

    #[test]
    fn an_id_waits_a_minute_and_the_oldest_make_room() {
        assert!(with("a", None).claim("a", None, 59_999));
        assert!(!with("a", None).claim("a", None, 60_000));
        let mut reservations = with("first", None);
        for n in 0..MOST {
            reservations.reserve(n.to_string(), None, 1);
        }
        assert!(!reservations.claim("first", None, 1) && reservations.claim("0", None, 1));
        assert!(reservations.order.len() <= MOST && reservations.waiting.len() <= MOST);
    }
}
