//! In which order things come that need each other.

/// The numbers of things such that each comes after all that it needs; `needs` names none that is not there, and none
/// twice. Costs what there are of both, however they hang together.
/// # Errors
/// A circle: each of these needs the next one, the last one the first.
pub(super) fn order(needs: &[Vec<u32>]) -> Result<Vec<u32>, Vec<u32>> {
    let mut unmet: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut dependents = vec![Vec::new(); needs.len()];
    for (number, needs) in (0_u32..).zip(needs) {
        needs.iter().for_each(|need| dependents[*need as usize].push(number));
    }
    let free = (0_u32..).zip(&unmet).filter(|(_, unmet)| **unmet == 0);
    let mut order: Vec<u32> = free.map(|(number, _)| number).collect();
    let mut met = 0;
    while let Some(number) = order.get(met).copied() {
        met += 1;
        for dependent in &dependents[number as usize] {
            let left = &mut unmet[*dependent as usize];
            *left -= 1;
            if *left == 0 {
                order.push(*dependent);
            }
        }
    }
    if order.len() == needs.len() { Ok(order) } else { Err(circle(needs, &unmet)) }
}

/// One circle among those that were never met. Each of them needs another of them, so whoever goes from one to the next
/// comes back to where he was.
fn circle(needs: &[Vec<u32>], unmet: &[usize]) -> Vec<u32> {
    let is_left = |number: &u32| unmet[*number as usize] > 0;
    let mut places = vec![None; needs.len()];
    let mut walk = Vec::new();
    let mut next = (0_u32..).zip(unmet).find(|(_, unmet)| **unmet > 0).map(|(number, _)| number);
    while let Some(number) = next {
        if let Some(place) = places[number as usize] {
            return walk.split_off(place);
        }
        places[number as usize] = Some(walk.len());
        walk.push(number);
        next = needs[number as usize].iter().copied().find(is_left);
    }
    walk
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_circle_is_found_wherever_the_walk_begins() {
        // 0 needs the circle 1, 2, 3 and is none of it.
        let needs = [vec![1], vec![4, 2], vec![3], vec![1], vec![]];
        assert_eq!(order(&needs), Err(vec![1, 2, 3]));
        assert_eq!(order(&[vec![0]]), Err(vec![0]));
        assert_eq!(order(&[]), Ok(vec![]));
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let count = 200_000;
        let needs: Vec<Vec<u32>> =
            (0..count).map(|number| if number == 0 { vec![] } else { vec![number - 1] }).collect();
        assert_eq!(order(&needs).unwrap().len(), needs.len());
        let mut closed = needs;
        closed[0] = vec![count - 1];
        assert_eq!(order(&closed).unwrap_err().len(), closed.len());
    }

    proptest! {
        #[test]
        fn each_comes_after_what_it_needs_or_there_is_a_circle(
            edges in prop::collection::btree_set((0_u32..12, 0_u32..12), 0..30),
        ) {
            let mut needs = vec![Vec::new(); 12];
            edges.iter().for_each(|(from, to)| needs[*from as usize].push(*to));
            match order(&needs) {
                Ok(order) => {
                    let place = |number: u32| order.iter().position(|other| *other == number).unwrap();
                    prop_assert_eq!(order.len(), 12);
                    prop_assert!(edges.iter().all(|(from, to)| place(*from) > place(*to)));
                }
                Err(circle) => {
                    let next = circle.iter().cycle().skip(1);
                    prop_assert!(!circle.is_empty());
                    prop_assert!(circle.iter().zip(next).all(|edge| edges.contains(&(*edge.0, *edge.1))));
                }
            }
        }
    }
}
