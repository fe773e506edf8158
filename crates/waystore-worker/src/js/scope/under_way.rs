//! The events that are active on one thread, by their numbers.
//!
//! Most are over with their dispatch, so the one that was dispatched last stands apart: it costs the
//! list of the others nothing. Knows neither script nor what an event is answered with.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant;

use crate::isolate::Ticket;

/// An event that is active.
pub(super) struct Active {
    pub(super) ticket: Arc<Ticket>,
    /// Until when it may be.
    pub(super) deadline: Instant,
}

/// The events that are active.
#[derive(Default)]
pub(super) struct UnderWay {
    last: Option<(u64, Active)>,
    earlier: BTreeMap<u64, Active>,
}

impl UnderWay {
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none() && self.earlier.is_empty()
    }

    /// Adds the event that is dispatched now.
    pub(super) fn add(&mut self, id: u64, event: Active) {
        if let Some((id, event)) = self.last.replace((id, event)) {
            self.earlier.insert(id, event);
        }
    }

    pub(super) fn get(&self, id: u64) -> Option<&Active> {
        match &self.last {
            Some((last, event)) if *last == id => Some(event),
            _ => self.earlier.get(&id),
        }
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Active> {
        match self.last.take_if(|(last, _)| *last == id) {
            Some((_, event)) => Some(event),
            None => self.earlier.remove(&id),
        }
    }

    /// When the oldest has to be over. Numbers and deadlines grow together.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let oldest = self.earlier.first_key_value().map(|(_, event)| event);
        oldest.or(self.last.as_ref().map(|(_, event)| event)).map(|event| event.deadline)
    }

    /// Those that have taken too long.
    pub(super) fn overdue(&self, now: Instant) -> Vec<u64> {
        let all = self.earlier.iter().chain(self.last.as_ref().map(|(id, event)| (id, event)));
        all.take_while(|(_, event)| event.deadline <= now).map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::isolate::Event;

    fn event(deadline: Instant) -> Active {
        let (ticket, _) = Ticket::new(Event::Install, Box::new(()));
        Active { ticket: Arc::new(ticket), deadline }
    }

    #[test]
    fn an_event_is_found_until_it_is_over_whether_or_not_it_was_the_last() {
        let (mut events, now) = (UnderWay::default(), Instant::now());
        assert!(events.is_empty() && events.next_deadline().is_none());
        for id in 1..=3 {
            events.add(id, event(now + Duration::from_secs(id)));
        }
        assert!((1..=3).all(|id| events.get(id).is_some()) && events.get(4).is_none());
        assert_eq!(events.overdue(now + Duration::from_secs(2)), [1, 2]);
        assert_eq!(events.overdue(now + Duration::from_secs(3)), [1, 2, 3]);
        assert!(events.remove(1).is_some() && events.remove(1).is_none());
        assert_eq!(events.next_deadline(), Some(now + Duration::from_secs(2)));
        assert!(events.remove(2).is_some());
        assert_eq!(events.next_deadline(), Some(now + Duration::from_secs(3)));
        assert!(events.remove(3).is_some() && events.is_empty());
    }
}
