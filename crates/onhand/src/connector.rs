//! Which channel speaks with which kind of system.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use onhand_channels::edi::Edi;
use onhand_channels::files::Files;
use onhand_channels::medusa::Medusa;
use onhand_channels::protocol::Protocol;
use onhand_channels::shop::CornerShop;
use onhand_channels::shopify::Shopify;
use onhand_channels::skulabs::SkuLabs;
use onhand_channels::systems_at::SystemsAt;
use onhand_channels::vendure::Vendure;
use onhand_channels::woocommerce::WooCommerce;
use onhand_channels::{ANSWERS_WITHIN, CONNECTS_WITHIN, Channel, ChannelError};
use onhand_engine::systems::{Connection, Connector};
use reqwest::redirect;

/// So many times one call is sent on at most.
const REDIRECTS: usize = 5;

/// What speaks HTTP with outside systems, where those may be: in clear alone, or over TLS alone.
fn client(at: &SystemsAt, is_plain: bool) -> reqwest::Result<reqwest::Client> {
    builder().https_only(!is_plain).dns_resolver(at.resolver(is_plain)).build()
}

/// What speaks HTTP with whatever system.
pub(crate) fn http() -> reqwest::Result<reqwest::Client> {
    builder().build()
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .timeout(ANSWERS_WITHIN)
        .connect_timeout(CONNECTS_WITHIN)
        .user_agent(concat!("onhand/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::custom(follow))
}

/// An outside system may send us on within its own host: what signs us in goes to no other.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let next = attempt.url();
    let is_own = attempt.previous().first().is_some_and(|first| first.origin() == next.origin());
    if is_own && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}

/// Makes the channels that this binary has.
pub(crate) struct Channels {
    at: SystemsAt,
    /// Over TLS, and in clear.
    clients: [reqwest::Client; 2],
    /// Folders of this machine must lie in this one; none: no folder may be named; everything: any.
    folders: Folders,
}

/// Which folders of this machine may be named by whoever connects a system.
#[derive(Clone, Debug, Default)]
pub(crate) enum Folders {
    /// Any: who connects is who runs the program.
    #[default]
    Any,
    /// Those in this one; none where there is none.
    In(Option<PathBuf>),
}

impl Channels {
    /// Of systems that are where they may be.
    pub fn new(folders: Folders, at: SystemsAt) -> anyhow::Result<Self> {
        let clients = [client(&at, false)?, client(&at, true)?];
        Ok(Self { at, clients, folders })
    }

    /// What speaks with a system at that address, if it may be there.
    fn http(&self, system: &str, url: &str) -> Result<reqwest::Client, ChannelError> {
        let wrong = |reason| ChannelError::Address { system: system.to_owned(), reason };
        self.at.check(url).map_err(wrong)?;
        let [over_tls, in_clear] = &self.clients;
        let is_plain = url.trim_start().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
        Ok(if is_plain { in_clear } else { over_tls }.clone())
    }

    /// May files be exchanged in that folder?
    fn check_folder(&self, system: &str, url: &str) -> Result<(), ChannelError> {
        let Folders::In(allowed) = &self.folders else { return Ok(()) };
        let path = url.strip_prefix("file://").unwrap_or(url);
        if !path.starts_with('/') {
            return Ok(());
        }
        let wrong = |reason: String| ChannelError::Address { system: system.to_owned(), reason };
        let Some(allowed) = allowed else {
            return Err(wrong(
                "no folder of this machine may be named: start with `serve --files-in FOLDER`".to_owned(),
            ));
        };
        let whole = |path: &Path| {
            path.canonicalize().map_err(|error| wrong(format!("the folder {}: {error}", path.display())))
        };
        if whole(Path::new(path))?.starts_with(whole(allowed)?) {
            return Ok(());
        }
        Err(wrong(format!(
            "{path} is not in {}, where folders may be (`serve --files-in`)",
            allowed.display()
        )))
    }
}

impl Connector for Channels {
    fn connect(&self, name: &str, connection: &Connection) -> Result<Arc<dyn Channel>, ChannelError> {
        let Connection { kind, url, username, secret, settings } = connection;
        let http = self.http(name, url)?;
        match kind.as_str() {
            "shop" => Ok(Arc::new(CornerShop::new(name, url, secret.reveal(), http))),
            "files" => {
                self.check_folder(name, url)?;
                Ok(Arc::new(Files::new(name, url, username, secret.reveal(), settings, (http, &self.at))?))
            }
            "edi" => {
                self.check_folder(name, url)?;
                Ok(Arc::new(Edi::new(name, url, username, secret.reveal(), settings, (http, &self.at))?))
            }
            "shopify" => Ok(Arc::new(Shopify::new(name, url, username, secret.reveal(), http))),
            "skulabs" => Ok(Arc::new(SkuLabs::new(name, url, secret.reveal(), settings, http)?)),
            "medusa" => Ok(Arc::new(Medusa::new(name, url, secret.reveal(), http))),
            "protocol" => Ok(Arc::new(Protocol::new(name, url, secret.reveal(), http))),
            "vendure" => Ok(Arc::new(Vendure::new(name, url, username, secret.reveal(), http))),
            "woocommerce" => Ok(Arc::new(WooCommerce::new(name, url, username, secret.reveal(), http)?)),
            other => Err(ChannelError::Unexpected {
                system: name.to_owned(),
                reason: format!(
                    "there is no channel for systems of kind `{other}`; there are `edi`, `files`, `medusa`, `protocol`, `shop`, `shopify`, `skulabs`, \
                     `vendure` and `woocommerce`"
                ),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// What was asked of a server, each as it came.
    type Heard = Arc<Mutex<Vec<String>>>;

    /// Sends whoever asks on to a place, where it answers.
    async fn send_on(listener: TcpListener, to: String, heard: Heard) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 4_096];
            let read = stream.read(&mut bytes).await.unwrap();
            let asked = String::from_utf8_lossy(&bytes[..read]).into_owned();
            let status = if asked.starts_with("GET /there ") { "200 OK" } else { "302 Found" };
            heard.lock().unwrap().push(asked);
            let head = format!("HTTP/1.1 {status}\r\nlocation: {to}\r\ncontent-length: 0\r\n");
            stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await.unwrap();
        }
    }

    /// What comes of connecting a system there, where a server says where they may be.
    async fn tried(listed: &str, url: &str) -> Result<(), ChannelError> {
        let at = SystemsAt { listed: Some(listed.parse().unwrap()), may_be_plain: false };
        let channels = Channels::new(Folders::In(None), at).unwrap();
        let connection = Connection {
            kind: "medusa".to_owned(),
            url: url.to_owned(),
            username: String::new(),
            secret: "the-key".into(),
            settings: BTreeMap::new(),
        };
        channels.connect("Shop", &connection)?.test().await
    }

    #[tokio::test]
    async fn a_system_is_called_where_systems_may_be_and_nowhere_else() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Heard::default();
        tokio::spawn(send_on(listener, "/there".to_owned(), heard.clone()));
        // By its number it is known at once, by its name once it is called.
        let why = tried("10.0.0.0/8", &format!("http://127.0.0.1:{port}")).await.unwrap_err();
        assert!(matches!(why, ChannelError::Address { .. }), "{why}");
        for (listed, is_known_by_name) in [("10.0.0.0/8", false), ("shop.example.com", true)] {
            let why = tried(listed, &format!("http://localhost:{port}")).await.unwrap_err();
            assert_eq!(matches!(why, ChannelError::Address { .. }), is_known_by_name, "{why}");
            assert!(why.to_string().contains("is not where systems may be"), "{why}");
        }
        assert!(heard.lock().unwrap().is_empty(), "nobody was called");
        let _ = tried("localhost", &format!("http://localhost:{port}")).await;
        assert!(!heard.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_sends_us_elsewhere_is_not_followed_and_within_itself_is() {
        let one = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (here, there) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let (heard_here, heard_there) = (Heard::default(), Heard::default());
        let to = format!("http://{there}/there");
        tokio::spawn(send_on(one, to.clone(), heard_here.clone()));
        tokio::spawn(send_on(other, to, heard_there.clone()));
        let asked = |at: std::net::SocketAddr| {
            http().unwrap().get(format!("http://{at}/")).header("x-access-token", "the-key").send()
        };
        assert_eq!(asked(here).await.unwrap().status(), 302);
        assert!(heard_here.lock().unwrap()[0].contains("the-key"));
        assert!(heard_there.lock().unwrap().is_empty(), "our key goes to nobody else");
        assert_eq!(asked(there).await.unwrap().status(), 200);
        assert_eq!(heard_there.lock().unwrap().len(), 2);
    }
}
