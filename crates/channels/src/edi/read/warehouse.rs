//! What a warehouse did: shipped (945), took in (944), found otherwise (947).

use std::collections::BTreeSet;

use onhand_edi::Place;
use onhand_edi::x12::{self, Adjusted, Condition as InCondition, Shipped, Status, Why};
use onhand_ledger::{Instant, Quantity};

use super::super::sent::{Closed, What};
use super::{Reader, location};
use crate::ChannelError;
use crate::arrived::{Brought, ChangeRow, Changes};
use crate::expected::{Condition, DeliveredLine, Delivery};
use crate::outgoing::{Parcel, ParcelLine};

impl Reader<'_> {
    pub(super) async fn shipped(&mut self, place: &Place, shipped: &Shipped) -> Result<(), ChannelError> {
        let document = shipped.document.clone().unwrap_or_default();
        let Some(sent) = self.sent(&document, What::Order).await?.cloned() else {
            self.refuse(
                place,
                format!("the 945 is of `{document}`, which was never sent as a 940: nothing of it is booked"),
            );
            return Ok(());
        };
        let at = self.moment(shipped.shipped_on.unwrap_or(self.head.made.0), None);
        let base = shipped.shipment.clone().unwrap_or_else(|| self.part_name(place));
        let (mut parcels, mut closed, refused_before) = (Vec::new(), Vec::new(), self.refused.len());
        for (index, package) in shipped.packages.iter().enumerate() {
            let mut lines = Vec::<ParcelLine>::new();
            for line in &package.lines {
                let ordered = self.listing(line.instead_of.as_ref().unwrap_or(&line.item));
                let Some(name) = sent.line_of(&ordered).map(str::to_owned) else {
                    self.refuse(
                        place,
                        format!(
                            "`{ordered}` is no item of {document}: {} of it are not booked",
                            line.shipped
                        ),
                    );
                    continue;
                };
                let why = closes(&line.status).map(|why| (name.clone(), why));
                if line.status == Status::Substitute {
                    closed.extend(why);
                    let instead = self.listing(&line.item);
                    self.refuse(
                        place,
                        format!(
                            "{} of `{instead}` left instead of `{ordered}`: they are not booked",
                            line.shipped
                        ),
                    );
                    continue;
                }
                match self.edi.settings.pieces(line.shipped, line.unit.as_deref()) {
                    Ok(quantity) => {
                        closed.extend(why);
                        add(&mut lines, name, quantity, line.lot.clone());
                    }
                    // What may have left is not called missing.
                    Err(reason) => self.refuse(place, format!("`{ordered}` of {document}: {reason}")),
                }
            }
            if lines.is_empty() {
                continue;
            }
            let is_only = shipped.packages.len() == 1;
            let parcel = if is_only { base.clone() } else { format!("{base}.{}", index + 1) };
            let carrier = shipped.carrier().map(str::to_owned);
            let tracking = package.tracking().map(str::to_owned);
            parcels.push(Parcel { parcel, shipped_at: at, carrier, tracking, lines });
        }
        if !self.edi.settings.in_parts && self.refused.len() == refused_before {
            closed.extend(sent.lines().map(|line| (line.to_owned(), Closed::Done)));
            // What a line says of itself is known better.
            closed.sort_by_key(|(_, why)| *why == Closed::Done);
            let mut seen = BTreeSet::new();
            closed.retain(|(line, _)| seen.insert(line.clone()));
        }
        let written_at = self.written_at;
        let differ = match self.known.get_mut(&document) {
            Some(sent) => sent.ship(parcels, closed, written_at),
            None => Vec::new(),
        };
        for parcel in differ {
            self.refuse(place, format!("shipment {parcel} of {document} was told before, and otherwise: it stays as it was told first"));
        }
        Ok(())
    }

    pub(super) async fn received(
        &mut self,
        place: &Place,
        received: &x12::Received,
    ) -> Result<(), ChannelError> {
        let document = received.document.clone().or_else(|| received.shipment.clone()).unwrap_or_default();
        let Some(sent) = self.sent(&document, What::Announcement).await?.cloned() else {
            self.refuse(
                place,
                format!(
                    "the 944 is of `{document}`, which was never announced as a 943: receipt {} is not booked, receive it by hand",
                    received.receipt
                ),
            );
            return Ok(());
        };
        let (mut lines, refused_before) = (Vec::new(), self.refused.len());
        for line in &received.lines {
            let listing = self.listing(&line.item);
            let Some(name) = sent.line_of(&listing).map(str::to_owned) else {
                self.refuse(
                    place,
                    format!(
                        "`{listing}` was not announced in {document}: {} of it are not booked",
                        line.quantity
                    ),
                );
                continue;
            };
            match self.came(&name, line) {
                Ok(came) => lines.extend(came),
                Err(reason) => self.refuse(place, format!("`{listing}` of {document}: {reason}")),
            }
        }
        let (at, written_at) = (self.moment(received.received_on, None), self.written_at);
        let delivery = Delivery { delivery: received.receipt.clone(), received_at: at, lines };
        let is_last = !self.edi.settings.in_parts && self.refused.len() == refused_before;
        let is_as_told = match self.known.get_mut(&document) {
            Some(_) if delivery.lines.is_empty() && !is_last => true,
            Some(sent) => sent.receive(delivery, is_last, written_at),
            None => true,
        };
        if !is_as_told {
            self.refuse(
                place,
                format!(
                    "receipt {} of {document} was told before, and otherwise: it stays as it was told first",
                    received.receipt
                ),
            );
        }
        Ok(())
    }

    /// What came of a line, by the state that it came in.
    fn came(&self, name: &str, line: &x12::ReceivedLine) -> Result<Vec<DeliveredLine>, String> {
        let settings = &self.edi.settings;
        let mut rest = settings.pieces(line.quantity, Some(&line.unit))?;
        let of = |quantity: Quantity, condition: Condition, lot: Option<String>| DeliveredLine {
            line: name.to_owned(),
            quantity,
            lot,
            expires: None,
            condition: Some(condition),
        };
        let mut came = Vec::new();
        for exception in &line.exceptions {
            let condition = match exception.condition {
                InCondition::Damaged => Condition::Damaged,
                InCondition::Quality | InCondition::Held => Condition::QualityControl,
                _ => continue,
            };
            let quantity = settings.pieces(exception.quantity, Some(&exception.unit))?;
            rest -= quantity;
            if rest.is_negative() {
                return Err("more of it is told to be damaged or held than came".to_owned());
            }
            let lot = exception.lot.clone().or_else(|| line.lot.clone());
            came.extend(quantity.is_positive().then(|| of(quantity, condition, lot)));
        }
        came.extend(rest.is_positive().then(|| of(rest, Condition::Available, line.lot.clone())));
        Ok(came)
    }

    pub(super) async fn adjusted(&mut self, place: &Place, adjusted: &Adjusted) -> Result<(), ChannelError> {
        let mut rows = Vec::new();
        for (number, line) in (1..).zip(&adjusted.lines) {
            let listing = self.listing(&line.item);
            match self.edi.settings.pieces(line.change, Some(&line.unit)) {
                Ok(change) => {
                    let listing = listing.into_boxed_str();
                    rows.push(ChangeRow { line: number, listing, change, reason: reason(&line.why) });
                }
                Err(reason) => self.refuse(place, format!("`{listing}`: {reason}")),
            }
        }
        let number = adjusted.warehouse_number.clone().unwrap_or_else(|| self.part_name(place));
        let document = format!("947-{number}");
        // Told again in another interchange, it is of when it was told first.
        let name = format!("adjusted/{number}");
        let told_first: Option<Instant> = self.edi.recall(&name).await?;
        let occurred_at = told_first.unwrap_or_else(|| self.moment(adjusted.date, None));
        self.kept.push(self.edi.kept(name, &occurred_at)?);
        let location = location(&adjusted.parties);
        self.brought.push(Brought::Changes(Changes { document, location, occurred_at, rows }));
        Ok(())
    }
}

/// Is nothing more told of a line of that status, and why?
fn closes(status: &Status) -> Option<Closed> {
    match status {
        Status::Complete | Status::PartialRestDropped => Some(Closed::Done),
        Status::Cancelled => Some(Closed::Cancelled),
        Status::OutOfStock => Some(Closed::OutOfStock),
        Status::Substitute => Some(Closed::Substituted),
        Status::PartialRestLater | Status::Partial | Status::Later | Status::Other(_) => None,
    }
}

fn add(lines: &mut Vec<ParcelLine>, line: String, quantity: Quantity, lot: Option<String>) {
    match lines.iter_mut().find(|known| known.line == line && known.lot == lot) {
        _ if !quantity.is_positive() => {}
        Some(known) => known.quantity += quantity,
        None => lines.push(ParcelLine { line, quantity, lot }),
    }
}

/// Why stock changed, in the words that people change it by.
fn reason(why: &Why) -> &'static str {
    match why {
        Why::Counted => "cycle_count",
        Why::Located => "found",
        Why::DamagedHere | Why::DamagedInTransit | Why::Repaired => "damaged",
        Why::Held | Why::Released | Why::Recalled => "quality_control",
        Why::Destroyed | Why::Expired => "shrinkage",
        Why::ReceiptError | Why::ShipmentError => "correction",
        Why::Other(_) => "other",
    }
}
