//! Whom we would take as master of a location: the system that is the nearest to the goods.
//!
//! A warehouse's own system sees each piece that moves; a store's tills see what is sold; the books of a business hear of it
//! later; a shop knows only what it was told and what it sold. Where several are equally near, a person must choose.

use onhand_ledger::model::Role;

/// Whom we would take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recommendation {
    /// The system's name; none: Onhand itself.
    pub master: Option<String>,
    /// Why.
    pub because: String,
    /// What is to be looked into: two that both act as master.
    pub warning: Option<String>,
}

/// A system at a location.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// What it is to the business.
    pub role: Option<Role>,
    /// Has it told absolute quantities there that were not taken, for another is master?
    pub tells_absolutes: bool,
}

/// How near to the goods a role is; the lowest is the nearest. Files and marketplaces keep no stock.
const fn distance(role: Role) -> Option<u8> {
    match role {
        Role::Wms | Role::ThreePl => Some(0),
        Role::Pos => Some(1),
        Role::Erp => Some(2),
        Role::Shop => Some(3),
        Role::Marketplace | Role::File => None,
    }
}

const fn in_words(role: Role) -> &'static str {
    match role {
        Role::Wms => "a warehouse's own system: it sees each piece that moves",
        Role::ThreePl => "of those who keep the goods: they see each piece that moves",
        Role::Pos => "the tills of a store: they see each piece that is sold there",
        Role::Erp => "the books of the business, and no system nearer to the goods is there",
        Role::Shop => "the only system there that keeps a number of its own",
        Role::Marketplace | Role::File => "no keeper of stock",
    }
}

/// Whom we would take as master of a location, by the systems there and who is master now (none: Onhand).
pub fn recommend(candidates: &[Candidate], master: Option<&str>) -> Recommendation {
    let near = |candidate: &&Candidate| candidate.role.and_then(distance);
    let nearest = candidates.iter().filter_map(|candidate| near(&candidate)).min();
    let best: Vec<&Candidate> =
        candidates.iter().filter(|candidate| nearest.is_some() && near(candidate) == nearest).collect();
    let names = |several: &[&Candidate]| {
        let names: Vec<String> = several.iter().map(|one| one.name.clone()).collect();
        names.join(" and ")
    };
    let acting: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| candidate.tells_absolutes && Some(candidate.name.as_str()) != master)
        .collect();
    let acts = (!acting.is_empty()).then(|| {
        let (who, whose) = (names(&acting), master.unwrap_or("Onhand"));
        format!("{whose} is master here, and {who} tells absolute quantities too: both act as one. Stop one of them, or change the rule.")
    });
    match best.as_slice() {
        [only] => {
            let why = only.role.map_or("", in_words);
            let because = format!("{} is {why}.", only.name);
            Recommendation { master: Some(only.name.clone()), because, warning: acts }
        }
        several @ [_, _, ..] if nearest < Some(3) => {
            let who = names(several);
            let because = format!("{who} are equally near to the goods: say which of them counts here.");
            let both = format!("{who} both would act as master here.");
            Recommendation { master: master.map(str::to_owned), because, warning: acts.or(Some(both)) }
        }
        [] if candidates.iter().any(|candidate| candidate.role.is_none()) => {
            let unsaid: Vec<_> = candidates.iter().filter(|candidate| candidate.role.is_none()).collect();
            let (is, its) = if unsaid.len() == 1 { ("is", "its") } else { ("are", "their") };
            let who = names(&unsaid);
            let because = format!(
                "Nobody said what {who} {is} to the business: {its} `role`. Until then Onhand itself."
            );
            Recommendation { master: None, because, warning: acts }
        }
        _ => {
            let because =
                "No system keeps this stock better than Onhand: those there only sell from it, or none is.";
            Recommendation { master: None, because: because.to_owned(), warning: acts }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(roles: &[(&str, Option<Role>)]) -> Vec<Candidate> {
        let one = |(name, role): &(&str, Option<Role>)| Candidate {
            name: (*name).to_owned(),
            role: *role,
            tells_absolutes: false,
        };
        roles.iter().map(one).collect()
    }

    #[test]
    fn the_nearest_to_the_goods_is_recommended() {
        use Role::{Erp, File, Marketplace, Pos, Shop, ThreePl, Wms};
        let cases: [(&[(&str, Option<Role>)], Option<&str>, bool); 11] = [
            (&[], None, false),
            (&[("W", Some(Wms)), ("P", Some(Pos)), ("E", Some(Erp)), ("S", Some(Shop))], Some("W"), false),
            (&[("S", Some(Shop)), ("L", Some(ThreePl))], Some("L"), false),
            (&[("E", Some(Erp)), ("P", Some(Pos))], Some("P"), false),
            (&[("S", Some(Shop)), ("E", Some(Erp))], Some("E"), false),
            (&[("S", Some(Shop)), ("M", Some(Marketplace)), ("F", Some(File))], Some("S"), false),
            (&[("S", Some(Shop)), ("T", Some(Shop))], None, false),
            (&[("M", Some(Marketplace)), ("F", Some(File))], None, false),
            (&[("W", Some(Wms)), ("L", Some(ThreePl))], None, true),
            (&[("E", Some(Erp)), ("D", Some(Erp)), ("W", Some(Wms))], Some("W"), false),
            (&[("X", None)], None, false),
        ];
        for (roles, master, warns) in cases {
            let told = recommend(&there(roles), None);
            assert_eq!(
                (told.master.as_deref(), told.warning.is_some()),
                (master, warns),
                "{roles:?}: {told:?}"
            );
        }
    }

    #[test]
    fn it_says_why() {
        use Role::{Erp, File, Marketplace, Pos, Shop, ThreePl, Wms};
        let nobody =
            "No system keeps this stock better than Onhand: those there only sell from it, or none is.";
        let cases: [(&[(&str, Option<Role>)], &str); 11] = [
            (&[("W", Some(Wms))], "W is a warehouse's own system: it sees each piece that moves."),
            (&[("L", Some(ThreePl))], "L is of those who keep the goods: they see each piece that moves."),
            (&[("P", Some(Pos))], "P is the tills of a store: they see each piece that is sold there."),
            (
                &[("E", Some(Erp))],
                "E is the books of the business, and no system nearer to the goods is there.",
            ),
            (&[("S", Some(Shop))], "S is the only system there that keeps a number of its own."),
            (
                &[("E", Some(Erp)), ("D", Some(Erp))],
                "E and D are equally near to the goods: say which of them counts here.",
            ),
            (
                &[("X", None), ("Y", None)],
                "Nobody said what X and Y are to the business: their `role`. Until then Onhand itself.",
            ),
            (
                &[("X", None), ("M", Some(Marketplace))],
                "Nobody said what X is to the business: its `role`. Until then Onhand itself.",
            ),
            (&[("F", Some(File))], nobody),
            (&[("S", Some(Shop)), ("T", Some(Shop))], nobody),
            (&[], nobody),
        ];
        for (roles, because) in cases {
            assert_eq!(recommend(&there(roles), None).because, because, "{roles:?}");
        }
    }

    #[test]
    fn two_that_act_as_master_are_warned_of() {
        let mut systems = there(&[("W", Some(Role::Wms)), ("E", Some(Role::Erp))]);
        systems[1].tells_absolutes = true;
        let told = recommend(&systems, Some("W"));
        assert_eq!(told.master.as_deref(), Some("W"));
        assert!(told.warning.unwrap().starts_with("W is master here, and E tells absolute quantities too"));
        systems[1].tells_absolutes = false;
        systems[0].tells_absolutes = true;
        assert_eq!(recommend(&systems, Some("W")).warning, None, "the master's own word");
    }
}
