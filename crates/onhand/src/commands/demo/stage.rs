//! What a person sees of the demo: a table that moves with the story below it, or the story line by line, or nothing.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use crossterm::{cursor, execute, queue, style, terminal};
use onhand_engine::{Clock as _, SystemClock};
use onhand_ledger::Instant;

use super::world::{CATALOGUE, SHOPS, World};
use crate::output::{say, stdout};

/// So many lines of the story are kept below the table.
const TOLD: usize = 6;
/// The table is drawn so often, in microseconds.
const DRAWN: i64 = 150_000;

/// Where it is shown.
pub(super) struct Stage {
    kind: Kind,
    told: Vec<String>,
    next_draw: Instant,
}

enum Kind {
    Drawn(Screen),
    Lines,
    Nothing,
}

impl Stage {
    /// Draws where somebody sits before a terminal; says where everything is.
    pub fn open(addresses: &[String], headless: bool, json: bool) -> anyhow::Result<Self> {
        let kind = if json {
            for address in addresses {
                eprintln!("{address}");
            }
            Kind::Nothing
        } else if headless || !std::io::stdout().is_terminal() {
            addresses.iter().try_for_each(say)?;
            Kind::Lines
        } else {
            Kind::Drawn(Screen::open(addresses.to_vec())?)
        };
        Ok(Self { kind, told: Vec::new(), next_draw: Instant::MIN })
    }

    /// The story goes on.
    pub fn tell(&mut self, line: impl Display) -> anyhow::Result<()> {
        match &self.kind {
            Kind::Drawn(_) => self.told.push(line.to_string()),
            Kind::Lines => say(line)?,
            Kind::Nothing => {}
        }
        Ok(())
    }

    /// Draws what is so now, if it is time.
    pub fn draw(&mut self, world: &World) -> anyhow::Result<()> {
        let now = SystemClock.now();
        if let Kind::Drawn(screen) = &self.kind
            && now >= self.next_draw
        {
            screen.draw(world, &self.told[self.told.len().saturating_sub(TOLD)..])?;
            self.next_draw = now.plus_micros(DRAWN);
        }
        Ok(())
    }

    /// What was told, for whoever saw it drawn: it is on the screen from before again.
    pub fn close(self) -> anyhow::Result<()> {
        let was_drawn = matches!(self.kind, Kind::Drawn(_));
        drop(self.kind);
        if was_drawn {
            self.told.iter().try_for_each(say)?;
        }
        Ok(())
    }
}

/// The live table, on the terminal's other screen: what was there before comes back when it ends.
struct Screen {
    addresses: Vec<String>,
}

impl Drop for Screen {
    /// However the demo ends, the terminal is as it was.
    fn drop(&mut self) {
        let _ = execute!(stdout(), terminal::LeaveAlternateScreen, cursor::Show);
    }
}

impl Screen {
    fn open(addresses: Vec<String>) -> anyhow::Result<Self> {
        let screen = Self { addresses };
        execute!(stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    fn draw(&self, world: &World, told: &[String]) -> anyhow::Result<()> {
        let (listings, in_step) = world.status()?;
        let head = row("SKU", ["London", "Leeds", "Berlin"], SHOPS, "");
        let top: Vec<String> = self.addresses.iter().cloned().chain([String::new(), head]).collect();
        let mut rows = Vec::new();
        for (sku, ..) in CATALOGUE {
            let (available, shown) = (world.available(sku)?, world.shown(sku));
            let all: i64 = available.iter().sum();
            let equal = shown == [available[0] + available[1], all, all];
            rows.push(row(sku, available, shown, if equal { "● in step" } else { "◐ on its way" }));
        }
        let bottom = format!("{in_step} of {listings} listings in step · Ctrl-C ends it");
        let size = terminal::size().ok().filter(|(width, height)| *width > 0 && *height > 0);
        // Written at once: half a frame is never seen.
        let mut frame = Vec::new();
        for (line, text) in (0..).zip(fitted(top, rows, told, bottom, size.unwrap_or((80, 24)))) {
            // All below is cleared with each line, so that nothing of an older size stays.
            queue!(frame, cursor::MoveTo(0, line), terminal::Clear(terminal::ClearType::FromCursorDown))?;
            queue!(frame, style::Print(text))?;
        }
        let mut out = stdout();
        out.write_all(&frame)?;
        out.flush()?;
        Ok(())
    }
}

fn row(sku: &str, truth: [impl Display; 3], shown: [impl Display; 3], state: &str) -> String {
    let ([london, leeds, berlin], [shopify, woo, corner]) = (truth, shown);
    format!("{sku:<9} {london:>6} {leeds:>6} {berlin:>6} │ {shopify:>7} {woo:>11} {corner:>11}  {state}")
        .trim_end()
        .to_owned()
}

/// The lines of a screen: never more than it has, and none longer, so that the terminal neither wraps nor scrolls. The story has its place
/// before the table has.
fn fitted(
    mut lines: Vec<String>,
    mut rows: Vec<String>,
    told: &[String],
    bottom: String,
    (width, height): (u16, u16),
) -> Vec<String> {
    let story = if told.is_empty() { 0 } else { told.len() + 1 };
    let room = usize::from(height).saturating_sub(lines.len() + 2 + story);
    if rows.len() > room {
        let hidden = rows.len() - room.saturating_sub(1);
        rows.truncate(room.saturating_sub(1));
        rows.push(format!("… and {hidden} more"));
    }
    lines.append(&mut rows);
    if story > 0 {
        lines.push(String::new());
        lines.extend(told.iter().cloned());
    }
    lines.extend([String::new(), bottom]);
    lines.truncate(usize::from(height));
    lines.iter().map(|line| line.chars().take(usize::from(width)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_of_any_size_is_filled_and_no_more() {
        let fit = |told: &[String], width, height| {
            let rows = CATALOGUE.iter().map(|(sku, _, stock)| row(sku, *stock, *stock, "◐ on its way"));
            let top = vec!["key   ".to_owned() + &"k".repeat(46); 7];
            fitted(top, rows.collect(), told, "57 of 57 listings".to_owned(), (width, height))
        };
        let story = vec!["a line of the story".to_owned(); TOLD];
        for (width, height) in [(60, 15), (80, 24), (120, 40), (10, 3), (1, 1), (300, 100)] {
            for told in [&story[..], &[]] {
                let lines = fit(told, width, height);
                assert!(lines.len() <= usize::from(height), "{width}×{height}: {lines:#?}");
                assert!(lines.iter().all(|line| line.chars().count() <= usize::from(width)), "{lines:#?}");
            }
        }
        assert_eq!(fit(&[], 60, 16)[13], "… and 8 more");
        assert_eq!(fit(&[], 60, 16).last().map(String::as_str), Some("57 of 57 listings"));
        let whole = fit(&story, 90, 40);
        assert_eq!(whole.len(), 7 + CATALOGUE.len() + 1 + TOLD + 2);
        assert_eq!(
            whole[8],
            "MUG-RED       25     10     10 │      25          10          10  ◐ on its way"
        );
    }
}
