//! What a person says of files, as text by name; `docs/channels/files.md` has the table.

use std::collections::BTreeMap;

use crate::{Discovery, Meaning, RemoteLocation};

/// How files are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Format {
    /// Text, with a separator between fields.
    #[default]
    Csv,
    /// A workbook.
    Xlsx,
}

/// What goes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Out {
    /// One file with all numbers, replaced each time.
    #[default]
    Full,
    /// A file each time, with the numbers that changed.
    Changes,
}

/// What is said of the place and of what is exchanged there, whatever the files look like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Exchanging {
    pub out: Out,
    /// Does the stock that comes have all there is at its locations?
    pub whole: bool,
    /// The ids of its locations over there.
    pub locations: Vec<String>,
    /// What its numbers mean.
    pub meaning: Meaning,
    /// A file that has not changed for so long is whole, in seconds.
    pub stable_seconds: u64,
    /// It is looked for files so often, in seconds; none: as the place is.
    pub poll_seconds: Option<u64>,
    /// A file should come so often, in seconds.
    pub expected_seconds: Option<i64>,
    /// Its own orders come at most so long after they moved its numbers, in seconds.
    pub orders_within_seconds: i64,
    /// What we wrote is shown over there after so long, in seconds.
    pub taken_over_seconds: i64,
    /// Over HTTP: what may come is called so.
    pub names: Vec<String>,
    /// Over SFTP: the fingerprint of the server's key.
    pub host_key: Option<String>,
}

impl Default for Exchanging {
    fn default() -> Self {
        Self {
            out: Out::Full,
            whole: true,
            locations: vec!["main".to_owned()],
            meaning: Meaning::Shown,
            stable_seconds: 5,
            poll_seconds: None,
            expected_seconds: None,
            orders_within_seconds: 60,
            taken_over_seconds: 3_600,
            names: Vec::new(),
            host_key: None,
        }
    }
}

/// A setting that is not as it must be: `there` is what it may be.
pub(crate) fn not_one_of(name: &str, value: &str, there: &str) -> String {
    format!("the setting `{name}` is `{value}`; it must be {there}")
}

/// A number of seconds.
pub(crate) fn seconds(name: &str, value: &str) -> Result<u32, String> {
    value.parse().map_err(|_| not_one_of(name, value, "a number of seconds"))
}

impl Exchanging {
    /// The names of these settings.
    pub const NAMES: [&str; 11] = [
        "out",
        "in",
        "locations",
        "meaning",
        "stable_seconds",
        "poll_seconds",
        "expected_seconds",
        "orders_within_seconds",
        "taken_over_seconds",
        "names",
        "host_key",
    ];

    /// Takes a setting, where it is one of these.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let one_of = |there: &str| not_one_of(name, value, there);
        let seconds = || seconds(name, value);
        let list =
            || value.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
        match name {
            "out" => {
                self.out = match value {
                    "full" => Out::Full,
                    "changes" => Out::Changes,
                    _ => return Err(one_of("`full` or `changes`")),
                }
            }
            "in" => {
                self.whole = match value {
                    "full" => true,
                    "changes" => false,
                    _ => return Err(one_of("`full` or `changes`")),
                }
            }
            "locations" => {
                self.locations = list();
                if self.locations.is_empty() {
                    return Err(one_of("names with a comma between, such as `B1,B2`"));
                }
            }
            "meaning" => {
                self.meaning = match value {
                    "shown" => Meaning::Shown,
                    "net_of_own_orders" => Meaning::SellableNetOfOwnOrders,
                    _ => return Err(one_of("`shown` or `net_of_own_orders`")),
                }
            }
            "stable_seconds" => self.stable_seconds = seconds()?.into(),
            "poll_seconds" => self.poll_seconds = Some(seconds()?.into()),
            "expected_seconds" => self.expected_seconds = Some(seconds()?.into()),
            "orders_within_seconds" => self.orders_within_seconds = seconds()?.into(),
            "taken_over_seconds" => self.taken_over_seconds = seconds()?.into(),
            "names" => self.names = list(),
            "host_key" => self.host_key = Some(value.to_owned()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// How late it may tell of its own orders, in milliseconds.
    pub fn tells_within_ms(&self) -> i64 {
        match self.meaning {
            Meaning::SellableNetOfOwnOrders => self.orders_within_seconds * 1_000,
            Meaning::PhysicalOnHand | Meaning::Shown => 0,
        }
    }

    /// Its locations, as they are discovered.
    pub fn discovery(&self) -> Discovery {
        let locations = self.locations.iter();
        let locations =
            locations.map(|name| RemoteLocation { remote_id: name.clone(), name: name.clone() }).collect();
        Discovery { listings: Vec::new(), locations }
    }
}

/// All of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Settings {
    /// Which column of the files is which of ours: ours, and theirs.
    pub columns: Vec<(String, String)>,
    /// Between fields of CSV.
    pub separator: u8,
    /// Before decimals.
    pub decimal: char,
    pub format: Format,
    /// What is exchanged, and where.
    pub exchanging: Exchanging,
}

/// Those of files alone.
const NAMES: [&str; 4] = ["columns.OURS", "separator", "decimal", "format"];

impl Settings {
    /// Reads them.
    pub fn parse(told: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut settings = Self {
            columns: Vec::new(),
            separator: b',',
            decimal: '.',
            format: Format::Csv,
            exchanging: Exchanging::default(),
        };
        for (name, value) in told {
            settings.set(name, value)?;
        }
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let one_of = |there: &str| not_one_of(name, value, there);
        match name {
            "separator" => {
                self.separator = match value {
                    "," => b',',
                    ";" => b';',
                    "|" => b'|',
                    "tab" | "\t" => b'\t',
                    _ => return Err(one_of("`,`, `;`, `|` or `tab`")),
                }
            }
            "decimal" => {
                self.decimal = match value {
                    "." => '.',
                    "," => ',',
                    _ => return Err(one_of("`.` or `,`")),
                }
            }
            "format" => {
                self.format = match value {
                    "csv" => Format::Csv,
                    "xlsx" => Format::Xlsx,
                    _ => return Err(one_of("`csv` or `xlsx`")),
                }
            }
            _ if self.exchanging.set(name, value)? => {}
            _ => match name.strip_prefix("columns.") {
                Some(ours) if !ours.is_empty() && !value.is_empty() => {
                    self.columns.push((ours.to_owned(), value.to_owned()));
                }
                _ => {
                    let there = [NAMES.as_slice(), &Exchanging::NAMES].concat().join(", ");
                    return Err(format!("there is no setting `{name}`; there are {there}"));
                }
            },
        }
        Ok(())
    }

    /// What we call a column, as the files do.
    pub fn theirs<'a>(&'a self, ours: &'a str) -> &'a str {
        self.columns.iter().find(|(name, _)| name == ours).map_or(ours, |(_, theirs)| theirs)
    }
}
