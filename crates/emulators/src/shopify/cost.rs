//! What a call costs, by the vendor's arithmetic, and the bucket it is taken from.
//!
//! A scalar 0, an object 1, a mutation 10, a connection 2 and what a row costs times ⌊2 ln max(2, rows)⌋
//! (<https://shopify.dev/docs/api/usage/limits#cost-calculation>,
//! <https://community.shopify.dev/t/how-to-calculate-graphql-cost-estimates/24364/6>). What is asked for must be there, and is taken; what
//! came out as less is given back. What a list of ids costs is told nowhere: here each of them, which is strict.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::ast::Value;
use apollo_compiler::executable::{Field, Selection, SelectionSet};
use apollo_compiler::response::JsonMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// No call may cost more (<https://shopify.dev/docs/api/usage/limits#rate-limits>).
pub(super) const MOST: f64 = 1_000.0;
/// A page has so many rows at most.
const MOST_ROWS: usize = 250;
const MUTATION: f64 = 10.0;

/// What a shop pays for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// 100 points a second.
    #[default]
    Standard,
    /// 200 points a second.
    Advanced,
    /// 1,000 points a second.
    Plus,
    /// 2,000 points a second.
    Enterprise,
}

impl Plan {
    fn points_per_second(self) -> f64 {
        match self {
            Self::Standard => 100.0,
            Self::Advanced => 200.0,
            Self::Plus => 1_000.0,
            Self::Enterprise => 2_000.0,
        }
    }
}

/// What may be spent: full it has what comes in 20 seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    pub restore_rate: f64,
    pub maximum: f64,
    available: f64,
    at: i64,
}

impl Bucket {
    pub fn of(plan: Plan, at: i64) -> Self {
        Self::new(plan.points_per_second(), plan.points_per_second() * 20.0, at)
    }

    pub fn new(restore_rate: f64, maximum: f64, at: i64) -> Self {
        Self { restore_rate, maximum, available: maximum, at }
    }

    /// What is there now.
    pub fn available(&mut self, now: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a run")]
        let seconds = (now - self.at).max(0) as f64 / 1e6;
        self.available = (self.available + seconds * self.restore_rate).min(self.maximum);
        self.at = self.at.max(now);
        self.available
    }

    /// Takes so much, or gives it back.
    pub fn take(&mut self, points: f64) {
        self.available = (self.available - points).min(self.maximum);
    }
}

/// What is asked for, and how many rows there came: none before it was asked.
struct Tally<'a> {
    document: &'a ExecutableDocument,
    variables: &'a JsonMap,
}

/// What a call may cost at most.
pub(super) fn requested(
    document: &ExecutableDocument,
    set: &SelectionSet,
    variables: &JsonMap,
) -> Result<f64, String> {
    Tally { document, variables }.set(set, None)
}

/// What it cost, by what came.
pub(super) fn actual(
    document: &ExecutableDocument,
    set: &SelectionSet,
    variables: &JsonMap,
    data: &Json,
) -> f64 {
    Tally { document, variables }.set(set, Some(data)).unwrap_or_default()
}

impl Tally<'_> {
    /// What the fields of an object cost; `came` is that object, once it is there.
    fn set(&self, set: &SelectionSet, came: Option<&Json>) -> Result<f64, String> {
        let mut sum = 0.0;
        // Of several kinds of thing it is one: the dearest.
        let mut of_kinds = 0.0_f64;
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => sum += self.field(set, field, came)?,
                Selection::InlineFragment(fragment) => {
                    of_kinds = of_kinds.max(self.set(&fragment.selection_set, came)?);
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name) {
                        of_kinds = of_kinds.max(self.set(&fragment.selection_set, came)?);
                    }
                }
            }
        }
        Ok(sum + of_kinds)
    }

    fn field(&self, set: &SelectionSet, field: &Field, came: Option<&Json>) -> Result<f64, String> {
        if set.ty.as_str() == "Mutation" {
            return Ok(MUTATION);
        }
        let kind = field.selection_set.ty.as_str();
        let is_composite = !field.selection_set.selections.is_empty();
        if !is_composite || kind == "PageInfo" {
            return Ok(0.0);
        }
        let value = came.map(|came| &came[field.response_key().as_str()]);
        if kind.ends_with("Connection") {
            return self.connection(field, value);
        }
        if field.name.as_str() == "nodes" && set.ty.as_str() == "QueryRoot" {
            let ids = self.argument(field, "ids").and_then(|ids| ids.as_array().map(Vec::len)).unwrap_or(0);
            if ids > MOST_ROWS {
                return Err(format!("ids may have {MOST_ROWS} entries, and has {ids}"));
            }
            let Some(came) = value.and_then(Json::as_array) else {
                #[expect(clippy::cast_precision_loss, reason = "at most 250")]
                return Ok(ids as f64 * (1.0 + self.set(&field.selection_set, None)?));
            };
            let there = came.iter().filter(|one| !one.is_null());
            return there.map(|one| Ok(1.0 + self.set(&field.selection_set, Some(one))?)).sum();
        }
        Ok(1.0 + self.dearest(&field.selection_set, value)?)
    }

    /// What one of them costs at most.
    fn dearest(&self, set: &SelectionSet, came: Option<&Json>) -> Result<f64, String> {
        match came {
            None => self.set(set, None),
            Some(Json::Array(several)) => {
                let mut most = 0.0_f64;
                for one in several {
                    most = most.max(self.dearest(set, Some(one))?);
                }
                Ok(most)
            }
            Some(Json::Null) => Ok(0.0),
            Some(one) => self.set(set, Some(one)),
        }
    }

    fn connection(&self, field: &Field, came: Option<&Json>) -> Result<f64, String> {
        let first = self.argument(field, "first").and_then(|first| first.as_i64());
        let name = &field.name;
        let Some(first) = first else {
            return Err(format!("you must provide one of first or last for {name}"));
        };
        let asked = usize::try_from(first).unwrap_or_default();
        if asked > MOST_ROWS {
            return Err(format!("first of {name} may be {MOST_ROWS} at most"));
        }
        let mut row = 0.0_f64;
        let mut rows = asked;
        for selection in &field.selection_set.selections {
            let Selection::Field(part) = selection else { continue };
            let came = came.and_then(|came| came[part.response_key().as_str()].as_array());
            if let Some(came) = came {
                rows = came.len();
            }
            let list = came.map(|came| Json::Array(came.clone()));
            row = row.max(match part.name.as_str() {
                "nodes" => 1.0 + self.dearest(&part.selection_set, list.as_ref())?,
                "edges" => self.dearest(&part.selection_set, list.as_ref())?,
                _ => 0.0,
            });
        }
        #[expect(clippy::cast_precision_loss, reason = "at most 250")]
        let times = if rows == 0 { 0.0 } else { (2.0 * (rows.max(2) as f64).ln()).floor() };
        Ok(2.0 + row * times)
    }

    /// What an argument is, whether it was written or is a variable.
    fn argument(&self, field: &Field, name: &str) -> Option<Json> {
        let value = &field.arguments.iter().find(|argument| argument.name.as_str() == name)?.value;
        match value.as_ref() {
            Value::Variable(variable) => serde_json::to_value(self.variables.get(variable.as_str())?).ok(),
            Value::Int(number) => number.as_str().parse::<i64>().ok().map(Json::from),
            Value::List(several) => Some(Json::Array(several.iter().map(|_| Json::Null).collect())),
            _ => None,
        }
    }
}
