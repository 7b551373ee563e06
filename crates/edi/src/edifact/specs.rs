//! The elements of service segments, by their number, of syntax version 3: <https://github.com/php-edifact/edifact-mapping>
//! (`src/Mapping/Service_V3/segments.xml`).

use crate::spec::Spec;

pub(super) const SYNTAX: Spec = Spec::new(1, "syntax identifier", 4, 4);
pub(super) const SYNTAX_VERSION: Spec = Spec::new(2, "syntax version", 1, 1);
pub(super) const SENDER: Spec = Spec::new(4, "sender's id", 1, 35);
pub(super) const PARTNER_KIND: Spec = Spec::new(7, "kind of partner id", 1, 4);
pub(super) const SENDER_ADDRESS: Spec = Spec::new(8, "address for reverse routing", 1, 14);
pub(super) const RECIPIENT: Spec = Spec::new(10, "recipient's id", 1, 35);
pub(super) const ROUTING_ADDRESS: Spec = Spec::new(14, "routing address", 1, 14);
pub(super) const DATE: Spec = Spec::new(17, "date of preparation", 6, 6);
pub(super) const TIME: Spec = Spec::new(19, "time of preparation", 4, 4);
pub(super) const INTERCHANGE: Spec = Spec::new(20, "interchange's reference", 1, 14);
pub(super) const MESSAGE_COUNT: Spec = Spec::new(36, "number of messages", 1, 6);
pub(super) const MESSAGE: Spec = Spec::new(62, "message's reference", 1, 14);
pub(super) const TYPE: Spec = Spec::new(65, "message's type", 1, 6);
pub(super) const TYPE_VERSION: Spec = Spec::new(52, "version of the type", 1, 3);
pub(super) const RELEASE: Spec = Spec::new(54, "release of the type", 1, 3);
pub(super) const AGENCY: Spec = Spec::new(51, "controlling agency", 1, 2);
pub(super) const ASSOCIATION: Spec = Spec::new(57, "association's code", 1, 6);
pub(super) const SEGMENT_COUNT: Spec = Spec::new(74, "number of segments", 1, 6);
pub(super) const ACTION: Spec = Spec::new(83, "action", 1, 3);
pub(super) const ERROR: Spec = Spec::new(85, "syntax error", 1, 3);
pub(super) const SERVICE_TAG: Spec = Spec::new(13, "service segment's tag", 3, 3);
pub(super) const SEGMENT_POSITION: Spec = Spec::new(96, "segment's position", 1, 6);
pub(super) const ELEMENT_POSITION: Spec = Spec::new(98, "element's position", 1, 3);
pub(super) const COMPONENT_POSITION: Spec = Spec::new(104, "component's position", 1, 3);
