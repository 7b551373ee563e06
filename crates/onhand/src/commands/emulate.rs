//! `onhand emulate`: see `onhand-emulators`.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use onhand_emulators::shopify::{self, Setup, ShopifyShop, to_sdl};
use onhand_emulators::{skulabs, wms, woocommerce};
use onhand_engine::{Clock as _, SystemClock};
use serde_json::json;

use crate::cli::{Emulate, House, ShopifyShop as Asked, SkuLabs, WooShop};
use crate::http::{interrupted, listening};
use crate::output::say;

pub(crate) async fn run(asked: &Emulate, json: bool) -> anyhow::Result<()> {
    match asked {
        Emulate::Shopify(asked) => a_shopify_shop(asked, json).await,
        Emulate::Woocommerce(asked) => a_woocommerce_shop(asked, json).await,
        Emulate::Skulabs(asked) => an_account_at_skulabs(asked, json).await,
        Emulate::Wms(asked) => a_warehouse(asked, json).await,
    }
}

async fn a_warehouse(asked: &House, json: bool) -> anyhow::Result<()> {
    const TOKEN: &str = "emulated-token";
    let warehouse = wms::Warehouse::new(TOKEN, Arc::new(|| SystemClock.now().micros()));
    for nth in 1..=asked.items {
        let sku = format!("EMU-{nth:04}");
        warehouse.stock(&nth.to_string(), &sku, &format!("Product {nth}"), asked.stock);
    }
    let (listener, url) = listening(asked.port).await?;
    let stopped = interrupted();
    if json {
        say(json!({ "url": url, "secret": TOKEN }))?;
    } else {
        say(format_args!(
            "A warehouse at {url} that speaks the Onhand channel protocol. Check it, or connect it:\n\
             onhand channel check {url} --secret {TOKEN} --place-orders\n\
             onhand system connect protocol --name Warehouse --url {url} --secret {TOKEN} --role wms\n\
             Ctrl-C ends it, with all it knows."
        ))?;
    }
    wms::serve(listener, warehouse, stopped).await?;
    Ok(())
}

async fn an_account_at_skulabs(asked: &SkuLabs, json: bool) -> anyhow::Result<()> {
    let setup = skulabs::Setup { per_hour: asked.calls_per_hour, ..skulabs::Setup::default() };
    let account = skulabs::SkuLabs::new(setup.clone(), Arc::new(|| SystemClock.now().micros()));
    let bins: Vec<String> =
        (1..=asked.warehouses).map(|nth| account.add_warehouse(&format!("Warehouse {nth}")).1).collect();
    for nth in 1..=asked.items {
        let item = account.list(&format!("EMU-{nth:04}"), &format!("Product {nth}"));
        for bin in &bins {
            account.count(&item, bin, asked.stock);
        }
    }
    let (listener, url) = listening(asked.port).await?;
    let stopped = interrupted();
    let (skulabs::Setup { key, .. }, store) = (setup, account.manual_store());
    if json {
        say(json!({ "url": url, "secret": key, "store": store }))?;
    } else {
        say(format_args!(
            "An account at SKULabs at {url} (open it in a browser to see its stock). Connect it:\n\
             onhand system add skulabs --url {url} --secret {key} --setting calls_per_hour={}\n\
             As a warehouse that gets orders: --role wms --setting store={store}\n\
             Ctrl-C ends it, with all it knows.",
            asked.calls_per_hour
        ))?;
    }
    skulabs::serve(listener, account, stopped).await?;
    Ok(())
}

async fn a_woocommerce_shop(asked: &WooShop, json: bool) -> anyhow::Result<()> {
    let setup = woocommerce::Setup::default();
    let shop = woocommerce::WooShop::new(setup.clone(), Arc::new(|| SystemClock.now().micros()));
    for nth in 1..=asked.listings {
        let (sku, name) = (format!("EMU-{nth:04}"), format!("Product {nth}"));
        if nth % 3 == 0 {
            let product = shop.list_variable(&sku, &name, Some(asked.stock));
            shop.add_variation(product, &format!("{sku}-S"), "S", Some(asked.stock));
            shop.add_variation(product, &format!("{sku}-M"), "M", Some(asked.stock));
            shop.add_variation(product, &format!("{sku}-L"), "L", None);
        } else {
            shop.list(&sku, &name, asked.stock);
        }
    }
    let (listener, url) = listening(asked.port).await?;
    let stopped = interrupted();
    let woocommerce::Setup { key, secret, .. } = setup;
    if json {
        say(json!({ "url": url, "key": key, "secret": secret }))?;
    } else {
        say(format_args!(
            "A WooCommerce shop at {url} (open it in a browser to see its stock). Connect it:\n\
             onhand system add woocommerce --url {url} --username {key} --secret {secret}\n\
             Ctrl-C ends it, with all it knows."
        ))?;
    }
    woocommerce::serve(listener, shop, stopped).await?;
    Ok(())
}

async fn a_shopify_shop(asked: &Asked, json: bool) -> anyhow::Result<()> {
    let vendor_schema = asked.schema.as_deref().map(schema).transpose()?;
    let setup = Setup { plan: asked.plan, vendor_schema, ..Setup::default() };
    let shop = ShopifyShop::new(setup.clone(), Arc::new(|| SystemClock.now().micros()))
        .map_err(anyhow::Error::msg)
        .context("the vendor's schema cannot be used")?;
    stock(&shop, asked);
    let (listener, url) = listening(asked.port).await?;
    let stopped = interrupted();
    let Setup { client_id, client_secret, .. } = setup;
    if json {
        let told = json!({ "url": url, "client_id": client_id, "client_secret": client_secret });
        say(told)?;
    } else {
        say(format_args!(
            "A Shopify shop at {url} (open it in a browser to see its stock). Connect it:\n\
             onhand system add shopify --url {url} --username {client_id} --secret {client_secret}\n\
             Ctrl-C ends it, with all it knows."
        ))?;
    }
    shopify::serve(listener, shop, stopped).await?;
    Ok(())
}

fn stock(shop: &ShopifyShop, asked: &Asked) {
    let names = ["London", "Paris", "Berlin"];
    let name = |nth: u32| match usize::try_from(nth).ok().and_then(|nth| names.get(nth)) {
        Some(name) => (*name).to_owned(),
        None => format!("Location {}", nth + 1),
    };
    let locations: Vec<u64> = (0..asked.locations).map(|nth| shop.add_location(&name(nth))).collect();
    for nth in 1..=asked.listings {
        let item = shop.list(&format!("EMU-{nth:04}"), &format!("Product {nth}"));
        for location in &locations {
            shop.stock(item, *location, asked.stock);
        }
    }
}

/// The vendor's schema from a file, as SDL.
fn schema(file: &Path) -> anyhow::Result<String> {
    let shown = file.display();
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?;
    } else {
        text = String::from_utf8(bytes).with_context(|| format!("{shown} is not text"))?;
    }
    let read = serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))?;
    to_sdl(&read)
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("{shown} is no answer to an introspection"))
}
