//! One block as pieces to paint, top to bottom.

use pulldown_cmark::{Alignment, CodeBlockKind, Event, Parser, Tag, TagEnd};

use super::blocks;
use super::text::visible;

/// How a run of text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Strong
    pub bold: bool,
    /// Emphasis
    pub italic: bool,
    /// Struck out
    pub strike: bool,
    /// Code within text
    pub code: bool,
}

/// A run of text in one style. Already fit to be shown (see [`visible`]); line ends are `\n`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The text
    pub text: String,
    /// How it looks
    pub style: Style,
    /// Where it leads; ask [`is_web_link`] before opening it
    pub link: Option<String>,
}

/// Alignment of a table's column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Align {
    /// To the left
    #[default]
    Left,
    /// Centred
    Center,
    /// To the right
    Right,
}

/// What a piece shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Running text
    Text(Vec<Span>),
    /// A heading of level 1 to 6
    Heading(u8, Vec<Span>),
    /// Code
    Code {
        /// First word behind the fence
        language: String,
        /// As it is to be copied; pass it through [`visible`] to show it
        text: String,
    },
    /// A table; the first row is its head
    Table {
        /// One for each column
        columns: Vec<Align>,
        /// Rows of cells
        rows: Vec<Row>,
    },
    /// A line across
    Rule,
}

/// A part of a block with nothing nested in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Lists around it
    pub indent: usize,
    /// Quotes around it
    pub quotes: usize,
    /// Stands before the first piece of a list's item: `•`, `3.`
    pub marker: Option<String>,
    /// Whether a task of a task list is done
    pub task: Option<bool>,
    /// What it shows
    pub body: Body,
}

/// Whether a link may be opened in a browser on a click: the address is on the web or a mail address, and hides nothing.
pub fn is_web_link(address: &str) -> bool {
    let scheme = address.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| matches!(scheme.as_str(), "http" | "https" | "mailto"))
        && !address.contains(char::is_whitespace)
        && visible(address) == address
}

/// Parses one block's text into what is painted. Nesting becomes an indent; images become links, since nothing is fetched; HTML is shown
/// as it is written.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut builder = Builder::default();
    for event in Parser::new_ext(text, blocks::options()) {
        builder.take(event);
    }
    builder.flush();
    builder.done
}

/// Where a long paragraph can be cut into parts of about `every` bytes without a style being torn: in plain text between two words, before a
/// letter, so that no part begins like a list or a heading. Byte offsets, rising.
pub fn cuts(text: &str, every: usize) -> Vec<usize> {
    let (mut cuts, mut last, mut depth) = (Vec::new(), 0, 0_usize);
    for (event, range) in Parser::new_ext(text, blocks::options()).into_offset_iter() {
        match event {
            Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph) => {}
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(_) | Event::SoftBreak | Event::HardBreak if depth == 0 => {
                while let Some(at) = word_after(text, (last + every).max(range.start), range.end) {
                    cuts.push(at);
                    last = at;
                }
            }
            _ => {}
        }
    }
    cuts
}

/// Where the first word begins whose blank before it lies in `from..to`.
fn word_after(text: &str, from: usize, to: usize) -> Option<usize> {
    let from = (from..to).find(|at| text.is_char_boundary(*at))?;
    let found = text.get(from..to)?.char_indices().filter(|(_, c)| c.is_whitespace()).map(|(at, c)| from + at + c.len_utf8());
    found.into_iter().find(|at| text.get(*at..).and_then(|rest| rest.chars().next()).is_some_and(char::is_alphabetic))
}

/// Indents beyond this are not shown.
const DEEPEST: usize = 12;

/// The cells of a table's row.
pub type Row = Vec<Vec<Span>>;

#[derive(Default)]
struct Builder {
    done: Vec<Piece>,
    spans: Vec<Span>,
    style: Vec<Mark>,
    links: Vec<String>,
    /// The number of each list around
    lists: Vec<Option<u64>>,
    quotes: usize,
    marker: Option<String>,
    task: Option<bool>,
    heading: Option<u8>,
    code: Option<(String, String)>,
    table: Option<(Vec<Align>, Vec<Row>)>,
}

/// Styles nest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Bold,
    Italic,
    Strike,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some((_, code)) => code.push_str(&text),
                None => self.push(&text, false),
            },
            Event::Code(text) => self.push(&text, true),
            Event::Html(text) | Event::InlineHtml(text) => self.push(&text, false),
            // As it was written: verse and lists without marks keep their lines
            Event::SoftBreak | Event::HardBreak => self.push("\n", false),
            Event::Rule => {
                self.flush();
                self.piece(Body::Rule);
            }
            Event::TaskListMarker(done) => self.task = Some(done),
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => self.push(&text, false),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Emphasis => self.style.push(Mark::Italic),
            Tag::Strong => self.style.push(Mark::Bold),
            Tag::Strikethrough => self.style.push(Mark::Strike),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.links.push(dest_url.into_string()),
            Tag::Heading { level, .. } => {
                self.flush();
                self.heading = Some(level as u8);
            }
            Tag::BlockQuote(_) => {
                self.flush();
                self.quotes += 1;
            }
            Tag::List(first) => {
                self.flush();
                self.lists.push(first);
            }
            Tag::Item => {
                self.flush();
                self.marker = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let marker = format!("{number}.");
                        *number = number.saturating_add(1);
                        marker
                    }
                    _ => "•".to_owned(),
                });
            }
            Tag::CodeBlock(kind) => {
                self.flush();
                let language = match &kind {
                    CodeBlockKind::Fenced(info) => info.split([' ', '\t', ',', '{']).next().unwrap_or_default().to_owned(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.code = Some((language, String::new()));
            }
            Tag::Table(columns) => {
                self.flush();
                let columns = columns.iter().map(|column| match column {
                    Alignment::Center => Align::Center,
                    Alignment::Right => Align::Right,
                    Alignment::Left | Alignment::None => Align::Left,
                });
                self.table = Some((columns.collect(), Vec::new()));
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some((_, rows)) = &mut self.table {
                    rows.push(Vec::new());
                }
            }
            Tag::Paragraph | Tag::HtmlBlock => self.flush(),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => {
                self.style.pop();
            }
            TagEnd::Link | TagEnd::Image => {
                self.links.pop();
            }
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.quotes = self.quotes.saturating_sub(1);
            }
            TagEnd::List(_) => {
                self.flush();
                self.lists.pop();
            }
            TagEnd::Item => {
                self.flush();
                if self.marker.is_some() {
                    // An item without anything in it still has its mark
                    self.piece(Body::Text(Vec::new()));
                }
            }
            TagEnd::CodeBlock => {
                if let Some((language, mut text)) = self.code.take() {
                    text.truncate(text.trim_end_matches('\n').len());
                    self.piece(Body::Code { language, text });
                }
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.spans);
                if let Some(row) = self.table.as_mut().and_then(|(_, rows)| rows.last_mut()) {
                    row.push(cell);
                }
            }
            TagEnd::Table => {
                if let Some((columns, rows)) = self.table.take() {
                    self.piece(Body::Table { columns, rows });
                }
            }
            TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::HtmlBlock => self.flush(),
            _ => {}
        }
    }

    /// Adds text in the style in force, to the span before it if that has the same.
    fn push(&mut self, text: &str, code: bool) {
        let has = |style| self.style.contains(&style);
        let style = Style { bold: has(Mark::Bold), italic: has(Mark::Italic), strike: has(Mark::Strike), code };
        let link = self.links.last();
        let text = visible(text);
        match self.spans.last_mut() {
            Some(last) if last.style == style && last.link.as_ref() == link => last.text.push_str(&text),
            _ => self.spans.push(Span { text: text.into_owned(), style, link: link.cloned() }),
        }
    }

    /// Ends the running text, if there is any.
    fn flush(&mut self) {
        let mut spans = std::mem::take(&mut self.spans);
        if let Some(last) = spans.last_mut() {
            last.text.truncate(last.text.trim_end_matches('\n').len());
        }
        spans.retain(|span| !span.text.is_empty());
        match self.heading.take() {
            Some(level) => self.piece(Body::Heading(level, spans)),
            None if !spans.is_empty() => self.piece(Body::Text(spans)),
            None => {}
        }
    }

    fn piece(&mut self, body: Body) {
        let (indent, quotes) = (self.lists.len().min(DEEPEST), self.quotes.min(DEEPEST));
        self.done.push(Piece { indent, quotes, marker: self.marker.take(), task: self.task.take(), body });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Span {
        Span { text: text.into(), ..Default::default() }
    }

    fn plain(spans: &[Span]) -> String {
        spans.iter().map(|s| s.text.as_str()).collect()
    }

    fn sketch(text: &str) -> Vec<String> {
        let row = |piece: &Piece| {
            let body = match &piece.body {
                Body::Text(spans) => plain(spans),
                Body::Heading(level, spans) => format!("h{level} {}", plain(spans)),
                Body::Code { language, text } => format!("code {language} {text:?}"),
                Body::Table { columns, rows } => {
                    format!(
                        "table {columns:?} {:?}",
                        rows.iter().map(|r| r.iter().map(|c| plain(c)).collect::<Vec<_>>()).collect::<Vec<_>>()
                    )
                }
                Body::Rule => "rule".into(),
            };
            let task = piece.task.map_or("", |done| if done { "[x]" } else { "[ ]" });
            format!("{}{}{}{task}{body}", ">".repeat(piece.quotes), "  ".repeat(piece.indent), piece.marker.clone().unwrap_or_default())
        };
        pieces(text).iter().map(row).collect()
    }

    #[test]
    fn styles_nest_and_links_keep_their_address() {
        let found = pieces("a **b *c* ~~d~~** `e` [f](https://g.h \"t\") ![i](j.png)");
        let Body::Text(spans) = &found[0].body else { panic!("{found:?}") };
        let bold = Style { bold: true, ..Default::default() };
        let expected = [
            span("a "),
            Span { style: bold, ..span("b ") },
            Span { style: Style { italic: true, ..bold }, ..span("c") },
            Span { style: bold, ..span(" ") },
            Span { style: Style { strike: true, ..bold }, ..span("d") },
            span(" "),
            Span { style: Style { code: true, ..Default::default() }, ..span("e") },
            span(" "),
            Span { link: Some("https://g.h".into()), ..span("f") },
            span(" "),
            Span { link: Some("j.png".into()), ..span("i") },
        ];
        assert_eq!(spans, &expected);
    }

    #[test]
    fn long_paragraphs_are_cut_where_no_style_is_torn() {
        let text = "plain words **bold words that go on** `code that goes on` - 1. more [a link](http://x.y) end ".repeat(40);
        let cuts = cuts(&text, 200);
        assert!(cuts.len() > 10 && cuts.windows(2).all(|pair| pair[1] - pair[0] >= 200 && pair[1] - pair[0] < 500), "{cuts:?}");
        let bounds: Vec<usize> = [0].into_iter().chain(cuts).chain([text.len()]).collect();
        let all = |text: &str| -> Vec<Span> {
            let found = pieces(text);
            assert!(found.len() == 1, "{text:?} is one paragraph");
            let Body::Text(spans) = &found[0].body else { panic!("{text:?} is text") };
            spans.clone()
        };
        let flat = |spans: &[Span]| -> Vec<(String, Style)> {
            let words = spans.iter().flat_map(|span| span.text.split_whitespace().map(|word| (word.to_owned(), span.style)));
            words.collect()
        };
        let parts: Vec<Span> = bounds.windows(2).flat_map(|pair| all(&text[pair[0]..pair[1]])).collect();
        assert_eq!(flat(&parts), flat(&all(&text)), "every word keeps its style");
    }

    #[test]
    fn nesting_becomes_indents() {
        assert_eq!(
            sketch("- a\n  more\n- [x] b\n  1. c\n\n     ```sh\n     ls\n     ```\n  2. d\n-\n"),
            ["  •a\nmore", "  •[x]b", "    1.c", "    code sh \"ls\"", "    2.d", "  •"]
        );
        assert_eq!(sketch("> q\n> > - r\n> # s\n"), [">q", ">>  •r", ">h1 s"]);
        assert_eq!(sketch("7) a\n8) b\n"), ["  7.a", "  8.b"]);
    }

    #[test]
    fn tables_and_the_rest() {
        assert_eq!(
            sketch("| a | b |\n|:-:|--:|\n| *1* | 2 |\n| 3 |\n"),
            ["table [Center, Right] [[\"a\", \"b\"], [\"1\", \"2\"], [\"3\", \"\"]]"]
        );
        assert_eq!(sketch("<b>x</b> & &lt;y&gt;\n\n***\n"), ["<b>x</b> & <y>", "rule"]);
        assert_eq!(sketch("<div>\n<script>alert(1)</script>\n"), ["<div>\n<script>alert(1)</script>"]);
        assert_eq!(sketch("Title\n=====\n"), ["h1 Title"]);
    }

    #[test]
    fn hidden_characters_are_shown_even_when_encoded() {
        assert_eq!(sketch("a&#x202E;b `\u{1B}[0m`"), ["a‹U+202E›b ‹ESC›[0m"]);
    }

    #[test]
    fn only_web_addresses_open() {
        for good in ["https://a.b/c?d=e#f", "HTTP://a", "mailto:a@b.c"] {
            assert!(is_web_link(good), "{good}");
        }
        for bad in ["javascript:alert(1)", "file:///etc/passwd", "a.png", "", "https://a\u{202E}b", "https://a b", "data:text/html,x"] {
            assert!(!is_web_link(bad), "{bad}");
        }
    }
}
