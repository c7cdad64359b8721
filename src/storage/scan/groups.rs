//! How a scan's files are shared out: one group a core, balanced by bytes; large files are cut into byte ranges (a row
//! group belongs to the range its first page lies in). Decides nothing about which files are read.

use std::cmp::Reverse;

use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;

/// Ranges are not made smaller: a few row groups of an event table. Opening a range costs about 0.1 ms.
const RANGE_BYTES_MIN: u64 = 2 << 20;
/// Tables smaller than this are read by one core: passing rows between cores costs more than it saves.
const ONE_GROUP_BYTES_MAX: u64 = 128 << 10;
/// Ranges per core, so that a core that is done early takes over what another has not begun.
const RANGES_PER_GROUP: u64 = 4;

/// Shares `files` out to at most `groups` groups of about the same size; the order of rows is lost.
pub fn balanced(files: Vec<PartitionedFile>, groups: usize) -> Vec<FileGroup> {
    let total: u64 = files.iter().map(|file| file.effective_size()).sum();
    if total <= ONE_GROUP_BYTES_MAX || groups <= 1 {
        return vec![FileGroup::new(files)];
    }
    let range_bytes = (total / (groups as u64 * RANGES_PER_GROUP)).max(RANGE_BYTES_MIN);
    let pieces = files.into_iter().flat_map(|file| cut(file, range_bytes)).collect();
    pack(pieces, groups)
}

/// Shares whole `files` out to at most `groups` groups of about the same size, for formats that cannot be cut.
pub fn whole_files(files: Vec<PartitionedFile>, groups: usize) -> Vec<FileGroup> {
    pack(files, groups.max(1))
}

/// Shares sorted `files` out so that each group is sorted too. `disjoint` says that no file overlaps the next in the
/// sort columns: then a group takes neighbours, else each file has groups of its own.
pub fn ordered(files: Vec<PartitionedFile>, groups: usize, disjoint: bool) -> Vec<FileGroup> {
    let total: u64 = files.iter().map(|file| file.effective_size()).sum();
    if groups <= 1 && disjoint {
        return vec![FileGroup::new(files)];
    }
    let groups = groups.max(1) as u64;
    if !disjoint {
        // Two ranges a core, so that files of different sizes still keep all cores busy to the end.
        let range_bytes = (total / (groups * 2)).max(RANGE_BYTES_MIN);
        let pieces = files.into_iter().flat_map(|file| cut(file, range_bytes));
        return pieces.map(|piece| FileGroup::new(vec![piece])).collect();
    }
    consecutive(files, (total / groups).max(RANGE_BYTES_MIN))
}

/// Cuts the files, laid end to end, every `group_bytes`; a group holds at most one range of a file.
fn consecutive(files: Vec<PartitionedFile>, group_bytes: u64) -> Vec<FileGroup> {
    let mut groups = vec![FileGroup::default()];
    let mut room = group_bytes;
    for file in files {
        let size = file.object_meta.size;
        let mut start = 0;
        // A rest below half of the smallest range goes with the range before it.
        while size - start > room + RANGE_BYTES_MIN / 2 {
            if room > 0 {
                push(&mut groups, file.clone().with_range(start as i64, (start + room) as i64));
                start += room;
            }
            groups.push(FileGroup::default());
            room = group_bytes;
        }
        room = room.saturating_sub(size - start);
        let rest = if start == 0 { file } else { file.with_range(start as i64, size as i64) };
        push(&mut groups, rest);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn push(groups: &mut [FileGroup], file: PartitionedFile) {
    groups.last_mut().expect("there is always a group to fill").push(file);
}

/// Ranges of about the same size, none above `range_bytes`, which together are the file.
fn cut(file: PartitionedFile, range_bytes: u64) -> Vec<PartitionedFile> {
    let size = file.object_meta.size;
    let ranges = size.div_ceil(range_bytes).max(1);
    if ranges == 1 {
        return vec![file];
    }
    let at = |index: u64| (u128::from(size) * u128::from(index) / u128::from(ranges)) as i64;
    (0..ranges).map(|index| file.clone().with_range(at(index), at(index + 1))).collect()
}

/// The largest piece first, each to the group with least so far; within a group the given order stays.
fn pack(pieces: Vec<PartitionedFile>, groups: usize) -> Vec<FileGroup> {
    let count = groups.min(pieces.len()).max(1);
    let mut by_size: Vec<usize> = (0..pieces.len()).collect();
    by_size.sort_by_key(|&index| Reverse(pieces[index].effective_size()));
    let mut sizes = vec![0_u64; count];
    let mut group_of = vec![0; pieces.len()];
    for index in by_size {
        let smallest = (0..count).min_by_key(|&group| sizes[group]).unwrap_or_default();
        // A byte more for each piece, so that empty files are shared out as well.
        sizes[smallest] += pieces[index].effective_size() + 1;
        group_of[index] = smallest;
    }
    let mut packed = vec![FileGroup::default(); count];
    for (piece, group) in pieces.into_iter().zip(group_of) {
        packed[group].push(piece);
    }
    packed
}
