//! Stand-ins for outside systems, as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use onhand_emulators::shopify::Plan;

/// See [`crate::cli::Command::Emulate`].
#[derive(Debug, Subcommand)]
pub enum Emulate {
    /// A Shopify shop: its Admin API 2026-10, with a page to see and change its stock, and faults on demand.
    Shopify(ShopifyShop),
    /// A WooCommerce shop: its REST API v3, with a page to see and change its stock, and faults on demand.
    Woocommerce(WooShop),
    /// An account at SKULabs: its public API, with a page to see and change its stock, and faults on demand.
    Skulabs(SkuLabs),
    /// A warehouse that speaks the Onhand channel protocol; `/control` is what its people do, and faults on demand.
    Wms(House),
}

/// See [`Emulate::Shopify`].
#[derive(Debug, Args)]
pub struct ShopifyShop {
    /// Where it listens on this machine; 0 takes any that is free.
    #[arg(long, default_value_t = 7272)]
    pub port: u16,
    /// How many things it sells: `EMU-0001` and on.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub listings: u32,
    /// How many of each it has at each location.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(0..=1_000_000_000))]
    pub stock: i64,
    /// How many locations it has.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub locations: u32,
    /// What it pays for, and so how much may be asked of it: `standard`, `advanced`, `plus` or `enterprise`.
    #[arg(long, default_value = "standard", value_parser = plan)]
    pub plan: Plan,
    /// The vendor's own schema, as an introspection of it answers (JSON, or gzip of that): what it refuses is refused too.
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
}

/// See [`Emulate::Woocommerce`].
#[derive(Debug, Args)]
pub struct WooShop {
    /// Where it listens on this machine; 0 takes any that is free.
    #[arg(long, default_value_t = 7273)]
    pub port: u16,
    /// How many things it sells: `EMU-0001` and on. Every third has variations: two with a stock of their own, `EMU-0003-S` and `-M`, and a third that
    /// shares its product's.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub listings: u32,
    /// How many of each it has.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(0..=1_000_000_000))]
    pub stock: i64,
}

/// See [`Emulate::Skulabs`].
#[derive(Debug, Args)]
pub struct SkuLabs {
    /// Where it listens on this machine; 0 takes any that is free.
    #[arg(long, default_value_t = 7275)]
    pub port: u16,
    /// How many things it stocks: `EMU-0001` and on.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub items: u32,
    /// How many of each lie in each warehouse.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(0..=1_000_000_000))]
    pub stock: i64,
    /// How many warehouses it has.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub warehouses: u32,
    /// How often its account may be called in an hour, by its plan: 41, 4166, 12500, 25000 or 50000.
    #[arg(long, default_value_t = 4_166, value_parser = clap::value_parser!(u32).range(1..))]
    pub calls_per_hour: u32,
}

/// See [`Emulate::Wms`].
#[derive(Debug, Args)]
pub struct House {
    /// Where it listens on this machine; 0 takes any that is free.
    #[arg(long, default_value_t = 7274)]
    pub port: u16,
    /// How many things it stocks: `EMU-0001` and on.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub items: u32,
    /// How many of each lie there.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(0..=1_000_000_000))]
    pub stock: i64,
}

fn plan(text: &str) -> Result<Plan, String> {
    match text {
        "standard" => Ok(Plan::Standard),
        "advanced" => Ok(Plan::Advanced),
        "plus" => Ok(Plan::Plus),
        "enterprise" => Ok(Plan::Enterprise),
        _ => Err("it must be standard, advanced, plus or enterprise".to_owned()),
    }
}
