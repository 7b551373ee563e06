//! Snapshots of an outside master on the core: examples 13 and 14, stopped and begun again anywhere, told all at once.

#[path = "support/kept.rs"]
mod kept;

use std::sync::Arc;

use kept::Kept::{self, File, Memory, Postgres};
use kept::Place;
use onhand_engine::snapshots::{Row, Snapshot, Standing, decide, say_known_to, settle_all, snapshots, tell};
use onhand_engine::{Handle, Ledger, ManualClock, queue};
use onhand_ledger::command::{
    Content, Document, Happened, MovementLine, Name, OrderContent, OrderContentLine, PutItem, PutLocation,
    PutSystem, SetOwnership, ShipmentContent, ShipmentLine,
};
use onhand_ledger::model::Inbound;
use onhand_ledger::{Body, Command, Instant, Quantity, StockState, TenantId};
use rstest::rstest;

const TENANT: TenantId = TenantId::DEFAULT;

struct House {
    handle: Handle,
    clock: Arc<ManualClock>,
    place: Place,
}

fn time(text: &str) -> Instant {
    Instant::parse(&format!("2026-11-23T{text}:00Z")).unwrap()
}

fn over(place: &Place, clock: &Arc<ManualClock>) -> Handle {
    let ledger = Ledger::open(place.store(), clock.clone(), place.options()).unwrap();
    let (handle, queue) = queue(Arc::new(ledger));
    std::thread::spawn(move || queue.run());
    handle
}

impl House {
    /// BERLIN is mastered by the WMS, which waits so long for its documents: 37 free, 3 promised to order S.
    async fn berlin(kept: Kept, wait_seconds: Option<u32>) -> Self {
        let clock = Arc::new(ManualClock::at(time("09:00")));
        let place = kept.place();
        let house = Self { handle: over(&place, &clock), clock, place };
        let inbound = Inbound { wait_seconds, ..Inbound::default() };
        for body in [
            Body::PutItem(PutItem { sku: "MUG".to_owned(), ..PutItem::default() }),
            Body::PutLocation(PutLocation { code: "BERLIN".to_owned(), ..PutLocation::default() }),
            Body::PutSystem(PutSystem {
                name: "WMS".to_owned(),
                kind: "test".to_owned(),
                locations: Some(vec![("B1".to_owned(), "BERLIN".to_owned())]),
                inbound: Some(inbound),
                ..PutSystem::default()
            }),
            Body::SetOwnership(SetOwnership {
                location: Some("BERLIN".to_owned()),
                master: "WMS".to_owned(),
                ..SetOwnership::default()
            }),
        ] {
            house.tell(body).await;
        }
        house.movement("R", Happened::Received, 40).await;
        let line = OrderContentLine {
            line: "1".to_owned(),
            item: Name::Sku("MUG".to_owned()),
            quantity: Quantity::units(3),
            shipped: Quantity::ZERO,
            returned: Quantity::ZERO,
            location: Some("BERLIN".to_owned()),
            price: None,
        };
        house
            .document("S", Content::Order(OrderContent { lines: vec![line], ..OrderContent::default() }))
            .await;
        assert_eq!(house.stock(), (37, 3));
        house
    }

    async fn tell(&self, body: Body) {
        let command = Command { key: None, fingerprint: 0, actor: "test".to_owned(), body };
        self.handle.submit(TENANT, command).await.unwrap();
    }

    async fn document(&self, name: &str, content: Content) {
        let (system, document) = ("WMS".to_owned(), name.to_owned());
        self.tell(Body::Record(Document { system, document, version: 1, content })).await;
    }

    async fn movement(&self, name: &str, what: Happened, quantity: i64) {
        let line = MovementLine {
            line: "1".to_owned(),
            item: Name::Sku("MUG".to_owned()),
            location: "BERLIN".to_owned(),
            what,
            quantity: Quantity::units(quantity),
            occurred_at: None,
            reason: None,
        };
        self.document(name, Content::Movements(vec![line])).await;
    }

    async fn ship(&self, at: &str) {
        let line =
            ShipmentLine { item: Name::Sku("MUG".to_owned()), quantity: Quantity::units(3), lot: None };
        let shipment = ShipmentContent {
            order: Some("S".to_owned()),
            order_system: None,
            location: "BERLIN".to_owned(),
            occurred_at: Some(time(at)),
            lines: vec![line],
        };
        self.document("S1", Content::Shipment(shipment)).await;
    }

    fn at(&self, now: &str) -> &Self {
        self.clock.set(time(now));
        self
    }

    async fn snapshot(&self, as_of: &str, quantity: i64) {
        let snapshot = of("MUG", as_of, quantity);
        tell(&self.handle, TENANT, "WMS", snapshot).await.unwrap();
    }

    async fn known_to(&self, known: &str) {
        say_known_to(&self.handle, TENANT, "WMS", Some(time(known))).await.unwrap();
    }

    async fn settle(&self) {
        settle_all(&self.handle, TENANT).await.unwrap();
    }

    /// Available and committed.
    fn stock(&self) -> (i64, i64) {
        let read = self.handle.ledger().read(TENANT, |view| {
            let (item, _) = view.item_by_sku("MUG")?.expect("the item is there");
            let (berlin, _) = view.location_by_code("BERLIN")?.expect("Berlin is there");
            let mut of = |state| view.held(item, berlin, state).map(Quantity::whole_units);
            Ok((of(StockState::Available)?, of(StockState::Committed)?))
        });
        read.unwrap()
    }

    fn states(&self) -> Vec<(String, bool)> {
        let all = self.handle.ledger().read(TENANT, |view| {
            let (id, _) = view.system_by_name("WMS")?.expect("the system is there");
            snapshots(view, id)
        });
        all.unwrap()
            .into_iter()
            .map(|kept| (kept.as_of.to_string()[11..16].to_owned(), matches!(kept.state, Standing::Taken(_))))
            .collect()
    }

    fn head(&self) -> u64 {
        self.handle.ledger().read(TENANT, |view| Ok(view.seq())).unwrap()
    }
}

fn of(sku: &str, as_of: &str, quantity: i64) -> Snapshot {
    let row = Row {
        item: Name::Sku(sku.to_owned()),
        quantity: Quantity::units(quantity),
        lot: None,
        serials: None,
    };
    Snapshot {
        document: None,
        location: Some("B1".to_owned()),
        as_of: time(as_of),
        whole: true,
        declared_rows: None,
        documents_known_to: None,
        rows: vec![row],
        meaning: None,
        agrees: Quantity::ZERO,
        held_by: None,
    }
}

#[rstest]
#[tokio::test]
async fn a_snapshot_waits_for_the_shipments_in_it(#[values(Memory, File, Postgres)] kept: Kept) {
    let house = House::berlin(kept, Some(900)).await;
    house.known_to("09:00").await;
    house.at("10:00").known_to("10:00").await;
    house.at("10:04").snapshot("10:03", 37).await;
    assert_eq!((house.stock(), house.states()), ((37, 3), vec![("10:03".to_owned(), false)]));
    house.at("10:06").ship("10:02").await;
    assert_eq!(house.stock(), (37, 0));
    house.known_to("10:06").await;
    assert_eq!((house.stock(), house.states()), ((37, 0), vec![("10:03".to_owned(), true)]));
}

#[rstest]
#[tokio::test]
async fn or_stops_waiting_and_is_still_right(#[values(Memory, File, Postgres)] kept: Kept) {
    let house = House::berlin(kept, Some(300)).await;
    house.at("10:00").known_to("10:00").await;
    house.at("10:04").snapshot("10:03", 37).await;
    house.at("10:08").settle().await;
    assert_eq!(house.stock(), (37, 3));
    house.at("10:09").settle().await;
    assert_eq!(house.stock(), (34, 3));
    house.at("10:20").ship("10:02").await;
    assert_eq!(house.stock(), (37, 0));
}

#[rstest]
#[tokio::test]
async fn what_waits_survives_a_restart_and_is_taken_once_in_the_order_of_its_time(
    #[values(File, Postgres)] kept: Kept,
) {
    let house = House::berlin(kept, None).await;
    house.at("11:00").snapshot("10:50", 38).await;
    house.snapshot("10:40", 39).await;
    let House { handle, clock, place } = house;
    drop(handle);
    let again = House { handle: over(&place, &clock), clock, place };
    let waiting = [("10:40".to_owned(), false), ("10:50".to_owned(), false)];
    assert_eq!((again.states(), again.stock()), (waiting.to_vec(), (37, 3)));
    // Whoever looks, and however often: each is counted once.
    let known = || again.known_to("10:45");
    tokio::join!(known(), known(), again.settle(), again.settle());
    assert_eq!(again.states(), [("10:40".to_owned(), true), ("10:50".to_owned(), false)]);
    assert_eq!(again.stock(), (36, 3));
    again.known_to("10:55").await;
    assert_eq!(again.stock(), (35, 3));
    let head = again.head();
    again.settle().await;
    again.snapshot("10:50", 38).await;
    assert_eq!((again.stock(), again.head()), ((35, 3), head));
}

#[rstest]
#[tokio::test]
async fn copies_at_one_instant_are_one_snapshot(#[values(Memory, File, Postgres)] kept: Kept) {
    let house = House::berlin(kept, Some(0)).await;
    house.at("10:00");
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let handle = house.handle.clone();
            tokio::spawn(async move { tell(&handle, TENANT, "WMS", of("MUG", "10:00", 38)).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((house.stock(), house.states().len()), ((35, 3), 1));
}

/// One approves and one rejects at one instant, each on a node of their own: the first answer holds, and nothing else is done.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_answers_on_two_nodes_one_holds() {
    let house = House::berlin(Postgres, Some(0)).await;
    let other = over(&house.place, &house.clock);
    let mut approved = 0;
    for round in 0..20 {
        let at = format!("10:{:02}", 2 * round);
        house.at(&at);
        let before = house.stock();
        let name = format!("N-{round}");
        let snapshot = Snapshot { document: Some(name.clone()), ..of("MUG", &at, 0) };
        let (kept, _) = tell(&house.handle, TENANT, "WMS", snapshot).await.unwrap();
        assert!(matches!(kept.state, Standing::Held { .. }), "{kept:?}");
        let answer = |handle: &Handle, approve: bool, by: &'static str| {
            let (handle, name) = (handle.clone(), name.clone());
            tokio::spawn(async move { decide(&handle, TENANT, "WMS", &name, approve, by).await })
        };
        let (yes, no) = (answer(&house.handle, true, "ada"), answer(&other, false, "ben"));
        let (yes, no) = (yes.await.unwrap(), no.await.unwrap());
        assert!(yes.is_ok() != no.is_ok(), "one is told that the other was first: {yes:?} {no:?}");
        settle_all(&other, TENANT).await.unwrap();
        house.settle().await;
        let kept = house.handle.ledger().read(TENANT, |view| {
            let (id, _) = view.system_by_name("WMS")?.expect("the system is there");
            snapshots(view, id)
        });
        let kept = kept.unwrap().into_iter().find(|kept| kept.document == name).unwrap();
        if yes.is_ok() {
            approved += 1;
            assert!(matches!(kept.state, Standing::Taken(_)), "{kept:?}");
            assert_eq!(house.stock().0, 0);
            house.at(&format!("10:{:02}", 2 * round + 1));
            house.movement(&format!("again-{round}"), Happened::Received, 40).await;
        } else {
            assert!(matches!(kept.state, Standing::Rejected { .. }), "{kept:?}");
            assert_eq!(house.stock(), before);
        }
    }
    eprintln!("{approved} of 20 were approved");
}
