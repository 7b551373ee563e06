//! Which channel speaks with which kind of system.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use onhand_channels::edi::Edi;
use onhand_channels::files::Files;
use onhand_channels::protocol::Protocol;
use onhand_channels::shop::CornerShop;
use onhand_channels::shopify::Shopify;
use onhand_channels::vendure::Vendure;
use onhand_channels::woocommerce::WooCommerce;
use onhand_channels::{Channel, ChannelError};
use onhand_engine::systems::{Connection, Connector};

/// What speaks HTTP with outside systems.
pub(crate) fn http() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(15))
        .connect_timeout(Duration::from_secs(5))
        .user_agent(concat!("onhand/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .build()
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
            "protocol" => Ok(Arc::new(Protocol::new(name, url, secret.reveal(), http))),
            "vendure" => Ok(Arc::new(Vendure::new(name, url, username, secret.reveal(), http))),
            "woocommerce" => Ok(Arc::new(WooCommerce::new(name, url, username, secret.reveal(), http)?)),
            other => Err(ChannelError::Unexpected {
                system: name.to_owned(),
                reason: format!(
                    "there is no channel for systems of kind `{other}`; there are `edi`, `files`, `protocol`, `shop`, `shopify`, `vendure` and `woocommerce`"
                ),
            }),
        }
    }
}
