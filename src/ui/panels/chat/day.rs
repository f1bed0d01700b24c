//! Which day something happened on, as people name them.

use chrono::{Local, Offset as _};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A group of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Day {
    /// Since midnight here
    Today,
    /// The day before
    Yesterday,
    /// Before that
    Earlier,
}

impl Day {
    /// What the group is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Today => "Today",
            Self::Yesterday => "Yesterday",
            Self::Earlier => "Earlier",
        }
    }
}

/// The day it is.
#[derive(Clone, Copy, Debug)]
pub struct Today {
    /// Days since 1970, local time
    day: i64,
    offset_ms: i64,
}

impl Today {
    /// By this machine's clock and time zone.
    pub fn now() -> Self {
        let now = Local::now();
        Self::at(now.timestamp_millis(), i64::from(now.offset().fix().local_minus_utc()))
    }

    /// At a Unix time in milliseconds, `offset_s` seconds east of Greenwich.
    pub fn at(unix_ms: i64, offset_s: i64) -> Self {
        let offset_ms = offset_s * 1000;
        Self { day: (unix_ms + offset_ms).div_euclid(DAY_MS), offset_ms }
    }

    /// The group of a Unix time in milliseconds. What lies in the future (a clock that was set back) is today.
    pub fn day(&self, unix_ms: i64) -> Day {
        match self.day - unix_ms.saturating_add(self.offset_ms).div_euclid(DAY_MS) {
            ..=0 => Day::Today,
            1 => Day::Yesterday,
            _ => Day::Earlier,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_change_at_local_midnight() {
        // 2026-01-02 00:30 in a zone one hour east
        let today = Today::at(1_767_310_200_000, 3600);
        assert_eq!(today.day(1_767_310_200_000 - 29 * 60_000), Day::Today);
        assert_eq!(today.day(1_767_310_200_000 - 31 * 60_000), Day::Yesterday);
        assert_eq!(today.day(1_767_310_200_000 - DAY_MS - 31 * 60_000), Day::Earlier);
        assert_eq!(today.day(i64::MAX), Day::Today);
    }
}
