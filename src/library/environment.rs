//! What a run ran on, gathered in one place for everything that measures.

use std::fs;
use std::path::Path;

use super::{MachineMemory, fingerprint, model_name, read_header};
use crate::protocol::{Design, EngineFacts, Environment, ModelInfo, build};

/// This machine, the engine and the model of a design. Where `info` is not given the model's header is read; its fingerprint is read in any
/// case (3 MiB, some ten milliseconds), so this is not for the thread that paints. What cannot be found out stays empty.
pub fn environment(facts: &EngineFacts, design: &Design, info: Option<&ModelInfo>) -> Environment {
    let read = || read_header(&design.model).ok().map(|header| header.info());
    let info = info.cloned().or_else(read).unwrap_or_default();
    let model_hash = fingerprint(&design.model).inspect_err(|error| log::warn!("no fingerprint: {error}")).unwrap_or_default();
    Environment { model: model_name(&info), quant: info.quant, model_size: info.size, model_hash, ..machine(facts) }
}

/// This machine and the engine, without a model.
pub fn machine(facts: &EngineFacts) -> Environment {
    let wanted = sysinfo::RefreshKind::nothing().with_cpu(sysinfo::CpuRefreshKind::nothing());
    let system = sysinfo::System::new_with_specifics(wanted).ok();
    let processors = std::thread::available_parallelism().map_or(0, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    Environment {
        cpu: system.as_ref().and_then(|system| system.cpus().first()).map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default(),
        cores: sysinfo::System::physical_core_count().map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        processors,
        memory: MachineMemory::read().total,
        os: os(),
        governor: governor(Path::new("/sys/devices/system/cpu")),
        engine: facts.name.clone(),
        engine_commit: facts.commit.clone(),
        engine_build: facts.build.clone(),
        cpu_features: facts.cpu_features.clone(),
        app: build::VERSION.to_owned(),
        ..Environment::default()
    }
}

/// `Linux (Debian GNU/Linux 12) 6.1.0`: the system, and its kernel where that is a thing apart.
fn os() -> String {
    let name = sysinfo::System::long_os_version().or_else(|_| sysinfo::System::name()).unwrap_or_default();
    let kernel = sysinfo::System::kernel_version().unwrap_or_default();
    format!("{name} {kernel}").trim().to_owned()
}

/// The frequency governors of the processors, each named once; empty where the system has none (a virtual machine, not Linux).
fn governor(cpus: &Path) -> String {
    let Ok(entries) = fs::read_dir(cpus) else { return String::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("cpufreq/scaling_governor")).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("m.gguf");
        fs::write(&model, "no header").unwrap();
        let facts = EngineFacts { name: "llama.cpp".into(), build: "b1".into(), ..EngineFacts::default() };
        let found = environment(&facts, &Design::for_model(&model), None);
        assert!(found.processors > 0 && found.memory > 64 << 20 && !found.os.is_empty(), "{found:?}");
        assert_eq!((found.engine.as_str(), found.engine_build.as_str(), found.app.as_str()), ("llama.cpp", "b1", build::VERSION));
        // a file that is no model still has a fingerprint, and nothing else is made up
        assert_eq!((found.model_hash.len(), found.model.as_str(), found.model_size), (16, "", 0));
        let info = ModelInfo { name: "m".into(), quant: "Q8_0".into(), size: 9, ..ModelInfo::default() };
        let found = environment(&facts, &Design::for_model(&model), Some(&info));
        assert_eq!((found.model.as_str(), found.quant.as_str(), found.model_size), ("m", "Q8_0", 9));
    }

    #[test]
    fn governors_are_named_once() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(governor(dir.path()), "");
        for (cpu, name) in [("cpu0", "powersave\n"), ("cpu1", "performance\n"), ("cpu2", "powersave\n")] {
            fs::create_dir_all(dir.path().join(cpu).join("cpufreq")).unwrap();
            fs::write(dir.path().join(cpu).join("cpufreq/scaling_governor"), name).unwrap();
        }
        assert_eq!(governor(dir.path()), "performance, powersave");
    }
}
