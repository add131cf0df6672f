//! Which needs beyond amounts a worker meets: needs are numbered by whoever fills the board.

/// A set of numbers of needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meets(Vec<u64>);

const BITS: usize = u64::BITS as usize;

impl Meets {
    /// Whether a need is met; what needs nothing is met everywhere.
    #[must_use]
    pub fn meets(&self, need: Option<u32>) -> bool {
        need.is_none_or(|need| {
            let need = need as usize;
            self.0.get(need / BITS).is_some_and(|bits| bits >> (need % BITS) & 1 == 1)
        })
    }

    /// Notes that a need is met.
    pub fn insert(&mut self, need: u32) {
        let need = need as usize;
        if self.0.len() <= need / BITS {
            self.0.resize(need / BITS + 1, 0);
        }
        self.0[need / BITS] |= 1 << (need % BITS);
    }
}

impl FromIterator<u32> for Meets {
    fn from_iter<I: IntoIterator<Item = u32>>(needs: I) -> Self {
        let mut meets = Self::default();
        needs.into_iter().for_each(|need| meets.insert(need));
        meets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_met_and_nothing_else() {
        let meets: Meets = [0, 63, 64, 200].into_iter().collect();
        let met: Vec<u32> = (0..300).filter(|need| meets.meets(Some(*need))).collect();
        assert_eq!(met, [0, 63, 64, 200]);
        assert!(meets.meets(None) && Meets::default().meets(None) && !Meets::default().meets(Some(0)));
    }
}
