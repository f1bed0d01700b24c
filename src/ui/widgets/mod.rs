//! Controls and readings of the look, as plain functions and structs over `&mut Ui`: no state of the application, no channels.
//!
//! Every interactive one has an accessible name, takes keyboard focus and shows it with [`focus_ring`].

mod buttons;
mod chip;
mod chrome;
mod code_block;
mod data_table;
mod dot_plot;
mod error_card;
mod fields;
pub mod gallery;
mod glyph;
mod heat_map;
mod memory_bar;
mod menu_row;
mod meter;
mod notice;
mod progress;
mod rich_text;
mod rung_key;
mod scatter;
mod segmented;
mod series_plot;
mod stat;
mod steps_chart;
mod text;
pub mod time_axis;
mod time_plot;
mod toggle;
mod virtual_list;

pub use buttons::{ActionButton, IconButton, danger_button, ghost_button, icon_button, nav_item, primary_button, secondary_button};
pub use chip::Chip;
pub use chrome::{
    at_least, card, card_frame, empty_state, focus_ring, hairline, page_header, panel_frame, raised_frame, row_surface, tight,
};
pub use code_block::code_block;
pub use data_table::{DataTable, ROW_HEIGHT, TableCell, TableColumn, TableOutput, TableSort};
pub use dot_plot::DotPlot;
pub use error_card::{ErrorCard, ErrorCardResponse};
pub use fields::{choice_row, number_row, search_field, setting_row, text_row, toggle_row};
pub use glyph::{Icon, paint_icon};
pub use heat_map::{HeatMap, HeatOutput, HeatSpec, ROW_HEIGHT as HEAT_ROW_HEIGHT, Tint, paint_tint, tint_color};
pub use memory_bar::{MemoryBar, Segment};
pub use menu_row::{MENU_ROW, menu_row};
pub use meter::{ContextMeter, MeterPart};
pub use notice::{Level, Notice, NoticeResponse, toast_area};
pub use progress::{Progress, ProgressResponse};
pub use rich_text::{RichTextResponse, Span, SpanStyle, layout_spans, rich_text};
pub use rung_key::{RungKey, RungState};
pub(in crate::ui) use scatter::is_crossed;
pub use scatter::{Axis, Mark, Scale, Scatter, ScatterPoint, ScatterResponse};
pub use segmented::segmented;
pub use series_plot::{Marker, SeriesPlot, SeriesPlotResponse, decimate};
pub use stat::{Stat, pill, section_label, shortcut_label, stat_row};
pub use steps_chart::{ChartLine, ChartStep, StepsChart};
pub use text::{Tone, body, elided, label, mono, muted, page_title, title, wrapped};
pub use time_plot::{TimePlot, TimeSeries};
pub use toggle::toggle;
pub use virtual_list::{ListOutput, ListSpec, RowId, VirtualList};
