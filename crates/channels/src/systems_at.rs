//! Where systems may be, and how they may be spoken with: what whoever runs a server says of it.
//!
//! An address is judged as it is called, like those of webhooks (`reach`): a name by what it leads to at that moment, unless the name
//! itself is listed. Over plain HTTP a system is spoken with on this machine and in private networks alone, unless that is allowed.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::reach::{in_clear, is_private, look_up};

/// Where systems may be, and how they may be spoken with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SystemsAt {
    /// There alone; none: anywhere.
    pub listed: Option<Listed>,
    /// Over plain HTTP at public addresses too.
    pub may_be_plain: bool,
}

impl SystemsAt {
    /// Anywhere, however they are spoken with: who connects them is who runs the program.
    pub const ANYWHERE: Self = Self { listed: None, may_be_plain: true };

    /// What is wrong with where a system is, as far as that can be told from its address.
    ///
    /// # Errors
    /// What would be right.
    pub fn check(&self, url: &str) -> Result<(), String> {
        // What is no address of a host leads nowhere.
        let Ok(url) = Url::parse(url) else { return Ok(()) };
        let Some(host) = url.host_str() else { return Ok(()) };
        let host = host.trim_matches(['[', ']']);
        match (host.parse(), &self.listed) {
            (Ok(address), _) => self.allows(host, address, url.scheme() == "http"),
            (Err(_), Some(listed)) if !listed.may_have(host) => Err(self.elsewhere(host)),
            (Err(_), _) => Ok(()),
        }
    }

    /// May a host be called at that address?
    fn allows(&self, host: &str, address: IpAddr, is_plain: bool) -> Result<(), String> {
        let address = address.to_canonical();
        if self.listed.as_ref().is_some_and(|listed| !listed.has(host, address)) {
            return Err(self.elsewhere(host));
        }
        if is_plain && !self.may_be_plain && !is_private(address) {
            return Err(format!("it must be {}", in_clear(host)));
        }
        Ok(())
    }

    fn elsewhere(&self, host: &str) -> String {
        let listed = self.listed.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("`{host}` is not where systems may be, by `--systems-at`: {listed}")
    }

    /// The addresses of a host that may be called, as they are now.
    pub(crate) async fn reach(
        &self,
        host: &str,
        port: u16,
        is_plain: bool,
    ) -> Result<Vec<SocketAddr>, String> {
        let found = look_up(host, port).await.map_err(|error| format!("`{host}` is not found: {error}"))?;
        let mut why = None;
        let judged = found.into_iter().filter(|one| match self.allows(host, one.ip(), is_plain) {
            Ok(()) => true,
            Err(wrong) => {
                why = Some(wrong);
                false
            }
        });
        let good: Vec<SocketAddr> = judged.collect();
        match why {
            Some(why) if good.is_empty() => Err(why),
            _ => Ok(good),
        }
    }

    /// What looks names up for calls in clear, or over TLS.
    pub fn resolver(&self, is_plain: bool) -> Arc<impl Resolve + 'static> {
        Arc::new(Resolver { at: Arc::new(self.clone()), is_plain })
    }
}

struct Resolver {
    at: Arc<SystemsAt>,
    is_plain: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (at, is_plain) = (self.at.clone(), self.is_plain);
        Box::pin(async move {
            // Port 0 becomes that of the address that is asked for.
            let found = at.reach(name.as_str(), 0, is_plain).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Hosts and networks: `shop.example.com`, `*.myshopify.com`, `10.0.0.0/8`, `192.0.2.7`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed(Vec<Place>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Host(String),
    /// Every host whose name ends so, with a dot before.
    Below(String),
    Network(IpAddr, u8),
}

impl Listed {
    fn names(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.0.iter().any(|place| match place {
            Place::Host(name) => *name == host,
            Place::Below(name) => host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
            Place::Network(..) => false,
        })
    }

    /// Could a host of that name be one of these, once it is known where it is?
    fn may_have(&self, host: &str) -> bool {
        self.names(host) || self.0.iter().any(|place| matches!(place, Place::Network(..)))
    }

    fn has(&self, host: &str, address: IpAddr) -> bool {
        let is_in = |place: &Place| matches!(place, Place::Network(of, bits) if is_in(address, *of, *bits));
        self.names(host) || self.0.iter().any(is_in)
    }
}

/// Is an address one of those whose first bits are that one's?
fn is_in(address: IpAddr, of: IpAddr, bits: u8) -> bool {
    let (ours, theirs, width) = match (address, of) {
        (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
            (u128::from(ours.to_bits()), u128::from(theirs.to_bits()), 32)
        }
        (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits(), theirs.to_bits(), 128),
        _ => return false,
    };
    // Of no bits each is one.
    (ours ^ theirs).checked_shr(width - u32::from(bits)).unwrap_or(0) == 0
}

impl FromStr for Listed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let places = text.split(',').map(|place| Place::from_str(place.trim()));
        places.collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "it must be hosts and networks with commas between, such as shop.example.com,*.myshopify.com,10.0.0.0/8"
                .to_owned()
        };
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| wrong())?;
            let bits: u8 = bits.parse().map_err(|_| wrong())?;
            let width = if address.is_ipv4() { 32 } else { 128 };
            return if bits <= width { Ok(Self::Network(address, bits)) } else { Err(wrong()) };
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(Self::Network(address, if address.is_ipv4() { 32 } else { 128 }));
        }
        let (name, is_below) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
        let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-._".contains(&letter);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(is_plain) {
            return Err(wrong());
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        Ok(if is_below { Self::Below(name) } else { Self::Host(name) })
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, place) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            match place {
                Place::Host(name) => write!(f, "{comma}{name}")?,
                Place::Below(name) => write!(f, "{comma}*.{name}")?,
                Place::Network(address, bits) => write!(f, "{comma}{address}/{bits}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(listed: &str) -> SystemsAt {
        SystemsAt { listed: Some(listed.parse().unwrap()), may_be_plain: false }
    }

    #[test]
    fn systems_are_where_they_are_listed_and_nowhere_else() {
        let at = at("shop.example.com, *.myshopify.com,10.0.0.0/8,192.0.2.7,fd00::/8");
        for good in [
            "https://shop.example.com/x",
            "https://SHOP.example.com.",
            "https://one.myshopify.com",
            "https://10.255.0.1:8443",
            "http://10.0.0.1",
            "https://192.0.2.7",
            "sftp://[fd00::7]/in",
            "/srv/exchange",
            // Known once it is called.
            "https://elsewhere.example.com",
        ] {
            assert_eq!(at.check(good), Ok(()), "{good}");
        }
        for bad in [
            "https://11.0.0.1",
            "https://192.0.2.8",
            "http://127.0.0.1:7171",
            "sftp://[fe80::1]/in",
            "https://[::ffff:127.0.0.1]",
        ] {
            let why = at.check(bad).unwrap_err();
            assert!(
                why.contains("is not where systems may be, by `--systems-at`: shop.example.com,*.my"),
                "{bad}: {why}"
            );
        }
        let named = "shop.example.com,*.myshopify.com".parse().unwrap();
        let named = SystemsAt { listed: Some(named), may_be_plain: false };
        for bad in
            ["https://myshopify.com", "https://evilmyshopify.com", "https://shop.example.com.evil.example"]
        {
            assert!(named.check(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_where_it_leads() {
        let reached = async |listed: &str, is_plain| at(listed).reach("localhost", 80, is_plain).await;
        assert!(reached("127.0.0.0/8,::1", true).await.is_ok());
        assert!(reached("localhost", true).await.is_ok(), "the name itself is listed");
        let why = reached("10.0.0.0/8", false).await.unwrap_err();
        assert!(why.contains("`localhost` is not where systems may be"), "{why}");
    }

    #[test]
    fn what_is_public_is_spoken_with_over_tls() {
        let strict = SystemsAt { listed: None, may_be_plain: false };
        for (url, is_good) in [
            ("http://93.184.216.34", false),
            ("https://93.184.216.34", true),
            ("http://192.168.1.7", true),
            ("http://127.0.0.1:3000", true),
            ("http://[2606:4700::1111]", false),
            ("sftp://93.184.216.34/in", true),
        ] {
            assert_eq!(strict.check(url).is_ok(), is_good, "{url}");
            assert_eq!(SystemsAt::ANYWHERE.check(url), Ok(()), "{url}");
        }
        let why = strict.check("http://93.184.216.34").unwrap_err();
        assert!(why.contains("over TLS (https://)") && why.contains("--plain-outside"), "{why}");
    }

    #[test]
    fn what_is_no_host_and_no_network_is_said() {
        for wrong in
            ["", "a b", "10.0.0.0/33", "::/129", "10.0.0/8", "https://shop.example.com", "*.", "a,,b"]
        {
            let why = wrong.parse::<Listed>().unwrap_err();
            assert!(why.contains("such as shop.example.com,*.myshopify.com,10.0.0.0/8"), "{wrong}: {why}");
        }
        assert_eq!("0.0.0.0/0,[::1]".parse::<Listed>().unwrap().to_string(), "0.0.0.0/0,::1/128");
        assert!(is_in("8.8.8.8".parse().unwrap(), "0.0.0.0".parse().unwrap(), 0));
    }
}
