//! Which channel speaks with which kind of system.

use std::sync::Arc;
use std::time::Duration;

use onhand_channels::protocol::Protocol;
use onhand_channels::shop::CornerShop;
use onhand_channels::shopify::Shopify;
use onhand_channels::vendure::Vendure;
use onhand_channels::woocommerce::WooCommerce;
use onhand_channels::{Channel, ChannelError};
use onhand_engine::systems::{Connection, Connector};

/// Makes the channels that this binary has.
pub(crate) struct Channels {
    http: reqwest::Client,
}

impl Channels {
    pub fn new() -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(15))
            .connect_timeout(Duration::from_secs(5))
            .user_agent(concat!("onhand/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .build()?;
        Ok(Self { http })
    }
}

impl Connector for Channels {
    fn connect(&self, name: &str, connection: &Connection) -> Result<Arc<dyn Channel>, ChannelError> {
        let Connection { kind, url, username, secret } = connection;
        let http = self.http.clone();
        match kind.as_str() {
            "shop" => Ok(Arc::new(CornerShop::new(name, url, secret.reveal(), http))),
            "shopify" => Ok(Arc::new(Shopify::new(name, url, username, secret.reveal(), http))),
            "protocol" => Ok(Arc::new(Protocol::new(name, url, secret.reveal(), http))),
            "vendure" => Ok(Arc::new(Vendure::new(name, url, username, secret.reveal(), http))),
            "woocommerce" => Ok(Arc::new(WooCommerce::new(name, url, username, secret.reveal(), http)?)),
            other => Err(ChannelError::Unexpected {
                system: name.to_owned(),
                reason: format!(
                    "there is no channel for systems of kind `{other}`; there are `protocol`, `shop`, `shopify`, `vendure` and `woocommerce`"
                ),
            }),
        }
    }
}
