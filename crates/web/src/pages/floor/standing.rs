//! Where somebody stands in a task: in the page's address and its forms, and nowhere else.

use onhand_engine::View;
use onhand_ledger::model::Location;
use onhand_ledger::{Answer, Instant, LocationId, Precision, Quantity, Seq};
use onhand_store::StoreError;
use serde::Deserialize;

use super::super::words;
use super::Task;
use super::done::movements;

/// What becomes of goods that come in for a document: as a form says it, and as people do.
pub(super) const INTO: [(&str, &str); 3] =
    [("", "Accept"), ("damaged", "Reject"), ("quality_control", "To be checked")];
/// So many of the last scans are told.
const SCANS: usize = 5;
/// A scan that waited longer than that for a connection counts as if it had waited so long, in milliseconds: a week.
const LONGEST: i64 = 7 * 24 * 3_600 * 1_000;
/// What waited less than that happened now, in milliseconds.
const AT_ONCE: i64 = 1_000;

/// Where somebody stands. What is empty is not said.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Standing {
    /// The code of the location where the goods are, or come in.
    pub at: String,
    /// Where they go.
    pub to: String,
    /// The document they are of: `purchase-12`, `transfer-9`; of a count its session's number.
    pub of: String,
    /// What becomes of them: accepted (empty), `damaged` or `quality_control`.
    pub into: String,
    /// The SKU of what is in hand: it is counted, or its lot is to be scanned next.
    pub item: String,
    /// Of which lot.
    pub lot: String,
    /// How many of it.
    pub n: String,
    /// When it was seen last.
    pub seen: String,
    /// The first entries of the last scans, the newest first, with commas.
    pub scans: String,
}

impl Standing {
    /// All of it, by the names of the fields.
    pub fn fields(&self) -> [(&'static str, &str); 9] {
        [
            ("at", &self.at),
            ("to", &self.to),
            ("of", &self.of),
            ("into", &self.into),
            ("item", &self.item),
            ("lot", &self.lot),
            ("n", &self.n),
            ("seen", &self.seen),
            ("scans", &self.scans),
        ]
    }

    /// The fields that a form does not show.
    pub fn hidden(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.fields().into_iter().filter(|(name, _)| *name != "into")
    }

    /// The address of a task that stands so.
    pub fn href(&self, task: Task) -> String {
        let said = self.fields().into_iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<_> = said.map(|(name, value)| format!("{name}={}", words::part(value))).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{mark}{}", task.path(), query.join("&"))
    }

    /// With nothing in hand.
    #[must_use]
    pub fn empty_handed(self) -> Self {
        let nothing = String::new;
        Self { item: nothing(), lot: nothing(), n: nothing(), seen: nothing(), ..self }
    }

    /// At the only site there is, where nothing else is said; places that there are not (any more) are not stood at.
    pub fn settled(&self, view: &mut View<'_>, task: Task) -> Result<Self, StoreError> {
        let mut settled = self.clone();
        for code in [&mut settled.at, &mut settled.to] {
            if !code.is_empty() && view.location_by_code(code)?.is_none() {
                code.clear();
            }
        }
        if settled.at.is_empty() && task != Task::LookUp {
            let sites = view.sites()?;
            let mut tops = sites.all.iter().filter(|location| sites.parent(**location).is_none());
            if let (Some(only), None) = (tops.next(), tops.next()) {
                settled.at = view.location(*only)?.map_or_else(String::new, |site| site.code);
            }
        }
        Ok(settled)
    }

    /// The location it is at.
    pub fn place(&self, view: &mut View<'_>) -> Result<Option<(LocationId, Location)>, StoreError> {
        view.location_by_code(&self.at)
    }

    /// The entries of the last scans.
    pub fn seqs(&self) -> impl Iterator<Item = Seq> {
        self.scans.split(',').filter_map(|seq| seq.parse().ok()).take(SCANS)
    }

    /// What was done is the newest of the last scans.
    pub fn did(&mut self, answer: &Answer) {
        let Some(newest) = movements(answer).first().copied() else { return };
        let older = self.seqs().filter(|seq| *seq != newest);
        let all: Vec<_> =
            std::iter::once(newest).chain(older).take(SCANS).map(|seq| seq.to_string()).collect();
        self.scans = all.join(",");
    }
}

/// What is scanned, or chosen, and where its maker stands.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Scan {
    /// Of this scan alone: sent again, it is done once.
    pub key: String,
    /// What the scanner read.
    pub code: String,
    /// How many of it, or how many packs; one unless said.
    pub quantity: String,
    /// How many there are in all of what is counted.
    pub number: String,
    /// So many milliseconds ago.
    pub ago: String,
    /// All that is expected has come.
    pub all: String,
    /// A count is opened: `blind` or `open`.
    pub sheet: String,
    /// What is taken back.
    pub seq: String,
    #[serde(flatten)]
    pub standing: Standing,
}

impl Scan {
    /// What tells a copy from another request under the same key: all that was said, but for how long it waited and what was done before.
    pub fn fingerprint(&self, what: &str) -> u64 {
        let Self { code, quantity, number, all, sheet, seq, standing, .. } = self;
        let mut hasher = blake3::Hasher::new();
        let standing = standing.fields().into_iter().filter(|(name, _)| *name != "scans");
        let said = [what, code, quantity, number, all, sheet, seq].into_iter();
        for part in said.chain(standing.map(|(_, value)| value)) {
            hasher.update(part.as_bytes()).update(&[0]);
        }
        let hash = hasher.finalize();
        u64::from_be_bytes(hash.as_bytes().first_chunk().copied().unwrap_or_default())
    }

    fn waited(&self) -> i64 {
        self.ago.trim().parse().unwrap_or(0).clamp(0, LONGEST)
    }

    /// When it was scanned.
    pub fn made_at(&self, now: Instant) -> Instant {
        now.plus_micros(-1_000 * self.waited())
    }

    /// When what it tells of happened, where that is not now.
    pub fn occurred_at(&self, now: Instant) -> Option<Instant> {
        (self.waited() >= AT_ONCE).then(|| self.made_at(now))
    }

    /// How many units: as many as are said, of so many each.
    ///
    /// # Errors
    /// The number that is said is none, or too large.
    pub fn units(&self, each: Quantity) -> Result<Quantity, String> {
        let said = self.quantity.trim().replace('−', "-");
        if said.is_empty() {
            return Ok(each);
        }
        let said = Quantity::parse(&said, Precision::FINEST).map_err(|error| format!("How many: {error}"))?;
        if !said.is_positive() {
            return Err(format!("How many: {said} is not more than 0"));
        }
        let micros = i128::from(said.micros()) * i128::from(each.micros());
        let million = i128::from(Quantity::ONE.micros());
        let units = i64::try_from(micros / million).ok().filter(|_| micros % million == 0);
        let units = units.map(Quantity::from_micros).filter(|units| units.is_acceptable());
        units.ok_or_else(|| format!("How many: {said} × {each} is more than there can be"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(quantity: &str, ago: &str) -> Scan {
        Scan { quantity: quantity.to_owned(), ago: ago.to_owned(), ..Scan::default() }
    }

    #[test]
    fn packs_are_as_many_units_as_are_in_them() {
        let six = Quantity::units(6);
        assert_eq!(said("", "").units(six), Ok(six));
        assert_eq!(said(" 3 ", "").units(six), Ok(Quantity::units(18)));
        assert_eq!(said("0.5", "").units(six), Ok(Quantity::units(3)));
        for wrong in ["0", "−1", "many", "1e3", "900000000000"] {
            assert!(said(wrong, "").units(six).unwrap_err().starts_with("How many: "), "{wrong}");
        }
    }

    #[test]
    fn what_waited_happened_when_it_was_scanned() {
        let now = Instant::parse("2026-11-23T10:00:00Z").unwrap();
        assert_eq!(said("", "999").occurred_at(now), None);
        assert_eq!(said("", "60000").occurred_at(now), Some(now.plus_seconds(-60)));
        for odd in ["", "soon", "-5000"] {
            assert_eq!(said("", odd).made_at(now), now, "{odd}");
        }
        assert_eq!(said("", "9000000000000").made_at(now), now.plus_seconds(-7 * 24 * 3_600));
    }

    #[test]
    fn a_scan_that_is_sent_again_is_the_same_however_long_it_waited() {
        let scan = said("2", "");
        assert_eq!(said("2", "90000").fingerprint("receive"), scan.fingerprint("receive"));
        assert_ne!(said("3", "").fingerprint("receive"), scan.fingerprint("receive"));
        assert_ne!(scan.fingerprint("transfer"), scan.fingerprint("receive"));
    }

    #[test]
    fn the_last_five_scans_are_kept_each_once() {
        let mut standing = Standing { scans: "9,8,7,6,5".to_owned(), ..Standing::default() };
        let moved = |seq| {
            let one = onhand_ledger::answer::Moved {
                sku: "MUG".to_owned(),
                location: "LONDON".to_owned(),
                difference: Quantity::ONE,
                available: Quantity::ONE,
                seq,
            };
            Answer::Moved(vec![one], Vec::new())
        };
        standing.did(&moved(12));
        assert_eq!(standing.scans, "12,9,8,7,6");
        standing.did(&moved(9));
        assert_eq!(standing.scans, "9,12,8,7,6", "sent again it is one scan");
    }
}
