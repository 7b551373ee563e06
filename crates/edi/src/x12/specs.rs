//! The elements that are read and written, by their number in X12's dictionary, release 004010.
//!
//! Where from: the envelope <https://docs.rs/x12-types/0.8.2/x12_types/v005010/struct.ISA.html> and
//! <https://pyx12.sourceforge.net/doc/maps/997.seg.html>, GS <https://stedi.com/edi/x12-003040/segment/GS>, IEA
//! <https://stedi.com/edi/x12/segment/IEA>, GE <https://stedi.com/edi/x12-003060/segment/GE>, LX
//! <https://stedi.com/edi/x12-004030/segment/LX>, CTT <https://stedi.com/edi/x12-003050/element/354>; the others at the document that has them. Where 005010 and later releases allow
//! more characters, as for item names (<https://zenbridge.io/edi-dictionary/X12/7010/940-warehouse-shipping-order/segment/W01-200>) and
//! references (<https://doc.chinlinktech.com/x12/007040/segment/BIA>), their bound is taken for reading and writing alike.

use crate::spec::Spec;

pub(crate) const INTERCHANGE_CONTROL: Spec = Spec::new(0, "interchange control number", 9, 9);
pub(crate) const GROUP_COUNT: Spec = Spec::new(0, "number of groups", 1, 5);
pub(crate) const FUNCTIONAL: Spec = Spec::new(479, "functional identifier", 2, 2);
pub(crate) const APPLICATION_SENDER: Spec = Spec::new(142, "application sender's code", 2, 15);
pub(crate) const APPLICATION_RECEIVER: Spec = Spec::new(124, "application receiver's code", 2, 15);
pub(crate) const DATE: Spec = Spec::new(373, "date", 8, 8);
pub(crate) const TIME: Spec = Spec::new(337, "time", 4, 8);
pub(crate) const GROUP_CONTROL: Spec = Spec::new(28, "group control number", 1, 9);
pub(crate) const AGENCY: Spec = Spec::new(455, "responsible agency", 1, 2);
pub(crate) const VERSION: Spec = Spec::new(480, "version", 1, 12);
pub(crate) const SET_COUNT: Spec = Spec::new(97, "number of transaction sets", 1, 6);
pub(crate) const SET_KIND: Spec = Spec::new(143, "transaction set's kind", 3, 3);
pub(crate) const SET_CONTROL: Spec = Spec::new(329, "transaction set control number", 4, 9);
pub(crate) const SEGMENT_COUNT: Spec = Spec::new(96, "number of segments", 1, 10);

pub(crate) const ITEM_KIND: Spec = Spec::new(235, "kind of item name", 2, 2);
pub(crate) const ITEM_ID: Spec = Spec::new(234, "item's name", 1, 80);
pub(crate) const CASE_CODE: Spec = Spec::new(438, "U.P.C. case code", 12, 12);
pub(crate) const UNIT: Spec = Spec::new(355, "unit", 2, 2);
pub(crate) const QUANTITY: Spec = Spec::new(380, "quantity", 1, 15);
pub(crate) const LOT: Spec = Spec::new(451, "warehouse lot number", 1, 12);
pub(crate) const SHIPPED_UNITS: Spec = Spec::new(382, "number of units shipped", 1, 10);
pub(crate) const REFERENCE: Spec = Spec::new(127, "reference", 1, 80);
pub(crate) const PURPOSE: Spec = Spec::new(353, "purpose", 2, 2);
pub(crate) const DEPOSITOR_ORDER: Spec = Spec::new(285, "depositor's order number", 1, 22);
pub(crate) const PURCHASE_ORDER: Spec = Spec::new(324, "purchase order number", 1, 22);
pub(crate) const SHIPMENT: Spec = Spec::new(145, "shipment's number", 1, 30);
pub(crate) const REPORTING: Spec = Spec::new(514, "reporting code", 1, 1);
pub(crate) const DATE_KIND: Spec = Spec::new(432, "kind of date", 2, 2);
pub(crate) const DATE_TIME_KIND: Spec = Spec::new(374, "kind of date", 3, 3);
pub(crate) const LINE_COUNT: Spec = Spec::new(354, "number of lines", 1, 6);

pub(crate) const PARTY_ROLE: Spec = Spec::new(98, "party's role", 2, 3);
pub(crate) const PARTY_NAME: Spec = Spec::new(93, "party's name", 1, 60);
pub(crate) const PARTY_CODE_KIND: Spec = Spec::new(66, "kind of party code", 1, 2);
pub(crate) const PARTY_CODE: Spec = Spec::new(67, "party's code", 2, 80);
pub(crate) const ADDRESS: Spec = Spec::new(166, "address line", 1, 55);
pub(crate) const CITY: Spec = Spec::new(19, "city", 2, 30);
pub(crate) const REGION: Spec = Spec::new(156, "state or province", 2, 2);
pub(crate) const POSTAL_CODE: Spec = Spec::new(116, "postal code", 3, 15);
pub(crate) const COUNTRY: Spec = Spec::new(26, "country", 2, 3);

pub(crate) const PAYMENT: Spec = Spec::new(146, "method of payment", 2, 2);
pub(crate) const METHOD: Spec = Spec::new(91, "way of transport", 1, 2);
pub(crate) const CARRIER: Spec = Spec::new(140, "carrier's code", 2, 4);
pub(crate) const ROUTING: Spec = Spec::new(387, "routing", 1, 35);
