//! What of a picture is new.

use egui::Rect;

/// Side of a tile, pixels.
const SIDE: i32 = 32;

/// Pixels from `left` and `top` up to `right` and `bottom`, these two left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// First column
    pub left: i32,
    /// First row
    pub top: i32,
    /// Column behind the last
    pub right: i32,
    /// Row behind the last
    pub bottom: i32,
}

impl Area {
    /// What of a picture of `size` a clip rectangle leaves, as egui's painters round it.
    pub(crate) fn clip(rect: Rect, [width, height]: [usize; 2]) -> Self {
        let side = |at: f32, most: usize| (at.round() as i32).clamp(0, most as i32);
        Self {
            left: side(rect.min.x, width),
            top: side(rect.min.y, height),
            right: side(rect.max.x, width),
            bottom: side(rect.max.y, height),
        }
    }

    /// Both at once.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// Whether no pixel lies in it.
    pub(crate) fn is_empty(self) -> bool {
        self.left >= self.right || self.top >= self.bottom
    }
}

/// Two words into one that tells of both.
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xd6e8_feb8_6659_fd93);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Two halves of a word.
pub(crate) fn pair(a: u32, b: u32) -> u64 {
    (u64::from(a) << 32) | u64::from(b)
}

/// What each tile of a picture holds, as a number.
pub(crate) struct Tiles {
    size: [i32; 2],
    columns: usize,
    digests: Vec<u64>,
}

impl Tiles {
    /// Nothing but the ground it is drawn on, which `ground` tells.
    pub(crate) fn new([width, height]: [usize; 2], ground: u64) -> Self {
        let count = |pixels: usize| pixels.div_ceil(SIDE as usize);
        Self { size: [width as i32, height as i32], columns: count(width), digests: vec![ground; count(width) * count(height)] }
    }

    /// Something is drawn in `area`, which lies within the picture.
    pub(crate) fn add(&mut self, area: Area, digest: u64) {
        if area.is_empty() {
            return;
        }
        let columns = (area.left / SIDE) as usize..=((area.right - 1) / SIDE) as usize;
        for row in area.top / SIDE..=(area.bottom - 1) / SIDE {
            let start = row as usize * self.columns;
            if let Some(tiles) = self.digests.get_mut(start + columns.start()..=start + columns.end()) {
                tiles.iter_mut().for_each(|tile| *tile = fold(*tile, digest));
            }
        }
    }

    /// The tiles that are not as they were; all without a picture `before`, or with one of another size.
    pub(crate) fn changed_since(&self, before: Option<&Self>) -> Spans {
        let before = before.filter(|before| before.size == self.size);
        let mut rows = Vec::new();
        for (row, tiles) in self.digests.chunks_exact(self.columns.max(1)).enumerate() {
            let old = before.and_then(|before| before.digests.get(row * self.columns..(row + 1) * self.columns));
            let mut spans: Vec<[i32; 2]> = Vec::new();
            for (column, tile) in tiles.iter().enumerate() {
                if old.is_some_and(|old| old.get(column) == Some(tile)) {
                    continue;
                }
                let (left, right) = (column as i32 * SIDE, ((column as i32 + 1) * SIDE).min(self.size[0]));
                match spans.last_mut() {
                    Some(last) if last[1] == left => last[1] = right,
                    _ => spans.push([left, right]),
                }
            }
            rows.push(spans);
        }
        Spans { height: self.size[1], rows }
    }
}

/// The part of a picture that is drawn: for each row of tiles, columns from and to.
pub(crate) struct Spans {
    height: i32,
    rows: Vec<Vec<[i32; 2]>>,
}

impl Spans {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.iter().all(Vec::is_empty)
    }

    fn area(&self, row: usize, [left, right]: [i32; 2]) -> Area {
        let top = row as i32 * SIDE;
        Area { left, top, right, bottom: (top + SIDE).min(self.height) }
    }

    /// All of it, in areas that do not overlap.
    pub(crate) fn areas(&self) -> impl Iterator<Item = Area> + '_ {
        self.rows.iter().enumerate().flat_map(move |(row, spans)| spans.iter().map(move |span| self.area(row, *span)))
    }

    /// Whether any of it lies in `bounds`.
    pub(crate) fn touch(&self, bounds: Area) -> bool {
        let mut any = false;
        self.within(bounds, |_| any = true);
        any
    }

    /// What of it lies in `bounds`.
    pub(crate) fn within(&self, bounds: Area, mut each: impl FnMut(Area)) {
        if bounds.is_empty() {
            return;
        }
        let (first, last) = ((bounds.top / SIDE) as usize, ((bounds.bottom - 1) / SIDE) as usize);
        for (row, spans) in self.rows.iter().enumerate().take(last + 1).skip(first) {
            for span in spans {
                let area = self.area(row, *span).and(bounds);
                if !area.is_empty() {
                    each(area);
                }
            }
        }
    }
}
