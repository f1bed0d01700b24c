//! Settings: what was chosen comes back, whatever happened to the file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests, too, fail by panicking"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use inferscope::protocol::Design;
use inferscope::store::{Bandwidth, NoticeKind, Request, Settings, SettingsFile, Store, StoreErrorKind, Theme, WindowPlace, Writer};
use proptest::prelude::*;

#[test]
fn settings_are_written_soon_and_once() {
    let (dir, config) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (file, mut settings, _) = SettingsFile::load(config.path());
    let path = file.path().to_path_buf();
    let writer = Writer::spawn_with_settings(Store::open(dir.path()).0, file, |_| {}).unwrap();
    for zoom in [1.1, 1.2, 1.3] {
        settings.zoom = zoom;
        writer.send(Request::SaveSettings(Box::new(settings.clone())));
        std::thread::sleep(Duration::from_millis(20));
    }
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(SettingsFile::load(config.path()).1.zoom, 1.3);
    assert!(!config.path().join("settings.toml.bak").exists(), "one write, not three");
}

fn rich_settings() -> Settings {
    let mut settings = Settings { theme: Theme::Light, zoom: 1.1, last_chat: Some(7), stop: vec!["\n###".into()], ..Default::default() };
    settings.model_folders = vec!["/models".into(), "/mnt/größer".into()];
    settings.keep_warm_bytes = Some(1 << 33);
    let mut design = Design { n_ctx: 8192, threads: 6, ..Design::for_model("/models/a.gguf") };
    design.sampler.temperature = Some(0.7);
    design.extra.insert("speculation".into(), serde_json::json!({"draft": "/m/b.gguf", "n": 4}));
    settings.remember(&design);
    settings.bandwidth = Some(Bandwidth { gb_s: 41.5, threads: 8, cpu: "EPYC".into(), ops_gflops: Some(812.5), build: "0.1.0".into() });
    settings.window = Some(WindowPlace { width: 1440.0, height: 900.0, x: Some(-3.0), y: None, maximized: false });
    settings
}

#[test]
fn settings_come_back_with_fields_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let (mut file, first, notices) = SettingsFile::load(&dir.path().join("new"));
    assert_eq!((&first, notices.len()), (&Settings::default(), 0));
    file.save(&rich_settings()).unwrap();
    let text = fs::read_to_string(file.path()).unwrap();
    assert!(text.contains("zoom = 1.1\n"), "{text}");
    fs::write(file.path(), format!("plugin_x = \"kept\"\n{text}\n[later]\nday = 2026-11-23\n")).unwrap();
    let (mut file, mut settings, notices) = SettingsFile::load(&dir.path().join("new"));
    assert_eq!(notices, []);
    settings.max_tokens = 5;
    file.save(&settings).unwrap();
    let text = fs::read_to_string(file.path()).unwrap();
    assert!(text.contains("plugin_x = \"kept\"") && text.contains("day = 2026-11-23"), "{text}");
    let (_, mut again, _) = SettingsFile::load(&dir.path().join("new"));
    assert_eq!(again, settings);
    again.extra.clear();
    assert_eq!(again, Settings { max_tokens: 5, ..rich_settings() });
}

#[test]
fn damaged_settings_give_way_to_the_last_good_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (mut file, _, _) = SettingsFile::load(dir.path());
    file.save(&rich_settings()).unwrap();
    file.save(&Settings { max_tokens: 9, ..rich_settings() }).unwrap();
    for torn in [&b""[..], &[0; 900], b"zoom = 1.0\nthe", b"\xff\xfe", &b"[".repeat(100_000), &b"# ".repeat(2_000_000)] {
        let dir2 = tempfile::tempdir().unwrap();
        fs::copy(dir.path().join("settings.toml.bak"), dir2.path().join("settings.toml.bak")).unwrap();
        fs::write(dir2.path().join("settings.toml"), torn).unwrap();
        let (mut file, settings, notices) = SettingsFile::load(dir2.path());
        assert_eq!(settings, rich_settings());
        assert_eq!(notices.iter().map(|n| n.kind).collect::<Vec<_>>(), [NoticeKind::Damaged]);
        let aside = fs::read(notices[0].path.as_ref().unwrap()).unwrap();
        assert!(torn.starts_with(&aside) && aside.len() >= torn.len().min(1 << 20));
        file.save(&settings).unwrap();
        assert_eq!(SettingsFile::load(dir2.path()).2, [], "said once");
    }
}

#[test]
fn one_odd_value_costs_one_value() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("settings.toml"), "theme = \"purple\"\nmax_tokens = 77\nzoom = nan\nautoload = 3\n").unwrap();
    let (_, settings, notices) = SettingsFile::load(dir.path());
    assert_eq!(settings, Settings { max_tokens: 77, ..Default::default() });
    assert_eq!(notices[0].kind, NoticeKind::NotUnderstood);
    assert!(notices[0].message.ends_with("autoload, theme"), "{}", notices[0]);
}

#[test]
fn newer_settings_are_used_and_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("settings.toml");
    fs::write(&path, "version = 99\nmax_tokens = 5\ntheme = \"sepia\"\n").unwrap();
    let (mut file, settings, notices) = SettingsFile::load(dir.path());
    assert_eq!((settings.max_tokens, notices[0].kind), (5, NoticeKind::Newer));
    assert_eq!(file.save(&Settings::default()).unwrap_err().kind, StoreErrorKind::Newer);
    assert_eq!(fs::read_to_string(&path).unwrap(), "version = 99\nmax_tokens = 5\ntheme = \"sepia\"\n");
}

#[test]
fn settings_changed_outside_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (mut file, mut settings, _) = SettingsFile::load(dir.path());
    file.save(&settings).unwrap();
    fs::write(file.path(), "max_tokens = 4\n").unwrap();
    settings.max_tokens = 3;
    let notices = file.save(&settings).unwrap();
    assert_eq!(notices[0].kind, NoticeKind::ChangedOutside);
    assert_eq!(fs::read_to_string(notices[0].path.as_ref().unwrap()).unwrap(), "max_tokens = 4\n");
    assert_eq!(SettingsFile::load(dir.path()).1.max_tokens, 3);
}

#[test]
fn settings_that_cannot_be_read_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("settings.toml")).unwrap();
    let (mut file, settings, notices) = SettingsFile::load(dir.path());
    assert_eq!((settings, notices[0].kind), (Settings::default(), NoticeKind::NotSaving));
    file.save(&Settings::default()).unwrap_err();
}

#[cfg(unix)]
#[test]
fn paths_that_are_not_unicode_cost_only_themselves() {
    use std::os::unix::ffi::OsStringExt as _;
    let odd = std::path::PathBuf::from(std::ffi::OsString::from_vec(b"/m/\xff.gguf".to_vec()));
    let dir = tempfile::tempdir().unwrap();
    let (mut file, mut settings, _) = SettingsFile::load(dir.path());
    settings.model_folders = vec![odd.clone(), "/good".into()];
    settings.remember(&Design::for_model(&odd));
    file.save(&settings).unwrap();
    assert_eq!(SettingsFile::load(dir.path()).1.model_folders, [Path::new("/good")]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_load_as_settings(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        "([a-z_]{1,12} ?= ?([0-9.]{1,5}|\"[a-z]*\"|\\[[0-9,]*\\]|true|\\{[a-z]=1\\}|inf|nan)\n){0,8}".prop_map(String::into_bytes),
        "((version|zoom|theme|designs|window|stop|last_design|telemetry_window_s|extra) ?= ?([0-9]{1,20}|-1|\"dark\"|\\[[0-9,]*\\]|true|\\{width=1\\}|inf|nan)\n){0,4}"
            .prop_map(String::into_bytes),
    ]) {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        fs::write(dir.path().join("settings.toml"), &bytes).unwrap();
        let peeked = SettingsFile::peek(dir.path());
        prop_assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a look leaves everything as it is");
        prop_assert_eq!(fs::read(dir.path().join("settings.toml")).unwrap(), bytes.clone());
        let (mut file, settings, notices) = SettingsFile::load(dir.path());
        prop_assert_eq!(format!("{peeked:?}"), format!("{settings:?}"));
        prop_assert!(settings.zoom >= 0.5 && settings.zoom <= 4.0);
        for notice in notices.iter().filter(|n| matches!(n.kind, NoticeKind::Damaged | NoticeKind::NotUnderstood)) {
            prop_assert_eq!(fs::read(notice.path.as_ref().unwrap()).unwrap(), bytes.clone());
        }
        if settings.version <= Settings::VERSION {
            file.save(&settings).unwrap();
            let (_, again, notices) = SettingsFile::load(dir.path());
            prop_assert_eq!(notices, vec![]);
            prop_assert_eq!(again.max_tokens, settings.max_tokens);
        } else {
            prop_assert!(file.save(&settings).is_err());
        }
    }
}
