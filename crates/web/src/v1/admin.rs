//! Keys, and the ledger's audit of itself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use onhand_engine::Verified;
use onhand_engine::seal::{ResealError, reseal};
use onhand_store::Work;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Ask, read};
use super::systems::unsealed;
use crate::App;
use crate::auth::{Caller, Grant, KeyRecord, Right, Shown, check_key_name, create_key_as, revoke, shown};
use crate::body::only_objects;
use crate::error::Problem;
use crate::extract::Path;
use crate::role::Role;
use crate::users;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(make_key, list_keys))
        .routes(routes!(revoke_key))
        .routes(routes!(verify_ledger))
        .routes(routes!(rotate))
}

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
struct KeyInput {
    /// What people call it: shown in history, so that no two have the same. 1 to 100 characters, none of them a control character.
    name: String,
    /// What it may do beyond what every key may; nothing unless told. Only who has a right can give it.
    rights: Option<Vec<Right>>,
    /// How many requests a second it may send, 0 for any number; as many as is usual unless told. A key that says how many
    /// makes none that may send more.
    rate: Option<u32>,
    /// What it may do at all; `admin` unless told.
    role: Option<Role>,
}

/// A new key.
#[derive(Debug, Serialize, ToSchema)]
struct KeyBody {
    /// Shown once; only its hash is kept.
    key: String,
}

/// Makes an API key for this tenant.
#[utoipa::path(post, path = "/keys", tag = "admin", request_body = KeyInput,
    responses((status = 201, body = KeyBody)))]
async fn make_key(State(app): State<App>, ask: Ask<KeyInput>) -> Result<Response, Problem> {
    if ask.key.is_some() {
        let detail = "a key's secret is shown once and not kept: it could not be shown again to a copy of this request. \
                      Leave the `Idempotency-Key` out";
        return Err(Problem::of_field("Idempotency-Key", detail));
    }
    let rights = ask.body.rights.clone().unwrap_or_default();
    let rate = rate(&app, &ask.caller, ask.body.rate)?;
    let grant = Grant { role: ask.body.role.unwrap_or_default(), rights: &rights, rate };
    let key = new_key(&app, &ask.caller, &ask.body.name, grant).await?;
    Ok((StatusCode::CREATED, Json(KeyBody { key })).into_response())
}

/// Makes a key of a name that nobody has, with no right that its maker has not; gives the key, which is shown once.
pub(crate) async fn new_key(
    app: &App,
    caller: &Caller,
    name: &str,
    grant: Grant<'_>,
) -> Result<String, Problem> {
    check_key_name(name).map_err(|why| Problem::of_field("name", format!("name {why}")))?;
    grant.rights.iter().try_for_each(|right| caller.must_have(*right))?;
    let _one_at_a_time = app.watched.tries.changing().await;
    // History names who did what by it.
    if read(app, caller, shown).await?.iter().any(|key| key.record.name == *name) {
        let detail = format!(
            "a key is called `{name}` already, and history tells keys apart by their names; use another"
        );
        return Err(Problem::of_field("name", detail));
    }
    if read(app, caller, |view| users::found(view, name)).await?.is_some() {
        let detail =
            format!("somebody signs in as `{name}`, and history tells who did what by names; use another");
        return Err(Problem::of_field("name", detail));
    }
    let role = grant.role.name();
    let key = create_key_as(&app.handle, caller.tenant, name, grant).await?;
    tracing::info!(key = name, role, by = caller.name, "an API key was made");
    Ok(key)
}

/// A key there is; never the key itself.
#[derive(Debug, Serialize, ToSchema)]
struct KeyShownBody {
    /// What names it here.
    id: String,
    /// What people call it.
    name: String,
    /// When it was made.
    created_at: String,
    /// What it may do beyond what every key may.
    rights: Vec<Right>,
    /// How many requests a second it may send, 0 for any number; none: as many as is usual.
    rate: Option<u32>,
    /// What it may do at all.
    role: Role,
}

impl From<Shown> for KeyShownBody {
    fn from(key: Shown) -> Self {
        let (id, record) = (key.id().to_owned(), key.record);
        let created_at = onhand_ledger::Instant::from_micros(record.created_at).to_string();
        let KeyRecord { name, rights, rate, role, .. } = record;
        Self { id, name, created_at, rights, rate, role }
    }
}

/// All keys of this tenant, by when they were made.
#[derive(Debug, Serialize, ToSchema)]
struct KeysBody {
    data: Vec<KeyShownBody>,
}

/// The API keys of this tenant.
#[utoipa::path(get, path = "/keys", tag = "admin", responses((status = 200, body = KeysBody)))]
async fn list_keys(State(app): State<App>, caller: Caller) -> Result<Json<KeysBody>, Problem> {
    let keys = read(&app, &caller, shown).await?;
    Ok(Json(KeysBody { data: keys.into_iter().map(KeyShownBody::from).collect() }))
}

/// Ends an API key of this tenant: this node takes it no more at once, others within ten seconds. A key ends none that has a right
/// which it has not itself.
#[utoipa::path(delete, path = "/keys/{name}", tag = "admin",
    params(("name" = String, Path, description = "Its `id`, as the list of keys has it.")),
    responses((status = 200, body = KeyShownBody)))]
async fn revoke_key(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<KeyShownBody>, Problem> {
    let ended = end_key(&app, &caller, &id).await?;
    Ok(Json(ended.into()))
}

/// As [`revoke_key`].
pub(crate) async fn end_key(app: &App, caller: &Caller, id: &str) -> Result<Shown, Problem> {
    let keys = read(app, caller, shown).await?;
    let found =
        keys.into_iter().find(|key| key.id() == id).ok_or_else(|| Problem::unknown("key with the id", id))?;
    found.record.rights.iter().try_for_each(|right| caller.must_have_to_revoke(*right))?;
    revoke(app, caller.tenant, &found).await?;
    tracing::info!(key = found.record.name, by = caller.name, "an API key was ended");
    Ok(found)
}

/// The rate of a new key: nobody gives more than they have.
fn rate(app: &App, caller: &Caller, asked: Option<u32>) -> Result<Option<u32>, Problem> {
    let most = caller.rate.unwrap_or_else(|| app.keys.rate());
    match (Some(most).filter(|most| *most > 0), asked) {
        (Some(most), Some(asked)) if asked == 0 || asked > most => {
            let detail = format!("rate must be 1 to {most}, as many as the key `{}` has", caller.name);
            Err(Problem::of_field("rate", detail))
        }
        (_, asked) => Ok(asked.or(caller.rate)),
    }
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerifyBody {
    /// Nothing wrong?
    ok: bool,
    entries: u64,
    movements: u64,
    /// Cells recomputed.
    cells: u64,
    /// Items, orders, holds, documents, counts and the like compared with the log.
    objects: u64,
    /// Request keys compared with the log.
    keys: u64,
    /// The chain's hash at the head.
    hash: String,
    /// The first violation.
    violation: Option<String>,
    /// How many tenants were audited: over the API that of the key.
    tenants: u64,
}

impl From<Verified> for VerifyBody {
    fn from(verified: Verified) -> Self {
        Self {
            ok: verified.violation.is_none(),
            entries: verified.entries,
            movements: verified.movements,
            cells: verified.cells,
            objects: verified.objects,
            keys: verified.keys,
            hash: verified.head_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            violation: verified.violation.map(|violation| violation.to_string()),
            tenants: 1,
        }
    }
}

/// Recomputes every balance of this key's tenant from the log, walks the hash chain, checks the laws. One at a time: who comes while
/// another is audited waits.
#[utoipa::path(post, path = "/verify", tag = "admin", responses((status = 200, body = VerifyBody)))]
async fn verify_ledger(State(app): State<App>, caller: Caller) -> Result<Json<VerifyBody>, Problem> {
    let ledger = app.handle.ledger().clone();
    let place = app.fair.to_audit(caller.tenant).await;
    let verified = tokio::task::spawn_blocking(move || {
        let verified = onhand_engine::verify(&ledger, caller.tenant, &mut |_| {});
        drop(place);
        verified
    });
    let verified = verified.await.map_err(|error| Problem::internal(&error.to_string()))??;
    Ok(Json(verified.into()))
}

/// What was sealed anew.
#[derive(Debug, Serialize, ToSchema)]
struct RotatedBody {
    /// The names of the keys there are now; the first seals.
    keys: Vec<String>,
    /// How many secrets were sealed with another.
    resealed: usize,
}

/// Makes a new key that seals secrets, and seals all of them anew with it. Where the keys are given from outside, the first of those
/// seals, and none is made. Needs the right `secrets`.
#[utoipa::path(post, path = "/seal/rotate", tag = "admin",
    responses((status = 200, body = RotatedBody), (status = 503, body = Problem)))]
async fn rotate(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.must_have(Right::Secrets)?;
    let ledger = app.handle.ledger().clone();
    let found = move || -> Result<_, ResealError> {
        ledger.seal().rotate()?;
        Ok((ledger.seal().names()?, ledger.tenants_at(Work::Connected)?))
    };
    let found = tokio::task::spawn_blocking(found).await;
    let (keys, mut tenants) = found.map_err(|error| Problem::internal(&error.to_string()))??;
    tenants.push(caller.tenant);
    tenants.sort_unstable();
    tenants.dedup();
    let mut resealed = 0;
    for tenant in tenants {
        resealed += reseal(&app.handle, tenant).await?;
    }
    Ok(Json(RotatedBody { keys, resealed }).into_response())
}

impl From<ResealError> for Problem {
    fn from(error: ResealError) -> Self {
        match error {
            ResealError::Seal(error) => unsealed(&error),
            ResealError::Store(error) => error.into(),
            ResealError::Submit(error) => error.into(),
        }
    }
}

only_objects!(KeyInput);
