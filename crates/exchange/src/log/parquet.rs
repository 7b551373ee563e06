//! The log as a Parquet table, a row for each entry, in groups of bounded size, written while it is read.
//!
//! Quantities are `DECIMAL(19, 6)`: exact, and as wide as a quantity can be (a sum of many may have 13 digits before the
//! point, which `DECIMAL(18, 6)` has not). Nothing is a floating-point number. Types as in
//! <https://github.com/apache/parquet-format/blob/master/LogicalTypes.md>.

use std::sync::Arc;

use onhand_ledger::Quantity;
use parquet::basic::Compression;
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::rows::{LogRow, Side};

/// The table cannot be written.
pub type TableError = ParquetError;

/// A group has so many rows at most, and (roughly) so many bytes of text.
const GROUP_ROWS: usize = 32_768;
const GROUP_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a decimal of 19 digits: the fewest that hold one.
const WIDTH: usize = 9;

/// The columns, in order, with their types in Parquet's own language.
pub const COLUMNS: &str = "message onhand_log {
  REQUIRED INT64 seq;
  REQUIRED INT64 record_seq;
  REQUIRED INT64 recorded_at (TIMESTAMP(MICROS, true));
  OPTIONAL INT64 occurred_at (TIMESTAMP(MICROS, true));
  REQUIRED BYTE_ARRAY actor (STRING);
  OPTIONAL BYTE_ARRAY key (STRING);
  OPTIONAL BYTE_ARRAY system (STRING);
  OPTIONAL BYTE_ARRAY document (STRING);
  REQUIRED BYTE_ARRAY kind (STRING);
  OPTIONAL INT64 item_id;
  OPTIONAL BYTE_ARRAY sku (STRING);
  OPTIONAL BYTE_ARRAY from_location (STRING);
  OPTIONAL BYTE_ARRAY from_state (STRING);
  OPTIONAL BYTE_ARRAY from_lot (STRING);
  OPTIONAL INT64 from_consignor;
  OPTIONAL FIXED_LEN_BYTE_ARRAY(9) from_balance (DECIMAL(19, 6));
  OPTIONAL BYTE_ARRAY to_location (STRING);
  OPTIONAL BYTE_ARRAY to_state (STRING);
  OPTIONAL BYTE_ARRAY to_lot (STRING);
  OPTIONAL INT64 to_consignor;
  OPTIONAL FIXED_LEN_BYTE_ARRAY(9) to_balance (DECIMAL(19, 6));
  OPTIONAL FIXED_LEN_BYTE_ARRAY(9) quantity (DECIMAL(19, 6));
  OPTIONAL BYTE_ARRAY reason (STRING);
  OPTIONAL BYTE_ARRAY reference (STRING);
  OPTIONAL BYTE_ARRAY note (STRING);
  OPTIONAL INT64 corrects;
  REQUIRED BYTE_ARRAY entry (JSON);
}";

/// A table in the making.
pub struct LogTable {
    writer: SerializedFileWriter<Vec<u8>>,
    rows: Vec<LogRow>,
    bytes: usize,
    group_rows: usize,
}

impl LogTable {
    /// A table without rows.
    pub fn new() -> Result<Self, TableError> {
        Self::in_groups_of(GROUP_ROWS)
    }

    /// A table without rows, in groups of so many: what readers skip by, and what is in memory at a time.
    pub fn in_groups_of(group_rows: usize) -> Result<Self, TableError> {
        let schema = Arc::new(parse_message_type(COLUMNS)?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("onhand ", env!("CARGO_PKG_VERSION")).to_owned())
            // Each is another: a dictionary and the least and greatest of them help nobody.
            .set_column_dictionary_enabled(ColumnPath::from("entry"), false)
            .set_column_statistics_enabled(ColumnPath::from("entry"), EnabledStatistics::None)
            .set_column_dictionary_enabled(ColumnPath::from("seq"), false)
            .build();
        let writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
        Ok(Self { writer, rows: Vec::new(), bytes: 0, group_rows })
    }

    /// Adds rows; a group that is full is written.
    pub fn add(&mut self, rows: Vec<LogRow>) -> Result<(), TableError> {
        for row in rows {
            let words = [&row.key, &row.document, &row.reference, &row.note].into_iter().flatten();
            self.bytes += row.entry.len() + words.map(|word| word.len()).sum::<usize>();
            self.rows.push(row);
            if self.rows.len() >= self.group_rows || self.bytes >= GROUP_BYTES {
                self.write_group()?;
            }
        }
        Ok(())
    }

    /// What of the file is made and not taken yet.
    pub fn take(&mut self) -> Result<Vec<u8>, TableError> {
        self.writer.flush()?;
        // The writer counts what went through it, and asks for none of it again.
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    /// The rest of the file.
    pub fn finish(mut self) -> Result<Vec<u8>, TableError> {
        self.write_group()?;
        self.writer.into_inner()
    }

    fn write_group(&mut self) -> Result<(), TableError> {
        let mut rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        if rows.is_empty() {
            return Ok(());
        }
        // The longest by far: moved, not copied.
        let entries = rows.iter_mut().map(|row| ByteArray::from(std::mem::take(&mut row.entry).into_bytes()));
        let entries: Vec<ByteArray> = entries.collect();
        let mut group = Group { writer: self.writer.next_row_group()?, rows: &rows };
        group.whole(|row| row.seq.cast_signed())?;
        group.whole(|row| row.record_seq.cast_signed())?;
        group.whole(|row| row.recorded_at)?;
        group.number(|row| row.occurred_at)?;
        group.word(|row| &row.actor)?;
        group.text(|row| row.key.as_deref())?;
        group.text(|row| row.system.as_deref())?;
        group.text(|row| row.document.as_deref())?;
        group.word(|row| &row.kind)?;
        group.number(|row| row.item.as_ref().map(|(id, _)| id.cast_signed()))?;
        group.text(|row| row.item.as_ref().map(|(_, sku)| &**sku))?;
        let sides: [fn(&LogRow) -> Option<&Side>; 2] = [|row| row.from.as_ref(), |row| row.to.as_ref()];
        for side in sides {
            group.text(|row| side(row)?.location.as_deref())?;
            group.text(|row| Some(side(row)?.state))?;
            group.text(|row| side(row)?.lot.as_deref())?;
            group.number(|row| side(row)?.consignor.map(u64::cast_signed))?;
            group.decimal(|row| Some(side(row)?.balance))?;
        }
        group.decimal(|row| row.quantity)?;
        group.text(|row| row.reason.as_deref())?;
        group.text(|row| row.reference.as_deref())?;
        group.text(|row| row.note.as_deref())?;
        group.number(|row| row.corrects.map(u64::cast_signed))?;
        group.required::<ByteArrayType>(&entries)?;
        group.writer.close()?;
        Ok(())
    }
}

/// Rows on their way into a group, column by column.
struct Group<'a, 'w> {
    writer: SerializedRowGroupWriter<'w, Vec<u8>>,
    rows: &'a [LogRow],
}

impl<'a> Group<'a, '_> {
    fn column(&mut self) -> Result<SerializedColumnWriter<'_>, TableError> {
        let next = self.writer.next_column()?;
        next.ok_or_else(|| ParquetError::General("there are more values than columns".to_owned()))
    }

    fn required<T: DataType>(&mut self, values: &[T::T]) -> Result<(), TableError> {
        let mut column = self.column()?;
        column.typed::<T>().write_batch(values, None, None)?;
        column.close()
    }

    fn optional<T: DataType>(&mut self, values: Vec<Option<T::T>>) -> Result<(), TableError> {
        let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
        let values: Vec<T::T> = values.into_iter().flatten().collect();
        let mut column = self.column()?;
        column.typed::<T>().write_batch(&values, Some(&levels), None)?;
        column.close()
    }

    fn whole(&mut self, of: impl Fn(&'a LogRow) -> i64) -> Result<(), TableError> {
        let values: Vec<i64> = self.rows.iter().map(of).collect();
        self.required::<Int64Type>(&values)
    }

    fn word(&mut self, of: impl Fn(&'a LogRow) -> &'a str) -> Result<(), TableError> {
        let values: Vec<ByteArray> = self.rows.iter().map(|row| ByteArray::from(of(row))).collect();
        self.required::<ByteArrayType>(&values)
    }

    fn number(&mut self, of: impl Fn(&'a LogRow) -> Option<i64>) -> Result<(), TableError> {
        self.optional::<Int64Type>(self.rows.iter().map(of).collect())
    }

    fn text(&mut self, of: impl Fn(&'a LogRow) -> Option<&'a str>) -> Result<(), TableError> {
        self.optional::<ByteArrayType>(self.rows.iter().map(|row| of(row).map(ByteArray::from)).collect())
    }

    fn decimal(&mut self, of: impl Fn(&'a LogRow) -> Option<Quantity>) -> Result<(), TableError> {
        let decimal = |row| of(row).map(decimal);
        self.optional::<FixedLenByteArrayType>(self.rows.iter().map(decimal).collect())
    }
}

/// The unscaled value, big-endian and signed.
fn decimal(quantity: Quantity) -> FixedLenByteArray {
    let bytes = i128::from(quantity.micros()).to_be_bytes();
    FixedLenByteArray::from(bytes[bytes.len() - WIDTH..].to_vec())
}
