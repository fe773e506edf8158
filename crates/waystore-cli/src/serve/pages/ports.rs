//! The ends of channels whose other ends are ports of a page.

use std::{collections::BTreeMap, future::poll_fn, task::Poll};

use waystore_worker::{MessagePort, PortMessage};

/// What a page's ports are connected to, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct PagePorts(BTreeMap<u64, MessagePort>);

impl PagePorts {
    pub(crate) fn get(&self, number: u64) -> Option<&MessagePort> {
        self.0.get(&number)
    }

    pub(crate) fn insert(&mut self, number: u64, port: MessagePort) {
        self.0.insert(number, port);
    }

    /// Closes a port.
    pub(crate) fn remove(&mut self, number: u64) {
        self.0.remove(&number);
    }

    /// Channels for ports that the page sends: the ends that whoever receives them gets.
    pub(crate) fn open(&mut self, numbers: &[u64]) -> Vec<MessagePort> {
        let open = |number: &u64| {
            let (here, there) = MessagePort::channel();
            self.0.insert(*number, here);
            there
        };
        numbers.iter().map(open).collect()
    }

    /// What comes through any of them; `None` where one is closed.
    pub(crate) async fn receive(&mut self) -> (u64, Option<PortMessage>) {
        poll_fn(|cx| {
            let mut ready = self.0.iter_mut().filter_map(|(number, port)| match port.poll_receive(cx) {
                Poll::Ready(message) => Some((*number, message)),
                Poll::Pending => None,
            });
            ready.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}
