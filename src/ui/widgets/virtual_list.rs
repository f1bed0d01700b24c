//! A long list of rows of different heights, of which only those in view are laid out.
//!
//! The height of a row is known once it was laid out, and estimated before. What is on screen stays where it is when estimates above it are
//! corrected, and a list that was at its end stays there while it grows.

mod heights;

use egui::{Id, Layout, Rect, ScrollArea, Ui, UiBuilder, pos2, vec2};

use heights::Heights;

/// Rows laid out beyond the lower edge, in points, so that a scroll finds them measured.
const OVERSCAN: f32 = 160.0;
/// What is seen of the view before after a page down or up, in points: two lines.
const PAGE_OVERLAP: f64 = 42.0;
/// Less than this is not a correction, in points.
const TOLERANCE: f64 = 0.5;

/// Which row it is, and which state of it: when either changes its height is estimated anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RowId {
    /// Stays the same for the life of the row, unique in the list.
    pub key: u64,
    /// Changes when the content does.
    pub version: u64,
}

/// What a list shows in this frame.
#[derive(Clone, Copy, Debug)]
pub struct ListSpec {
    /// Keeps this list apart from others.
    pub id: Id,
    /// How many rows there are.
    pub count: usize,
    /// Must change when rows were removed, inserted or changed anywhere but at the end; rows appended at the end need not change it.
    pub revision: u64,
    /// Space between rows, in points.
    pub gap: f32,
}

/// What a list did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ListOutput {
    /// Index of the first row that was laid out.
    pub first: usize,
    /// How many rows were laid out.
    pub laid_out: usize,
    /// Whether the end of the list is in view.
    pub at_end: bool,
    /// Height of all rows, partly estimated, in points.
    pub total_height: f64,
    /// Distance of the upper edge of the view from the start of the list, in points.
    pub offset: f64,
}

/// The lasting part of a list: heights and where it stands. Keep it with the view.
#[derive(Clone, Debug)]
pub struct VirtualList {
    heights: Heights,
    revision: Option<u64>,
    /// The first row that was laid out in the last frame, its index, and how far above the edge it starts now, in points.
    anchor: Option<(RowId, usize, f64)>,
    at_end: bool,
    pending: Option<Target>,
    /// Where the last frame stood, points
    offset: f64,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Offset(f64),
    Row(usize),
    /// So many points further down
    By(f64),
    /// So many times the height of the view further down
    Pages(f64),
    /// Just far enough that a row is in view
    Reveal(usize),
}

impl VirtualList {
    /// A list whose unseen rows are taken to be `estimate` points high; it starts at its end when `at_end`.
    pub fn new(estimate: f32, at_end: bool) -> Self {
        Self { heights: Heights::new(estimate), revision: None, anchor: None, at_end, pending: None, offset: 0.0 }
    }

    /// Goes to the end and stays there while the list grows.
    pub fn scroll_to_end(&mut self) {
        self.at_end = true;
        self.pending = None;
    }

    /// Brings a row to the upper edge.
    pub fn scroll_to(&mut self, index: usize) {
        self.at_end = false;
        self.pending = Some(Target::Row(index));
    }

    /// Goes to the first row.
    pub fn scroll_to_start(&mut self) {
        self.scroll_to(0);
    }

    /// Moves by so many points; down is positive.
    pub fn scroll_by(&mut self, points: f64) {
        self.at_end &= points >= 0.0;
        self.pending = Some(Target::By(points));
    }

    /// Moves by so many views, each a little less than what is seen; down is positive.
    pub fn scroll_pages(&mut self, pages: f64) {
        self.at_end &= pages >= 0.0;
        self.pending = Some(Target::Pages(pages));
    }

    /// Moves just far enough that a row is in view.
    pub fn reveal(&mut self, index: usize) {
        self.at_end = false;
        self.pending = Some(Target::Reveal(index));
    }

    /// Whether the list stands at its end, and will stay there.
    pub fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Lays out the rows in view. `id` names a row, `row` paints it into a column as wide as the list.
    pub fn show(&mut self, ui: &mut Ui, spec: ListSpec, id: impl Fn(usize) -> RowId, mut row: impl FnMut(&mut Ui, usize)) -> ListOutput {
        let width = ui.available_width();
        let view_height = f64::from(ui.available_height());
        self.sync(spec, &id);
        let wanted = self.wanted_offset(view_height);
        let mut area = ScrollArea::vertical().id_salt(spec.id).auto_shrink([false, false]).content_margin(egui::Margin::ZERO);
        if let Some(offset) = wanted {
            area = area.vertical_scroll_offset(offset as f32);
        }
        let mut output = ListOutput::default();
        let mut corrected = false;
        // springing back from beyond the old end would undo an offset that is right for the new one
        ui.spacing_mut().scroll.kinetic.rubber_band = false;
        let shown = area.show_viewport(ui, |ui, viewport| {
            let reference = self.reference(f64::from(viewport.top()));
            let before = self.heights.start_of(reference);
            (output.first, output.laid_out) = self.lay_out(ui, spec, viewport, width, &id, &mut row);
            let moved = self.heights.start_of(reference) - before;
            let size = vec2(width, self.heights.total() as f32);
            ui.expand_to_include_rect(Rect::from_min_size(ui.max_rect().min, size));
            if moved.abs() > TOLERANCE && !self.at_end {
                self.pending = Some(Target::Offset(f64::from(viewport.top()) + moved));
                corrected = true;
            }
        });
        output.total_height = self.heights.total();
        output.offset = f64::from(shown.state.clamped_offset().y);
        self.offset = output.offset;
        let end = (output.total_height - f64::from(shown.inner_rect.height())).max(0.0);
        let was_at_end = self.at_end;
        self.at_end = self.pending.is_none() && output.offset >= end.min(self.last_end(wanted, was_at_end)) - 1.0;
        output.at_end = self.at_end;
        // growth at the end, or a corrected estimate above the view, would show one frame late
        let late = corrected || (self.at_end && (end - output.offset).abs() > TOLERANCE);
        if late {
            ui.request_discard("a row of the list got another height");
            ui.request_repaint();
        }
        self.anchor = (output.laid_out > 0).then(|| (id(output.first), output.first, output.offset - self.heights.start_of(output.first)));
        output
    }

    /// Where "the end" was when this frame began: the list may have grown since.
    fn last_end(&self, wanted: Option<f64>, was_at_end: bool) -> f64 {
        match wanted {
            Some(offset) if was_at_end => offset,
            _ => f64::INFINITY,
        }
    }

    /// Takes over the rows of this frame, keeping every height that still holds.
    fn sync(&mut self, spec: ListSpec, id: &impl Fn(usize) -> RowId) {
        let changed = self.revision != Some(spec.revision) || spec.count < self.heights.len();
        if changed {
            self.heights.replace((0..spec.count).map(id), spec.gap);
            self.revision = Some(spec.revision);
        } else {
            (self.heights.len()..spec.count).for_each(|index| self.heights.push(id(index), spec.gap));
        }
        // rows came or went: whatever stood at the upper edge stands there again
        if changed
            && !self.at_end
            && self.pending.is_none()
            && let Some((row, index, above)) = self.anchor
        {
            let index = if self.heights.key(index) == Some(row.key) { Some(index) } else { self.heights.index_of(row.key) };
            if let Some(index) = index {
                self.anchor = Some((row, index, above));
                self.pending = Some(Target::Offset(self.heights.start_of(index) + above));
            }
        }
    }

    /// The offset to force in this frame, if any.
    fn wanted_offset(&mut self, view_height: f64) -> Option<f64> {
        let end = (self.heights.total() - view_height).max(0.0);
        match self.pending.take() {
            Some(Target::Offset(offset)) => Some(offset.clamp(0.0, end)),
            Some(Target::Row(index)) => Some(self.heights.start_of(index).clamp(0.0, end)),
            Some(Target::By(points)) => Some((self.offset + points).clamp(0.0, end)),
            Some(Target::Pages(pages)) => Some((self.offset + pages * (view_height - PAGE_OVERLAP).max(view_height / 2.0)).clamp(0.0, end)),
            Some(Target::Reveal(index)) => {
                let (top, bottom) = (self.heights.start_of(index), self.heights.start_of(index) + self.heights.height(index));
                Some(self.offset.min(top).max(bottom - view_height).clamp(0.0, end))
            }
            None if self.at_end => Some(end),
            None => None,
        }
    }

    /// The row that must not move in this frame: the one that was at the upper edge, when it still is in view, else the one that is there now.
    fn reference(&self, offset: f64) -> usize {
        let now = self.heights.row_at(offset);
        match self.anchor {
            Some((row, index, _)) if index > now && self.heights.key(index) == Some(row.key) => index,
            _ => now,
        }
    }

    fn lay_out(
        &mut self,
        ui: &mut Ui,
        spec: ListSpec,
        viewport: Rect,
        width: f32,
        id: &impl Fn(usize) -> RowId,
        row: &mut impl FnMut(&mut Ui, usize),
    ) -> (usize, usize) {
        let (top, bottom) = (f64::from(viewport.top()), f64::from(viewport.bottom() + OVERSCAN));
        let first = self.heights.row_at(top);
        let origin = ui.max_rect().left_top() + vec2(0.0, viewport.top());
        let mut start = self.heights.start_of(first);
        let mut index = first;
        while index < spec.count && start < bottom {
            let at = pos2(origin.x, origin.y + (start - top) as f32);
            let room = Rect::from_min_size(at, vec2(width, f32::INFINITY));
            let builder = UiBuilder::new().id_salt(("row", id(index).key)).max_rect(room).layout(Layout::top_down(egui::Align::Min));
            let mut child = ui.new_child(builder);
            row(&mut child, index);
            self.heights.measured(index, id(index), child.min_rect().height(), spec.gap);
            start += self.heights.height(index);
            index += 1;
        }
        (first, index - first)
    }
}
