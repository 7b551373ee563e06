//! What can be typed.

mod alerts;
mod channel;
mod documents;
mod emulate;
mod erase;
mod inbox;
mod location;
mod modes;
mod orders;
mod rule;
mod snapshots;
mod users;
mod webhook;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use onhand_channels::systems_at::Listed;

use crate::database::Database;
use crate::place::Place;

pub use alerts::{Alert, AlertTarget};
pub use channel::{Channel, ChannelCheck};
pub use documents::{CountSession, LineArg, Purchase, Transfer};
pub use emulate::{Emulate, House, ShopifyShop, SkuLabs, WooShop};
pub use erase::Erase;
pub use inbox::Inbox;
pub use location::{Location, LocationFields};
pub use modes::{Choice, Direction, Mode, Policy, Push};
pub use orders::{Giver, Order};
pub use rule::{Rule, RuleFields, What};
pub use snapshots::{Snapshot, Which};
pub use users::{SignOn, TwoFactor, User};
pub use webhook::{Listen, Trigger, Webhook};

/// Onhand: the Master of Inventory.
#[derive(Debug, Parser)]
#[command(name = "onhand", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The database: a file, made if it is not there (but not by what only reads), or `postgres://USER:PASSWORD@HOST/DATABASE`
    /// (the password may be in PGPASSWORD instead).
    #[arg(long, global = true, env = "ONHAND_DATABASE", hide_env_values = true, default_value = "onhand.db")]
    #[arg(visible_alias = "database", value_name = "FILE|URL")]
    pub db: Database,
    /// Print one JSON object at the end instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// A TOML file of settings: any below that names an environment variable, and those of `serve`, by that name in small
    /// letters without `ONHAND_`. Flags are stronger than the environment, and that than the file.
    #[arg(long, global = true, env = "ONHAND_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What is logged, to standard error: `error`, `warn`, `info` (usual), `debug`, `trace`, `off`, or by part such as
    /// `info,onhand::access=debug` (a line for each request).
    #[arg(long, global = true, env = "ONHAND_LOG", value_name = "FILTER", value_parser = log_filter)]
    pub log: Option<String>,
    /// The keys that seal what must not be read: beside a database file unless told, and made there when they are needed first.
    /// For PostgreSQL this file or the variable ONHAND_SEAL_KEY must give them, on every node the same.
    #[arg(long, global = true, env = "ONHAND_SEAL_KEY_FILE", value_name = "FILE")]
    pub seal_key_file: Option<PathBuf>,
    /// How it is logged: `json` is one object a line.
    #[arg(long, global = true, env = "ONHAND_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// See [`Cli::log_format`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

fn log_filter(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; right are `info`, or `warn,onhand_web=debug`")),
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API and keep connected systems equal.
    Serve(Serve),
    /// Show Onhand at work: a sample catalogue, a small shop, truth and shop staying equal.
    Demo(Demo),
    /// Bring things in from a file.
    #[command(subcommand)]
    Import(Import),
    /// Move in from Linnworks or SKULabs: their own exports, each known by its header, as one import with a report of what did not fit.
    MoveIn(MoveIn),
    /// Replay real invoices (UCI "Online Retail") in time order as facts.
    Replay(Replay),
    /// Why does each system show what it shows of an item?
    Explain {
        /// The item's SKU.
        sku: String,
    },
    /// Items: names, barcodes, near-twins, levels.
    #[command(subcommand)]
    Item(Item),
    /// The inbox: what waits for a person, what could be done about it, done singly or for all that is alike.
    #[command(subcommand)]
    Inbox(Inbox),
    /// Locations: what they are a part of, in which order they are allocated from, the groups that rules name.
    #[command(subcommand)]
    Location(Location),
    /// Snapshots that outside masters told of their stock: what waits, what is held; approve or reject one.
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Orders: what is promised, short and shipped, where each was sent and what was answered.
    #[command(subcommand)]
    Order(Order),
    /// Transfers between locations: planned, dispatched, received.
    #[command(subcommand)]
    Transfer(Transfer),
    /// Purchase orders: what is expected from suppliers.
    #[command(subcommand)]
    Purchase(Purchase),
    /// Sessions of counting: several counters, looked at before they are booked.
    #[command(subcommand)]
    CountSession(CountSession),
    /// What became of an item, or at a location: what changed, when, by whom and why.
    History(History),
    /// Reports.
    #[command(subcommand)]
    Report(Report),
    /// Recompute every balance from the log, walk the hash chain, check the laws. Exit code 1 if one is violated.
    Verify,
    /// Write items, locations, stock, orders or the log to standard output or into a file.
    Export(Export),
    /// Copy a database file (`--db`) into a folder or an S3-compatible store; it may be served meanwhile. The copy is one whole file,
    /// checked, named by the time and where its log ends. PostgreSQL has tools of its own: see docs/backup.md.
    Backup(Backup),
    /// Put a backup where a database file is to be (`--db`), and verify it.
    Restore(Restore),
    /// Copy all of a ledger to another database, such as from a file to PostgreSQL or back, and verify it there. Nobody may write to
    /// either meanwhile; what was stopped is gone on with by the same command.
    Migrate(Migrate),
    /// API keys.
    #[command(subcommand)]
    Key(Key),
    /// People who sign in at the pages: by name and password, each with a role.
    #[command(subcommand)]
    User(User),
    /// What other systems show: publication rules, and what is not sold at all.
    #[command(subcommand)]
    Rule(Rule),
    /// Connected systems.
    #[command(subcommand)]
    System(System),
    /// Keep a system equal now: look at what it has for sale, read and compare every number, send what differs.
    Sync {
        /// The system's name.
        system: String,
        /// Send all numbers, also those that are as they should be.
        #[arg(long)]
        full: bool,
    },
    /// What is not set up as it should be, of a system or of all. Exit code 1 if numbers are wrong by it.
    Doctor {
        /// The system's name; all unless told.
        system: Option<String>,
    },
    /// Alerts: who is told of troubles, by e-mail, webhook or chat.
    #[command(subcommand)]
    Alert(Alert),
    /// Webhooks: who is sent what changes, and what became of each message.
    #[command(subcommand)]
    Webhook(Webhook),
    /// Have a test event sent to subscriptions: to all that are sent such events, or to one.
    Trigger(Trigger),
    /// Receive webhooks here, to see what comes: verifies each and prints it. It subscribes itself, until Ctrl-C, unless a secret is told.
    Listen(Listen),
    /// Erase what is kept of a person, or of an order: names and addresses. Stock and the ledger stay as they are.
    Erase(Erase),
    /// The keys that secrets are sealed with.
    #[command(subcommand)]
    Seal(Seal),
    /// Stop all pushing to all systems, or let it go on.
    #[command(subcommand)]
    Push(Push),
    /// Measure: prints figures of this machine.
    #[command(subcommand)]
    Bench(Bench),
    /// Plays random stories of sales, faults and crashes on the real engine in virtual time, and checks the laws after each.
    Simulate(Simulate),
    /// For whoever writes a channel: does a system speak the Onhand channel protocol as docs/channels/protocol.md says?
    #[command(subcommand)]
    Channel(Channel),
    /// Run a stand-in for an outside system, to try Onhand with, or what you build on it.
    #[command(subcommand)]
    Emulate(Emulate),
    /// A script for your shell that completes this command's words.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// See [`Command::Serve`].
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Debug, Args)]
pub struct Serve {
    /// The database (same as --db).
    #[arg(value_name = "FILE|URL")]
    pub database: Option<Database>,
    /// Where the operator's API key is kept: beside a database file unless told, for PostgreSQL `onhand.key` in this folder.
    #[arg(long, env = "ONHAND_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Where to listen.
    #[arg(long, env = "ONHAND_LISTEN", default_value = "127.0.0.1:7171")]
    pub listen: std::net::SocketAddr,
    /// How often every number of every system is read back, in seconds.
    #[arg(long, env = "ONHAND_RECONCILE_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=86_400))]
    pub reconcile_seconds: i64,
    /// How often it is looked what every system has for sale, in seconds: what is new, renamed or gone.
    #[arg(long, env = "ONHAND_DISCOVER_SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(i64).range(1..=604_800))]
    pub discover_seconds: i64,
    /// How often what lies at a system that is master of its stock is read, where it can be asked, in seconds.
    #[arg(long, env = "ONHAND_STOCK_SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(i64).range(1..=604_800))]
    pub stock_seconds: i64,
    /// How often troubles are looked for that people are told of (`onhand alert`), in seconds.
    #[arg(long, env = "ONHAND_ALERT_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub alert_seconds: u64,
    /// Systems that speak by files may have folders in this one; without it, none of this machine.
    #[arg(long, value_name = "FOLDER", env = "ONHAND_FILES_IN")]
    pub files_in: Option<PathBuf>,
    /// Systems may be at these hosts and in these networks alone, such as `shop.example.com,*.myshopify.com,10.0.0.0/8`; a host that is
    /// not named is judged by the address that is called. Anywhere unless told.
    #[arg(long, env = "ONHAND_SYSTEMS_AT", value_name = "HOST|NETWORK,…")]
    pub systems_at: Option<Listed>,
    /// Lets systems, webhooks, alerts and mail at public addresses be spoken with in clear; otherwise only those on this machine and in
    /// private networks.
    #[arg(long, env = "ONHAND_PLAIN_OUTSIDE")]
    pub plain_outside: bool,
    /// Lets alerts go to private addresses too, such as a mail server of your own net; otherwise only to public ones.
    #[arg(long, env = "ONHAND_ALERT_PRIVATE")]
    pub alert_private: bool,
    /// Lets webhooks go to private addresses too, such as a server of your own net; otherwise only to public ones.
    #[arg(long, env = "ONHAND_WEBHOOK_PRIVATE")]
    pub webhook_private: bool,
    /// How long after each failed attempt a webhook is sent again, in seconds, with commas between. After the last it is given up.
    #[arg(long, env = "ONHAND_WEBHOOK_RETRIES", value_name = "SECONDS,…", default_value_t = Delays::default())]
    pub webhook_retries: Delays,
    /// Leaves connected systems to other nodes: of all nodes on one PostgreSQL database each takes its share of them, unless told so.
    #[arg(long, env = "ONHAND_NO_SYNC")]
    pub no_sync: bool,
    /// Speak TLS, with the certificates in this PEM file: the server's own first. Read again on SIGHUP, and when it changes.
    #[arg(long, env = "ONHAND_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM.
    #[arg(long, env = "ONHAND_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// How many requests a second an API key may send, unless the key says otherwise; 0 is any number.
    #[arg(long, env = "ONHAND_RATE", default_value_t = 50_000, value_name = "REQUESTS")]
    pub rate: u32,
    /// How many times a second a person who is signed in at the pages may ask, in all windows together; 0 is any number.
    #[arg(long, env = "ONHAND_PERSON_RATE", default_value_t = 100, value_name = "REQUESTS")]
    pub person_rate: u32,
    /// After how many minutes in which nobody uses it a session at the pages ends; after twelve hours it does anyway.
    #[arg(long, env = "ONHAND_IDLE_MINUTES", default_value_t = 60, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=720))]
    pub idle_minutes: u32,
    /// Send traces to an OpenTelemetry collector, by OTLP over HTTP: its address, such as <http://127.0.0.1:4318>. The
    /// variables that OpenTelemetry defines (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER`, …) count too.
    #[arg(long, env = "ONHAND_OTLP_ENDPOINT", value_name = "URL", value_parser = http_url)]
    pub otlp_endpoint: Option<String>,
    /// Check the settings, say each and where it comes from, and serve nothing.
    #[arg(long)]
    pub check: bool,
}

/// How long to wait, one time after the other, in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delays(pub Vec<u32>);

impl Default for Delays {
    fn default() -> Self {
        Self(onhand_sync::webhooks::DELAYS.to_vec())
    }
}

impl std::fmt::Display for Delays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let delays: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&delays.join(","))
    }
}

impl std::str::FromStr for Delays {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let delays: Result<Vec<u32>, _> = text.split(',').map(|delay| delay.trim().parse()).collect();
        match delays {
            Ok(delays) if delays.len() <= 50 && delays.iter().all(|delay| *delay <= 604_800) => {
                Ok(Self(delays))
            }
            _ => {
                Err("it must be whole numbers up to 604800 with commas between, such as 5,300,1800"
                    .to_owned())
            }
        }
    }
}

fn http_url(text: &str) -> Result<String, String> {
    match reqwest::Url::parse(text) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(text.to_owned()),
        _ => Err("it must be such as http://127.0.0.1:4318".to_owned()),
    }
}

/// See [`Command::Demo`].
#[derive(Debug, Args)]
pub struct Demo {
    /// Draw nothing.
    #[arg(long)]
    pub headless: bool,
    /// Share so many seconds among the scenes, each of which lasts as long as its story at least, and end; until Ctrl-C unless told (10
    /// when headless).
    #[arg(long)]
    pub seconds: Option<u64>,
    /// The same seed sells the same things.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Play this scene; several times for several. All, unless told.
    #[arg(long, value_enum)]
    pub scene: Vec<Scene>,
}

/// A scene of the demo.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Scene {
    /// Three systems show three numbers: one is right, one was changed by hand, one has not heard yet.
    ManualEdit,
    /// A shop is away, and another's answers are lost.
    Outage,
    /// A program of somebody else writes the same number.
    TwoMasters,
    /// Far more people than there are units, in three shops at once.
    FlashSale,
}

impl Scene {
    /// All there are, in the order they are played in.
    pub const ALL: [Self; 4] = [Self::ManualEdit, Self::Outage, Self::TwoMasters, Self::FlashSale];

    /// Its name, as typed and told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ManualEdit => "manual-edit",
            Self::Outage => "outage",
            Self::TwoMasters => "two-masters",
            Self::FlashSale => "flash-sale",
        }
    }

    /// What a person reads before it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::ManualEdit => "Three systems, three numbers",
            Self::Outage => "A shop is away",
            Self::TwoMasters => "A second master",
            Self::FlashSale => "A flash sale",
        }
    }
}

/// See [`Command::Import`].
#[derive(Debug, Subcommand)]
pub enum Import {
    /// Items: Onhand's own columns (sku, name, unit, precision, barcodes, …: see docs/files.md), a Shopify product export, an
    /// inventory export or links of Linnworks, or item details of SKULabs.
    Items {
        /// The CSV or XLSX file.
        file: PathBuf,
        /// Make SKUs for variants that have none, of their handle and options, and print them first.
        #[arg(long, value_enum)]
        sku_from: Option<SkuFrom>,
        /// Take a Shopify export's quantities as counts at this location (made if it is not there).
        #[arg(long)]
        stock_at: Option<String>,
        /// How it is read.
        #[command(flatten)]
        rules: Rules,
    },
    /// What kits are built of: `kit`, `component`, `quantity`, a row for each component; or Linnworks' compositions.
    Kits {
        /// The CSV or XLSX file.
        file: PathBuf,
        /// How it is read.
        #[command(flatten)]
        rules: Rules,
    },
    /// Locations: `code`, `name`, `sellable`, `rank`, `parent`, `time_zone`, `groups`.
    Locations {
        /// The CSV or XLSX file.
        file: PathBuf,
        /// How it is read.
        #[command(flatten)]
        rules: Rules,
    },
    /// Stock as somebody saw it: `sku`, `location`, `counted` (left empty: not counted) and `as_of`, with `lot` or `serial` where
    /// the item is tracked; or an edited export; or stock levels of Linnworks, whose locations are made if they are not there.
    #[command(alias = "counts")]
    Stock {
        /// The CSV or XLSX file.
        file: PathBuf,
        /// How it is read.
        #[command(flatten)]
        rules: Rules,
    },
    /// Goods that came in: `sku`, `location`, `quantity` and, perhaps, `lot`, `serial`, `expires`, `pack`, `unit_cost`, `currency`.
    Receipts {
        /// The CSV or XLSX file.
        file: PathBuf,
        /// How it is read.
        #[command(flatten)]
        rules: Rules,
    },
    /// Orders: `reference`, `sku`, `quantity` and, perhaps, `location`, `ship_by`, `price`. Rows of one reference are one order.
    Orders {
        /// The CSV or XLSX file.
        file: PathBuf,
        /// How it is read.
        #[command(flatten)]
        rules: Rules,
    },
}

/// See [`Command::MoveIn`].
#[derive(Debug, Args)]
pub struct MoveIn {
    /// The CSV or XLSX files, in any order: the catalogue is imported first, then kits, then locations and stock.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Import the good rows although others are bad; nothing of any file is imported otherwise.
    #[arg(long)]
    pub skip_bad_rows: bool,
    /// Check all of it, rehearse it on the ledger as it stands, and import nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Under the same key a row is imported once. Made of what is in the files unless told: another key imports them again.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Write what became of each row into this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// How a file is read, and what becomes of its rows.
#[derive(Debug, Args)]
pub struct Rules {
    /// Import the good rows although others are bad; nothing is imported otherwise.
    #[arg(long)]
    pub skip_bad_rows: bool,
    /// Which column of the file is which of ours, such as `--map sku=Handle`; may be told often. Others are left alone then.
    #[arg(long, value_name = "OURS=THEIRS", value_parser = column)]
    pub map: Vec<(String, String)>,
    /// Check all of it, rehearse it on the ledger as it stands, and import nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The same key never imports a row of a file twice, however often it is run: for whoever may have to run it again.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Write what became of each row into this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

fn column(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((ours, theirs)) if !ours.is_empty() && !theirs.is_empty() => {
            Ok((ours.to_owned(), theirs.to_owned()))
        }
        _ => Err("it must be two names with = between them, such as sku=Handle".to_owned()),
    }
}

/// Where SKUs come from that are not there.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum SkuFrom {
    /// The product's handle and the variant's options.
    Handle,
}

/// See [`Command::Export`].
#[derive(Debug, Args)]
pub struct Export {
    /// What to write.
    #[arg(value_enum, default_value = "stock")]
    pub what: ExportWhat,
    /// How: as the name of the file ends, or else as CSV, the log as JSON lines.
    #[arg(long, value_enum)]
    pub format: Option<ExportFormat>,
    /// Into this file, which is there once it is whole.
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// As a sheet into this file: the same as `--format xlsx --to FILE`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "to"])]
    pub xlsx: Option<PathBuf>,
    /// Of the log: from this entry on.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub from_seq: Option<u64>,
    /// Of the log: up to this entry.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub to_seq: Option<u64>,
}

/// What an export has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportWhat {
    /// Items, ready to be imported again.
    Items,
    /// Locations, ready to be imported again.
    Locations,
    /// Stock by item, location, lot and state, as of now. Edited, its `on_hand` can be imported as counts.
    Stock,
    /// A sheet to count on: `counted` is empty, and rows where it stays so are not counted.
    Counts,
    /// Orders, a row for each line. New rows can be imported; orders that are there stay as they are.
    Orders,
    /// The log: one JSON object a record, and the head's hash last; or a Parquet table with a row for each entry.
    Log,
}

impl ExportWhat {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Items => "items",
            Self::Locations => "locations",
            Self::Stock => "stock",
            Self::Counts => "counts",
            Self::Orders => "orders",
            Self::Log => "log",
        }
    }
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// Text with commas.
    Csv,
    /// A sheet: quantities are numbers, codes are text.
    Xlsx,
    /// One JSON object a line: of the log.
    Ndjson,
    /// A table for data tools: of the log.
    Parquet,
}

impl ExportFormat {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }
}

/// See [`Command::Backup`].
#[derive(Debug, Args)]
pub struct Backup {
    /// Where to: a folder that is there, or `s3://BUCKET/PREFIX`. Of the store, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION
    /// and, unless it is Amazon's, AWS_ENDPOINT_URL are taken from the environment.
    #[arg(long, value_name = "FOLDER|s3://BUCKET/PREFIX")]
    pub to: Place,
    /// Then remove all but the newest so many backups of this database from there; all are kept unless told.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
}

/// See [`Command::Restore`].
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup: a file, or `s3://BUCKET/PREFIX/NAME`.
    #[arg(long, value_name = "FILE|s3://BUCKET/NAME")]
    pub from: Place,
    /// Where there is a database already, put it aside, under a name that is told. Nothing is done otherwise.
    #[arg(long)]
    pub force: bool,
}

/// See [`Command::Migrate`].
#[derive(Debug, Args)]
pub struct Migrate {
    /// The database to copy: a file, or `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(long, value_name = "FILE|URL")]
    pub from: Database,
    /// The database to copy it to: an empty one, or one that this ledger was copied to before.
    #[arg(long, value_name = "FILE|URL")]
    pub to: Database,
    /// How many entries are written at a time.
    #[arg(long, hide = true, default_value_t = onhand_engine::migrate::SLICE, value_parser = clap::value_parser!(u64).range(1..))]
    pub slice: u64,
}

/// See [`Command::Replay`].
#[derive(Debug, Args)]
pub struct Replay {
    /// The CSV file, gzipped or not.
    pub file: PathBuf,
    /// Replay only the first invoices that have so many lines together.
    #[arg(long)]
    pub limit: Option<usize>,
    /// `exact`: the least opening stock with which nothing is ever short; or so many units of every item.
    #[arg(long, default_value = "exact", allow_hyphen_values = true)]
    pub opening: Opening,
}

/// The stock that a replay begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The least of each item with which nothing is ever short.
    Exact,
    /// So many whole units of every item.
    Units(i64),
}

impl FromStr for Opening {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const MOST: i64 = 1_000_000_000;
        match text.parse() {
            _ if text == "exact" => Ok(Self::Exact),
            Ok(units) if (0..=MOST).contains(&units) => Ok(Self::Units(units)),
            _ => Err(format!("it must be `exact` or a whole number of units, 0 to {MOST}")),
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => f.write_str("exact"),
            Self::Units(units) => units.fmt(f),
        }
    }
}

/// See [`Command::Key`].
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make an API key. It is shown once.
    Create {
        /// What people call it: shown in history as who did it.
        #[arg(long, default_value = "key", value_parser = key_name)]
        name: String,
        /// Another tenant than the default one.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=i64::MAX.cast_unsigned()))]
        tenant: u64,
        /// What it may do beyond what every key may: `approve` the differences of counting sessions. Can be told again.
        #[arg(long = "right", value_name = "RIGHT")]
        rights: Vec<onhand_web::auth::Right>,
        /// How many requests a second it may send, 0 for any number; as many as `serve --rate` says unless told.
        #[arg(long, value_name = "REQUESTS")]
        rate: Option<u32>,
        /// What it may do at all: `viewer`, `clerk`, `operator` or `admin`.
        #[arg(long, default_value = "admin")]
        role: onhand_web::Role,
    },
    /// Show the keys there are, the newest last: their ids, never the keys themselves.
    List,
    /// End a key: within ten seconds no node takes it any more.
    Revoke {
        /// Its id, as `onhand key list` shows it.
        id: String,
    },
}

fn key_name(text: &str) -> Result<String, String> {
    onhand_web::auth::check_key_name(text).map_err(|problem| format!("it {problem}"))?;
    Ok(text.to_owned())
}

/// See [`Command::System`].
#[derive(Debug, Subcommand)]
pub enum System {
    /// Connect a system and keep it equal.
    Add {
        /// `shopify`, `woocommerce`, `vendure`, `medusa`, `skulabs`, `files`, `edi`, `shop` or `protocol`.
        kind: String,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
        /// Where its API is, such as <http://127.0.0.1:3000/admin-api>, or of `files` and `edi` the folder.
        #[arg(long)]
        url: String,
        /// Who we are there.
        #[arg(long, default_value = "")]
        username: String,
        /// The password or token.
        #[arg(long, env = "ONHAND_SYSTEM_SECRET", default_value = "", hide_env_values = true)]
        secret: String,
        /// Our location behind its only stock location; the first of ours unless told.
        #[arg(long)]
        location: Option<String>,
        /// Where it has several: its id or name, and our location, such as `--map Shelf=LONDON`; may be told often.
        #[arg(long = "map", value_name = "THEIRS=OURS", value_parser = column, conflicts_with = "location")]
        locations: Vec<(String, String)>,
        /// What it is to the business: `wms`, `3pl`, `pos`, `erp`, `shop`, `marketplace`, `file`.
        #[arg(long)]
        role: Option<String>,
        /// What else its channel has to know, such as `--setting columns.sku=Article`; may be told often. See the channel's page.
        #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = column)]
        settings: Vec<(String, String)>,
    },
    /// Connect a system step by step: key, what it has, locations, matches, opening stock, dry run, watch or go live. Run again, it goes on.
    Connect {
        /// `shopify`, `woocommerce`, `vendure`, `medusa`, `skulabs`, `files`, `edi`, `shop` or `protocol`.
        kind: String,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
        /// Where its API is, such as <http://127.0.0.1:3000/admin-api>, or of `files` and `edi` the folder.
        #[arg(long)]
        url: String,
        /// Who we are there.
        #[arg(long, default_value = "")]
        username: String,
        /// The password or token.
        #[arg(long, env = "ONHAND_SYSTEM_SECRET", default_value = "", hide_env_values = true)]
        secret: String,
        /// What it is to the business: `wms`, `3pl`, `pos`, `erp`, `shop`, `marketplace`, `file`.
        #[arg(long)]
        role: Option<String>,
        /// What else its channel has to know, such as `--setting columns.sku=Article`; may be told often. See the channel's page.
        #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = column)]
        settings: Vec<(String, String)>,
    },
    /// Look at all that a system has for sale: what is new, renamed or gone.
    Discover {
        /// The system's name.
        name: String,
    },
    /// What would change if it were kept equal now. Changes nothing.
    DryRun {
        /// The system's name.
        name: String,
        /// So many changes are shown.
        #[arg(long, default_value_t = 20)]
        first: usize,
    },
    /// Read and compare a system, and send nothing.
    Watch {
        /// The system's name.
        name: String,
    },
    /// Keep a system equal.
    Live {
        /// The system's name.
        name: String,
    },
    /// All systems, and how they are doing.
    List,
    /// Say how a system is kept equal: one-way or two-way, near real-time or batch.
    Set(Mode),
    /// Say who gives a system the orders that are allocated where it is master.
    Orders {
        /// The system's name.
        name: String,
        /// `onhand`: they are sent to it and followed. `itself`: somebody else does, or it asks for them.
        #[arg(long)]
        from: Giver,
    },
    /// Ask a system to count items again where it is master.
    Recount {
        /// The system's name.
        name: String,
        /// What: a SKU; may be told often.
        #[arg(long = "item", required = true, value_name = "SKU")]
        items: Vec<String>,
        /// Where: one of our locations.
        #[arg(long)]
        location: String,
        /// Why, for whoever counts.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Say what shall become of a number that somebody changed in a system, where that is asked.
    Answer {
        /// The discrepancy that asks.
        discrepancy: u64,
        /// What shall become of it.
        choice: Choice,
    },
}

/// See [`Command::Simulate`].
#[derive(Debug, Args)]
pub struct Simulate {
    /// How many stories. Each follows from its number alone.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// The number of the first.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub first_seed: u64,
    /// Where it is kept how far it got, to go on from there.
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// How many are played at once. Default: as many as there are cores.
    #[arg(long)]
    pub threads: Option<usize>,
}

/// See [`Bench::Ledger`].
#[derive(Debug, Args)]
pub struct LedgerBench {
    /// Leaves out what takes longer than two minutes, and says what.
    #[arg(long)]
    pub quick: bool,
    /// Runs one part of it in this process: for the program itself.
    #[arg(long, hide = true, requires = "part_of")]
    pub part: Option<Part>,
    /// The database of the part.
    #[arg(long, hide = true)]
    pub part_of: Option<PathBuf>,
}

/// See [`Command::Seal`].
#[derive(Debug, Subcommand)]
pub enum Seal {
    /// Make a new key, and seal all secrets anew with it. Where keys are given (ONHAND_SEAL_KEY, or a file that nodes share) the first
    /// of them is the one that seals: put a new one there first.
    Rotate,
    /// Print a new key, for a file of keys or ONHAND_SEAL_KEY.
    New,
}

/// See [`Bench::Sync`].
#[derive(Debug, Args)]
pub struct SyncBench {
    /// So many listings of which a rule changes a tenth, and which are all read back.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(10..))]
    pub listings: usize,
    /// So many listings that all differ.
    #[arg(long, default_value_t = 100_000, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(10..))]
    pub dirty: usize,
    /// One call takes so many of them; 5,000 a second are allowed.
    #[arg(long, default_value_t = 50, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=5_000))]
    pub batch: usize,
    /// Changes a second, where it is measured how soon one is sent.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub changes_per_second: u64,
    /// For so long, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
}

/// See [`Bench::Limits`].
#[derive(Debug, Args)]
pub struct LimitsBench {
    /// So many listings that all differ; fewer where a system would take an hour for them.
    #[arg(long, default_value_t = 100_000, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(10..))]
    pub listings: usize,
    /// Only this one; all of them unless told.
    #[arg(long, value_enum)]
    pub system: Option<Limited>,
}

/// A system whose vendor's limits are emulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Limited {
    /// A standard shop.
    Shopify,
    /// A shop that answers within 200 ms.
    Woocommerce,
    /// An account that may be called twice a second.
    Skulabs,
}

/// See [`Bench::Pages`].
#[derive(Debug, Args)]
pub struct PagesBench {
    /// So many items, a tenth of them listed by a shop.
    #[arg(long, default_value_t = 100_000, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(10_000..))]
    pub items: usize,
    /// So many movements of them.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub movements: u64,
    /// How often each page is asked for.
    #[arg(long, default_value_t = 200, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(10..))]
    pub requests: usize,
}

/// See [`LedgerBench::part`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Fills a database, moves and asks on top, and ends as a crash would.
    Fill,
    /// Starts on that database.
    Restart,
}

/// See [`Command::Bench`].
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// What the ledger can do: movements in process and over HTTP, orders, questions about the past, restarts, memory.
    /// On databases of its own in the folder for temporary files (some 10 GB), which are gone afterwards.
    Ledger(LedgerBench),
    /// The same movements beside a shop's own tables in PostgreSQL, in one run. PostgreSQL must be installed.
    Compare {
        /// Seconds for each of its figures.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Durable movements of one tenant, of 32, of one hot item, and orders over HTTP: in a file of its own, or in a PostgreSQL
    /// database named by --database. That must be empty; what is written stays there.
    Store {
        /// Movements for each figure.
        #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..))]
        movements: u64,
    },
    /// How soon and how fast connected systems are kept equal: from a commit to its push, many differing listings at a system with a
    /// limit, what a rule changes, and reading everything back. The system is one inside this process.
    Sync(SyncBench),
    /// How many numbers a minute a system is sent when all of them differ, over what its vendor's limits allow: Shopify, WooCommerce and
    /// SKULabs, each emulated in this process.
    Limits(LimitsBench),
    /// How soon pages are there, how large they are, and how soon an open one hears of a change: in a file of its own, or in a PostgreSQL
    /// database named by --database. That must be empty; what is written stays there.
    Pages(PagesBench),
    /// Single-line orders over HTTP by keep-alive clients, on random items and on one hot item.
    Orders {
        /// Seconds for each figure.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// How often each is measured; the median counts.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// From a change in Onhand until a connected system shows it. Sets stock over there: for a system of tests only.
    System {
        /// `shopify`, `woocommerce`, `vendure`, `skulabs` or `shop`
        kind: String,
        /// Where its API is.
        #[arg(long)]
        url: String,
        /// Who we are there.
        #[arg(long, default_value = "")]
        username: String,
        /// The password or token.
        #[arg(long, env = "ONHAND_SYSTEM_SECRET", default_value = "", hide_env_values = true)]
        secret: String,
        /// How many changes.
        #[arg(long, default_value_t = 200)]
        changes: usize,
    },
}

/// See [`Command::Item`].
#[derive(Debug, Subcommand)]
pub enum Item {
    /// An item, by its SKU, an alias or a barcode.
    Show {
        /// Its SKU or an alias.
        #[arg(required_unless_present = "barcode", conflicts_with = "barcode")]
        sku: Option<String>,
        /// The code on it, or on a pack of it. A GTIN is found in any of its lengths.
        #[arg(long)]
        barcode: Option<String>,
    },
    /// Give an item another SKU; the old one finds it too.
    Rename {
        /// A name it has.
        sku: String,
        /// Its SKU from now on.
        to: String,
        /// Forget the old SKU.
        #[arg(long)]
        forget_old: bool,
    },
    /// Give an item further names, or take some away.
    Alias {
        /// A name it has.
        sku: String,
        /// A name it has from now on too.
        #[arg(long)]
        add: Vec<String>,
        /// An alias it has no longer.
        #[arg(long)]
        remove: Vec<String>,
    },
    /// Make one item of two: all that the first has is the second's from now on.
    Merge {
        /// The item that ends; its names find the other.
        from: String,
        /// The item that goes on.
        into: String,
    },
    /// Nothing new is received, held or ordered of it any more.
    Archive {
        /// A name it has.
        sku: String,
    },
    /// It is bought and sold again.
    Unarchive {
        /// A name it has.
        sku: String,
    },
    /// Items whose names look the same but for case, spaces, dashes, O and 0, I, l and 1; with the merge offered.
    Twins,
    /// What is available at or below its low-stock level; or set a level.
    Low {
        /// The item to set a level of.
        #[arg(requires = "level")]
        sku: Option<String>,
        /// Low at or below so much, or `none`.
        level: Option<String>,
        /// Only at this location.
        #[arg(long, requires = "sku")]
        location: Option<String>,
    },
}

/// See [`Command::History`].
#[derive(Debug, Args)]
pub struct History {
    /// The item's SKU or an alias.
    #[arg(required_unless_present = "location")]
    pub sku: Option<String>,
    /// Only out of or into this location; of all items where no SKU is named.
    #[arg(long)]
    pub location: Option<String>,
    /// Only those that changed this state, such as `available`.
    #[arg(long)]
    pub state: Option<String>,
    /// Only with exactly this reason.
    #[arg(long)]
    pub reason: Option<String>,
    /// Only asked or told by exactly this one.
    #[arg(long)]
    pub actor: Option<String>,
    /// Only from the outside document of exactly this name.
    #[arg(long)]
    pub document: Option<String>,
    /// Only what happened at or after this instant (RFC 3339).
    #[arg(long)]
    pub from: Option<String>,
    /// Only what happened before this instant (RFC 3339).
    #[arg(long)]
    pub until: Option<String>,
    /// How many at most, the newest first.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
}

/// See [`Command::Report`].
#[derive(Debug, Subcommand)]
pub enum Report {
    /// The stock of the whole catalogue at an instant, as CSV on standard output (JSON lines with --json).
    Stock {
        /// Stock at this instant (RFC 3339), by what happened; now unless told.
        #[arg(long)]
        at: Option<String>,
        /// … as it was known at this instant; as known now unless told.
        #[arg(long)]
        known_at: Option<String>,
        /// Only at this location, and in all that is inside it.
        #[arg(long)]
        location: Option<String>,
    },
}
