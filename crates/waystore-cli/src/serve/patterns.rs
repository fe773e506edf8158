//! The little languages of the configuration: cookie names, paths, networks. Pure.

use std::net::IpAddr;

/// Names, where a trailing `*` stands for any ending.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(Vec<String>);

impl Names {
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }

    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.0.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start.as_bytes()),
            None => name == pattern.as_bytes(),
        })
    }
}

/// Patterns of paths: `*` stands for any run without `/`, `**` for any run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Globs(Vec<String>);

impl Globs {
    pub(crate) fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        Self(patterns.into_iter().map(str::to_owned).collect())
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        self.0.iter().any(|pattern| glob(pattern.as_bytes(), path.as_bytes()))
    }
}

/// Whether `text` is of the shape of `pattern`, in time that grows with the product of their lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // `reached[i]`: the part of the pattern read so far matches the first `i` bytes.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut rest = pattern;
    while let Some((&first, after)) = rest.split_first() {
        if first != b'*' {
            for i in (0..text.len()).rev() {
                reached[i + 1] = reached[i] && text[i] == first;
            }
            reached[0] = false;
            rest = after;
            continue;
        }
        let deep = after.first() == Some(&b'*');
        for i in 0..text.len() {
            reached[i + 1] |= reached[i] && (deep || text[i] != b'/');
        }
        rest = if deep { &after[1..] } else { after };
    }
    reached[text.len()]
}

/// IP networks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Networks(Vec<(IpAddr, u8)>);

impl Networks {
    /// # Errors
    ///
    /// What is not an address or a network, in words.
    pub(crate) fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        texts.into_iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|(network, bits)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= u32::from(*bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= u32::from(*bits)
            }
            _ => false,
        })
    }
}

fn network(text: &str) -> Result<(IpAddr, u8), String> {
    let wrong = || format!("`{text}` is not an address or a network such as `10.0.0.0/8`");
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
    if bits <= most { Ok((address, bits)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_at_the_end_of_a_name_is_any_ending() {
        let names = Names::new(["_ga", "_hj*"]);
        assert!(names.contains(b"_ga") && names.contains(b"_hjid") && names.contains(b"_hj"));
        assert!(!names.contains(b"_gab") && !names.contains(b"session"));
    }

    #[test]
    fn one_star_stays_within_a_segment_and_two_do_not() {
        let matches = |pattern, path| Globs::new([pattern]).matches(path);
        assert!(matches("/assets/**", "/assets/a/b.css") && matches("/assets/**", "/assets/"));
        assert!(matches("/assets/*.css", "/assets/a.css") && !matches("/assets/*.css", "/assets/a/b.css"));
        assert!(matches("/a*c*e", "/abcde") && !matches("/a*c*e", "/abcd") && !matches("/a", "/ab"));
        assert!(matches("/**/*.js", "/x/y/z.js") && !matches("/**/*.js", "/z.css"));
    }

    #[test]
    fn networks_hold_their_addresses() {
        let networks = Networks::parse(["10.0.0.0/8", "::1", "0.0.0.0/0"]).unwrap();
        assert!(networks.contains("10.1.2.3".parse().unwrap()) && networks.contains("::1".parse().unwrap()));
        assert!(!networks.contains("::2".parse().unwrap()));
        let ten = Networks::parse(["10.0.0.0/8"]).unwrap();
        assert!(ten.contains("::ffff:10.1.2.3".parse().unwrap()) && !ten.contains("11.0.0.0".parse().unwrap()));
        assert!(Networks::parse(["10.0.0.0/33"]).is_err() && Networks::parse(["shop"]).is_err());
    }
}
