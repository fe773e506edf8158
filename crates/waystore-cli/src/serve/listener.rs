//! Accepts connections, and stops in order.
//!
//! Knows sockets and HTTP/1.1's limits; what a request means is [`handle`]'s business.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    deadline::HeadTimer,
    handler::{Gateway, Peer, handle},
    socket::Socket,
};
use crate::failure::Failure;

/// A request's head, or the next one on a connection, has to come within this time.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// A request's head has to fit.
const HEAD_BYTES: usize = 64 * 1024;
/// Headers of one request.
const MOST_HEADERS: usize = 128;
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
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                // A token of its own: asked each time the connection is woken, and all threads would meet at a shared one.
                let connection = connection(stream, peer, Arc::clone(&gateway), stop.child_token());
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

async fn connection(stream: TcpStream, peer: SocketAddr, gateway: Arc<Gateway>, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "a connection was lost at once");
        return;
    }
    let stream = Socket::new(stream, gateway.config.timeouts.body);
    // Shared by this connection's requests only, one after the other, so that counting costs little.
    let peer = Arc::new(Peer { gateway, address: peer });
    let service = service_fn(|request| {
        let peer = Arc::clone(&peer);
        async move { Ok::<_, Infallible>(handle(&peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(HeadTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(peer = %peer.address, error = crate::failure::chain(&error), "a connection ended early");
    }
}
