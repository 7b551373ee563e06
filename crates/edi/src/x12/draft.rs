//! A transaction set while it is made: the first thing that does not fit is kept, and refused at the end.

use jiff::civil::Date;
use onhand_ledger::Quantity;

use super::TransactionSet;
use super::specs::{CASE_CODE, ITEM_ID, ITEM_KIND};
use crate::item::ItemIds;
use crate::line::date_text;
use crate::problem::{Place, Unwritable};
use crate::segment::{Element, Segment};
use crate::spec::Spec;

/// A transaction set while it is made.
pub(super) struct Draft {
    place: Place,
    segments: Vec<Segment>,
    refused: Option<Unwritable>,
}

impl Draft {
    pub(super) fn new(control: u32) -> Self {
        let place = Place { set: Some(format!("{control:04}")), ..Place::default() };
        Self { place, segments: Vec::new(), refused: None }
    }

    /// Begins a segment, which the next values are for.
    pub(super) fn segment(&mut self, id: &str) -> &mut Self {
        self.segments.push(Segment { id: id.to_owned(), elements: Vec::new() });
        self
    }

    fn last(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a segment is begun before it has values")
    }

    fn here(&mut self) -> Place {
        let number = self.segments.len() + 1;
        let (id, element) = (self.last().id.clone(), self.last().elements.len() + 1);
        self.place.segment(number, &id).element(element)
    }

    /// Refuses the document for this reason, at the place it has come to.
    pub(super) fn refuse(&mut self, told: &str) {
        let place = self.here();
        let place = Place { element: None, ..place };
        self.refused.get_or_insert(Unwritable::new(place, told));
    }

    /// The next element, which has to have a value.
    pub(super) fn must(&mut self, spec: &Spec, value: &str) -> &mut Self {
        if value.is_empty() {
            let place = self.here();
            self.refused.get_or_insert(Unwritable::new(place, format!("the {} has to be there", spec.name)));
        }
        self.may(spec, Some(value))
    }

    /// The next element.
    pub(super) fn may(&mut self, spec: &Spec, value: Option<&str>) -> &mut Self {
        let (place, value) = (self.here(), value.unwrap_or(""));
        if let Err(error) = spec.fit(&place, value) {
            self.refused.get_or_insert(error);
        }
        self.last().elements.push(Element::from(value));
        self
    }

    /// The next element, which is a quantity. Neither its sign nor its decimal point is counted as a character.
    pub(super) fn quantity(&mut self, spec: &Spec, quantity: Quantity) -> &mut Self {
        let text = quantity.to_string();
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if let Err(error) = spec.fit(&self.here(), &digits) {
            self.refused.get_or_insert(error);
        }
        self.last().elements.push(Element::from(text));
        self
    }

    /// The next element, which is a quantity that may not be less than nothing.
    pub(super) fn amount(&mut self, spec: &Spec, quantity: Quantity) -> &mut Self {
        if quantity.is_negative() {
            let place = self.here();
            self.refused
                .get_or_insert(Unwritable::new(place, format!("the {} is not less than nothing", spec.name)));
        }
        self.quantity(spec, quantity)
    }

    /// The next element, which is a day.
    pub(super) fn date(&mut self, spec: &Spec, date: Option<Date>) -> &mut Self {
        let text = date.map(date_text);
        self.may(spec, text.as_deref())
    }

    /// Makes the last element a component of the one in front of it.
    pub(super) fn join(&mut self) {
        let elements = &mut self.last().elements;
        if let (Some(component), Some(element)) = (elements.pop(), elements.pop()) {
            let values = element.values().chain(component.values()).map(str::to_owned).collect();
            elements.push(Element::new(vec![values]));
        }
    }

    /// So many elements without a value.
    pub(super) fn skip(&mut self, elements: usize) -> &mut Self {
        for _ in 0..elements {
            self.last().elements.push(Element::from(""));
        }
        self
    }

    /// The names of an item: its case code where the segment has one, and as many pairs as there are places for.
    pub(super) fn item(&mut self, item: &ItemIds, has_case_code: bool, pairs: usize) -> &mut Self {
        if has_case_code {
            self.may(&CASE_CODE, item.case_code.as_deref());
        }
        if item.ids.is_empty() && (!has_case_code || item.case_code.is_none()) {
            self.refuse("an item has to be named");
        }
        if item.ids.len() > pairs || (item.case_code.is_some() && !has_case_code) {
            self.refuse(&format!("an item has at most {pairs} names here"));
        }
        for index in 0..pairs {
            match item.ids.get(index) {
                Some(named) => self.must(&ITEM_KIND, &named.kind).must(&ITEM_ID, &named.id),
                None => self.skip(2),
            };
        }
        self
    }

    /// The set, unless something did not fit.
    pub(super) fn finish(mut self, kind: &str, control: u32) -> Result<TransactionSet, Unwritable> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        for segment in &mut self.segments {
            segment.trim();
        }
        Ok(TransactionSet::new(kind, control, self.segments))
    }
}
