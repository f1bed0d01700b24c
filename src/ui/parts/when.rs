//! When something was, as people say it here.

/// Milliseconds of a day.
pub(in crate::ui) const DAY_MS: i64 = 86_400_000;

/// The number of the day it is here, and how far local time is ahead of UTC, milliseconds.
pub(in crate::ui) fn today() -> (i64, i64) {
    use chrono::Offset as _;
    let now = chrono::Local::now();
    let offset_ms = i64::from(now.offset().fix().local_minus_utc()) * 1000;
    ((now.timestamp_millis() + offset_ms).div_euclid(DAY_MS), offset_ms)
}

/// Unix time, milliseconds.
pub(in crate::ui) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// Whether something was today, so that [`when`] says the time alone.
pub(in crate::ui) fn is_today(unix_ms: i64, today: i64, offset_ms: i64) -> bool {
    unix_ms.saturating_add(offset_ms).div_euclid(DAY_MS) >= today
}

/// When something was: `22:14` for today, `25 Nov 22:14` for this year and the last months, else with its year.
pub(in crate::ui) fn when(unix_ms: i64, today: i64, offset_ms: i64) -> String {
    if unix_ms <= 0 {
        return crate::measure::format::ABSENT.into();
    }
    let local = unix_ms.saturating_add(offset_ms);
    match today - local.div_euclid(DAY_MS) {
        ..=0 => formatted(local, "%H:%M"),
        1..=300 => formatted(local, "%-d %b %H:%M"),
        _ => formatted(local, "%-d %b %Y"),
    }
}

/// How long ago something was, in its largest unit: `3 h ago`. What lies in the future (a clock that was set back) is just now.
pub(in crate::ui) fn ago(unix_ms: i64, now_ms: i64) -> String {
    let minutes = now_ms.saturating_sub(unix_ms).max(0) / 60_000;
    match minutes {
        0 => "just now".into(),
        1..60 => format!("{minutes} min ago"),
        60..1440 => format!("{} h ago", minutes / 60),
        1440..2880 => "1 day ago".into(),
        2880..86_400 => format!("{} days ago", minutes / 1440),
        86_400..1_051_200 => format!("{} months ago", minutes / 43_200),
        _ => format!("{} years ago", minutes / 525_600),
    }
}

/// Local time in milliseconds, written as `strftime` has it.
pub(in crate::ui) fn formatted(local_ms: i64, how: &str) -> String {
    chrono::DateTime::from_timestamp_millis(local_ms).map(|time| time.format(how).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_while_they_are_near() {
        let day = 20_000;
        assert_eq!(when(day * DAY_MS + 3_600_000, day, 0), "01:00");
        assert_eq!(when((day - 5) * DAY_MS, day, 3_600_000), "29 Sep 01:00");
        assert_eq!(when(DAY_MS, day, 0), "2 Jan 1970");
        assert_eq!(when(0, day, 0), crate::measure::format::ABSENT);
    }

    #[test]
    fn ages_have_one_unit() {
        let minute = 60_000;
        let ages = [0, 59, 60, 1439, 1440, 2880, 86_400, 1_051_200].map(|minutes| ago(0, minutes * minute));
        assert_eq!(ages, ["just now", "59 min ago", "1 h ago", "23 h ago", "1 day ago", "2 days ago", "2 months ago", "2 years ago"]);
        assert_eq!(ago(5, 0), "just now");
    }
}
