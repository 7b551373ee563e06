//! Random numbers that can be had again, and inputs made of others.

/// Xorshift: the same seed gives the same numbers. <https://www.jstatsoft.org/article/view/v008i14>
pub struct Random(u64);

impl Random {
    /// Numbers of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One of `0..end`; 0 where that is empty.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap_or(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    fn of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// A new input of what is there. `corpus` and `words` are not empty.
pub fn mutate(corpus: &[Vec<u8>], words: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut input = random.of(corpus).clone();
    for _ in 0..=random.below(6) {
        let (from, to) = part(&input, random);
        match random.below(10) {
            0 if !input.is_empty() => {
                let place = random.below(input.len());
                input[place] ^= 1 << random.below(8);
            }
            1 if !input.is_empty() => {
                let place = random.below(input.len());
                input[place] = *random
                    .of(&[0, 1, 0x7f, 0x80, 0xff, b'"', b',', b'\n', b'\r', b'{', b'[', b' ', b'-', b'9']);
            }
            2 => drop(input.drain(from..to)),
            3 => {
                let copy = input[from..to].to_vec();
                let times = 1 + random.below(4);
                input.splice(to..to, copy.repeat(times));
            }
            4 | 5 => {
                let word = random.of(words).to_vec();
                input.splice(from..from, word);
            }
            6 => {
                let word = random.of(words).to_vec();
                input.splice(from..to, word);
            }
            7 => {
                let other = random.of(corpus).clone();
                let (begin, end) = part(&other, random);
                input.splice(from..to, other[begin..end].iter().copied());
            }
            8 => input.truncate(to),
            _ => {
                let number = random.next() >> random.below(64);
                input.splice(from..from, number.to_string().into_bytes());
            }
        }
        if input.len() > 2 * super::LONGEST {
            break;
        }
    }
    input
}

/// A stretch of an input, short ones more often.
fn part(input: &[u8], random: &mut Random) -> (usize, usize) {
    let from = random.below(input.len() + 1);
    let longest = if random.below(4) == 0 { input.len() } else { 12 };
    (from, (from + random.below(longest + 1)).min(input.len()))
}
