//! Opens connections: to the upstream whatever is asked, and to the world where the address is public.
//!
//! The address is checked after the name is resolved, at every connection: a name that a script knows
//! may come to mean the machine's own network at any time.

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::private::PrivateOrigins;

/// Opens TCP connections for one purpose.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    target: Target,
    timeout: Duration,
}

#[derive(Debug, Clone)]
enum Target {
    /// This host and port, whatever URL is asked for.
    Upstream(Arc<str>, u16),
    /// The URL's host, unless its address is private and it is none of these.
    World(PrivateOrigins),
}

impl Connector {
    /// Always connects to this host and port.
    pub(crate) fn upstream(host: &str, port: u16, timeout: Duration) -> Self {
        Self { target: Target::Upstream(host.into(), port), timeout }
    }

    /// Connects to public addresses, and to the origins of `private`.
    pub(crate) fn world(timeout: Duration, private: PrivateOrigins) -> Self {
        Self { target: Target::World(private), timeout }
    }

    /// # Errors
    ///
    /// No address could be reached, or none may be.
    pub(crate) async fn connect(&self, uri: &Uri) -> io::Result<TcpStream> {
        let connected = tokio::time::timeout(self.timeout, self.connect_to_any(uri)).await;
        connected.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the connection took too long")))
    }

    async fn connect_to_any(&self, uri: &Uri) -> io::Result<TcpStream> {
        let (host, port, anywhere) = match &self.target {
            Target::Upstream(host, port) => (&**host, *port, true),
            Target::World(private) => {
                let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
                (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(default), private.cover(uri))
            }
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let (mut failed, mut refused) = (None, None);
        for address in tokio::net::lookup_host((host, port)).await? {
            if !anywhere && !is_public(address.ip()) {
                refused = Some(address.ip());
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => failed = Some(error),
            }
        }
        // One that may be reached, and was not at the moment, says more than one that never is.
        Err(match (failed, refused) {
            (Some(error), _) => error,
            (None, Some(address)) => NotPublic(address).into(),
            (None, None) => io::Error::new(io::ErrorKind::NotFound, format!("`{host}` has no address")),
        })
    }
}

/// The address is one that scripts do not reach, whenever they try.
#[derive(Debug)]
pub(super) struct NotPublic(IpAddr);

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is not a public address, and scripts reach others only where `private_origins` names them",
            self.0
        )
    }
}

impl std::error::Error for NotPublic {}

impl From<NotPublic> for io::Error {
    fn from(refused: NotPublic) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, refused)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await.map(TokioIo::new) })
    }
}

/// Whether an address is one of the public internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        0 | 10 | 127 => true,
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => b == 168 || b == 0 && (c == 0 || c == 2) || b == 88 && c == 99,
        198 => b == 18 || b == 19 || b == 51 && c == 100,
        203 => b == 0 && c == 113,
        224.. => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Unspecified, loopback, and the old IPv4-compatible form.
        [0, 0, 0, 0, 0, 0, ..] => false,
        // Translated IPv4 (RFC 6052), of the well-known prefix and of local ones.
        [0x64, 0xFF9B, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x64, 0xFF9B, ..] => false,
        // 6to4 and Teredo.
        [0x2002, high, low, ..] => embedded(high, low),
        [0x2001, 0, ..] => false,
        // Documentation and discard-only.
        [0x2001, 0xDB8, ..] | [0x100, 0, 0, 0, ..] => false,
        // Unique local, link-local, the old site-local, multicast.
        [first, ..] => first & 0xFE00 != 0xFC00 && first & 0xFF80 != 0xFE80 && first & 0xFF00 != 0xFF00,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g4_private_addresses_are_refused_in_every_spelling() {
        let private = [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:db8::1",
        ];
        for text in private {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_not() {
        let public = [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "2002:101:101::",
        ];
        for text in public {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn g4_the_check_is_made_on_the_address_not_on_the_name() {
        let world = Connector::world(Duration::from_secs(5), PrivateOrigins::default());
        for url in ["http://localhost:1/", "http://127.0.0.1:1/", "http://[::1]:1/", "http://[::ffff:127.0.0.1]:1/"] {
            let error = world.connect(&url.parse().unwrap()).await.unwrap_err();
            assert!(error.get_ref().is_some_and(|cause| cause.is::<NotPublic>()), "{url}: {error}");
        }
    }
}
