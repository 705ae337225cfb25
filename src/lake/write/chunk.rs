//! The values of one column in one row group to one column chunk: pages, bounds, a bloom filter and the page index.
//!
//! `parquet`'s own writer looks every value up in a table, compares every value with the bounds and hashes every value
//! for the bloom filter, also where most values are equal. Here texts come as numbers of distinct ones, and all of
//! that is done once for each distinct text.

use std::ops::Range;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use super::levels::{pack, repeat, width_of};

/// Pages are what the page index skips, and the rows of an hour are neighbours; the index is 0.4 per cent.
const PAGE_ROWS: usize = 10_000;

/// Bounds what a reader inflates for one value.
const PAGE_BYTES: usize = 1 << 20;

/// Readers hold a chunk's dictionary in memory.
const DICTIONARY_BYTES: usize = 1 << 20;

/// Long enough to tell two ARNs of one account apart; beyond that a bound is as good as the value.
const BOUND_BYTES: usize = 64;

/// At 1 in 100, a lookup in a month of files reads a handful of row groups in vain.
const FALSE_POSITIVES: f64 = 0.01;

/// What a column chunk has beside its values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extras {
    /// Bounds of the chunk and of every page.
    pub bounds: bool,
    /// A bloom filter.
    pub bloom: bool,
    /// Whether a dictionary is tried.
    pub dictionary: bool,
}

/// A column's values in the rows of a row group; in a list, one for every slot of [`Lists`].
pub(super) enum Values<'a> {
    /// For each row the number of a text, from 1, in the order of their first rows; 0 for none.
    Texts { numbers: Vec<u32>, distinct: Vec<&'a [u8]> },
    /// Numbers and times.
    Longs(Vec<Option<i64>>),
    /// Booleans.
    Bools(Vec<Option<bool>>),
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Values::Texts { numbers, .. } => numbers.len(),
            Values::Longs(values) => values.len(),
            Values::Bools(values) => values.len(),
        }
    }

    /// How many there are in some rows or slots.
    fn count(&self, slots: Range<usize>) -> usize {
        // Summed as what a comparison gives, so that many are compared at once.
        match self {
            Values::Texts { numbers, .. } => {
                numbers[slots].iter().map(|&number| u32::from(number > 0)).sum::<u32>() as usize
            }
            Values::Longs(values) => values[slots].iter().filter(|value| value.is_some()).count(),
            Values::Bools(values) => values[slots].iter().filter(|value| value.is_some()).count(),
        }
    }

    /// Appends 1 for each that is there, 0 for each that is not.
    fn present(&self, slots: Range<usize>, out: &mut Vec<u32>) {
        match self {
            Values::Texts { numbers, .. } => {
                out.extend(numbers[slots].iter().map(|&number| u32::from(number > 0)));
            }
            Values::Longs(values) => out.extend(values[slots].iter().map(|value| u32::from(value.is_some()))),
            Values::Bools(values) => out.extend(values[slots].iter().map(|value| u32::from(value.is_some()))),
        }
    }
}

/// How the elements of lists of structs lie in the rows: a slot for every element, and one for a row without any.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists {
    /// For each slot whether it continues its row's list.
    pub continues: Vec<bool>,
    /// For each slot how much is there: [`Lists::NO_LIST`] and so on.
    pub levels: Vec<u8>,
    /// For each row its first slot.
    pub starts: Vec<usize>,
}

impl Lists {
    /// The row has no list.
    pub const NO_LIST: u8 = 0;
    /// The list is empty.
    pub const EMPTY: u8 = 1;
    /// The element is null.
    pub const NO_STRUCT: u8 = 2;
    /// The element is there.
    pub const STRUCT: u8 = 3;
}

/// Bounds of a page or of a chunk, as ranks of distinct texts or as numbers.
type Bounds = (i64, i64);

/// Makes column chunks one after the other.
pub(super) struct ChunkEncoder {
    zstd: Compressor<'static>,
    /// A page's bytes before they are compressed.
    page: Vec<u8>,
    /// Numbers to be packed.
    small: Vec<u32>,
}

impl ChunkEncoder {
    /// # Errors
    /// Where zstd gives no compressor.
    pub fn new(level: ZstdLevel) -> Result<Self> {
        let zstd = Compressor::new(level.compression_level())?;
        Ok(ChunkEncoder { zstd, page: Vec::new(), small: Vec::new() })
    }

    /// Encodes the values of `rows` rows.
    ///
    /// # Errors
    /// Where a page is too large for Parquet.
    pub fn encode(
        &mut self,
        column: &ColumnDescPtr,
        rows: usize,
        values: &Values<'_>,
        lists: Option<&Lists>,
        extras: Extras,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        let count = values.count(0..values.len());
        let mut chunk = Chunk::new(column, extras, count > 0);
        let (mut ranks, mut sorted) = (Vec::new(), Vec::new());
        let mut filter = None;
        let mut dictionary = false;
        if let Values::Texts { numbers, distinct } = values {
            if extras.bounds {
                (ranks, sorted) = rank(distinct);
            }
            if extras.bloom && count > 0 {
                filter = Some(Sbbf::new_with_ndv_fpp(distinct.len() as u64, FALSE_POSITIVES)?);
            }
            dictionary = extras.dictionary && has_dictionary(numbers, distinct, count);
            if dictionary {
                self.page.clear();
                for text in distinct {
                    plain(text, &mut self.page);
                    if let Some(filter) = &mut filter {
                        filter.insert(*text);
                    }
                }
                chunk.dictionary(&self.page, distinct.len(), &mut self.zstd)?;
            }
        }
        let bounded = match values {
            Values::Texts { .. } => Bounded::Texts(&sorted),
            Values::Longs(_) => Bounded::Longs,
            Values::Bools(_) => Bounded::Bools,
        };
        let slot = |row: usize| match lists {
            Some(lists) => lists.starts.get(row).copied().unwrap_or(values.len()),
            None => row,
        };
        let mut start = 0;
        while start < rows {
            let end = if count == 0 { rows } else { page_end(values, &slot, start, rows, dictionary) };
            let slots = slot(start)..slot(end);
            self.page.clear();
            let present = values.count(slots.clone());
            self.levels(values, lists, slots.clone(), present);
            let mut about =
                PageAbout { rows: end - start, slots: slots.len(), present, bounds: None, unencoded: None };
            match values {
                Values::Texts { numbers, distinct } => {
                    let numbers = &numbers[slots];
                    if extras.bounds {
                        about.bounds = bounds_of_texts(numbers, &ranks);
                        let bytes = |&number: &u32| distinct[number as usize - 1].len() as i64;
                        about.unencoded = Some(numbers.iter().filter(|&&number| number > 0).map(bytes).sum());
                    }
                    if dictionary {
                        self.indices(numbers, present);
                    } else {
                        self.texts(numbers, distinct, filter.as_mut());
                    }
                }
                Values::Longs(values) => {
                    let values = values[slots].iter().flatten();
                    if extras.bounds {
                        about.bounds = bounds_of(values.clone().copied());
                    }
                    values.for_each(|value| self.page.extend_from_slice(&value.to_le_bytes()));
                }
                Values::Bools(values) => {
                    let mut values = values[slots].iter().flatten();
                    if extras.bounds {
                        about.bounds = bounds_of(values.clone().map(|&value| i64::from(value)));
                    }
                    while let Some(&first) = values.next() {
                        let byte = (1..8).fold(u8::from(first), |byte, at| {
                            byte | u8::from(values.next().is_some_and(|&value| value)) << at
                        });
                        self.page.push(byte);
                    }
                }
            }
            chunk.page(&self.page, &about, dictionary, &bounded, &mut self.zstd)?;
            start = end;
        }
        if let Some(filter) = &mut filter {
            filter.fold_to_target_fpp(FALSE_POSITIVES);
        }
        chunk.close(rows, filter, &bounded)
    }

    /// Appends the levels of a page.
    fn levels(&mut self, values: &Values<'_>, lists: Option<&Lists>, slots: Range<usize>, present: usize) {
        if let Some(lists) = lists {
            self.small.clear();
            self.small.extend(lists.continues[slots.clone()].iter().map(|&continues| u32::from(continues)));
            self.sized(1);
            self.small.clear();
            values.present(slots.clone(), &mut self.small);
            for (small, level) in self.small.iter_mut().zip(&lists.levels[slots]) {
                *small += u32::from(*level);
            }
            self.sized(3);
        } else if present == 0 || present == slots.len() {
            let at = self.page.len();
            self.page.extend_from_slice(&[0; 4]);
            repeat(u32::from(present > 0), slots.len(), 1, &mut self.page);
            self.set_size(at);
        } else {
            self.small.clear();
            values.present(slots, &mut self.small);
            self.sized(1);
        }
    }

    /// Appends `small`, packed, after its size.
    fn sized(&mut self, width: u32) {
        let at = self.page.len();
        self.page.extend_from_slice(&[0; 4]);
        pack(&self.small, width, &mut self.page);
        self.set_size(at);
    }

    fn set_size(&mut self, at: usize) {
        let size = (self.page.len() - at - 4) as u32;
        self.page[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }

    /// Appends the positions of a page's texts in the dictionary.
    fn indices(&mut self, numbers: &[u32], present: usize) {
        self.small.clear();
        if present == numbers.len() {
            self.small.extend(numbers.iter().map(|&number| number - 1));
        } else {
            self.small.extend(numbers.iter().filter(|&&number| number > 0).map(|&number| number - 1));
        }
        let width = width_of(self.small.iter().copied().max().unwrap_or_default());
        self.page.push(width as u8);
        pack(&self.small, width, &mut self.page);
    }

    /// Appends the texts of a page, and enters them in the filter.
    fn texts(&mut self, numbers: &[u32], distinct: &[&[u8]], mut filter: Option<&mut Sbbf>) {
        /// Texts lie anywhere in memory; it takes about as long to get one as to write so many.
        const AHEAD: usize = 12;
        for (at, &number) in numbers.iter().enumerate() {
            if let Some(&soon @ 1..) = numbers.get(at + AHEAD) {
                prefetch(distinct[soon as usize - 1]);
            }
            if number > 0 {
                let text = distinct[number as usize - 1];
                plain(text, &mut self.page);
                if let Some(filter) = &mut filter {
                    filter.insert(text);
                }
            }
        }
    }
}

/// Starts to get the two ends of a text into the processor's cache.
#[cfg(target_arch = "x86_64")]
fn prefetch(text: &[u8]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    if let [first, .., last] = text {
        // SAFETY: prefetching reads nothing and never faults, and every x86-64 processor has it.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(first).cast());
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(last).cast());
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_text: &[u8]) {}

/// Whether a dictionary and an index a row are less than the texts themselves, and small enough.
fn has_dictionary(numbers: &[u32], distinct: &[&[u8]], count: usize) -> bool {
    let whole: usize = distinct.iter().map(|text| text.len() + 4).sum();
    if whole > DICTIONARY_BYTES || distinct.is_empty() {
        return false;
    }
    if distinct.len() <= count / 2 {
        return true;
    }
    let bytes = |&number: &u32| distinct[number as usize - 1].len() + 4;
    whole + count * 2 <= numbers.iter().filter(|&&number| number > 0).map(bytes).sum()
}

/// Where the page that starts with row `start` ends.
fn page_end(
    values: &Values<'_>,
    slot: &dyn Fn(usize) -> usize,
    start: usize,
    rows: usize,
    dictionary: bool,
) -> usize {
    let end = rows.min(start + PAGE_ROWS);
    let Values::Texts { numbers, distinct } = values else { return end };
    if dictionary {
        return end;
    }
    let mut bytes = 0;
    for row in start..end {
        for &number in numbers[slot(row)..slot(row + 1)].iter().filter(|&&number| number > 0) {
            bytes += distinct[number as usize - 1].len() + 4;
        }
        if bytes >= PAGE_BYTES {
            return row + 1;
        }
    }
    end
}

/// The rank of each text, and the texts by rank.
fn rank<'a>(distinct: &[&'a [u8]]) -> (Vec<u32>, Vec<&'a [u8]>) {
    let mut order: Vec<u32> = (0..distinct.len() as u32).collect();
    order.sort_unstable_by_key(|&at| distinct[at as usize]);
    let mut ranks = vec![0; distinct.len()];
    for (rank, &at) in (0..).zip(&order) {
        ranks[at as usize] = rank;
    }
    (ranks, order.iter().map(|&at| distinct[at as usize]).collect())
}

fn bounds_of_texts(numbers: &[u32], ranks: &[u32]) -> Option<Bounds> {
    let mut last = 0;
    let (mut least, mut most) = (u32::MAX, 0);
    for &number in numbers {
        // Equal ones are neighbours.
        if number != last && number > 0 {
            let rank = ranks[number as usize - 1];
            (least, most) = (least.min(rank), most.max(rank));
            last = number;
        }
    }
    (last > 0).then_some((i64::from(least), i64::from(most)))
}

fn bounds_of(values: impl Iterator<Item = i64>) -> Option<Bounds> {
    values.fold(None, |bounds: Option<Bounds>, value| {
        Some(bounds.map_or((value, value), |(least, most)| (least.min(value), most.max(value))))
    })
}

/// What bounds stand for.
enum Bounded<'a> {
    Texts(&'a [&'a [u8]]),
    Longs,
    Bools,
}

impl Bounded<'_> {
    /// The bounds as the page index has them.
    fn bytes(&self, (least, most): Bounds) -> (Vec<u8>, Vec<u8>) {
        match self {
            Bounded::Texts(sorted) => {
                let (least, most) = (sorted[least as usize], sorted[most as usize]);
                (cut_down(least).unwrap_or(least.to_vec()), cut_up(most).unwrap_or(most.to_vec()))
            }
            Bounded::Longs => (least.to_le_bytes().to_vec(), most.to_le_bytes().to_vec()),
            Bounded::Bools => (vec![least as u8], vec![most as u8]),
        }
    }

    /// The statistics of a chunk.
    fn statistics(&self, bounds: Option<Bounds>, nulls: u64) -> Statistics {
        let nulls = Some(nulls);
        match self {
            Bounded::Texts(sorted) => {
                let texts = bounds.map(|(least, most)| (sorted[least as usize], sorted[most as usize]));
                let least = texts.map(|(least, _)| cut_down(least).ok_or(least));
                let most = texts.map(|(_, most)| cut_up(most).ok_or(most));
                let exact =
                    |bound: &Option<std::result::Result<Vec<u8>, &[u8]>>| matches!(bound, Some(Err(_)));
                let (least_exact, most_exact) = (exact(&least), exact(&most));
                let bytes = |bound: std::result::Result<Vec<u8>, &[u8]>| {
                    ByteArray::from(bound.unwrap_or_else(<[u8]>::to_vec))
                };
                let statistics = ValueStatistics::new(least.map(bytes), most.map(bytes), None, nulls, false);
                Statistics::ByteArray(if bounds.is_some() {
                    statistics.with_min_is_exact(least_exact).with_max_is_exact(most_exact)
                } else {
                    statistics
                })
            }
            Bounded::Longs => {
                let (least, most) = bounds.unzip();
                // Old readers know only the first form of bounds, which is right where the order is a signed one.
                let statistics = ValueStatistics::new(least, most, None, nulls, false);
                Statistics::Int64(statistics.with_backwards_compatible_min_max(true))
            }
            Bounded::Bools => {
                let (least, most) = bounds.map(|(least, most)| (least > 0, most > 0)).unzip();
                Statistics::Boolean(ValueStatistics::new(least, most, None, nulls, false))
            }
        }
    }
}

/// A lower bound of a long text; `None` where it is short, or has no character boundary to be cut at.
fn cut_down(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() > BOUND_BYTES)?;
    let end = text.floor_char_boundary(BOUND_BYTES);
    (end > 0).then(|| text.as_bytes()[..end].to_vec())
}

/// An upper bound of a long text, cut with its last character made greater; `None` where it is short, or that cannot
/// be.
fn cut_up(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() > BOUND_BYTES)?;
    let text = &text[..text.floor_char_boundary(BOUND_BYTES)];
    text.char_indices().rev().find_map(|(at, last)| {
        let next = char::from_u32(u32::from(last) + 1).filter(|next| next.len_utf8() == last.len_utf8())?;
        let mut cut = text.as_bytes()[..at].to_vec();
        cut.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
        Some(cut)
    })
}

fn plain(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

/// What is known of a page beside its bytes.
struct PageAbout {
    rows: usize,
    slots: usize,
    present: usize,
    bounds: Option<Bounds>,
    unencoded: Option<i64>,
}

/// A column chunk while it is written.
struct Chunk<'c> {
    column: &'c ColumnDescPtr,
    extras: Extras,
    /// Without a value there is nothing to compress.
    compressed: bool,
    sink: TrackedWrite<Vec<u8>>,
    uncompressed: usize,
    slots: usize,
    present: usize,
    pages: i32,
    dictionary_bytes: Option<usize>,
    bounds: Option<Bounds>,
    unencoded: Option<i64>,
    index: ColumnIndexBuilder,
    offsets: OffsetIndexBuilder,
    last: Option<Bounds>,
    ascending: bool,
    descending: bool,
}

impl<'c> Chunk<'c> {
    fn new(column: &'c ColumnDescPtr, extras: Extras, has_values: bool) -> Self {
        Chunk {
            column,
            extras,
            compressed: has_values,
            sink: TrackedWrite::new(Vec::new()),
            uncompressed: 0,
            slots: 0,
            present: 0,
            pages: 0,
            dictionary_bytes: None,
            bounds: None,
            unencoded: None,
            index: ColumnIndexBuilder::new(column.physical_type()),
            offsets: OffsetIndexBuilder::new(),
            last: None,
            ascending: true,
            descending: true,
        }
    }

    fn compress(&self, bytes: &[u8], zstd: &mut Compressor<'_>) -> Result<Bytes> {
        Ok(if self.compressed { zstd.compress(bytes)?.into() } else { Bytes::copy_from_slice(bytes) })
    }

    fn write(&mut self, page: Page, uncompressed: usize) -> Result<(u64, u64)> {
        let spec =
            SerializedPageWriter::new(&mut self.sink).write_page(CompressedPage::new(page, uncompressed))?;
        self.uncompressed += spec.uncompressed_size;
        Ok((spec.offset, spec.bytes_written))
    }

    fn dictionary(&mut self, bytes: &[u8], count: usize, zstd: &mut Compressor<'_>) -> Result<()> {
        let page = Page::DictionaryPage {
            buf: self.compress(bytes, zstd)?,
            num_values: count as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let (_, written) = self.write(page, bytes.len())?;
        self.dictionary_bytes = Some(written as usize);
        Ok(())
    }

    fn page(
        &mut self,
        bytes: &[u8],
        about: &PageAbout,
        dictionary: bool,
        bounded: &Bounded<'_>,
        zstd: &mut Compressor<'_>,
    ) -> Result<()> {
        let page = Page::DataPage {
            buf: self.compress(bytes, zstd)?,
            num_values: u32::try_from(about.slots)?,
            encoding: if dictionary { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN },
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let (offset, written) = self.write(page, bytes.len())?;
        let written = i32::try_from(written)?;
        self.offsets.append_row_count(about.rows as i64);
        self.offsets.append_offset_and_size(offset as i64, written);
        self.offsets.append_unencoded_byte_array_data_bytes(about.unencoded);
        self.pages += 1;
        self.slots += about.slots;
        self.present += about.present;
        if let Some(bytes) = about.unencoded {
            *self.unencoded.get_or_insert(0) += bytes;
        }
        let nulls = (about.slots - about.present) as i64;
        match about.bounds {
            Some(bounds) => {
                let (least, most) = bounded.bytes(bounds);
                self.index.append(false, least, most, nulls);
                if let Some(last) = self.last {
                    self.ascending &= last.0 <= bounds.0 && last.1 <= bounds.1;
                    self.descending &= last.0 >= bounds.0 && last.1 >= bounds.1;
                }
                self.last = Some(bounds);
                let all = self.bounds.get_or_insert(bounds);
                *all = (all.0.min(bounds.0), all.1.max(bounds.1));
            }
            None => self.index.append(true, Vec::new(), Vec::new(), nulls),
        }
        self.index.append_histograms(&None, &histogram(nulls, about.present as i64));
        Ok(())
    }

    fn close(
        mut self,
        rows: usize,
        bloom_filter: Option<Sbbf>,
        bounded: &Bounded<'_>,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        use parquet::basic::BoundaryOrder::{ASCENDING, DESCENDING, UNORDERED};
        let bytes = Bytes::from(self.sink.into_inner()?);
        let encoding =
            if self.dictionary_bytes.is_some() { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN };
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        let mut pages =
            vec![PageEncodingStats { page_type: PageType::DATA_PAGE, encoding, count: self.pages }];
        if self.dictionary_bytes.is_some() {
            encodings.push(encoding);
            pages.insert(
                0,
                PageEncodingStats {
                    page_type: PageType::DICTIONARY_PAGE,
                    encoding: Encoding::PLAIN,
                    count: 1,
                },
            );
        }
        let codec =
            if self.compressed { Compression::ZSTD(ZstdLevel::default()) } else { Compression::UNCOMPRESSED };
        let mut metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(codec)
            .set_encodings(encodings)
            .set_page_encoding_stats(pages)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_num_values(self.slots as i64)
            .set_data_page_offset(self.dictionary_bytes.unwrap_or(0) as i64)
            .set_dictionary_page_offset(self.dictionary_bytes.map(|_| 0));
        let nulls = self.slots - self.present;
        if self.extras.bounds || !self.compressed {
            metadata = metadata
                .set_statistics(bounded.statistics(self.bounds, nulls as u64))
                .set_unencoded_byte_array_data_bytes(self.unencoded);
            if self.column.max_rep_level() == 0 {
                metadata =
                    metadata.set_definition_level_histogram(histogram(nulls as i64, self.present as i64));
            }
        }
        self.index.set_boundary_order(match (self.ascending, self.descending) {
            (true, _) => ASCENDING,
            (false, true) => DESCENDING,
            (false, false) => UNORDERED,
        });
        let has_index = self.extras.bounds && self.compressed;
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows as u64,
            metadata: metadata.build()?,
            bloom_filter,
            column_index: if has_index { Some(self.index.build()?) } else { None },
            offset_index: Some(self.offsets.build()),
        };
        Ok((bytes, close))
    }
}

/// How many values of an optional column are null, and how many not.
fn histogram(nulls: i64, present: i64) -> Option<LevelHistogram> {
    Some(LevelHistogram::from(vec![nulls, present]))
}
