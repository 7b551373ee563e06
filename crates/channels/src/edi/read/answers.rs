//! How what we sent was read over there: 997 and CONTRL.

use onhand_edi::Place;
use onhand_edi::edifact::{self, Action};
use onhand_edi::x12::{Acknowledgment, Verdict};

use super::super::Numbered;
use super::super::sent::Sent;
use super::Reader;
use crate::ChannelError;
use crate::arrived::Brought;

impl Reader<'_> {
    /// What was sent under a control number.
    async fn numbered(&self, control: &str) -> Result<Option<Numbered>, ChannelError> {
        self.edi.recall(&format!("number/{control}")).await
    }

    pub(super) async fn acknowledged(
        &mut self,
        place: &Place,
        told: &Acknowledgment,
    ) -> Result<(), ChannelError> {
        let control = format!("{:04}", told.control);
        let set = told.sets.iter().find(|set| set.control == control);
        let is_taken = match set.map_or(told.verdict, |set| set.verdict) {
            Verdict::Accepted | Verdict::AcceptedWithErrors => true,
            Verdict::Partly => told.accepted > 0,
            Verdict::Rejected | Verdict::NotTrusted => false,
        };
        let mut reasons: Vec<String> = Vec::new();
        for note in set.iter().flat_map(|set| &set.notes) {
            let at = format!("segment {} {}", note.position, note.id);
            reasons.extend(note.code.as_ref().map(|code| format!("{at}: error {code}")));
            reasons.extend(note.elements.iter().map(|element| {
                let value = element.value.as_ref().map_or(String::new(), |value| format!(" (`{value}`)"));
                format!("{at}, element {}: error {}{value}", element.element, element.code)
            }));
        }
        let codes = set.iter().flat_map(|set| &set.codes).chain(&told.codes);
        reasons.extend(codes.map(|code| format!("error {code}")));
        let name = format!("997 of group {}", told.control);
        self.answered(place, &name, &told.control.to_string(), is_taken.then_some(()).ok_or(reasons)).await
    }

    pub(super) async fn controlled(
        &mut self,
        place: &Place,
        control: &edifact::Control,
    ) -> Result<(), ChannelError> {
        let message = control.messages.first();
        let is_taken = control.action != Action::Rejected
            && message.is_none_or(|message| message.action != Action::Rejected);
        let mut reasons: Vec<String> = Vec::new();
        let errors = control.error.iter().chain(message.iter().filter_map(|message| message.error.as_ref()));
        reasons.extend(errors.map(|error| match &error.tag {
            Some(tag) => format!("segment {tag}: error {}", error.code),
            None => format!("error {}", error.code),
        }));
        for segment in message.iter().flat_map(|message| &message.segments) {
            let at = format!("segment {}", segment.position);
            reasons.extend(segment.code.as_ref().map(|code| format!("{at}: error {code}")));
            let of = |element: &edifact::ElementError| {
                format!("{at}, element {}: error {}", element.element, element.code)
            };
            reasons.extend(segment.elements.iter().map(of));
        }
        let name = format!("CONTRL of interchange {}", control.interchange);
        self.answered(place, &name, &control.interchange, is_taken.then_some(()).ok_or(reasons)).await
    }

    /// What was sent under that number was taken, or was not for these reasons.
    async fn answered(
        &mut self,
        place: &Place,
        name: &str,
        control: &str,
        is_taken: Result<(), Vec<String>>,
    ) -> Result<(), ChannelError> {
        let (system, written_at) = (self.edi.name.clone(), self.written_at);
        let why = is_taken.err().map(|reasons| {
            let reasons = if reasons.is_empty() { "it says not why".to_owned() } else { reasons.join("; ") };
            format!("{system}'s {name} rejects it: {reasons}")
        });
        match (self.numbered(control).await?, why) {
            (None, _) => self.refuse(place, format!("the {name} is of nothing that was sent")),
            (Some(Numbered::Stock), None) => {}
            (Some(Numbered::Stock), Some(why)) => {
                let sentence = format!(
                    "The numbers that {system} was told as interchange {control} were not taken: {why}."
                );
                self.brought.push(Brought::Rejected(sentence));
            }
            (Some(Numbered::Document { document, version }), why) => {
                let what = match self.edi.recall::<Sent>(&format!("sent/{document}")).await? {
                    Some(known) => known.what,
                    None => return Ok(()),
                };
                let Some(sent) = self.sent(&document, what).await? else { return Ok(()) };
                let Some(why) = why else {
                    sent.accept(version, written_at);
                    return Ok(());
                };
                let is_first = sent.is_first(version);
                if !sent.reject(version, why.clone(), written_at) {
                    let sentence = if is_first {
                        format!(
                            "{document} was rejected by {system}, which has told of it as done all the same: {why}. Ask them which it is."
                        )
                    } else {
                        format!(
                            "What has changed of {document} was not taken by {system}, and what was sent of it before stands there: {why}."
                        )
                    };
                    self.brought.push(Brought::Rejected(sentence));
                }
            }
        }
        Ok(())
    }
}
