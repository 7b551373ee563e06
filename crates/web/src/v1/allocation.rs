//! Which locations orders are allocated from.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onhand_engine::View;
use onhand_ledger::command::{self, SetAllocation};
use onhand_ledger::model::{Parcels, Source};
use onhand_ledger::{Body, SystemId};
use onhand_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Made;
use super::ask::{Ask, read, reply};
use super::page::{Page, PageQuery};
use crate::App;
use crate::auth::Caller;
use crate::body::only_objects;
use crate::error::Problem;
use crate::extract::Query;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(set_allocation, list_allocation))
}

/// How an order is divided between locations that could all serve it.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ParcelsBody {
    /// A line comes from the first location that has all of it, else from each in their order.
    WholeLines,
    /// Each location in their order gives what it has.
    InOrder,
    /// All lines together come from as few locations as possible.
    Fewest,
}

/// Where an order may be allocated from: a location's code, or a group of locations.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum SourceBody {
    /// A site.
    Location(String),
    /// The sites in a group, by rank, then by age.
    Group {
        /// Its name.
        group: String,
    },
}

/// The locations of a region.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct RegionInput {
    /// Such as `DE`, or `DE-HE` for a part of it.
    region: String,
    /// The nearest first.
    #[schema(value_type = Vec<SourceBody>)]
    locations: Vec<command::Source>,
}

/// Which locations orders are allocated from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct AllocationInput {
    /// For the orders of this system (`onhand`: those placed with us); for all without a rule of their own unless told.
    system: Option<String>,
    /// In the order they are asked; all that sell, by rank, unless told. A location that is there twice, by a group or
    /// itself, is asked where it comes first.
    #[schema(value_type = Option<Vec<SourceBody>>)]
    locations: Option<Vec<command::Source>>,
    /// The same for orders whose `ship_to` is a region, or a part of it.
    regions: Option<Vec<RegionInput>>,
    /// Do the other locations that sell come after those named? True unless told.
    others: Option<bool>,
    /// `whole_lines` unless told.
    parcels: Option<ParcelsBody>,
    /// May an order leave from more than one location? True unless told.
    split: Option<bool>,
}

/// Says which locations orders are allocated from. Short lines are offered what the rule lets them have now.
#[utoipa::path(post, path = "/allocation", tag = "rules", request_body = AllocationInput,
    responses((status = 200, body = Made)))]
async fn set_allocation(State(app): State<App>, ask: Ask<AllocationInput>) -> Result<Response, Problem> {
    let input = &ask.body;
    let region = |region: &RegionInput| (region.region.clone(), region.locations.clone());
    let body = Body::SetAllocation(SetAllocation {
        system: input.system.clone(),
        locations: input.locations.clone(),
        regions: input.regions.as_ref().map(|regions| regions.iter().map(region).collect()),
        others: input.others,
        parcels: input.parcels.map(|parcels| match parcels {
            ParcelsBody::WholeLines => Parcels::WholeLines,
            ParcelsBody::InOrder => Parcels::InOrder,
            ParcelsBody::Fewest => Parcels::Fewest,
        }),
        split: input.split,
    });
    let committed = ask.submit(&app, body).await?;
    Ok(reply(StatusCode::OK, &committed, Made::of(&committed.answer)))
}

/// The locations of a region.
#[derive(Debug, Serialize, ToSchema)]
struct RegionBody {
    region: String,
    locations: Vec<SourceBody>,
}

/// An allocation rule.
#[derive(Debug, Serialize, ToSchema)]
struct AllocationBody {
    id: u64,
    system: Option<String>,
    locations: Vec<SourceBody>,
    regions: Vec<RegionBody>,
    others: bool,
    parcels: ParcelsBody,
    split: bool,
}

pub(super) fn names(view: &mut View<'_>, sources: Vec<Source>) -> Result<Vec<SourceBody>, StoreError> {
    let name = |source| {
        Ok(match source {
            Source::Group(group) => SourceBody::Group { group },
            Source::Location(location) => {
                let known = view.location(location)?;
                SourceBody::Location(known.map_or_else(String::new, |location| location.code))
            }
        })
    };
    sources.into_iter().map(name).collect()
}

/// All allocation rules. Where none speaks, a line comes from the first location by rank that has all of it.
#[utoipa::path(get, path = "/allocation", tag = "rules", params(PageQuery),
    responses((status = 200, body = Page<AllocationBody>)))]
async fn list_allocation(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<AllocationBody>>, Problem> {
    let (mut rows, seq) = read(&app, &caller, |view| {
        let mut rows = Vec::new();
        for (id, rule) in view.rules()?.allocation {
            let system = match rule.system {
                None => None,
                Some(SystemId::ONHAND) => Some("onhand".to_owned()),
                Some(system) => view.system(system)?.map(|system| system.name),
            };
            let mut regions = Vec::new();
            for (region, locations) in rule.regions {
                regions.push(RegionBody { region, locations: names(view, locations)? });
            }
            let body = AllocationBody {
                id: id.0,
                system,
                locations: names(view, rule.locations)?,
                regions,
                others: !rule.only_these,
                parcels: match rule.parcels {
                    Parcels::WholeLines => ParcelsBody::WholeLines,
                    Parcels::InOrder => ParcelsBody::InOrder,
                    Parcels::Fewest => ParcelsBody::Fewest,
                },
                split: !rule.whole,
            };
            rows.push((id.0, body));
        }
        Ok((rows, view.seq()))
    })
    .await?;
    rows.sort_by_key(|(id, _)| *id);
    Page::of_all("allocation", rows, &page, seq).map(Json)
}

only_objects!(RegionInput, AllocationInput);
