//! The context meter: how the window of the model is shared out while a message is written.

use egui::{Color32, Rect, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::text;
use crate::ui::theme::{self, Palette};

/// Lengths of the bar, points, and its distance from the caption.
const SHORTEST: f32 = 48.0;
/// See `SHORTEST`.
const LONGEST: f32 = 220.0;
/// See `SHORTEST`.
const GAP: f32 = 12.0;

/// Who takes a share of the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterPart {
    /// The system prompt.
    System,
    /// What was said so far.
    History,
    /// The message being written.
    Draft,
    /// Kept free for the reply.
    Reply,
}

impl MeterPart {
    fn color(self, p: &Palette) -> Color32 {
        match self {
            Self::System => p.data[0],
            Self::History => p.accent,
            Self::Draft => p.data[1],
            Self::Reply => p.data[4],
        }
    }
}

/// A thin segmented bar with its caption on the right.
#[must_use = "call show"]
#[derive(Clone, Copy, Debug, Default)]
pub struct ContextMeter {
    /// Tokens of the system prompt.
    pub system: u32,
    /// Tokens of the conversation so far.
    pub history: u32,
    /// Tokens of the draft.
    pub draft: u32,
    /// Tokens kept free for the reply.
    pub reply: u32,
    /// Tokens the context holds.
    pub total: u32,
}

impl ContextMeter {
    /// Tokens still free; negative when the context overflows.
    pub fn room(&self) -> i64 {
        i64::from(self.total) - [self.system, self.history, self.draft, self.reply].into_iter().map(i64::from).sum::<i64>()
    }

    /// The shares in words.
    pub fn caption(&self) -> String {
        self.captions().swap_remove(0)
    }

    /// The same in ever fewer words; how much room there is stays to the last.
    fn captions(&self) -> Vec<String> {
        let share = |name: &str, tokens: u32| (tokens > 0).then(|| format!("{name} {}", thousands(u64::from(tokens))));
        let (system, history, draft) = (share("system", self.system), share("history", self.history), share("draft", self.draft));
        let room = match self.room() {
            room if room < 0 => format!("{} over", thousands(room.unsigned_abs())),
            room => format!("room {}", thousands(room.unsigned_abs())),
        };
        let reply = format!("reply {}", thousands(u64::from(self.reply)));
        let said = |parts: [&Option<String>; 5]| parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
        let (room, reply) = (Some(room), Some(reply));
        [
            [&system, &history, &draft, &room, &reply],
            [&None, &history, &draft, &room, &reply],
            [&None, &None, &draft, &room, &reply],
            [&None, &None, &None, &room, &reply],
            [&None, &None, &None, &room, &None],
        ]
        .map(said)
        .into()
    }

    /// Paints the bar and, with as many words as fit beside it, the caption.
    pub fn show(self, ui: &mut Ui) -> Response {
        let palette = theme::palette(ui);
        let over = self.room() < 0;
        let ink = if over { palette.limit } else { palette.muted };
        let captions = self.captions();
        let most = ui.available_width() - SHORTEST - GAP;
        let fits = |caption: &String| text::elided(ui, caption, theme::small(), ink, f32::INFINITY).size().x <= most;
        let shown = captions.iter().find(|caption| fits(caption)).or(captions.last()).cloned().unwrap_or_default();
        let galley = text::elided(ui, &shown, theme::small(), ink, most);
        let width = (ui.available_width() - GAP - galley.size().x).clamp(SHORTEST, LONGEST);
        let caption = self.caption();
        let (rect, response) = ui.allocate_exact_size(vec2(width + GAP + galley.size().x, 20.0), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("Context: {caption}")));
        let bar = Rect::from_center_size(pos2(rect.left() + width / 2.0, rect.center().y), vec2(width, 6.0));
        ui.painter().rect_filled(bar, 3.0, palette.raised);
        let scale = bar.width() / (self.total.max(1) as f32).max(self.total as f32 - self.room().min(0) as f32);
        let mut left = bar.left();
        for (part, tokens) in [(MeterPart::System, self.system), (MeterPart::History, self.history), (MeterPart::Draft, self.draft)] {
            if tokens > 0 {
                // a share too small for the eye is still shown
                let right = left + (tokens as f32 * scale).max(4.0);
                let color = if over { palette.limit } else { part.color(palette) };
                ui.painter().rect_filled(Rect::from_x_y_ranges(left..=right - 1.0, bar.y_range()), 3.0, color);
                left = right;
            }
        }
        let reply = Rect::from_x_y_ranges((bar.right() - self.reply as f32 * scale).max(left)..=bar.right(), bar.y_range());
        ui.painter().rect_filled(reply, 3.0, MeterPart::Reply.color(palette));
        ui.painter().galley(pos2(bar.right() + GAP, rect.center().y - galley.size().y / 2.0), galley, ink);
        let order = "Tokens of the context: system prompt, conversation so far, this message, what is kept free for the reply";
        response.on_hover_text(if shown == caption { order.to_owned() } else { format!("{order}\n{caption}") })
    }
}

/// `1234567` as `1,234,567`.
fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let count = digits.chars().count();
    let mut out = String::with_capacity(count + count / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (count - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caption_names_every_share_and_an_overflow() {
        let fits = ContextMeter { system: 34, history: 180, draft: 0, reply: 512, total: 4096 };
        assert_eq!(fits.caption(), "system 34, history 180, room 3,370, reply 512");
        let over = ContextMeter { history: 4000, ..fits };
        assert_eq!(over.caption(), "system 34, history 4,000, 450 over, reply 512");
        let shorter = ContextMeter { draft: 7, ..fits }.captions();
        assert_eq!(
            shorter[1..],
            ["history 180, draft 7, room 3,363, reply 512", "draft 7, room 3,363, reply 512", "room 3,363, reply 512", "room 3,363"]
        );
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(0), "0");
    }
}
