//! The checksum of a row: over the table's name, its key and its values, so that one changed bit anywhere is found, and so is a
//! row that was put in another's place.

use crate::StoreError;

/// Longer values are not gathered first.
const SHORT: usize = 512;

/// A row's checksum in the making.
#[derive(Clone)]
pub(crate) struct Sum {
    hasher: crc32fast::Hasher,
    gathered: Vec<u8>,
}

impl Sum {
    pub fn of(table: &str) -> Self {
        let mut gathered = Vec::with_capacity(256);
        gathered.extend_from_slice(table.as_bytes());
        Self { hasher: crc32fast::Hasher::new(), gathered }
    }

    pub fn int(mut self, number: i64) -> Self {
        self.gathered.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub fn ints<const N: usize>(self, numbers: [i64; N]) -> Self {
        numbers.into_iter().fold(self, Self::int)
    }

    pub fn bytes(self, bytes: &[u8]) -> Self {
        let mut sum = self.int(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        if bytes.len() <= SHORT {
            sum.gathered.extend_from_slice(bytes);
        } else {
            sum.hasher.update(&sum.gathered);
            sum.hasher.update(bytes);
            sum.gathered.clear();
        }
        sum
    }

    /// CRC-32 (ISO 3309), as in the column `sum`.
    pub fn get(mut self) -> i64 {
        self.hasher.update(&self.gathered);
        i64::from(self.hasher.finalize())
    }

    /// Fails where the row says another; `row` names it.
    pub fn must_be(self, said: i64, row: impl FnOnce() -> String) -> Result<(), StoreError> {
        if self.get() == said {
            return Ok(());
        }
        Err(StoreError::Damaged(format!("{} was changed: it does not match its checksum", row())))
    }
}
