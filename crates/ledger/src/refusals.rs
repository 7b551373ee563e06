//! What each command can be answered with instead of being done: refusals of the business, and what makes it no command.
//!
//! This is the one place that says so. [`crate::decide`] holds every command to it in debug builds, the API's document is
//! made of it, and each pair has a test over HTTP (`web/tests/refusals.rs`), so that it says neither less nor more than
//! what is. What a group or a noted command can be answered with is what the commands inside it can be.

use crate::answer::{Invalid, Refusal};
use crate::command::Body;

/// Kinds of something, each with the name that callers know it by: the fragment of a problem's `type`.
macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($kind:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $kind,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The name that callers know it by.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)+
                }
            }
        }
    };
}

kinds! {
    /// What kind of refusal: the business says no, and the answer is kept for the request's key.
    RefusalKind {
        AlreadyResolved = "already_resolved",
        ApprovalNeeded = "approval_needed",
        Archived = "archived",
        BarcodeTaken = "barcode_taken",
        CannotMerge = "cannot_merge",
        DocumentEnded = "document_ended",
        DocumentHasLess = "document_has_less",
        HoldEnded = "hold_ended",
        Insufficient = "insufficient",
        ItemInUse = "item_in_use",
        LineHasLess = "line_has_less",
        NotInOnePlace = "not_in_one_place",
        NotMaster = "not_master",
        NotReversible = "not_reversible",
        NotSellable = "not_sellable",
        PrecisionInUse = "precision_in_use",
        RecountNeeded = "recount_needed",
        ReferenceTaken = "reference_taken",
        ReversedAlready = "reversed_already",
        RuleTie = "rule_tie",
        SerialElsewhere = "serial_elsewhere",
        SessionEnded = "session_ended",
        SkuTaken = "sku_taken",
    }
}

kinds! {
    /// In what way a command is none: nothing is kept, and its key stays free.
    InvalidKind {
        Field = "field",
        KeyReused = "key_reused",
        NoLines = "no_lines",
        NotPositive = "not_positive",
        Overflow = "overflow",
        TooFarAhead = "too_far_ahead",
        TooLarge = "too_large",
        TooPrecise = "too_precise",
        Twice = "twice",
        Unknown = "unknown",
        UnknownLine = "unknown_line",
        UnknownLocation = "unknown_location",
        UnknownLot = "unknown_lot",
        UnknownPack = "unknown_pack",
        UnknownSku = "unknown_sku",
        UnknownSystem = "unknown_system",
        UnmappedListing = "unmapped_listing",
    }
}

impl Refusal {
    /// Its kind; of a group's that of the line that was refused.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::Insufficient(_) => RefusalKind::Insufficient,
            Self::NotMaster { .. } => RefusalKind::NotMaster,
            Self::NotSellable { .. } => RefusalKind::NotSellable,
            Self::HoldEnded { .. } => RefusalKind::HoldEnded,
            Self::HoldHasLess { .. } | Self::LineHasLess { .. } => RefusalKind::LineHasLess,
            Self::ReferenceTaken { .. } | Self::DocumentReferenceTaken { .. } => RefusalKind::ReferenceTaken,
            Self::PrecisionInUse { .. } => RefusalKind::PrecisionInUse,
            Self::RuleTie { .. } | Self::PublicationTie { .. } => RefusalKind::RuleTie,
            Self::DocumentEnded { .. } => RefusalKind::DocumentEnded,
            Self::DocumentHasLess { .. } => RefusalKind::DocumentHasLess,
            Self::NotReversible { .. } => RefusalKind::NotReversible,
            Self::ReversedAlready { .. } => RefusalKind::ReversedAlready,
            Self::NotInOnePlace { .. } => RefusalKind::NotInOnePlace,
            Self::SessionEnded { .. } => RefusalKind::SessionEnded,
            Self::RecountNeeded { .. } => RefusalKind::RecountNeeded,
            Self::ApprovalNeeded { .. } => RefusalKind::ApprovalNeeded,
            Self::SerialElsewhere { .. } => RefusalKind::SerialElsewhere,
            Self::ItemInUse { .. } => RefusalKind::ItemInUse,
            Self::AlreadyResolved { .. } => RefusalKind::AlreadyResolved,
            Self::BarcodeTaken { .. } => RefusalKind::BarcodeTaken,
            Self::SkuTaken { .. } => RefusalKind::SkuTaken,
            Self::Archived { .. } => RefusalKind::Archived,
            Self::CannotMerge { .. } => RefusalKind::CannotMerge,
            Self::InGroup { refusal, .. } => refusal.kind(),
        }
    }
}

impl Invalid {
    /// Its kind; of a group's that of the line that is none.
    pub fn kind(&self) -> InvalidKind {
        match self {
            Self::UnknownSku(_) => InvalidKind::UnknownSku,
            Self::UnknownLocation(_) => InvalidKind::UnknownLocation,
            Self::UnknownLot { .. } => InvalidKind::UnknownLot,
            Self::UnknownSystem(_) => InvalidKind::UnknownSystem,
            Self::UnmappedListing { .. } => InvalidKind::UnmappedListing,
            Self::Unknown { .. } => InvalidKind::Unknown,
            Self::UnknownLine { .. } => InvalidKind::UnknownLine,
            Self::NotPositive { .. } => InvalidKind::NotPositive,
            Self::TooPrecise { .. } => InvalidKind::TooPrecise,
            Self::NoLines(_) => InvalidKind::NoLines,
            Self::Twice { .. } => InvalidKind::Twice,
            Self::Field { .. } => InvalidKind::Field,
            Self::TooFarAhead { .. } => InvalidKind::TooFarAhead,
            Self::KeyReused(_) => InvalidKind::KeyReused,
            Self::TooLarge { .. } => InvalidKind::TooLarge,
            Self::UnknownPack { .. } => InvalidKind::UnknownPack,
            Self::Overflow(_) => InvalidKind::Overflow,
            Self::InGroup { invalid, .. } => invalid.kind(),
        }
    }
}

/// The commands: each with its name as a line of `POST /v1/commands`, the refusals it can give, and the ways it can be
/// none.
macro_rules! commands {
    ($($command:ident = $name:literal, $refusal:ident { $($no:ident),* }, invalid { $($wrong:ident),* };)+) => {
        /// What is asked, without what it is about.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum CommandKind {
            $(#[doc = concat!("[`Body::", stringify!($command), "`]")] $command,)+
        }

        impl CommandKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$command),+];

            /// Its name as a member of a line of `POST /v1/commands`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$command => $name,)+
                }
            }

            /// All that the business may say no with.
            pub const fn refusals(self) -> &'static [RefusalKind] {
                match self {
                    $(Self::$command => &[$(RefusalKind::$no),*],)+
                }
            }

            /// All the ways it can be no command, beside its key's.
            pub const fn invalids(self) -> &'static [InvalidKind] {
                match self {
                    $(Self::$command => &[$(InvalidKind::$wrong),*],)+
                }
            }
        }

        $(
            #[doc = concat!("How `", $name, "` can be refused.")]
            #[derive(Clone, Copy, PartialEq, Eq, Debug)]
            pub enum $refusal {
                $(#[doc = concat!("[`RefusalKind::", stringify!($no), "`]")] $no,)*
            }

            impl $refusal {
                /// Which of them a refusal is; none where it is of another command.
                pub fn of(refusal: &Refusal) -> Option<Self> {
                    const OWN: &[(RefusalKind, $refusal)] = &[$((RefusalKind::$no, $refusal::$no)),*];
                    OWN.iter().find(|(kind, _)| *kind == refusal.kind()).map(|(_, own)| *own)
                }
            }
        )+
    };
}

commands! {
    PutItem = "put_item",
        PutItemRefusal { PrecisionInUse, ItemInUse, RuleTie, SkuTaken, BarcodeTaken },
        invalid { Field, Twice, UnknownSku, UnknownPack, NotPositive, TooPrecise, TooLarge };
    PutLocation = "put_location",
        PutLocationRefusal { RuleTie },
        invalid { Field, UnknownLocation };
    PutSystem = "put_system",
        PutSystemRefusal {},
        invalid { Field, UnknownLocation, Twice };
    PutListing = "put_listing",
        PutListingRefusal {},
        invalid { Field, UnknownSystem, UnknownSku };
    PutLot = "put_lot",
        PutLotRefusal {},
        invalid { Field, UnknownSku };
    RenameItem = "rename_item",
        RenameItemRefusal { SkuTaken },
        invalid { Field, UnknownSku };
    ChangeAliases = "change_aliases",
        ChangeAliasesRefusal { SkuTaken },
        invalid { Field, UnknownSku };
    MergeItems = "merge_items",
        MergeItemsRefusal { CannotMerge },
        invalid { Field, UnknownSku, Overflow };
    SetLowStock = "set_low_stock",
        SetLowStockRefusal {},
        invalid { Field, UnknownSku, UnknownLocation, TooPrecise, TooLarge };
    SetOwnership = "set_ownership",
        SetOwnershipRefusal { RuleTie },
        invalid { Field, UnknownLocation, UnknownSku, UnknownSystem };
    SetPublication = "set_publication",
        SetPublicationRefusal { RuleTie },
        invalid { Field, Twice, UnknownLocation, UnknownSku, UnknownSystem };
    StopSelling = "stop_selling",
        StopSellingRefusal {},
        invalid { Field, UnknownSku };
    ResumeSelling = "resume_selling",
        ResumeSellingRefusal {},
        invalid { Field, UnknownSku };
    StopPushing = "stop_pushing",
        StopPushingRefusal {},
        invalid {};
    ResumePushing = "resume_pushing",
        ResumePushingRefusal {},
        invalid {};
    SetAllocation = "set_allocation",
        SetAllocationRefusal {},
        invalid { Field, Twice, UnknownLocation, UnknownSystem };
    EndRule = "end_rule",
        EndRuleRefusal { RuleTie },
        invalid { Unknown };
    Receive = "receive",
        ReceiveRefusal { Archived, NotMaster, SerialElsewhere },
        invalid {
            Field, NoLines, NotPositive, Overflow, TooFarAhead, TooLarge, TooPrecise, Twice, UnknownLocation, UnknownPack,
            UnknownSku
        };
    Adjust = "adjust",
        AdjustRefusal { Insufficient, NotMaster, SerialElsewhere },
        invalid {
            Field, NoLines, Overflow, TooFarAhead, TooLarge, TooPrecise, Twice, UnknownLocation, UnknownPack, UnknownSku
        };
    Transfer = "transfer",
        TransferRefusal { Insufficient, NotMaster, SerialElsewhere },
        invalid {
            Field, NoLines, NotPositive, Overflow, TooFarAhead, TooLarge, TooPrecise, Twice, UnknownLocation, UnknownLot,
            UnknownPack, UnknownSku
        };
    Move = "move",
        MoveRefusal { Insufficient, NotMaster },
        invalid {
            Field, NoLines, NotPositive, Overflow, TooFarAhead, TooLarge, TooPrecise, Twice, UnknownLocation, UnknownLot,
            UnknownPack, UnknownSku
        };
    Reverse = "reverse",
        ReverseRefusal { Insufficient, NotMaster, NotReversible, ReversedAlready, SerialElsewhere },
        invalid { Field, NotPositive, Overflow, TooLarge, TooPrecise, Unknown };
    Assemble = "assemble",
        AssembleRefusal { Insufficient, NotMaster, SerialElsewhere },
        invalid {
            Field, NoLines, NotPositive, Overflow, TooFarAhead, TooLarge, TooPrecise, Twice, UnknownLocation, UnknownLot,
            UnknownPack, UnknownSku
        };
    Disassemble = "disassemble",
        DisassembleRefusal { Insufficient, NotMaster, SerialElsewhere },
        invalid {
            Field, NoLines, NotPositive, Overflow, TooFarAhead, TooLarge, TooPrecise, Twice, UnknownLocation, UnknownLot,
            UnknownPack, UnknownSku
        };
    Count = "count",
        CountRefusal { NotMaster },
        invalid {
            Field, NoLines, Overflow, TooFarAhead, TooLarge, TooPrecise, Twice, UnknownLocation, UnknownPack, UnknownSku,
            UnknownSystem
        };
    AskRecount = "ask_recount",
        AskRecountRefusal { NotMaster },
        invalid { Field, UnknownLocation, UnknownSku, UnknownSystem };
    OpenSession = "open_session",
        OpenSessionRefusal { NotMaster },
        invalid { Field, NoLines, Twice, UnknownLocation, UnknownSku };
    Sight = "sight",
        SightRefusal { NotMaster, SessionEnded },
        invalid { Field, NoLines, TooFarAhead, TooLarge, TooPrecise, Twice, Unknown, UnknownSku };
    ApplySession = "apply_session",
        ApplySessionRefusal { ApprovalNeeded, NotMaster, RecountNeeded, SessionEnded },
        invalid { Field, NoLines, Overflow, Unknown };
    CancelSession = "cancel_session",
        CancelSessionRefusal { SessionEnded },
        invalid { Unknown };
    PlaceHold = "place_hold",
        PlaceHoldRefusal { Archived, Insufficient, NotInOnePlace, NotSellable },
        invalid {
            Field, NoLines, NotPositive, Overflow, TooLarge, TooPrecise, Twice, UnknownLocation, UnknownLot, UnknownPack,
            UnknownSku
        };
    ExtendHold = "extend_hold",
        ExtendHoldRefusal { HoldEnded },
        invalid { Field, Unknown };
    ReleaseHold = "release_hold",
        ReleaseHoldRefusal { HoldEnded },
        invalid { Unknown };
    ReleaseLines = "release_lines",
        ReleaseLinesRefusal { HoldEnded, LineHasLess },
        invalid { NoLines, NotPositive, TooLarge, TooPrecise, Twice, Unknown, UnknownLine };
    ConvertHold = "convert_hold",
        ConvertHoldRefusal { HoldEnded, ReferenceTaken },
        invalid { Field, Overflow, Unknown };
    PlaceOrder = "place_order",
        PlaceOrderRefusal { Archived, Insufficient, NotInOnePlace, NotSellable, ReferenceTaken },
        invalid {
            Field, NoLines, NotPositive, Overflow, TooLarge, TooPrecise, Twice, UnknownLocation, UnknownLot, UnknownPack,
            UnknownSku
        };
    FulfilOrder = "fulfil_order",
        FulfilOrderRefusal { LineHasLess, NotMaster },
        invalid {
            Field, NoLines, NotPositive, Overflow, TooFarAhead, TooLarge, TooPrecise, Twice, Unknown, UnknownLine, UnknownLot
        };
    CancelOrder = "cancel_order",
        CancelOrderRefusal { DocumentEnded, LineHasLess },
        invalid { NoLines, NotPositive, TooLarge, TooPrecise, Twice, Unknown, UnknownLine, UnknownLot };
    ReturnOrder = "return_order",
        ReturnOrderRefusal { LineHasLess, NotMaster, SerialElsewhere },
        invalid {
            Field, NoLines, NotPositive, Overflow, TooFarAhead, TooLarge, TooPrecise, Twice, Unknown, UnknownLine,
            UnknownLocation, UnknownLot
        };
    AnnounceReturn = "announce_return",
        AnnounceReturnRefusal { LineHasLess, NotMaster },
        invalid { Field, NoLines, NotPositive, TooLarge, TooPrecise, Twice, Unknown, UnknownLine, UnknownLocation, UnknownLot };
    EndReturn = "end_return",
        EndReturnRefusal { DocumentEnded },
        invalid { Unknown };
    Reallocate = "reallocate",
        ReallocateRefusal {},
        invalid { Unknown, UnknownLocation };
    PlanTransfer = "plan_transfer",
        PlanTransferRefusal { NotMaster, ReferenceTaken },
        invalid {
            Field, NoLines, NotPositive, TooLarge, TooPrecise, Twice, UnknownLocation, UnknownLot, UnknownPack, UnknownSku
        };
    AmendTransfer = "amend_transfer",
        AmendTransferRefusal { DocumentEnded, DocumentHasLess, Insufficient, NotMaster },
        invalid { Field, Overflow, TooLarge, TooPrecise, Twice, Unknown, UnknownLine };
    ReadyTransfer = "ready_transfer",
        ReadyTransferRefusal { DocumentEnded, Insufficient, NotMaster },
        invalid { Overflow, Unknown };
    DispatchTransfer = "dispatch_transfer",
        DispatchTransferRefusal { DocumentEnded, DocumentHasLess, Insufficient, NotMaster },
        invalid {
            Field, NoLines, NotPositive, Overflow, TooFarAhead, TooLarge, TooPrecise, Twice, Unknown, UnknownLine
        };
    ReceiveTransfer = "receive_transfer",
        ReceiveTransferRefusal { DocumentEnded, DocumentHasLess, NotMaster, SerialElsewhere },
        invalid {
            Field, NoLines, NotPositive, Overflow, TooFarAhead, TooLarge, TooPrecise, Twice, Unknown, UnknownLine
        };
    CancelTransfer = "cancel_transfer",
        CancelTransferRefusal { DocumentEnded, NotMaster },
        invalid { Field, TooFarAhead, Unknown };
    PlacePurchase = "place_purchase",
        PlacePurchaseRefusal { Archived, ReferenceTaken },
        invalid { Field, NoLines, NotPositive, TooLarge, TooPrecise, UnknownLocation, UnknownPack, UnknownSku };
    AmendPurchase = "amend_purchase",
        AmendPurchaseRefusal { Archived, DocumentEnded, DocumentHasLess },
        invalid {
            Field, NoLines, NotPositive, TooLarge, TooPrecise, Twice, Unknown, UnknownLine, UnknownPack, UnknownSku
        };
    ReceivePurchase = "receive_purchase",
        ReceivePurchaseRefusal { DocumentEnded, NotMaster, SerialElsewhere },
        invalid {
            Field, NoLines, NotPositive, Overflow, TooFarAhead, TooLarge, TooPrecise, Twice, Unknown, UnknownLine,
            UnknownLocation, UnknownPack
        };
    EndPurchase = "end_purchase",
        EndPurchaseRefusal { DocumentEnded },
        invalid { Unknown };
    Record = "record",
        RecordRefusal {},
        invalid { Field, NoLines, Overflow, TooPrecise, Twice, UnknownSystem };
    Resolve = "resolve",
        ResolveRefusal { AlreadyResolved },
        invalid { Field, Unknown };
    Note = "note",
        NoteRefusal {},
        invalid { UnknownSku, UnknownSystem };
    SizeBuffer = "size_buffer",
        SizeBufferRefusal {},
        invalid { Field, UnknownSystem };
    Tick = "tick",
        TickRefusal {},
        invalid {};
    Group = "group",
        GroupRefusal {},
        invalid { Field, NoLines };
    Noted = "noted",
        NotedRefusal {},
        invalid { Field };
}

impl Body {
    /// What is asked, without what it is about.
    pub const fn kind(&self) -> CommandKind {
        match self {
            Self::PutItem(_) => CommandKind::PutItem,
            Self::PutLocation(_) => CommandKind::PutLocation,
            Self::PutSystem(_) => CommandKind::PutSystem,
            Self::PutListing(_) => CommandKind::PutListing,
            Self::SetOwnership(_) => CommandKind::SetOwnership,
            Self::SetPublication(_) => CommandKind::SetPublication,
            Self::EndRule(_) => CommandKind::EndRule,
            Self::Receive(_) => CommandKind::Receive,
            Self::Adjust(_) => CommandKind::Adjust,
            Self::Transfer(_) => CommandKind::Transfer,
            Self::Move(_) => CommandKind::Move,
            Self::Count(_) => CommandKind::Count,
            Self::PlaceHold(_) => CommandKind::PlaceHold,
            Self::ReleaseHold(_) => CommandKind::ReleaseHold,
            Self::ConvertHold(_) => CommandKind::ConvertHold,
            Self::PlaceOrder(_) => CommandKind::PlaceOrder,
            Self::FulfilOrder(_) => CommandKind::FulfilOrder,
            Self::CancelOrder(_) => CommandKind::CancelOrder,
            Self::ReturnOrder(_) => CommandKind::ReturnOrder,
            Self::Record(_) => CommandKind::Record,
            Self::Resolve(_) => CommandKind::Resolve,
            Self::Note(_) => CommandKind::Note,
            Self::SizeBuffer(_) => CommandKind::SizeBuffer,
            Self::Tick => CommandKind::Tick,
            Self::RenameItem(_) => CommandKind::RenameItem,
            Self::ChangeAliases(_) => CommandKind::ChangeAliases,
            Self::MergeItems(_) => CommandKind::MergeItems,
            Self::SetLowStock(_) => CommandKind::SetLowStock,
            Self::Noted(_) => CommandKind::Noted,
            Self::Reverse(_) => CommandKind::Reverse,
            Self::PlanTransfer(_) => CommandKind::PlanTransfer,
            Self::AmendTransfer(_) => CommandKind::AmendTransfer,
            Self::DispatchTransfer(_) => CommandKind::DispatchTransfer,
            Self::ReceiveTransfer(_) => CommandKind::ReceiveTransfer,
            Self::CancelTransfer(_) => CommandKind::CancelTransfer,
            Self::Assemble(_) => CommandKind::Assemble,
            Self::Disassemble(_) => CommandKind::Disassemble,
            Self::PlacePurchase(_) => CommandKind::PlacePurchase,
            Self::AmendPurchase(_) => CommandKind::AmendPurchase,
            Self::ReceivePurchase(_) => CommandKind::ReceivePurchase,
            Self::EndPurchase(_) => CommandKind::EndPurchase,
            Self::ExtendHold(_) => CommandKind::ExtendHold,
            Self::ReleaseLines(_) => CommandKind::ReleaseLines,
            Self::SetAllocation(_) => CommandKind::SetAllocation,
            Self::StopSelling(_) => CommandKind::StopSelling,
            Self::ResumeSelling(_) => CommandKind::ResumeSelling,
            Self::Reallocate(_) => CommandKind::Reallocate,
            Self::OpenSession(_) => CommandKind::OpenSession,
            Self::Sight(_) => CommandKind::Sight,
            Self::ApplySession(_) => CommandKind::ApplySession,
            Self::CancelSession(_) => CommandKind::CancelSession,
            Self::PutLot(_) => CommandKind::PutLot,
            Self::Group(_) => CommandKind::Group,
            Self::ReadyTransfer(_) => CommandKind::ReadyTransfer,
            Self::AskRecount(_) => CommandKind::AskRecount,
            Self::AnnounceReturn(_) => CommandKind::AnnounceReturn,
            Self::EndReturn(_) => CommandKind::EndReturn,
            Self::StopPushing => CommandKind::StopPushing,
            Self::ResumePushing => CommandKind::ResumePushing,
        }
    }

    /// Is it said here that this can be refused so?
    pub(crate) fn may_be_refused(&self, refusal: &Refusal) -> bool {
        match (self, refusal) {
            (Self::Noted(noted), _) => noted.body.may_be_refused(refusal),
            (Self::Group(bodies), Refusal::InGroup { line, refusal }) => {
                line_of(bodies, *line).is_some_and(|body| body.may_be_refused(refusal))
            }
            _ => self.kind().refusals().contains(&refusal.kind()),
        }
    }

    /// Is it said here that this can be no command in such a way?
    pub(crate) fn may_be_invalid(&self, invalid: &Invalid) -> bool {
        match (self, invalid) {
            (Self::Group(bodies), Invalid::InGroup { line, invalid }) => {
                // What is no line of a group, whatever it is, is said of that line.
                let own = Self::Group(Vec::new());
                own.may_be_invalid(invalid)
                    || line_of(bodies, *line).is_some_and(|body| body.may_be_invalid(invalid))
            }
            (Self::Noted(noted), _) if noted.body.may_be_invalid(invalid) => true,
            _ => self.kind().invalids().contains(&invalid.kind()),
        }
    }
}

fn line_of(bodies: &[Body], line: u32) -> Option<&Body> {
    bodies.get(usize::try_from(line).ok()?.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_a_command_is_one_of_its_own() {
        let no = Refusal::NotSellable { location: "ATTIC".to_owned() };
        assert_eq!(PlaceOrderRefusal::of(&no), Some(PlaceOrderRefusal::NotSellable));
        assert_eq!(ReceiveRefusal::of(&no), None);
        assert_eq!(TickRefusal::of(&no), None);
        let in_group = Refusal::InGroup { line: 2, refusal: Box::new(no) };
        assert_eq!(PlaceOrderRefusal::of(&in_group), Some(PlaceOrderRefusal::NotSellable));
    }

    #[test]
    fn each_command_says_each_kind_once_and_is_named_as_it_is_written() {
        for command in CommandKind::ALL {
            let mut names: Vec<&str> = command.refusals().iter().map(|kind| kind.name()).collect();
            names.extend(command.invalids().iter().map(|kind| kind.name()));
            let said = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), said, "{command:?}");
        }
        assert_eq!(serde_json::to_string(&Body::Tick).unwrap(), format!("\"{}\"", Body::Tick.kind().name()));
        let body = Body::CancelSession(crate::SessionId(1));
        assert_eq!(serde_json::to_string(&body).unwrap(), format!("{{\"{}\":1}}", body.kind().name()));
    }

    #[test]
    fn a_group_is_held_to_what_its_lines_say() {
        let resolve =
            Body::Resolve(crate::command::Resolve { discrepancy: crate::DiscrepancyId(1), choice: None });
        let group = Body::Group(vec![Body::Tick, resolve.clone()]);
        let resolved = Refusal::AlreadyResolved { discrepancy: crate::DiscrepancyId(1) };
        let at = |line| Refusal::InGroup { line, refusal: Box::new(resolved.clone()) };
        assert!(resolve.may_be_refused(&resolved));
        assert!(
            !group.may_be_refused(&at(1)) && group.may_be_refused(&at(2)) && !group.may_be_refused(&at(3))
        );
        let noted =
            crate::command::Noted { reference: None, note: None, body: Body::EndRule(crate::RuleId(1)) };
        let noted = Body::Noted(Box::new(noted));
        assert!(noted.may_be_invalid(&Invalid::Unknown { kind: "rule", id: "1".to_owned() }));
        assert!(noted.may_be_invalid(&Invalid::Field { field: "note", problem: String::new() }));
        assert!(!noted.may_be_invalid(&Invalid::NoLines("this")));
    }
}
