//! Names for things inside the ledger.
//!
//! Whatever an entry creates is known ever after by the `seq` of that entry: ids need no counter and no
//! randomness, and an id says when its thing came to be.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The position of an entry in a tenant's log: 1, 2, 3 … without gaps. 0 is "before the first entry".
pub type Seq = u64;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Seq);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id!(/** What is stocked; its SKU is only a name. */ ItemId);
id!(/** A place where stock is; 0 is no place (an outside party's account). */ LocationId);
id!(/** Anything connected; 0 is Onhand itself. */ SystemId);
id!(/** An order. */ OrderId);
id!(/** A hold. */ HoldId);
id!(/** A count. */ CountId);
id!(/** A session of counting. */ SessionId);
id!(/** A system's own name for something sellable. */ ListingId);
id!(/** A difference that waits for a person, or did. */ DiscrepancyId);
id!(/** An ownership or publication rule. */ RuleId);
id!(/** A lot or serial; 0 where unused. */ LotId);
id!(/** Whose goods these are; 0 is the tenant. */ ConsignorId);
id!(/** A transfer between two locations, as a document. */ TransferId);
id!(/** A purchase order. */ PurchaseId);
id!(/** A return that is expected. */ ReturnId);

impl SystemId {
    /// Onhand itself.
    pub const ONHAND: Self = Self(0);
}

/// One business: the unit of isolation and of scale-out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub u64);

impl TenantId {
    /// The tenant of a business that never sees the word.
    pub const DEFAULT: Self = Self(1);
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
