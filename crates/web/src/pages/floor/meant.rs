//! What a scan means: an item by its SKU, another name, its barcode or that of a pack of it; or a location by its code or name.

use onhand_engine::View;
use onhand_ledger::model::{Item, Location, Tracking};
use onhand_ledger::{ItemId, LocationId, Quantity, gtin};
use onhand_store::StoreError;

/// So many locations are looked at for a name; the committer waits meanwhile. A code is found among any number.
const NAMES: usize = 2_000;
/// The longest code that is shown back.
const SHOWN: usize = 60;

/// An item that was scanned.
pub(super) struct Found {
    pub id: ItemId,
    pub item: Item,
    /// How much of it one scan is: a unit, or what is in a pack.
    pub each: Quantity,
}

impl Found {
    pub const fn is_tracked(&self) -> bool {
        !matches!(self.item.tracking, Tracking::None)
    }
}

/// What a code means.
pub(super) enum Meant {
    Item(Box<Found>),
    Place(LocationId, Box<Location>),
    /// Nothing; what to do.
    Nothing(String),
}

/// What a code means. An item goes before a location of the same name.
pub(super) fn meant(view: &mut View<'_>, code: &str) -> Result<Meant, StoreError> {
    let code = code.trim();
    if let Some(found) = item(view, code)? {
        return Ok(Meant::Item(Box::new(found)));
    }
    if let Some((id, location)) = place(view, code)? {
        return Ok(Meant::Place(id, Box::new(location)));
    }
    Ok(Meant::Nothing(unknown(code)))
}

/// The item of a code.
pub(super) fn item(view: &mut View<'_>, code: &str) -> Result<Option<Found>, StoreError> {
    if let Some((id, item)) = view.item_by_sku(code)? {
        return Ok(Some(Found { id, item, each: Quantity::ONE }));
    }
    let found = view.item_by_barcode(code)?;
    Ok(found.map(|(id, item, pack)| {
        let each = pack.map_or(Quantity::ONE, |pack| pack.quantity);
        Found { id, item, each }
    }))
}

fn place(view: &mut View<'_>, code: &str) -> Result<Option<(LocationId, Location)>, StoreError> {
    if let Some(found) = view.location_by_code(code)? {
        return Ok(Some(found));
    }
    let wanted = code.to_lowercase();
    let mut found = None;
    for id in view.sites()?.all.into_iter().take(NAMES) {
        let Some(location) = view.location(id)? else { continue };
        if [&location.code, &location.name].iter().any(|name| name.to_lowercase() == wanted) {
            // Of two by one name nobody knows which is meant.
            if found.is_some() {
                return Ok(None);
            }
            found = Some((id, location));
        }
    }
    Ok(found)
}

/// Says that nothing has a code, and what to do.
fn unknown(code: &str) -> String {
    if code.is_empty() {
        return "Nothing was scanned.".to_owned();
    }
    let shown: String = code.chars().take(SHOWN).collect();
    match gtin::right_check_digit(code) {
        Some(_) => format!(
            "{shown} is no barcode: its last digit does not fit the others, so one was misread. Scan it again."
        ),
        None if gtin::is_gtin(code) => {
            format!("{shown} is on no item here. Put it aside, and have its barcode added to the item it is.")
        }
        None => format!(
            "{shown} is no item and no location here. Scan it again, or put it aside and ask which item it is."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_said_with_what_to_do() {
        for (code, said) in [
            ("4006381333931", "have its barcode added"),
            ("4006381333932", "one was misread. Scan it again"),
            ("A-01-3", "no item and no location"),
        ] {
            assert!(unknown(code).contains(said), "{code}: {}", unknown(code));
        }
        assert!(unknown(&"x".repeat(5_000)).len() < 200);
    }
}
