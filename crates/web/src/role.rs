//! Roles: what whoever calls may do at all, and the least of them that each address needs.

use axum::extract::MatchedPath;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::error::Problem;

/// What somebody may do. Each may what those before it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CallerRole)]
pub enum Role {
    /// Looks at everything but keys and users.
    Viewer,
    /// Works in the warehouse: receives, moves, counts, picks, ships, takes back.
    Clerk,
    /// Runs the business: orders, items, rules, systems, discrepancies, imports.
    Operator,
    /// Says who may what: users, keys, the keys that seal, what is kept of people.
    #[default]
    Admin,
}

impl Role {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Clerk, Self::Operator, Self::Admin];

    /// Its name, as typed and told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Clerk => "clerk",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(|role| format!("`{}`", role.name()));
            format!("`{text}` is no role; there are {}", names.join(", "))
        })
    }
}

/// Addresses that only who says who may what asks, reading included.
const ADMIN: &[&str] = &[
    "/v1/keys",
    "/v1/users",
    "/v1/sign-on",
    "/v1/sign-in-policy",
    "/v1/seal",
    "/v1/erase",
    "/v1/systems/{name}/raw",
    "/settings",
];

/// Addresses at which a clerk changes something: what happens to goods where they are.
const CLERK: &[&str] = &[
    "/v1/movements/receive",
    "/v1/movements/adjust",
    "/v1/movements/transfer",
    "/v1/movements/state",
    "/v1/movements/assemble",
    "/v1/movements/disassemble",
    "/v1/counts",
    "/v1/count-sessions",
    "/v1/count-sessions/{id}/counts",
    "/v1/lots",
    "/v1/orders/{id}/fulfil",
    "/v1/orders/{id}/return",
    "/v1/purchase-orders/{id}/receive",
    "/v1/transfers/{id}/ready",
    "/v1/transfers/{id}/dispatch",
    "/v1/transfers/{id}/receive",
    "/orders/{id}/ship",
    "/orders/{id}/return",
    "/items/{sku}/preview/{act}",
    "/items/{sku}/{act}",
    "/floor/{task}",
    "/floor/{task}/undo",
];

/// Addresses at which something is asked by POST, or that are of whoever is there alone.
const VIEWER: &[&str] = &[
    "/v1/ownership/preview",
    "/v1/publication/preview",
    "/v1/systems/{name}/dry-run",
    "/floor/look-up",
    "/sign-out",
    "/account/password",
    "/account/sessions/end",
    "/account/two-factor",
    "/account/two-factor/off",
];

/// The least role that an address needs, as the router has it.
pub(crate) fn needed(method: &Method, path: &str) -> Role {
    let is_in = |prefix: &&str| {
        path == *prefix || path.strip_prefix(*prefix).is_some_and(|rest| rest.starts_with('/'))
    };
    if ADMIN.iter().any(is_in) {
        return Role::Admin;
    }
    if method.is_safe() || VIEWER.contains(&path) {
        return Role::Viewer;
    }
    if CLERK.contains(&path) { Role::Clerk } else { Role::Operator }
}

impl Caller {
    /// Refuses who has not the role that an address needs.
    pub(crate) fn must_be(&self, needed: Role) -> Result<(), Problem> {
        if self.role >= needed {
            return Ok(());
        }
        let (role, wanted) = (self.role.name(), needed.name());
        tracing::warn!(tenant = %self.tenant, caller = self.name, role, wanted, "somebody was refused: the role");
        let detail = format!(
            "`{}` is {}, and this needs {}; nothing was done. An admin changes roles: `onhand user role`, or a key with another one",
            self.name,
            with_article(self.role),
            with_article(needed),
        );
        Err(Problem::new(StatusCode::FORBIDDEN, "role", "This role may not do that", detail))
    }

    /// Refuses who has not the role that a request needs.
    pub(crate) fn may_ask(&self, method: &Method, path: Option<&MatchedPath>) -> Result<(), Problem> {
        // What is not routed is answered by nobody.
        path.map_or(Ok(()), |path| self.must_be(needed(method, path.as_str())))
    }
}

fn with_article(role: Role) -> String {
    let name = role.name();
    let article = if name.starts_with(['a', 'o']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// Asks for the role, once it is known who calls.
pub(crate) async fn require(request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    let path = request.extensions().get::<MatchedPath>();
    match caller.map_or(Ok(()), |caller| caller.may_ask(request.method(), path)) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_the_least_role_that_does_it() {
        for (method, path, role) in [
            (Method::GET, "/v1/stock", Role::Viewer),
            (Method::GET, "/v1/keys", Role::Admin),
            (Method::GET, "/v1/keysight", Role::Viewer),
            (Method::DELETE, "/v1/keys/{name}", Role::Admin),
            (Method::POST, "/v1/movements/receive", Role::Clerk),
            (Method::POST, "/v1/movements/{seq}/reverse", Role::Operator),
            (Method::POST, "/v1/publication/preview", Role::Viewer),
            (Method::POST, "/v1/publication", Role::Operator),
            (Method::POST, "/v1/whatever/comes", Role::Operator),
            (Method::GET, "/settings", Role::Admin),
            (Method::GET, "/rules/change", Role::Viewer),
            (Method::POST, "/rules", Role::Operator),
            (Method::POST, "/rules/{id}/end", Role::Operator),
            (Method::GET, "/ownership/change", Role::Viewer),
            (Method::POST, "/ownership", Role::Operator),
            (Method::POST, "/ownership/{id}/end", Role::Operator),
            (Method::GET, "/systems/connect", Role::Viewer),
            (Method::POST, "/systems/connect", Role::Operator),
            (Method::GET, "/systems/{name}/connect/key", Role::Viewer),
            (Method::POST, "/systems/{name}/connect/key", Role::Operator),
            (Method::POST, "/systems/{name}/connect/found", Role::Operator),
            (Method::POST, "/systems/{name}/connect/locations", Role::Operator),
            (Method::POST, "/systems/{name}/connect/matches", Role::Operator),
            (Method::POST, "/systems/{name}/connect/opening", Role::Operator),
            (Method::POST, "/systems/{name}/connect/dry-run", Role::Operator),
            (Method::POST, "/systems/{name}/connect/stage", Role::Operator),
            (Method::POST, "/account/password", Role::Viewer),
            (Method::POST, "/floor/{task}", Role::Clerk),
            (Method::POST, "/floor/look-up", Role::Viewer),
            (Method::POST, "/floor/count/book", Role::Operator),
        ] {
            assert_eq!(needed(&method, path), role, "{method} {path}");
        }
        assert_eq!("clerk".parse(), Ok(Role::Clerk));
        assert!("boss".parse::<Role>().unwrap_err().contains("`operator`"));
    }
}
