//! Everything that is ever sent to Shopify, word for word: [`DOCUMENTS`] names them all, so that each is tried against its own
//! schema, and its emulator's.
//!
//! A mutation costs 10 points whatever it answers, an object 1, a connection 2 and what one of its rows costs times a factor that
//! grows with the logarithm of `first` (<https://shopify.dev/docs/api/usage/limits#cost-calculation>,
//! <https://community.shopify.dev/t/how-to-calculate-graphql-cost-estimates/24364/6>): so rows are asked for by the
//! 250, the most a page may have, and of orders their ids first.

/// What our app may do (<https://shopify.dev/docs/api/admin-graphql/2026-10/queries/currentAppInstallation>).
pub(super) const SCOPES: &str = "query Scopes { currentAppInstallation { accessScopes { handle } } }";

/// Places of stock (<https://shopify.dev/docs/api/admin-graphql/2026-10/queries/locations>).
pub(super) const LOCATIONS: &str = "query Locations($after: String) {
  locations(first: 250, after: $after) { nodes { id name } pageInfo { hasNextPage endCursor } }
}";

/// How much there is to discover (<https://shopify.dev/docs/api/admin-graphql/2026-10/queries/productVariantsCount>).
pub(super) const COUNT: &str = "query Count { productVariantsCount(limit: null) { count } }";

/// What is sold (<https://shopify.dev/docs/api/admin-graphql/2026-10/queries/productVariants>).
pub(super) const VARIANTS: &str = "query Variants($after: String) {
  productVariants(first: 250, after: $after) {
    nodes { id displayName sku barcode inventoryItem { id tracked } } pageInfo { hasNextPage endCursor }
  }
}";

/// The same of a large catalogue, as a file
/// (<https://shopify.dev/docs/api/usage/bulk-operations/queries>): it may have no variables, and no page sizes.
pub(super) const BULK_VARIANTS: &str = "query BulkVariants {
  productVariants { edges { node { id displayName sku barcode inventoryItem { id tracked } } } }
}";

/// Begins a bulk operation (<https://shopify.dev/docs/api/admin-graphql/2026-10/mutations/bulkOperationRunQuery>).
pub(super) const BULK_RUN: &str = "mutation BulkRun($query: String!) {
  bulkOperationRunQuery(query: $query) { bulkOperation { id } userErrors { field message code } }
}";

/// How far it is (<https://shopify.dev/docs/api/admin-graphql/2026-10/queries/bulkOperation>).
pub(super) const BULK_STATE: &str = "query BulkState($id: ID!) {
  bulkOperation(id: $id) { status errorCode url }
}";

/// Numbers by id, not by a search that lags behind
/// (<https://shopify.dev/docs/api/admin-graphql/2026-10/queries/nodes>,
/// <https://shopify.dev/docs/api/admin-graphql/2026-10/objects/InventoryLevel>).
pub(super) const LEVELS: &str = "query Levels($ids: [ID!]!, $locations: Int!) {
  nodes(ids: $ids) {
    ... on InventoryItem {
      id tracked
      inventoryLevels(first: $locations) {
        nodes { location { id } quantities(names: [\"available\", \"on_hand\", \"committed\"]) { name quantity } }
      }
    }
  }
}";

/// Sets numbers, all or none (<https://shopify.dev/docs/api/admin-graphql/2026-10/mutations/inventorySetQuantities>).
pub(super) const SET: &str = "mutation Set($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup { id } userErrors { field message code }
  }
}";

/// Stocks an item at a location where it is not yet
/// (<https://shopify.dev/docs/api/admin-graphql/2026-10/mutations/inventoryActivate>).
pub(super) const ACTIVATE: &str = "mutation Activate($item: ID!, $location: ID!, $available: Int!, $key: String!) {
  inventoryActivate(inventoryItemId: $item, locationId: $location, available: $available) @idempotent(key: $key) {
    inventoryLevel { id } userErrors { field message }
  }
}";

/// Which orders changed (<https://shopify.dev/docs/api/admin-graphql/2026-10/queries/orders>).
pub(super) const CHANGED: &str = "query Changed($query: String!, $after: String) {
  orders(first: 100, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { id updatedAt } pageInfo { hasNextPage endCursor }
  }
}";

/// Which order changed last.
pub(super) const NEWEST: &str = "query Newest {
  orders(first: 1, sortKey: UPDATED_AT, reverse: true) { nodes { id updatedAt } pageInfo { hasNextPage endCursor } }
}";

/// Orders as they are now, and whom they are for (<https://shopify.dev/docs/api/admin-graphql/2026-10/objects/Order>):
/// that goes into the raw document alone.
pub(super) const ORDERS: &str = "query Orders($ids: [ID!]!) {
  nodes(ids: $ids) {
    ... on Order {
      id name createdAt updatedAt cancelledAt
      email phone
      shippingAddress { name company address1 address2 city province zip country phone }
      lineItems(first: 100) {
        nodes { id quantity currentQuantity unfulfilledQuantity variant { inventoryItem { id } } }
        pageInfo { hasNextPage endCursor }
      }
      fulfillments {
        id status createdAt
        fulfillmentLineItems(first: 100) { nodes { quantity lineItem { id } } pageInfo { hasNextPage endCursor } }
      }
      refunds {
        id createdAt
        refundLineItems(first: 100) {
          nodes { quantity restockType lineItem { id } } pageInfo { hasNextPage endCursor }
        }
      }
    }
  }
}";

/// At which location what of an order is, or was, to be sent: where there are several
/// (<https://shopify.dev/docs/api/admin-graphql/2026-10/objects/FulfillmentOrder>).
pub(super) const PLACES: &str = "query Places($ids: [ID!]!) {
  nodes(ids: $ids) {
    ... on Order {
      id
      fulfillmentOrders(first: 20) {
        nodes {
          status assignedLocation { location { id } }
          lineItems(first: 100) { nodes { totalQuantity lineItem { id } } pageInfo { hasNextPage endCursor } }
        }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}";

/// The rest of a long order, fulfilment or refund.
pub(super) const MORE: &str = "query More($id: ID!, $after: String!) {
  node(id: $id) {
    ... on Order {
      lineItems(first: 250, after: $after) {
        nodes { id quantity currentQuantity unfulfilledQuantity variant { inventoryItem { id } } }
        pageInfo { hasNextPage endCursor }
      }
    }
    ... on Fulfillment {
      fulfillmentLineItems(first: 250, after: $after) {
        nodes { quantity lineItem { id } } pageInfo { hasNextPage endCursor }
      }
    }
    ... on Refund {
      refundLineItems(first: 250, after: $after) {
        nodes { quantity restockType lineItem { id } } pageInfo { hasNextPage endCursor }
      }
    }
  }
}";

/// What of an order is still to be sent, and what was
/// (<https://shopify.dev/docs/api/admin-graphql/2026-10/objects/FulfillmentOrder>).
pub(super) const TO_FULFIL: &str = "query ToFulfil($id: ID!) {
  order(id: $id) {
    fulfillments { status trackingInfo { number } }
    fulfillmentOrders(first: 50) {
      nodes {
        id status
        lineItems(first: 250) { nodes { id remainingQuantity lineItem { id } } pageInfo { hasNextPage endCursor } }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
}";

/// Marks goods as sent (<https://shopify.dev/docs/api/admin-graphql/2026-10/mutations/fulfillmentCreate>).
pub(super) const FULFIL: &str = "mutation Fulfil($fulfillment: FulfillmentInput!) {
  fulfillmentCreate(fulfillment: $fulfillment) { fulfillment { id } userErrors { field message } }
}";

/// Which webhooks there are (<https://shopify.dev/docs/api/admin-graphql/2026-10/queries/webhookSubscriptions>).
pub(super) const WEBHOOKS: &str = "query Webhooks($after: String) {
  webhookSubscriptions(first: 250, after: $after) {
    nodes { id topic uri } pageInfo { hasNextPage endCursor }
  }
}";

/// Asks for a webhook
/// (<https://shopify.dev/docs/api/admin-graphql/2026-10/mutations/webhookSubscriptionCreate>).
pub(super) const SUBSCRIBE: &str = "mutation Subscribe($topic: WebhookSubscriptionTopic!, $uri: String!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: { uri: $uri, format: JSON }) {
    webhookSubscription { id } userErrors { field message }
  }
}";

/// Ends a webhook (<https://shopify.dev/docs/api/admin-graphql/2026-10/mutations/webhookSubscriptionDelete>).
pub(super) const UNSUBSCRIBE: &str = "mutation Unsubscribe($id: ID!) {
  webhookSubscriptionDelete(id: $id) { deletedWebhookSubscriptionId userErrors { field message } }
}";

/// Every document that is sent, for whoever checks them.
pub const DOCUMENTS: [&str; 20] = [
    SCOPES,
    LOCATIONS,
    COUNT,
    VARIANTS,
    BULK_VARIANTS,
    BULK_RUN,
    BULK_STATE,
    LEVELS,
    SET,
    ACTIVATE,
    CHANGED,
    NEWEST,
    ORDERS,
    PLACES,
    MORE,
    TO_FULFIL,
    FULFIL,
    WEBHOOKS,
    SUBSCRIBE,
    UNSUBSCRIBE,
];
