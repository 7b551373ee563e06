//! How much of an interchange is taken in.

/// The most bytes that an interchange may have.
pub const MOST_BYTES: usize = 8 << 20;
/// The most elements that a segment may have. An acknowledgment of X12 has two digits for the position of one:
/// <https://kasoftware.com/schema/edi/x12/00305/segments/AK4>.
pub const MOST_ELEMENTS: usize = 99;
/// The most elements and components that an interchange may have, all in all.
pub const MOST_PARTS: usize = 1_000_000;
/// The most groups and transaction sets, or messages, that an interchange may have.
pub const MOST_SETS: usize = 10_000;
/// The most problems that are told of an interchange, and of a document.
pub const MOST_PROBLEMS: usize = 100;
