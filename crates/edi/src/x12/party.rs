//! Parties (N1, N3, N4) and how goods are carried.
//!
//! N1: role, name, kind of code, code (<https://www.infopluscommerce.com/knowledge-base/944-warehouse-stock-transfer-receipt-advice>,
//! <http://edi-services.com/850-purchase-order-elements.htm>); N3: address lines; N4: city, state, postal code, country
//! (<https://ws2.segment.co.il/Public/EDI-Segment/x12-4040/846/110N4.htm>). Roles: `ST` ship to, `SF` ship from, `WH` warehouse
//! (<https://support.infopluscommerce.com/support/solutions/articles/11000070801-943-warehouse-stock-transfer-shipment-advice>). Kinds of code:
//! `91` assigned by the seller, `92` by the buyer, `9` D-U-N-S with suffix, `ZZ` mutually defined
//! (<https://www.stedi.com/edi/x12-003010/element/66>).

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::specs::{
    ADDRESS, CITY, COUNTRY, PARTY_CODE, PARTY_CODE_KIND, PARTY_NAME, PARTY_ROLE, POSTAL_CODE, REGION,
};
use crate::line::Line;

/// Whom or where a document names. It may be a person, so that its name and address are not in what is printed to find errors.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Party {
    /// What it is in the document: `ST` is who gets the goods, `SF` who sends them, `WH` the warehouse.
    pub role: String,
    /// Its name.
    pub name: Option<String>,
    /// What it is called by whom.
    pub code: Option<PartyCode>,
    /// Street, house, floor: up to four lines.
    pub address: Vec<String>,
    /// Town.
    pub city: Option<String>,
    /// State or province: two letters.
    pub region: Option<String>,
    /// Post code.
    pub postal_code: Option<String>,
    /// The country's code.
    pub country: Option<String>,
}

/// A code, and whose it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartyCode {
    /// Whose: `92`.
    pub kind: String,
    /// The code.
    pub code: String,
}

impl std::fmt::Debug for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { role, code, country, .. } = self;
        f.debug_struct("Party")
            .field("role", role)
            .field("code", code)
            .field("country", country)
            .finish_non_exhaustive()
    }
}

impl Party {
    /// A party that is known by a code alone.
    pub fn coded(role: &str, kind: &str, code: &str) -> Self {
        let code = PartyCode { kind: kind.to_owned(), code: code.to_owned() };
        Self { role: role.to_owned(), code: Some(code), ..Self::default() }
    }

    /// The region that goods go to, as Onhand says it: `DE`, or `US-NY`.
    pub fn ship_to(&self) -> Option<String> {
        let country = self.country.as_ref()?;
        Some(self.region.as_ref().map_or_else(|| country.clone(), |region| format!("{country}-{region}")))
    }
}

/// The party of that role.
pub(super) fn of_role<'a>(parties: &'a [Party], role: &str) -> Option<&'a Party> {
    parties.iter().find(|party| party.role == role)
}

/// Takes N1, N3 and N4; says if the segment was one of them.
pub(super) fn read(line: &Line<'_>, parties: &mut Vec<Party>) -> bool {
    match (line.id(), parties.last_mut()) {
        ("N1", _) => {
            let role = line.must(1, &PARTY_ROLE).unwrap_or_default();
            let code =
                line.pair(3, &PARTY_CODE_KIND, &PARTY_CODE).map(|(kind, code)| PartyCode { kind, code });
            let name = line.text(2, &PARTY_NAME);
            parties.push(Party { role, name, code, ..Party::default() });
        }
        ("N3", Some(party)) => {
            party.address.extend([1, 2].into_iter().filter_map(|element| line.text(element, &ADDRESS)))
        }
        ("N4", Some(party)) => {
            party.city = line.text(1, &CITY);
            party.region = line.text(2, &REGION);
            party.postal_code = line.text(3, &POSTAL_CODE);
            party.country = line.text(4, &COUNTRY);
        }
        ("N3" | "N4", None) => line.unexpected("it tells of no party: N1 is missing in front of it"),
        _ => return false,
    }
    true
}

/// Makes N1, N3 and N4.
pub(super) fn write(draft: &mut Draft, party: &Party) {
    let (kind, code) = party.code.as_ref().map_or(("", ""), |code| (code.kind.as_str(), code.code.as_str()));
    draft
        .segment("N1")
        .must(&PARTY_ROLE, &party.role)
        .may(&PARTY_NAME, party.name.as_deref())
        .may(&PARTY_CODE_KIND, Some(kind))
        .may(&PARTY_CODE, Some(code));
    if party.name.is_none() && code.is_empty() {
        draft.refuse("a party has a name or a code");
    }
    for lines in party.address.chunks(2) {
        let n3 = draft.segment("N3");
        for line in lines {
            n3.must(&ADDRESS, line);
        }
    }
    if party.address.len() > 4 {
        draft.refuse("an address has at most four lines");
    }
    let Party { city, region, postal_code, country, .. } = party;
    if [city, region, postal_code, country].into_iter().any(Option::is_some) {
        draft
            .segment("N4")
            .may(&CITY, city.as_deref())
            .may(&REGION, region.as_deref())
            .may(&POSTAL_CODE, postal_code.as_deref())
            .may(&COUNTRY, country.as_deref());
    }
}

/// How goods are to be carried: W66 of an order, W27 of what was sent.
///
/// Codes of ways of transport, such as `M` motor carrier, are at <https://zenbridge.io/edi-dictionary/X12/4010/segment/W27>.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Carriage {
    /// Who pays: a code of element 146.
    pub payment: Option<String>,
    /// Which way: a code of element 91.
    pub method: String,
    /// The carrier's Standard Carrier Alpha Code.
    pub carrier: Option<String>,
    /// The carrier or the route in words.
    pub routing: Option<String>,
}
