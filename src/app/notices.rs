//! Short messages that stay until read: something was done otherwise than asked, or not at all.

use super::Action;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As asked
    Info,
    /// Done, but not as asked
    Warn,
    /// Not done
    Error,
}

/// What a notice offers.
#[derive(Clone, Debug, PartialEq)]
pub struct NoticeAction {
    /// The button
    pub label: String,
    /// What it does
    pub action: Box<Action>,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Names it for dismissal
    pub id: u64,
    /// How much it matters
    pub severity: Severity,
    /// One sentence, no final stop
    pub text: String,
    /// Evidence, folded
    pub details: Vec<String>,
    /// What it offers
    pub action: Option<NoticeAction>,
    /// When it goes by itself (monotonic seconds); errors stay
    pub until: Option<f64>,
}

/// Those on screen, oldest first, never more than five.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notices {
    list: Vec<Notice>,
    next: u64,
}

impl Notices {
    /// Those on screen.
    pub fn iter(&self) -> impl Iterator<Item = &Notice> {
        self.list.iter()
    }

    /// Adds one; the same text with the same offer is not shown twice.
    pub fn push(&mut self, severity: Severity, text: impl Into<String>, details: Vec<String>, action: Option<NoticeAction>, now: f64) {
        let text = text.into();
        self.list.retain(|notice| notice.text != text || notice.action != action);
        self.next += 1;
        let until = match severity {
            // an offer has to be read, considered and reached
            Severity::Info if action.is_none() => Some(now + 8.0),
            Severity::Info | Severity::Warn => Some(now + 20.0),
            Severity::Error => None,
        };
        self.list.push(Notice { id: self.next, severity, text, details, action, until });
        if self.list.len() > 5 {
            // what only tells something makes room before what can be undone
            let tells = |notice: &Notice| notice.action.is_none() && notice.severity == Severity::Info;
            self.list.remove(self.list.iter().position(tells).unwrap_or(0));
        }
    }

    /// Adds an offer that stays until it is taken or put away.
    pub fn offer(&mut self, text: impl Into<String>, action: NoticeAction) {
        self.push(Severity::Info, text, Vec::new(), Some(action), 0.0);
        if let Some(notice) = self.list.last_mut() {
            notice.until = None;
        }
    }

    /// Takes one away.
    pub fn dismiss(&mut self, id: u64) {
        self.list.retain(|notice| notice.id != id);
    }

    /// Lets those go whose time has come; says when the next one does.
    pub fn tick(&mut self, now: f64) -> Option<f64> {
        self.list.retain(|notice| notice.until.is_none_or(|until| until > now));
        self.list.iter().filter_map(|notice| notice.until).reduce(f64::min)
    }
}
