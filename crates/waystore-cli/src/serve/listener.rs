//! Accepts connections, and stops in order.
//!
//! Knows sockets and HTTP/1.1's limits; what a request means is [`handle`]'s business.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    deadline::{Activity, HeadDeadline},
    handler::{Gateway, Peer, Turn, handle},
    socket::Socket,
};
use crate::failure::Failure;

/// A request's head, or the next one on a connection, has to come within this time.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// A request's head has to fit.
const HEAD_BYTES: usize = 64 * 1024;
/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// # Errors
///
/// The address is taken or not this machine's.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Failure::failed(format!("{address} is in use by another process")).hint(format!(
            "stop that process, or listen elsewhere with `--listen {}:0`, which takes a free port",
            address.ip()
        )),
        io::ErrorKind::PermissionDenied => Failure::failed(format!("{address} may not be listened at: {error}"))
            .hint("ports below 1024 need a privilege; another is taken with `--listen`"),
        _ => Failure::failed(format!("{address} cannot be listened at: {error}"))
            .hint("`--listen` names an address of this machine, such as `127.0.0.1:8080`"),
    })
}

/// Serves until `stop`; then requests under way have `stop_grace` to end.
pub(crate) async fn serve(listener: TcpListener, gateway: Arc<Gateway>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(gateway.config.max_connections));
    let grace = gateway.config.stop_grace;
    let end = Arc::new(End::default());
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let connection = connection(stream, peer, Arc::clone(&gateway), Arc::clone(&end));
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(NO_ROOM).await;
            }
        }
    }
    drop(listener);
    end.ask();
    connections.close();
    if tokio::time::timeout(grace, connections.wait()).await.is_err() {
        tracing::warn!(left = connections.len(), "connections were cut after {grace:?}");
    }
}

/// The next connection, once there is room for one.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

/// Asks all connections to end. Each is woken often, and asks each time: that takes no lock.
#[derive(Debug, Default)]
struct End {
    asked: AtomicBool,
    token: CancellationToken,
}

impl End {
    fn ask(&self) {
        // First: who is woken by the token looks here.
        self.asked.store(true, Ordering::Release);
        self.token.cancel();
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

async fn connection(stream: TcpStream, address: SocketAddr, gateway: Arc<Gateway>, end: Arc<End>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(peer = %address, %error, "a connection was lost at once");
        return;
    }
    let stream = Socket::new(stream, gateway.config.timeouts.body);
    // Shared by this connection's requests only, one after the other, so that counting costs little.
    let peer = Arc::new(Peer { gateway, address, activity: Activity::default() });
    let service = service_fn(|request| {
        let turn = Turn::of(&peer);
        async move { Ok::<_, Infallible>(handle(turn, request).await) }
    });
    // As many headers as the library allows by itself: for any other number it asks for memory with each request.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut ending = pin!(end.token.cancelled());
    let mut deadline = HeadDeadline::new(HEAD_TIME);
    // Who wakes this task, where the end and the deadline know that.
    let mut waker: Option<Waker> = None;
    let mut is_ending = false;
    let served = poll_fn(|cx| {
        loop {
            if let Poll::Ready(served) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(served));
            }
            let is_watched = waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if !is_watched {
                waker = Some(cx.waker().clone());
            }
            if !is_ending && (!is_watched || end.is_asked()) && ending.as_mut().poll(cx).is_ready() {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            return deadline.poll(&peer.activity, is_watched, cx).map(|()| None);
        }
    });
    match served.await {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            tracing::debug!(peer = %address, error = crate::failure::chain(&error), "a connection ended early");
        }
        None => tracing::debug!(peer = %address, "a connection was cut: no request came in {HEAD_TIME:?}"),
    }
}
