//! Exports of other systems, known by their headers: Linnworks' and SKULabs' own files.
//!
//! The order of columns, their case and their spaces do not matter. What a file is, and which of its columns have a place here,
//! is said in this file alone; what becomes of a row, where the same is done with our own columns.
//!
//! Linnworks lets its users choose the columns of an export and what they are called; what it calls them itself is in the pages of
//! its import types, <https://assets.linnworks.com/support/settings/import-and-export-data/import-data/import-types/inventory-import/>
//! and beside it `stock-level`, `stock-level-batch`, `stock-item-compositions-import` and `stock-item-linking-import`. Its exports
//! have some names that are not there: a program of one of its customers reads them
//! (<https://github.com/stcstores/stcadmin/blob/f0871b9ae2e41cdc5eb53f5d30e07acd5f0187b0/linnworks/models/linnworks_export_files.py>).
//!
//! SKULabs' item details: <https://help.skulabs.com/en/articles/4004898-what-fields-can-i-use-in-the-item-details-csv-file>. The
//! columns of its files of kits and of stock are not public: these are imported as our own, or by `--map`.

use std::collections::{BTreeSet, HashSet};

use onhand_sheets::{Record, Table};

use super::{Bad, FileProblem, What};

/// Whose file it is, and which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Linnworks' inventory: a row for each item, or for each item and location.
    LinnworksInventory,
    /// Linnworks' stock levels: a row for each item and location.
    LinnworksStockLevels,
    /// The same of what Linnworks calls batches.
    LinnworksBatches,
    /// Linnworks' compositions: a row for each component of a kit.
    LinnworksCompositions,
    /// Linnworks' links: what items are called by sales channels.
    LinnworksLinks,
    /// SKULabs' item details: a row for each item.
    SkulabsItems,
}

/// Any of these names, without case, spaces and signs.
type Any = &'static [&'static str];

const SKU: Any = &["sku", "itemnumber"];
const TITLE: Any = &["title", "itemtitle"];
const LOCATION: Any = &["location", "stocklocation"];
const LEVEL: Any = &["stocklevel", "stocklevelatlocation"];
const MINIMUM: Any = &["minimumlevel", "stockminimumlevelatlocation"];
const GROUP: Any = &["isvariationgroup", "isvariationparent"];
const COMPOSITE: Any = &["iscompositeparent"];
/// An inventory has at least one of these, and no file of stock levels has.
const OF_AN_INVENTORY: Any = &[
    "barcodenumber",
    "category",
    "archived",
    "isarchived",
    "batchtype",
    "isvariationgroup",
    "isvariationparent",
    "retailprice",
    "purchaseprice",
];
/// The exports' stock levels have these beside `Quantity`, which many a file has.
const OF_STOCK_LEVELS: Any = &["iscompositeparent", "inorderbook", "stockvalue", "binrack"];
/// Our own files have `sku` and `name` too, and none of these.
const OF_ITEM_DETAILS: Any = &[
    "length",
    "width",
    "height",
    "dimensionsunit",
    "weight",
    "weightunit",
    "fulfillmentsku",
    "latency",
    "notes",
    "cost",
    "retail",
    "sale",
    "wholesale",
    "image",
    "serial",
];

/// What each has; the first that fits is it.
const KNOWN: [(Source, &[Any]); 7] = [
    (Source::LinnworksCompositions, &[&["parentsku"], &["childsku"], &["quantity"]]),
    (Source::LinnworksLinks, &[SKU, &["linkedskucustomlabel"]]),
    (Source::LinnworksBatches, &[SKU, &["batchnumber"], LOCATION, &["level"]]),
    (Source::LinnworksInventory, &[SKU, TITLE, OF_AN_INVENTORY]),
    (Source::LinnworksStockLevels, &[SKU, LOCATION, LEVEL]),
    (Source::LinnworksStockLevels, &[SKU, LOCATION, &["quantity"], OF_STOCK_LEVELS]),
    (Source::SkulabsItems, &[&["sku"], &["name"], &["barcode"], OF_ITEM_DETAILS]),
];

/// What is taken of others' files, in order.
pub(super) const KINDS: [What; 3] = [What::Items, What::Kits, What::Stock];

/// What names say that the catalogue has anyway.
const TOLD_ELSEWHERE: Any = &["title", "itemtitle", "linnworkstitle"];

impl Source {
    /// What it is called where people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinnworksInventory => "Linnworks' inventory",
            Self::LinnworksStockLevels => "Linnworks' stock levels",
            Self::LinnworksBatches => "Linnworks' stock levels by batch",
            Self::LinnworksCompositions => "Linnworks' compositions",
            Self::LinnworksLinks => "Linnworks' links to channels",
            Self::SkulabsItems => "SKULabs' item details",
        }
    }

    /// Which of its columns are taken for what: as we call it, and as it may be called there.
    const fn columns(self, what: What) -> &'static [(&'static str, Any)] {
        match (self, what) {
            (Self::LinnworksInventory, What::Items) => &[
                ("sku", SKU),
                ("name", TITLE),
                ("barcodes", &["barcodenumber"]),
                ("tags", &["category"]),
                ("archived", &["archived", "isarchived"]),
                ("tracking", &["batchtype"]),
                ("low_stock", MINIMUM),
                ("location", LOCATION),
                ("group", GROUP),
            ],
            (Self::LinnworksInventory | Self::LinnworksStockLevels, What::Stock) => &[
                ("sku", SKU),
                ("location", LOCATION),
                ("counted", &["stocklevel", "stocklevelatlocation", "quantity"]),
                ("low_stock", MINIMUM),
                ("group", GROUP),
                ("composite", COMPOSITE),
            ],
            (Self::LinnworksBatches, What::Stock) => &[
                ("sku", SKU),
                ("location", LOCATION),
                ("lot", &["batchnumber"]),
                ("counted", &["level"]),
                ("expires", &["expireson"]),
                ("status", &["status"]),
            ],
            (Self::LinnworksCompositions, What::Kits) => {
                &[("kit", &["parentsku"]), ("component", &["childsku"]), ("quantity", &["quantity"])]
            }
            (Self::LinnworksLinks, What::Items) => &[("sku", SKU), ("alias", &["linkedskucustomlabel"])],
            (Self::SkulabsItems, What::Items) => {
                &[("sku", SKU), ("name", &["name"]), ("barcodes", &["barcode"]), ("unit", &["unit"])]
            }
            _ => &[],
        }
    }

    /// Where in a header the columns are that are taken for what.
    fn places(self, header: &[String], what: What) -> Vec<(&'static str, usize)> {
        let header: Vec<String> = header.iter().map(|name| plain(name)).collect();
        // An inventory may have an extended property of any name: what is taken is what Linnworks calls so itself.
        let is_theirs = |name: &str| name != "quantity" || self != Self::LinnworksInventory;
        let place = |any: Any| {
            let mut names = any.iter().filter(|name| is_theirs(name));
            names.find_map(|name| header.iter().position(|column| column == name))
        };
        let columns = self.columns(what).iter();
        columns.filter_map(|(ours, any)| Some((*ours, place(any)?))).collect()
    }

    /// Can something be taken from such a file as that?
    pub(super) fn offers(self, table: &Table, what: What) -> bool {
        let places = self.places(&table.header, what);
        let has = |ours: &str| places.iter().any(|(known, _)| *known == ours);
        match what {
            What::Stock => has("sku") && has("location") && (has("counted") || has("low_stock")),
            _ => !places.is_empty(),
        }
    }

    /// Calls the columns that are taken as we do, and forgets the others.
    pub(super) fn take(self, table: &mut Table, what: What) -> Result<(), FileProblem> {
        if !self.offers(table, what) {
            let (name, things) = (self.name(), what.name());
            let offered = KINDS.into_iter().filter(|what| self.offers(table, *what)).map(What::name);
            let offered = offered.collect::<Vec<_>>().join(" and ");
            return Err(FileProblem(format!(
                "line 1: this is {name}, and there are no {things} in it: import {offered} of it, or say which column is which \
                 (`--map OURS=THEIRS`, over HTTP `map`)"
            )));
        }
        let places = self.places(&table.header, what);
        table.keep(&places);
        Ok(())
    }

    /// The columns that have values and no place here: what they are called, and in how many rows they have one.
    pub(super) fn left(self, table: &Table) -> Vec<Left> {
        let taken: BTreeSet<usize> = KINDS
            .into_iter()
            .flat_map(|what| self.places(&table.header, what))
            .map(|(_, place)| place)
            .collect();
        let columns = table.header.iter().enumerate().filter(|(place, name)| {
            !taken.contains(place) && !TOLD_ELSEWHERE.contains(&plain(name).as_str())
        });
        let left = columns.map(|(place, column)| Left { column: column.clone(), rows: table.filled(place) });
        left.filter(|left| left.rows > 0).collect()
    }
}

/// A column with values that have no place here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Left {
    /// As the file calls it.
    pub column: String,
    /// In how many rows it has a value.
    pub rows: usize,
}

/// A column's name without case, spaces and signs: exports and imports write the same one differently.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whose file it is; none where it is nobody's that is known, or where it was said which column is which.
pub(super) fn recognise(table: &Table) -> Option<Source> {
    if table.mapped {
        return None;
    }
    let names: HashSet<String> = table.header.iter().map(|name| plain(name)).collect();
    let has = |any: &Any| any.iter().any(|name| names.contains(*name));
    KNOWN.into_iter().find(|(_, needed)| needed.iter().all(has)).map(|(source, _)| source)
}

/// Yes or no, as others write it.
pub(super) fn is_yes(record: &Record<'_>, column: &str) -> Result<Option<bool>, Bad> {
    match record.field(column).to_lowercase().as_str() {
        "" => Ok(None),
        "yes" | "true" | "1" => Ok(Some(true)),
        "no" | "false" | "0" => Ok(Some(false)),
        other => {
            let problem = format!("{column} is `{other}`; it must be yes or no");
            Err(Bad::new(record.line(), Some(column), problem))
        }
    }
}
