//! What an item is called by those who speak of it.

use serde::{Deserialize, Serialize};

/// One name of an item, and whose it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ItemId {
    /// Whose: a code of element 235 in X12, of 7143 in EDIFACT.
    pub kind: String,
    /// The name.
    pub id: String,
}

/// All names of an item that a line has.
///
/// Kinds in X12: `SK` stock keeping unit, `UP` U.P.C., `VN` vendor's item number
/// (<https://ediacademy.com/blog/x12-product-service-id-qualifier/>), `BP` buyer's part number, `EN` EAN
/// (<https://www.stedi.com/edi/x12-003020/element/235>). In EDIFACT: `EN` EAN, `UP` U.P.C., `SA` supplier's article number, `IN` buyer's
/// item number (<https://ref.gs1.org/standards/eancom/1997/>, INVRPT, segments LIN and PIA). Others are kept as they are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ItemIds {
    /// Its names in the order they were told.
    pub ids: Vec<ItemId>,
    /// The U.P.C. case code, which X12 tells apart: 12 characters.
    pub case_code: Option<String>,
}

impl ItemIds {
    /// An item that is known by our SKU alone.
    pub fn of_sku(sku: &str) -> Self {
        Self { ids: vec![ItemId { kind: "SK".to_owned(), id: sku.to_owned() }], case_code: None }
    }

    /// What it is called by that kind of name.
    pub fn of_kind(&self, kind: &str) -> Option<&str> {
        self.ids.iter().find(|named| named.kind == kind).map(|named| named.id.as_str())
    }

    /// Our SKU: `SK` in X12.
    pub fn sku(&self) -> Option<&str> {
        self.of_kind("SK")
    }
}
