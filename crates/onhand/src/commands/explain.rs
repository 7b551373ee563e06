//! Why each system shows what it shows of an item.

use onhand_sync::Standing;
use serde_json::{Value, json};

use crate::link::{Link, segment};
use crate::output::say;

use super::print;

pub(super) async fn run(link: &Link, sku: &str, json: bool) -> anyhow::Result<()> {
    let explained = link.get(&format!("/v1/items/{}/explain", segment(sku)?)).await?;
    print(json, &explained, |explained| {
        let stock = &explained["stock"];
        say(format!("{}  {}", stock["sku"].as_str().unwrap_or(sku), stock["name"].as_str().unwrap_or("")))?;
        for line in stock_table(stock) {
            say(line)?;
        }
        let shown = explained["shown"].as_array().map(Vec::as_slice).unwrap_or_default();
        if shown.is_empty() {
            say("No system shows it.")?;
        }
        for one in shown {
            let of_system = shown.iter().filter(|other| other["system"] == one["system"]);
            let mut lines = shown_lines(one);
            // Of several each is named.
            if of_system.count() > 1
                && let Some(first) = lines.first_mut()
            {
                let (listing, place) = (one["listing"].as_str(), one["remote_location"].as_str());
                *first = format!("{first}  (listing {} at {})", listing.unwrap_or("–"), place.unwrap_or("–"));
            }
            lines.into_iter().try_for_each(say)?;
        }
        super::documents::show_sent(&explained["sent"])
    })?;
    Ok(())
}

/// A system's number in plain words, and below it, where it is not as it should be, the way it came about.
fn shown_lines(shown: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let sign = Standing::sign_of(&text(&shown["standing"])).unwrap_or(' ');
    let mut lines = vec![format!("{sign} {}", text(&shown["explanation"]))];
    let chain = &shown["chain"];
    if shown["standing"] == "in_step" || shown["standing"] == "left_to_it" {
        return lines;
    }
    for behind in chain["stock"].as_array().into_iter().flatten() {
        let (available, location) = (&behind["available"], text(&behind["location"]));
        let claimed = match &behind["claimed"] {
            none if *none == json!(0) => String::new(),
            claimed => format!(", {claimed} of it sold by documents that wait"),
        };
        lines.push(format!("    {available} available at {location}{claimed}"));
    }
    let because = match text(&chain["because"]) {
        nothing if nothing.is_empty() => String::new(),
        because => format!(": {because}"),
    };
    let since = chain["since"].as_str().map_or(String::new(), |since| format!(", since {since}"));
    if !shown["desired"].is_null() {
        lines.push(format!("    so it should show {}{because}{since}", shown["desired"]));
    }
    let sent = &chain["sent"];
    if sent.is_object() {
        let answer = match (sent["acknowledged_at"].as_str(), &sent["by_reading"]) {
            (None, _) => "no answer yet".to_owned(),
            (Some(at), Value::Bool(true)) => format!("no answer; read back at {at}"),
            (Some(at), _) => format!("acknowledged at {at}"),
        };
        lines.push(format!("    sent {} at {}, {answer}", sent["quantity"], text(&sent["at"])));
    }
    for between in chain["between"].as_array().into_iter().flatten() {
        lines.push(format!("    {}  {}", text(&between["at"]), text(&between["sentence"])));
    }
    if let Some(at) = shown["observed_at"].as_str() {
        lines.push(format!("    read back {} at {at}", shown["observed"]));
    }
    lines
}

/// Stock by location and state. What is rarely there has a column only where it is: so on hand is always the sum of
/// what is shown before it, less what of it is told to be buildable only.
fn stock_table(stock: &Value) -> Vec<String> {
    const STATES: [(&str, bool); 9] = [
        ("available", true),
        ("unsellable", false),
        ("reserved", true),
        ("committed", true),
        ("damaged", false),
        ("quality_control", false),
        ("safety_stock", false),
        ("on_hand", true),
        ("buildable", false),
    ];
    let locations = stock["locations"].as_array().into_iter().flatten();
    let rows: Vec<&Value> = locations.chain(std::iter::once(&stock["total"])).collect();
    // Not by the total alone: a state may be more here and less there.
    let is_there = |state: &str| rows.iter().any(|row| row[state] != 0);
    let states = STATES.into_iter().filter(|(state, always)| *always || is_there(state));
    let columns = states.map(|(state, _)| {
        let numbers = rows.iter().map(|row| row[state].to_string());
        std::iter::once(state.replace('_', " ")).chain(numbers).collect()
    });
    let names = rows.iter().map(|row| row["location"].as_str().unwrap_or("").to_owned());
    let first: Vec<String> = std::iter::once(String::new()).chain(names).collect();
    let columns: Vec<Vec<String>> = std::iter::once(first).chain(columns).collect();
    let width = |column: &Vec<String>| column.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let line = |row: usize| {
        let cells = columns.iter().zip(&widths).enumerate().map(|(index, (column, width))| match index {
            0 => format!("{:<width$}", column[row]),
            _ => format!("  {:>width$}", column[row]),
        });
        cells.collect()
    };
    (0..=rows.len()).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_step_takes_one_line_and_what_is_not_the_way_it_came_about() {
        let mut shown = json!({
            "standing": "in_step", "explanation": "Woo shows 96.", "desired": 96, "observed": 92, "observed_at": "14:02",
            "chain": {
                "stock": [{ "location": "LONDON", "available": 101, "claimed": 1 }],
                "because": "5 kept back", "since": "13:59",
                "sent": { "quantity": 101, "at": "13:50", "acknowledged_at": null, "by_reading": false },
                "between": [{ "at": "13:59", "sentence": "−5 available at LONDON: sold, by Woo." }],
            },
        });
        assert_eq!(shown_lines(&shown), ["● Woo shows 96."]);
        shown["standing"] = json!("behind");
        assert_eq!(
            shown_lines(&shown),
            [
                "▲ Woo shows 96.",
                "    101 available at LONDON, 1 of it sold by documents that wait",
                "    so it should show 96: 5 kept back, since 13:59",
                "    sent 101 at 13:50, no answer yet",
                "    13:59  −5 available at LONDON: sold, by Woo.",
                "    read back 92 at 14:02",
            ]
        );
    }

    #[test]
    fn on_hand_is_the_sum_of_the_columns_that_are_shown() {
        let row = |location: &str, available: i64, damaged: i64| {
            json!({ "location": location, "available": available, "reserved": 0, "committed": 2, "damaged": damaged,
                "unsellable": 0, "buildable": 0, "quality_control": 0, "safety_stock": 0, "on_hand": available + 2 + damaged })
        };
        let table = |damaged: i64| {
            let locations = json!([row("LONDON", 1_234_567_890_123, 0), row("YORK", -1, damaged)]);
            stock_table(&json!({ "locations": locations, "total": row("total", 5, damaged) }))
        };
        let plain = table(0);
        assert_eq!(
            plain[0].split_whitespace().collect::<Vec<_>>(),
            ["available", "reserved", "committed", "on", "hand"]
        );
        let damaged = table(3);
        assert!(damaged[0].contains("damaged") && !damaged[0].contains("safety"), "{damaged:#?}");
        assert_eq!(damaged[2], "YORK               -1         0          2        3              4");
        for table in [plain, damaged] {
            assert!(table.iter().all(|line| line.chars().count() == table[0].chars().count()), "{table:#?}");
        }
    }
}
