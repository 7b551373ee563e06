//! How much to keep back, so that what other systems sell before we hear of it and they hear of us is there, but for a chosen
//! risk (a buffer that adapts).
//!
//! Sales come one by one and know nothing of each other: how many there are in a time is taken as a Poisson variable, whose mean
//! is the measured rate times the measured lag. Kept back is the smallest number that more sales than that have at most the
//! chosen chance, times what one sale takes. All in whole numbers, so that every node comes to the same.

use onhand_ledger::Quantity;
use onhand_ledger::model::BufferSize;

/// What was sold of an item in a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Selling {
    /// So much.
    pub sold: Quantity,
    /// In so many sales.
    pub sales: u32,
    /// In so many seconds.
    pub over_seconds: u32,
}

/// Another system that sells the item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lagging {
    /// Its name.
    pub name: String,
    /// It may sell what is gone for so long: until it shows a new number, and we have heard of its orders.
    pub lag_ms: u64,
    /// Is that measured? Else it is too new for a figure, and one is assumed.
    pub is_measured: bool,
}

const DAY_SECONDS: u32 = 86_400;
/// Fractions of a sale are counted in 2⁻³² of it.
const FRACTION: u32 = 32;
/// No more sales than this are expected in a lag: beyond, this many.
const MOST: u128 = 1 << 20;
/// The weight of the likeliest number of sales. Each weight is rounded down, by less than 1: all of them together by less than
/// 2²⁷, which is nothing beside the 2⁴² that a risk of 1 in 1,000,000 is of it.
const LIKELIEST: u128 = 1 << 62;

/// The smallest number that at most one time in `one_in` (2 or more) more sales come than that in `lag_ms`, where `sales` came in
/// `over_seconds`.
pub fn sales_to_cover(sales: u32, over_seconds: u32, lag_ms: u64, one_in: u32) -> u64 {
    let time = u128::from(over_seconds.max(1)) * 1_000;
    let mean = ((u128::from(sales) * u128::from(lag_ms)) << FRACTION).div_ceil(time).min(MOST << FRACTION);
    if mean == 0 {
        return 0;
    }
    let likeliest = mean >> FRACTION;
    let up = |(number, weight): &(u128, u128)| {
        Some((number + 1, weight * mean / ((number + 1) << FRACTION))).filter(|(_, weight)| *weight > 0)
    };
    let down = |(number, weight): &(u128, u128)| {
        let below = number.checked_sub(1)?;
        Some((below, ((weight * number) << FRACTION) / mean)).filter(|(_, weight)| *weight > 0)
    };
    let first = (likeliest, LIKELIEST);
    let fewer: u128 = std::iter::successors(down(&first), down).map(|(_, weight)| weight).sum();
    let or_more: Vec<u128> = std::iter::successors(Some(first), up).map(|(_, weight)| weight).collect();
    let mut beyond: u128 = or_more.iter().sum();
    let all = fewer + beyond;
    // Half of all times there are at least as many as the likeliest: it is never less than that.
    let mut number = likeliest;
    for weight in or_more {
        beyond -= weight;
        if beyond * u128::from(one_in) <= all {
            break;
        }
        number += 1;
    }
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// How much to keep back of an item at a system, by the slowest of the `others` that sell it too and whichever of its measured rates of
/// sale asks for more (of equals the last), in whole `unit`s of the item. What it follows from is kept with it. Nothing where nobody else
/// sells it, and of what nobody buys.
pub fn buffer(
    selling: &[Selling],
    others: &[Lagging],
    one_in: u32,
    unit: Quantity,
    at: onhand_ledger::Instant,
) -> BufferSize {
    let slowest = others.iter().max_by_key(|other| other.lag_ms);
    let lag_ms = slowest.map_or(0, |slowest| slowest.lag_ms);
    let sized = selling.iter().map(|selling| {
        let Selling { sold, sales, over_seconds } = *selling;
        let covered = sales_to_cover(sales, over_seconds, lag_ms, one_in);
        (keep(sold, sales, covered, unit), *selling)
    });
    let (quantity, selling) = sized.max_by_key(|(quantity, _)| *quantity).unwrap_or_default();
    BufferSize {
        quantity,
        sold: selling.sold,
        sales: selling.sales,
        over_seconds: selling.over_seconds,
        lag_ms,
        lagging: slowest.map(|slowest| slowest.name.clone()),
        is_measured: slowest.is_none_or(|slowest| slowest.is_measured),
        one_in,
        at,
    }
}

/// What so many sales take, by what one took on average; rounded up to what can be sold.
fn keep(sold: Quantity, sales: u32, covered: u64, unit: Quantity) -> Quantity {
    let sales = i128::from(sales.max(1));
    let all = i128::from(sold.micros()).saturating_mul(i128::from(covered));
    let unit = i128::from(unit.micros().max(1));
    let up = |of: i128, by: i128| of.saturating_add(by - 1) / by;
    let micros = up(up(all, sales), unit).saturating_mul(unit);
    i64::try_from(micros).map_or(Quantity::MAX_INPUT, Quantity::from_micros).min(Quantity::MAX_INPUT)
}

/// Is what was measured worth an entry: does another number follow from it, or from another risk?
pub fn is_another(known: Option<&BufferSize>, measured: &BufferSize) -> bool {
    known.is_none_or(|known| (known.quantity, known.one_in) != (measured.quantity, measured.one_in))
}

/// What a size follows from: `12 sold a day` (or of a busy hour `30 sold in 20 minutes`), `Woo lags up to 40 minutes, risk 1 in 1,000`.
pub fn because(size: &BufferSize) -> String {
    let risk = format!("risk 1 in {}", thousands(size.one_in));
    let Some(lagging) = &size.lagging else {
        return format!("no other system sells it, {risk}");
    };
    let lag = crate::in_words(i64::try_from(size.lag_ms).unwrap_or(i64::MAX));
    let lags = if size.is_measured {
        format!("{lagging} lags up to {lag}")
    } else {
        format!("{lagging}'s lag is not all measured yet, {lag} is assumed")
    };
    format!("{}, {lags}, {risk}", rate(size))
}

fn rate(size: &BufferSize) -> String {
    if size.over_seconds < DAY_SECONDS && size.sales > 0 {
        let over = crate::in_words(i64::from(size.over_seconds) * 1_000);
        return format!("{} sold in {over}", size.sold);
    }
    format!("{} sold a day", a_day(size))
}

/// How much was sold a day: in tenths below 10, else in whole numbers; rounded to the nearest.
fn a_day(size: &BufferSize) -> String {
    let over = i128::from(size.over_seconds.max(1)) * i128::from(Quantity::ONE.micros());
    let tenths = (i128::from(size.sold.micros()) * 864_000 * 2 + over) / (over * 2);
    match (tenths / 10, tenths % 10) {
        (whole @ 0..10, tenth @ 1..) => format!("{whole}.{tenth}"),
        (whole, tenth) => format!("{}", whole + i128::from(tenth >= 5)),
    }
}

fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use onhand_ledger::Instant;

    const DAY: u32 = DAY_SECONDS;
    const DAY_MS: u64 = 86_400_000;

    /// Of the Poisson distribution, by its definition in 60 decimal digits.
    #[test]
    fn the_numbers_are_those_of_the_distribution() {
        let cases = [
            // Sales a day, lag, risk, number.
            (12, 40 * 60_000, 1_000, 3),
            (1, DAY_MS, 100, 4),
            (1, DAY_MS, 1_000, 5),
            (10, DAY_MS, 100, 18),
            (10, DAY_MS, 1_000, 21),
            (100, DAY_MS, 100, 124),
            (100, DAY_MS, 1_000, 132),
            (100, DAY_MS, 1_000_000, 151),
            (1_000, DAY_MS, 1_000, 1_099),
            (10_000, DAY_MS, 1_000_000, 10_479),
            (1, 86_400, 1_000, 0),
            (1, 86_400, 10_000, 1),
            (1, DAY_MS / 2, 2, 0),
            (0, DAY_MS, 1_000, 0),
            (5, 0, 1_000, 0),
        ];
        for (sales, lag_ms, one_in, number) in cases {
            let told = sales_to_cover(sales, DAY, lag_ms, one_in);
            assert_eq!(told, number, "{sales} a day, {lag_ms} ms, 1 in {one_in}");
        }
    }

    #[test]
    fn more_sales_a_longer_lag_and_a_smaller_risk_never_keep_back_less() {
        let mut before = 0;
        for sales in (0..2_000).step_by(7) {
            let now = sales_to_cover(sales, DAY, DAY_MS / 3, 1_000);
            assert!(before <= now, "{sales}: {before}, {now}");
            before = now;
        }
        let by_risk: Vec<u64> =
            [2, 10, 1_000, 1_000_000].map(|risk| sales_to_cover(50, DAY, DAY_MS, risk)).into();
        assert!(by_risk.is_sorted(), "{by_risk:?}");
        // What is out of all measure is answered at once, and stays a number.
        assert!(sales_to_cover(u32::MAX, 1, u64::MAX / 2, 1_000_000) > 1 << 20);
    }

    fn lagging(name: &str, minutes: u64) -> Lagging {
        Lagging { name: name.to_owned(), lag_ms: minutes * 60_000, is_measured: true }
    }

    fn selling(sold: i64, sales: u32, days: u32) -> Selling {
        Selling { sold: Quantity::units(sold), sales, over_seconds: days * DAY }
    }

    #[test]
    fn a_buffer_is_of_the_slowest_other_and_of_what_one_sale_takes() {
        let others = [lagging("Shopify", 1), lagging("Woo", 40)];
        let size = buffer(&[selling(336, 336, 28)], &others, 1_000, Quantity::ONE, Instant::MIN);
        assert_eq!(size.quantity, Quantity::units(3));
        assert_eq!(because(&size), "12 sold a day, Woo lags up to 40 minutes, risk 1 in 1,000");
        // As much in pairs: fewer sales, each of two.
        let pairs = buffer(&[selling(336, 168, 28)], &others, 1_000, Quantity::ONE, Instant::MIN);
        assert_eq!(pairs.quantity, Quantity::units(4));
        // A busy day counts more than the quiet weeks around it.
        let busy = buffer(
            &[selling(120, 120, 1), selling(336, 336, 28)],
            &others,
            1_000,
            Quantity::ONE,
            Instant::MIN,
        );
        assert_eq!((busy.quantity, busy.sales), (Quantity::units(10), 120));
        // Three in two sales: two sales more take three, and no part of a piece.
        let some = |unit| buffer(&[selling(504, 336, 28)], &others, 1_000, unit, Instant::MIN);
        assert_eq!(some(Quantity::ONE).quantity, Quantity::units(5));
        assert_eq!(some(Quantity::from_micros(100_000)).quantity, Quantity::from_micros(4_500_000));
        // And a busy hour more than the day around it.
        let hour = Selling { over_seconds: 1_200, ..selling(30, 30, 1) };
        let busy = buffer(&[selling(30, 30, 1), hour], &others, 1_000, Quantity::ONE, Instant::MIN);
        assert_eq!(busy.quantity, Quantity::units(85));
        assert_eq!(because(&busy), "30 sold in 20 minutes, Woo lags up to 40 minutes, risk 1 in 1,000");
        let alone = buffer(&[selling(336, 336, 28)], &[], 1_000, Quantity::ONE, Instant::MIN);
        assert_eq!(alone.quantity, Quantity::ZERO);
        assert_eq!(because(&alone), "no other system sells it, risk 1 in 1,000");
        assert!(
            is_another(None, &alone) && is_another(Some(&size), &alone) && !is_another(Some(&size), &size)
        );
    }

    #[test]
    fn rates_are_told_as_people_say_them() {
        let told = |sold, over_days| a_day(&BufferSize { over_seconds: over_days * DAY, ..sized(sold) });
        assert_eq!(
            (told(336, 28), told(1, 28), told(7, 2), told(0, 28)),
            ("12".into(), "0".into(), "3.5".into(), "0".into())
        );
        assert_eq!(told(23, 2), "12");
        let new =
            BufferSize { is_measured: false, lagging: Some("Woo".to_owned()), lag_ms: 60_000, ..sized(1) };
        assert!(
            because(&new).contains("Woo's lag is not all measured yet, 60 s is assumed"),
            "{}",
            because(&new)
        );
        assert_eq!([5, 100, 1_000, 1_000_000].map(thousands), ["5", "100", "1,000", "1,000,000"]);
    }

    fn sized(sold: i64) -> BufferSize {
        buffer(&[selling(sold, 1, 1)], &[], 1_000, Quantity::ONE, Instant::MIN)
    }
}
