//! Ports that no web page may reach: what listens there could take HTTP for its own protocol. Pure.
//!
//! Spec: <https://fetch.spec.whatwg.org/#port-blocking>

use url::Url;

const BLOCKED: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// Whether the port of `url` is one of them.
pub(super) fn is_blocked(url: &Url) -> bool {
    url.port().is_some_and(|port| BLOCKED.binary_search(&port).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_other_protocols_are_blocked() {
        let blocked = |text: &str| is_blocked(&Url::parse(text).unwrap());
        assert!(blocked("http://a.test:25/") && blocked("http://a.test:6000/") && blocked("https://a.test:10080/"));
        assert!(!blocked("http://a.test/") && !blocked("https://a.test:8443/") && !blocked("http://a.test:443/"));
        assert!(BLOCKED.is_sorted(), "they are looked for by halves");
    }
}
