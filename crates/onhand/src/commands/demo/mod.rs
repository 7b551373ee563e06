//! `onhand demo`: three shops and a warehouse of somebody else, emulated and reached over HTTP; customers; a network that misbehaves; and all
//! of them kept equal to the truth.

mod oversold;
mod scene;
mod stage;
mod world;

use std::process::ExitCode;

use onhand_ledger::Instant;
use serde_json::json;

use self::scene::{Player, Stopped};
use self::stage::Stage;
use self::world::World;
use crate::cli::{Demo, Scene};
use crate::http::interrupted;
use crate::output::say;

/// All scenes take so many seconds where nobody says.
const USUAL_SECONDS: u64 = 10;
/// In the end all is equal within so many seconds.
const ENDS_WITHIN: i64 = 10;

pub(crate) async fn run(demo: &Demo, json: bool) -> anyhow::Result<ExitCode> {
    let mut world = World::open(demo.seed).await?;
    let mut stage = Stage::open(world.addresses(), demo.headless, json)?;
    let mut player = Player::new(&mut world, &mut stage, interrupted());
    let played = play_all(&mut player, demo, json).await;
    let lawful = match played {
        Ok(lawful) => lawful,
        Err(error) if error.is::<Stopped>() => true,
        Err(error) => return Err(error),
    };
    // Asked to stop once more, it does not wait any longer.
    player.interrupted = Box::pin(interrupted());
    let equal = match player.is_equal_within(ENDS_WITHIN, None).await {
        Ok(equal) => equal,
        Err(error) if error.is::<Stopped>() => false,
        Err(error) => return Err(error),
    };
    let told = player.whole()?;
    stage.close()?;
    let (listings, in_step) = world.status()?;
    world.close().await?;
    let (orders, units_sold, oversold_by_us) = (told.orders, told.units_sold, told.oversold_by_us);
    let converged = lawful && equal;
    if json {
        say(json!({
            "orders": orders,
            "units_sold": units_sold,
            "oversold_by_us": oversold_by_us,
            "listings": listings,
            "in_step": in_step,
            "converged": converged,
            "sync_latency_ms": told.latency(),
        }))?;
    } else {
        say(format_args!(
            "{orders} orders, {units_sold} units sold, {oversold_by_us} oversold by us; {in_step} of {listings} in step."
        ))?;
    }
    Ok(if oversold_by_us == 0 && converged { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Plays the scenes; then, where it does not end by itself, customers buy for as long as somebody looks. Says whether every scene ended as
/// it must.
async fn play_all(player: &mut Player<'_>, demo: &Demo, json: bool) -> anyhow::Result<bool> {
    let scenes = if demo.scene.is_empty() { Scene::ALL.to_vec() } else { demo.scene.clone() };
    let ends_by_itself = demo.headless || demo.seconds.is_some() || json;
    let seconds = demo.seconds.unwrap_or(if ends_by_itself { USUAL_SECONDS } else { 4 * USUAL_SECONDS });
    let each = i64::try_from(seconds / scenes.len() as u64).unwrap_or(i64::MAX / 2);
    let mut lawful = true;
    for scene in scenes {
        let told = player.play(scene, each).await?;
        lawful &= told.is_lawful();
        if json {
            say(told.json(scene))?;
        }
    }
    if !ends_by_itself {
        player.stage.tell("── Customers go on buying. Look around: the pages are at the address above.")?;
        player.trade_until(Instant::MAX).await?;
    }
    Ok(lawful)
}
