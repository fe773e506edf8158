//! The native ends of message ports whose other end is outside of the context.
//!
//! Script knows an end by its number. What waits for a port that script did not start yet waits in the
//! channel, where it is bounded. Knows no values: text goes in and out as it is.

use std::{cell::RefCell, collections::BTreeMap, future::poll_fn, rc::Rc, task::Poll, task::Waker};

use rquickjs::{Ctx, JsLifetime};

use crate::{
    MessagePort, PortMessage, SerializedValue,
    js::{
        Outcome, Thrown,
        exception::report,
        idl::{Arguments, native_operation},
        kit,
    },
};

/// Of one context.
const MOST_PORTS: usize = 1024;

/// The native ends that a context holds.
#[derive(Debug, Clone, Default, JsLifetime)]
pub(super) struct Ports(Rc<RefCell<Table>>);

#[derive(Debug, Default)]
struct Table {
    last: u32,
    held: BTreeMap<u32, Held>,
}

#[derive(Debug)]
struct Held {
    port: MessagePort,
    /// Whether what comes is given to script at once.
    listens: bool,
    /// Who waits for the next message.
    waker: Option<Waker>,
}

/// What a listener finds.
enum Next {
    Message(PortMessage),
    /// The other end is closed.
    Closed,
    /// The end is not listened to any more.
    Over,
}

impl Ports {
    /// Takes ports in, and gives them numbers; `None` where there are too many.
    pub(super) fn insert_all(&self, ports: Vec<MessagePort>) -> Option<Vec<u32>> {
        let mut table = self.0.borrow_mut();
        if !ports.is_empty() {
            // Ports that nobody started, and whose other ends are gone, are of no use to anybody. As long as they
            // are here they count, for all that a page may have open.
            table.held.retain(|_, held| held.listens || !held.port.is_closed());
        }
        if table.held.len() + ports.len() > MOST_PORTS {
            return None;
        }
        Some(ports.into_iter().map(|port| table.insert(port)).collect())
    }

    /// Gives ports away.
    pub(super) fn take_all(&self, numbers: &[u32]) -> Vec<MessagePort> {
        let mut table = self.0.borrow_mut();
        numbers.iter().filter_map(|number| table.remove(*number)).collect()
    }

    fn next(&self, number: u32, waker: &Waker) -> Poll<Next> {
        let mut table = self.0.borrow_mut();
        let Some(held) = table.held.get_mut(&number).filter(|held| held.listens) else {
            return Poll::Ready(Next::Over);
        };
        held.waker = Some(waker.clone());
        match held.port.poll_receive(&mut std::task::Context::from_waker(waker)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(message)) => Poll::Ready(Next::Message(message)),
            Poll::Ready(None) => {
                table.remove(number);
                Poll::Ready(Next::Closed)
            }
        }
    }
}

impl Table {
    fn insert(&mut self, port: MessagePort) -> u32 {
        self.last += 1;
        self.held.insert(self.last, Held { port, listens: false, waker: None });
        self.last
    }

    fn remove(&mut self, number: u32) -> Option<MessagePort> {
        let held = self.held.remove(&number)?;
        if let Some(waker) = held.waker {
            waker.wake();
        }
        Some(held.port)
    }
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<Ports> {
    let ports = Ports::default();
    give(ctx, &ports, "newRemotes", |_, ports| {
        let (here, away) = MessagePort::channel();
        ports.insert_all(vec![here, away]).ok_or_else(too_many)
    })?;
    give(ctx, &ports, "sendRemote", |arguments, ports| {
        let (number, data, sent) = (number(arguments)?, text(arguments, 1)?, numbers(arguments, 2)?);
        let message = PortMessage { data, ports: ports.take_all(&sent) };
        let mut table = ports.0.borrow_mut();
        // Who is not there any more hears nothing; who does not keep up is not there any more.
        let posted = table.held.get(&number).map(|held| held.port.post(message));
        if let Some(Err(crate::MessageError::Full)) = posted {
            tracing::warn!("a message port was closed: its other end does not keep up with what is sent");
            table.remove(number);
        }
        Ok(Vec::new())
    })?;
    give(ctx, &ports, "listenRemote", |arguments, ports| {
        listen(arguments.ctx(), ports, number(arguments)?);
        Ok(Vec::new())
    })?;
    give(ctx, &ports, "pauseRemote", |arguments, ports| {
        if let Some(held) = ports.0.borrow_mut().held.get_mut(&number(arguments)?) {
            held.listens = false;
            held.waker.take().into_iter().for_each(Waker::wake);
        }
        Ok(Vec::new())
    })?;
    give(ctx, &ports, "closeRemote", |arguments, ports| {
        let closed = ports.0.borrow_mut().remove(number(arguments)?);
        drop(closed);
        Ok(Vec::new())
    })?;
    Ok(ports)
}

/// Gives script what comes to a port, a message a turn, until it is closed or given away.
fn listen<'js>(ctx: &Ctx<'js>, ports: &Ports, number: u32) {
    match ports.0.borrow_mut().held.get_mut(&number) {
        Some(held) => held.listens = true,
        None => return,
    }
    let (ctx_later, ports) = (ctx.clone(), ports.clone());
    ctx.spawn(async move {
        let ctx = ctx_later;
        loop {
            let told = match poll_fn(|cx| ports.next(number, cx.waker())).await {
                Next::Over => return,
                Next::Closed => kit(&ctx).and_then(|kit| kit.function("remoteClosed")?.call::<_, ()>((number,))),
                Next::Message(message) => match ports.insert_all(message.ports) {
                    Some(sent) => kit(&ctx).and_then(|kit| {
                        kit.function("remoteArrived")?.call::<_, ()>((number, message.data.as_str(), sent))
                    }),
                    None => {
                        tracing::warn!("a message was lost: the worker has too many message ports");
                        Ok(())
                    }
                },
            };
            if told.is_err() {
                let thrown = ctx.catch();
                report(&ctx, &thrown);
            }
            tokio::task::yield_now().await;
        }
    });
}

/// A value out of script.
pub(super) fn text<'js>(arguments: &Arguments<'js>, index: usize) -> Outcome<'js, SerializedValue> {
    let text: String = arguments.get(index).get()?;
    SerializedValue::of_script(text).map_err(|error| Thrown::Dom("DataCloneError", error.to_string()))
}

/// Numbers of ports out of script.
pub(super) fn numbers<'js>(arguments: &Arguments<'js>, index: usize) -> Outcome<'js, Vec<u32>> {
    Ok(arguments.get(index).get()?)
}

fn number<'js>(arguments: &Arguments<'js>) -> Outcome<'js, u32> {
    Ok(arguments.get(0).get()?)
}

fn too_many<'js>() -> Thrown<'js> {
    Thrown::Dom("DataCloneError", format!("a worker may have {MOST_PORTS} message ports outside of it"))
}

fn give<'js>(
    ctx: &Ctx<'js>,
    ports: &Ports,
    name: &'static str,
    called: impl Fn(&Arguments<'js>, &Ports) -> Outcome<'js, Vec<u32>> + 'js,
) -> rquickjs::Result<()> {
    let ports = ports.clone();
    let native = native_operation(ctx, name, 0, move |arguments| called(arguments, &ports))?;
    kit(ctx)?.give(name, native)
}
