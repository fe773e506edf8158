//! The ends of channels whose other ends are ports of a page.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    ops::Bound::{Excluded, Included, Unbounded},
    task::Poll,
};

use waystore_worker::{MessagePort, PortMessage};

/// What a page's ports are connected to, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct PagePorts {
    open: BTreeMap<u64, MessagePort>,
    /// The one through which something came last: those behind it have their turn before it.
    last: u64,
}

impl PagePorts {
    pub(crate) fn get(&self, number: u64) -> Option<&MessagePort> {
        self.open.get(&number)
    }

    pub(crate) fn insert(&mut self, number: u64, port: MessagePort) {
        self.open.insert(number, port);
    }

    /// Closes a port.
    pub(crate) fn remove(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// Channels for ports that the page sends: the ends that whoever receives them gets.
    pub(crate) fn open(&mut self, numbers: &[u64]) -> Vec<MessagePort> {
        let open = |number: &u64| {
            let (here, there) = MessagePort::channel();
            self.open.insert(*number, here);
            there
        };
        numbers.iter().map(open).collect()
    }

    /// What comes through any of them, by turns; `None` where one is closed.
    pub(crate) async fn receive(&mut self) -> (u64, Option<PortMessage>) {
        poll_fn(|cx| {
            for turn in [(Excluded(self.last), Unbounded), (Unbounded, Included(self.last))] {
                for (number, port) in self.open.range_mut(turn) {
                    if let Poll::Ready(message) = port.poll_receive(cx) {
                        self.last = *number;
                        return Poll::Ready((*number, message));
                    }
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_port_that_is_never_silent_leaves_the_others_their_turns() {
        let mut ports = PagePorts::default();
        let there = ports.open(&[1, 3]);
        for port in there.iter().cycle().take(6) {
            port.post(PortMessage { data: json!(0).into(), ports: Vec::new() }).unwrap();
        }
        let mut heard = Vec::new();
        for _ in 0..4 {
            heard.push(ports.receive().await.0);
        }
        assert_eq!(heard, [1, 3, 1, 3]);
    }
}
