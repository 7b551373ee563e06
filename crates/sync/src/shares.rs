//! Which connected systems a node speaks with, of several on one database: each node has its share, and what a node that is
//! gone had is taken over by those that are there.

/// Something to do, and the node that does it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given<W> {
    /// What.
    pub work: W,
    /// Who does it; a node that is gone is as good as none.
    pub node: Option<String>,
}

/// What a node does about its share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Share<W> {
    /// It has more than its share: this is let go.
    LetGo(W),
    /// It has less, and this is done by nobody who is there.
    Take(W),
}

/// What `me` should take and let go, so that each of the nodes that are `there` (in order) has its share of all that is given
/// (in order). A share is rounded up, so that nothing is left, and nothing moves where shares differ by no more than that.
///
/// Nodes begin to take at places of their own, so that they are in each other's way least.
pub fn shares<W: Clone>(me: &str, there: &[String], given: &[Given<W>]) -> Vec<Share<W>> {
    let Some(place) = there.iter().position(|node| node == me) else { return Vec::new() };
    let share = given.len().div_ceil(there.len());
    let is_mine = |one: &&Given<W>| one.node.as_deref() == Some(me);
    let has = given.iter().filter(is_mine).count();
    if has > share {
        let over = given.iter().filter(is_mine).skip(share);
        return over.map(|one| Share::LetGo(one.work.clone())).collect();
    }
    let is_free = |one: &&Given<W>| one.node.as_ref().is_none_or(|node| there.binary_search(node).is_err());
    let free: Vec<&Given<W>> = given.iter().filter(is_free).collect();
    let begin = free.len() * place / there.len();
    let from_there = free.iter().cycle().skip(begin).take(free.len());
    from_there.take(share - has).map(|one| Share::Take(one.work.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &str) -> Vec<String> {
        names.chars().map(String::from).collect()
    }

    /// Works 0, 1, 2 … and who does each; `-` is nobody.
    fn given(names: &str) -> Vec<Given<usize>> {
        let one = |(work, name): (usize, char)| Given { work, node: (name != '-').then(|| name.to_string()) };
        names.chars().enumerate().map(one).collect()
    }

    fn does(me: &str, there: &str, all: &str) -> Vec<String> {
        let told = shares(me, &nodes(there), &given(all)).into_iter();
        told.map(|share| match share {
            Share::LetGo(work) => format!("-{work}"),
            Share::Take(work) => format!("+{work}"),
        })
        .collect()
    }

    #[test]
    fn each_node_has_its_share_and_takes_over_what_nobody_there_does() {
        for (me, there, all, expected) in [
            // Alone it has everything, also of those that are gone.
            ("a", "a", "---", vec!["+0", "+1", "+2"]),
            ("a", "a", "xaa", vec!["+0"]),
            ("a", "a", "aaa", vec![]),
            ("a", "a", "", vec![]),
            // Of three that start together each begins at a place of its own.
            ("a", "abc", "------", vec!["+0", "+1"]),
            ("b", "abc", "------", vec!["+2", "+3"]),
            ("c", "abc", "------", vec!["+4", "+5"]),
            // One joins: it finds nothing free until others have let go what is over their share.
            ("c", "abc", "aaabbb", vec![]),
            ("a", "abc", "aaabbb", vec!["-2"]),
            ("b", "abc", "aaabbb", vec!["-5"]),
            ("c", "abc", "aa-bb-", vec!["+5", "+2"]),
            // One is gone.
            ("a", "ab", "aabbcc", vec!["+4"]),
            ("b", "ab", "aabbcc", vec!["+5"]),
            // It moves nothing where shares are as equal as they can be, or nearly.
            ("c", "abc", "aabb", vec![]),
            ("a", "abc", "aabb", vec![]),
            // Who is not there does nothing.
            ("x", "ab", "xx-", vec![]),
        ] {
            assert_eq!(does(me, there, all), expected, "{me} of {there} at {all}");
        }
    }

    /// However many there are, and whoever comes and goes: what each does in turn ends with all of it done by those that are there.
    #[test]
    fn what_they_do_in_turn_comes_to_rest_with_everything_done_and_shares_equal() {
        for (all, there) in (0..9).flat_map(|all| (1..6).map(move |there| (all, there))) {
            let names: Vec<String> = nodes("abcdef").into_iter().take(there).collect();
            let mut now: Vec<Given<usize>> = given(&"aaxb--xya".chars().take(all).collect::<String>());
            let mut rounds = 0;
            loop {
                let mut rests = true;
                for me in &names {
                    for share in shares(me, &names, &now) {
                        rests = false;
                        match share {
                            Share::LetGo(work) => now[work].node = None,
                            Share::Take(work) => now[work].node = Some(me.clone()),
                        }
                    }
                }
                if rests {
                    break;
                }
                rounds += 1;
                assert!(rounds < 4, "{all} of {there}: {now:?}");
            }
            for me in &names {
                let has = now.iter().filter(|one| one.node.as_ref() == Some(me)).count();
                assert!(has <= all.div_ceil(there), "{me} has {has} of {all} among {there}");
            }
            assert!(now.iter().all(|one| one.node.as_ref().is_some_and(|node| names.contains(node))));
        }
    }
}
