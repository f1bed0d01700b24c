//! A table of equal rows: sortable by its heads, one row selected, only what is in view laid out.

use egui::{Align2, Color32, FontId, Id, Rect, Response, Role, ScrollArea, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};

use super::chrome::focus_ring;
use super::glyph::{Icon, paint_icon};
use super::text;
use crate::ui::theme;

/// Height of a row and of the head, in points.
pub const ROW_HEIGHT: f32 = 32.0;
const PAD: f32 = 10.0;

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub struct TableColumn {
    /// Its head
    pub head: String,
    /// How it is defined, under the pointer
    pub hint: String,
    /// Points it needs at least; what is left over goes to the columns that stand left
    pub width: f32,
    /// Words stand left, numbers right
    pub is_number: bool,
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub struct TableCell {
    /// What it says
    pub text: String,
    /// How
    pub font: FontId,
    /// In which colour
    pub color: Color32,
    /// More of it, under the pointer
    pub hint: String,
}

/// How the table is sorted: by which column, and whether the last comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableSort {
    /// The column; `None` is the order given
    pub column: Option<usize>,
    /// From the largest down
    pub descending: bool,
}

/// A table.
#[must_use = "call show"]
pub struct DataTable<'a> {
    id: Id,
    name: &'a str,
    columns: &'a [TableColumn],
    rows: usize,
    selected: Option<usize>,
    sort: TableSort,
    max_rows: usize,
}

/// What happened in a [`DataTable`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableOutput {
    /// The row that was picked
    pub picked: Option<usize>,
    /// The sorting that was asked for
    pub sorted: Option<TableSort>,
    /// How many rows were laid out
    pub laid_out: usize,
}

impl<'a> DataTable<'a> {
    /// `rows` rows below these heads.
    pub fn new(id: Id, name: &'a str, columns: &'a [TableColumn], rows: usize) -> Self {
        Self { id, name, columns, rows, selected: None, sort: TableSort::default(), max_rows: 12 }
    }

    /// The row that is picked out.
    pub fn selected(mut self, selected: Option<usize>) -> Self {
        self.selected = selected;
        self
    }

    /// How the rows are sorted now.
    pub fn sort(mut self, sort: TableSort) -> Self {
        self.sort = sort;
        self
    }

    /// Rows in view before it scrolls, 12 if not said.
    pub fn max_rows(mut self, rows: usize) -> Self {
        self.max_rows = rows;
        self
    }

    /// Paints it. `name` says a row to those who cannot see it, `cell` is asked for the cells of the rows in view only.
    pub fn show(self, ui: &mut Ui, name: impl Fn(usize) -> String, cell: impl Fn(usize, usize) -> TableCell) -> TableOutput {
        let mut output = TableOutput::default();
        ui.spacing_mut().item_spacing.y = 0.0;
        let needed: f32 = self.columns.iter().map(|column| column.width).sum();
        let width = ui.available_width();
        // what does not fit is scrolled to
        ScrollArea::horizontal().id_salt(self.id.with("sideways")).auto_shrink([false, true]).show(ui, |ui| {
            let widths = self.widths(width.max(needed));
            ui.set_width(width.max(needed));
            self.heads(ui, &widths, &mut output);
            let height = ROW_HEIGHT * self.rows.min(self.max_rows) as f32;
            let area = ScrollArea::vertical().id_salt(self.id).max_height(height).min_scrolled_height(height).auto_shrink([false, true]);
            area.show_rows(ui, ROW_HEIGHT, self.rows, |ui, range| {
                output.laid_out = range.len();
                for row in range {
                    if self.row(ui, row, &widths, &name(row), &cell) {
                        output.picked = Some(row);
                    }
                }
            });
        });
        output
    }

    fn widths(&self, width: f32) -> Vec<f32> {
        let needed: f32 = self.columns.iter().map(|column| column.width).sum();
        let words = self.columns.iter().filter(|column| !column.is_number).count().max(1) as f32;
        let more = (width - needed).max(0.0) / words;
        self.columns.iter().map(|column| if column.is_number { column.width } else { column.width + more }).collect()
    }

    fn heads(&self, ui: &mut Ui, widths: &[f32], output: &mut TableOutput) {
        let palette = theme::palette(ui);
        let (rect, head) = ui.allocate_exact_size(vec2(widths.iter().sum(), ROW_HEIGHT), Sense::hover());
        head.widget_info(|| WidgetInfo::labeled(Role::Table, true, format!("{}, {} rows", self.name, self.rows)));
        let mut left = rect.left();
        for (index, (column, width)) in self.columns.iter().zip(widths).enumerate() {
            let cell = Rect::from_min_size(pos2(left, rect.top()), vec2(*width, rect.height()));
            let response = ui.interact(cell, self.id.with(("head", index)), Sense::click());
            let by_this = self.sort.column == Some(index);
            let way = match (by_this, self.sort.descending) {
                (false, _) => "",
                (true, true) => ", sorted, largest first",
                (true, false) => ", sorted, smallest first",
            };
            response.widget_info(|| WidgetInfo::labeled(Role::ColumnHeader, true, format!("Sort by {}{way}", column.head)));
            let ink = if by_this || response.hovered() || response.has_focus() { palette.text } else { palette.muted };
            let arrow = if by_this { 14.0 } else { 0.0 };
            let words = text::elided(ui, &column.head, theme::small(), ink, width - 2.0 * PAD - arrow + 4.0);
            let x = if column.is_number { cell.right() - PAD - words.size().x } else { cell.left() + PAD };
            let end = if column.is_number { x - 12.0 } else { x + words.size().x + 2.0 };
            ui.painter().galley(pos2(x, cell.center().y - words.size().y / 2.0), words, ink);
            if by_this {
                let icon = if self.sort.descending { Icon::ChevronDown } else { Icon::ChevronUp };
                paint_icon(ui.painter(), icon, Rect::from_center_size(pos2(end + 5.0, cell.center().y), vec2(10.0, 10.0)), ink);
            }
            focus_ring(ui, &response, 4);
            if response.clicked() {
                // numbers are looked at from the largest down first
                let descending = if by_this { !self.sort.descending } else { column.is_number };
                output.sorted = Some(TableSort { column: Some(index), descending });
            }
            if !column.hint.is_empty() {
                response.on_hover_text(&column.hint);
            }
            left += width;
        }
        ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, Stroke::new(1.0, palette.hairline));
    }

    fn row(&self, ui: &mut Ui, row: usize, widths: &[f32], name: &str, cell: &impl Fn(usize, usize) -> TableCell) -> bool {
        let palette = theme::palette(ui);
        let (rect, response) = ui.allocate_exact_size(vec2(widths.iter().sum(), ROW_HEIGHT), Sense::click());
        let selected = self.selected == Some(row);
        response.widget_info(|| WidgetInfo::selected(Role::Row, true, selected, name));
        if ui.is_rect_visible(rect) {
            if selected {
                ui.painter().rect_filled(rect, 0.0, palette.accent_tint);
            } else if response.hovered() {
                ui.painter().rect_filled(rect, 0.0, theme::on_surface(palette.panel, palette.raised, 0.6));
            }
            let mut left = rect.left();
            for (index, (column, width)) in self.columns.iter().zip(widths).enumerate() {
                let place = Rect::from_min_size(pos2(left, rect.top()), vec2(*width, rect.height()));
                let mut cell = cell(row, index);
                if selected {
                    cell.color = palette.legible(cell.color, palette.accent_tint);
                }
                self.cell(ui, column, place, &response, &cell);
                left += width;
            }
            if row + 1 < self.rows {
                ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, Stroke::new(1.0, palette.hairline));
            }
            if response.has_focus() {
                let stroke = Stroke::new(1.5 * palette.border_width(), palette.accent);
                ui.painter().rect_stroke(rect.shrink(1.0), 3.0, stroke, egui::StrokeKind::Inside);
            }
        }
        response.clicked()
    }

    fn cell(&self, ui: &Ui, column: &TableColumn, place: Rect, row: &Response, cell: &TableCell) {
        let words = text::elided(ui, &cell.text, cell.font.clone(), cell.color, place.width() - 2.0 * PAD + 4.0);
        let align = if column.is_number { Align2::RIGHT_CENTER } else { Align2::LEFT_CENTER };
        let rect = align.anchor_size(align.pos_in_rect(&place.shrink2(vec2(PAD, 0.0))), words.size());
        ui.painter().galley(rect.min, words, cell.color);
        if !cell.hint.is_empty() && row.hover_pos().is_some_and(|pointer| place.contains(pointer)) {
            row.clone().on_hover_text_at_pointer(&cell.hint);
        }
    }
}
