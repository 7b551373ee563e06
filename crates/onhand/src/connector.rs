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
use onhand_channels::vendure::Vendure;
use onhand_channels::woocommerce::WooCommerce;
use onhand_channels::{ANSWERS_WITHIN, CONNECTS_WITHIN, Channel, ChannelError};
use onhand_engine::systems::{Connection, Connector};
use reqwest::redirect;

/// So many times one call is sent on at most.
const REDIRECTS: usize = 5;

/// What speaks HTTP with outside systems.
pub(crate) fn http() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .timeout(ANSWERS_WITHIN)
        .connect_timeout(CONNECTS_WITHIN)
        .user_agent(concat!("onhand/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::custom(follow))
        .build()
}

/// An outside system may send us on within its own host: what signs us in goes to no other.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let next = attempt.url();
    let is_own = attempt.previous().first().is_some_and(|first| first.origin() == next.origin());
    if is_own && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}

/// Makes the channels that this binary has.
pub(crate) struct Channels {
    http: reqwest::Client,
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
    pub fn new(folders: Folders) -> anyhow::Result<Self> {
        Ok(Self { http: http()?, folders })
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
        let http = self.http.clone();
        match kind.as_str() {
            "shop" => Ok(Arc::new(CornerShop::new(name, url, secret.reveal(), http))),
            "files" => {
                self.check_folder(name, url)?;
                Ok(Arc::new(Files::new(name, url, username, secret.reveal(), settings, http)?))
            }
            "edi" => {
                self.check_folder(name, url)?;
                Ok(Arc::new(Edi::new(name, url, username, secret.reveal(), settings, http)?))
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
