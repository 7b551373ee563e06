//! EDI as the depositor's side sees it: whoever owns goods that somebody else's warehouse keeps.
//!
//! Bytes become an interchange, an interchange becomes documents in Onhand's words, and the other way round. Whatever is wrong is a
//! [`Problem`] that names its place and says what would be right; it is also what the acknowledgment tells the sender. No I/O, no clock,
//! no partner's settings: who is called how, and which numbers come next, is handed in.
//!
//! [`x12`] has ANSI ASC X12 (releases 004010 on), [`edifact`] has UN/EDIFACT (syntax versions 1 to 3).
//!
//! ```
//! let bytes = b"ISA*00*          *00*          *ZZ*WAREHOUSE      *ZZ*DEPOSITOR      *261129*1015*U*00401*000000007*0*P*>~\
//! GS*AW*WAREHOUSE*DEPOSITOR*20261129*1015*3*X*004010~ST*947*0001~W15*20261129*A17~W19*AA*-2*EA**SK*MUG~SE*4*0001~GE*1*3~IEA*1*000000007~";
//! let receipt = onhand_edi::x12::receive(bytes);
//! assert!(receipt.problems.is_empty());
//! let onhand_edi::x12::Document::Adjusted(adjusted) = &receipt.documents[0].1 else { panic!() };
//! assert_eq!(adjusted.lines[0].change.to_string(), "-2");
//! ```

pub mod edifact;
mod found;
mod item;
mod limits;
mod line;
mod problem;
mod segment;
mod spec;
pub mod x12;

pub use item::{ItemId, ItemIds};
pub use limits::{MOST_BYTES, MOST_ELEMENTS, MOST_PARTS, MOST_PROBLEMS, MOST_SETS};
pub use problem::{Fault, Place, Problem, Unwritable};
pub use segment::{Element, Segment};
