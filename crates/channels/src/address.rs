//! Which addresses lead to the same system, however they are spelt.
//!
//! They are compared as text alone: nobody is asked where a name is, so a shop with two names counts as two.

use std::net::IpAddr;

use reqwest::Url;

/// What an address of a kind of system may end with and lead to the same: the path of its API.
fn api_paths(kind: &str) -> &'static [&'static str] {
    match kind {
        // Its API, or its pages (<https://docs.medusajs.com/learn/configurations/medusa-config#path>: `/app` unless told otherwise).
        "medusa" => &["/admin", "/app"],
        "vendure" => &["/admin-api"],
        "woocommerce" => &["/wp-json/wc/v3", "/wp-json"],
        _ => &[],
    }
}

/// An address or its path without that of the API, and without a slash at its end.
pub(crate) fn without_api<'a>(kind: &str, address: &'a str) -> &'a str {
    let address = address.trim_end_matches('/');
    let stripped = api_paths(kind).iter().find_map(|path| address.strip_suffix(path));
    stripped.unwrap_or(address).trim_end_matches('/')
}

/// Does an address lead to this very machine, by its spelling?
pub(crate) fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Does one system's address name another host, and that by its number? Nobody looks such an address up, so that nobody has judged whether
/// a system may be there.
pub(crate) fn is_elsewhere_by_number(own: &str, other: &str) -> bool {
    let host = |url: &str| Url::parse(url).ok().and_then(|url| url.host_str().map(host_of));
    let Some(other) = host(other) else { return false };
    let is_number = other == "localhost" || other.parse::<IpAddr>().is_ok();
    is_number && host(own).as_ref() != Some(&other)
}

/// Is there one shop of that kind at an address, whoever signs in? Of other kinds several accounts may be told apart by who does.
pub fn is_of_one_shop(kind: &str) -> bool {
    ["medusa", "shop", "shopify", "vendure", "woocommerce"].contains(&kind)
}

/// Do two addresses lead to the same system of a kind?
pub fn is_same(kind: &str, one: &str, other: &str) -> bool {
    place(kind, one) == place(kind, other)
}

/// Where an address leads.
#[derive(PartialEq, Eq, Debug)]
enum Place {
    /// By whichever of HTTP and HTTPS.
    At { host: String, port: Option<u16>, path: String },
    /// It is no address that we can take apart.
    Text(String),
}

fn place(kind: &str, address: &str) -> Place {
    let path_of = |path: &str| without_api(kind, &path.to_lowercase()).to_owned();
    let address = address.trim();
    let Ok(url) = Url::parse(address) else { return Place::Text(path_of(address)) };
    let Some(host) = url.host_str() else { return Place::Text(path_of(address)) };
    let port = url.port().filter(|port| ![80, 443].contains(port));
    Place::At { host: host_of(host), port, path: path_of(url.path()) }
}

/// The name of a host, this machine's own names being one.
fn host_of(host: &str) -> String {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_lowercase();
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(address) if address.is_loopback() || address.is_unspecified() => "localhost".to_owned(),
        Ok(address) => address.to_string(),
        Err(_) => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shop_is_known_by_each_spelling_of_its_address() {
        for (kind, one, others) in [
            (
                "woocommerce",
                "https://shop.example.com",
                vec![
                    "https://shop.example.com/",
                    "https://shop.example.com//",
                    "https://SHOP.example.com.",
                    "https://shop.example.com:443",
                    "http://shop.example.com",
                    "http://shop.example.com:80/",
                    "https://shop.example.com/wp-json",
                    "https://shop.example.com/wp-json/wc/v3/",
                    " https://key@shop.example.com/?page=1#top",
                ],
            ),
            (
                "vendure",
                "http://127.0.0.1:3000",
                vec![
                    "http://localhost:3000/admin-api",
                    "http://127.1:3000/",
                    "http://[::1]:3000",
                    "http://[::ffff:127.0.0.1]:3000",
                    "http://0.0.0.0:3000",
                    "http://LocalHost.:3000/Admin-API/",
                ],
            ),
            (
                "medusa",
                "http://127.0.0.1:9000",
                vec!["http://localhost:9000/app/", "http://127.0.0.1:9000/admin"],
            ),
            ("shopify", "https://bücher.myshopify.com", vec!["https://xn--bcher-kva.myshopify.com"]),
            ("protocol", "warehouse/", vec!["Warehouse"]),
        ] {
            for other in others {
                assert!(is_same(kind, one, other), "{kind}: {one} and {other}");
            }
        }
    }

    #[test]
    fn nobody_is_led_to_a_number_elsewhere() {
        let own = "https://one.myshopify.com";
        for (own, other, is_one) in [
            (own, "https://storage.googleapis.com/file", false),
            (own, "https://169.254.169.254/latest", true),
            (own, "https://[::1]/file", true),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/file", false),
        ] {
            assert_eq!(is_elsewhere_by_number(own, other), is_one, "{other}");
        }
    }

    #[test]
    fn what_is_elsewhere_is_another() {
        for (kind, one, other) in [
            ("woocommerce", "https://shop.example.com", "https://shop.example.org"),
            ("woocommerce", "https://example.com/one", "https://example.com/two"),
            ("woocommerce", "https://example.com/shop", "https://example.com"),
            ("shopify", "https://one.myshopify.com", "https://two.myshopify.com"),
            ("shop", "http://127.0.0.1:8080", "http://127.0.0.1:8081"),
            ("shop", "http://one.localhost:8080", "http://two.localhost:8080"),
            ("protocol", "https://wms.example.com/wp-json", "https://wms.example.com"),
        ] {
            assert!(!is_same(kind, one, other), "{kind}: {one} and {other}");
        }
    }
}
