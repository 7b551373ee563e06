//! Which addresses that others name may be called, and how.
//!
//! Whoever may name an address could make us call what only we reach, so private addresses are refused unless the installation
//! allows them. The address that was looked up and found good is the one that is called: it is not looked up twice.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Where somebody waits for us, nobody waits longer for whoever knows where a name is.
pub(crate) const LOOK_UP: Duration = Duration::from_secs(2);

/// What may be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Access {
    /// Private addresses too.
    pub may_call_private: bool,
    /// What allows these.
    pub allowed_by: &'static str,
    /// Public addresses in clear too.
    pub may_be_plain: bool,
}

/// What allows that public addresses are called in clear.
pub(crate) const PLAIN_BY: &str = "--plain-outside";

/// Of these addresses those that may be called, in clear or not.
pub(crate) fn allowed(
    host: &str,
    mut found: Vec<SocketAddr>,
    is_plain: bool,
    access: Access,
) -> Result<Vec<SocketAddr>, String> {
    if is_plain && !access.may_be_plain {
        found.retain(|one| is_private(one.ip()));
        if found.is_empty() {
            return Err(in_clear(host));
        }
    }
    let good: Vec<SocketAddr> =
        found.into_iter().filter(|one| access.may_call_private || !is_private(one.ip())).collect();
    if good.is_empty() {
        let by = access.allowed_by;
        return Err(format!(
            "a public address: `{host}` is a private one, which is called only where the server runs with `{by}`"
        ));
    }
    Ok(good)
}

/// What would be right of an address that is called in clear.
pub(crate) fn in_clear(host: &str) -> String {
    format!(
        "spoken with over TLS (https://): `{host}` is a public address, and what is said in clear is readable on the way there; the \
         server allows it with `{PLAIN_BY}`"
    )
}

/// The addresses of a host that may be called, in clear or not, as they are now.
pub(crate) async fn reach(
    host: &str,
    port: u16,
    is_plain: bool,
    access: Access,
    longest: Duration,
) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::time::timeout(longest, look_up(host, port)).await;
    let found = found.map_err(|_| format!("nobody says in time where `{host}` is"))?;
    let found = found.map_err(|error| format!("`{host}` is not found: {error}"))?;
    allowed(host, found, is_plain, access).map_err(|right| format!("it must be {right}"))
}

/// Is an address of HTTP called in clear?
pub(crate) fn is_plain(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| url.scheme() == "http")
}

/// What calls a host at these addresses and no other: by no proxy, and without being sent on.
pub(crate) fn client(host: &str, found: &[SocketAddr]) -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .user_agent(concat!("onhand/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .resolve_to_addrs(host, found)
        .build()
        .map_err(|error| error.to_string())
}

/// An error with what caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            let _ = write!(text, ": {next_text}");
        }
        cause = next.source();
    }
    text
}

/// The host and port of an address.
pub(crate) fn host_of(url: &str) -> Result<(String, u16), String> {
    let wrong = || "an address that begins with https:// or http://".to_owned();
    let parsed = reqwest::Url::parse(url).map_err(|_| wrong())?;
    let host = parsed.host_str().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
    Ok((host, parsed.port_or_known_default().ok_or_else(wrong)?))
}

/// Where a name is.
pub(crate) async fn look_up(host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

/// Is it an address that not everybody reaches (IANA's registries of special addresses, RFC 6890)?
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => match inner(v6) {
            Some(v4) => is_private_v4(v4),
            None => {
                v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.is_unique_local()
                    || v6.is_unicast_link_local()
            }
        },
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || first == 0
        || first >= 224
        || (first == 100 && (64..128).contains(&second))
        || (first == 198 && (second == 18 || second == 19))
        || (first, second, third) == (192, 0, 0)
}

/// The address of four bytes that one of sixteen stands for: mapped, compatible, translated (RFC 6052) or 6to4 (RFC 3056).
fn inner(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let four = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(four(high, low))
        }
        [0x2002, high, low, ..] => Some(four(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_refused_unless_they_are_allowed() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in
            ["8.8.8.8", "100.128.0.1", "198.20.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]
        {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
        let found: Vec<SocketAddr> = ["10.0.0.1:25", "8.8.8.8:25"].map(|one| one.parse().unwrap()).to_vec();
        let strict = Access { may_call_private: false, allowed_by: "--alert-private", may_be_plain: false };
        assert_eq!(allowed("mail", found.clone(), false, strict).unwrap(), ["8.8.8.8:25".parse().unwrap()]);
        let why = allowed("mail", found[..1].to_vec(), false, strict).unwrap_err();
        assert!(why.contains("`mail` is a private one") && why.contains("--alert-private"), "{why}");
        let free = Access { may_call_private: true, ..strict };
        assert_eq!(allowed("mail", found.clone(), false, free).unwrap(), found);
        // In clear no public one is, unless that is allowed.
        assert_eq!(allowed("mail", found.clone(), true, free).unwrap(), found[..1]);
        let why = allowed("mail", found[1..].to_vec(), true, free).unwrap_err();
        assert!(why.contains("over TLS") && why.contains("--plain-outside"), "{why}");
        let plain = Access { may_be_plain: true, ..strict };
        assert_eq!(allowed("mail", found.clone(), true, plain).unwrap(), found[1..]);
        assert_eq!(host_of("http://[::1]:8080/x").unwrap(), ("::1".to_owned(), 8080));
        assert_eq!(host_of("https://user:pass@example.com/x").unwrap(), ("example.com".to_owned(), 443));
    }
}
