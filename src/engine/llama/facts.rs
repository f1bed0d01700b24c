//! What this engine is made of, as llama.cpp reports it.
#![expect(unsafe_code, reason = "asks llama.cpp what it was compiled with")]

use std::ffi::CStr;

use llama_cpp_2::LlamaBackendDeviceType as Kind;
use llama_cpp_sys_2 as sys;

use super::{BUILD, COMMIT};
use crate::library::MachineMemory;
use crate::protocol::{DeviceInfo, EngineFacts};

/// Asks for everything anew: free memory changes.
pub(super) fn facts() -> EngineFacts {
    let devices = llama_cpp_2::list_llama_ggml_backend_devices();
    let mut backends: Vec<String> = devices.iter().map(|device| device.backend.clone()).collect();
    backends.dedup();
    EngineFacts {
        name: "llama.cpp".into(),
        commit: COMMIT.into(),
        build: BUILD.into(),
        cpu_features: features(&system_info()),
        backends,
        devices: devices
            .into_iter()
            .map(|device| {
                let (mut free, mut total) = (device.memory_free as u64, device.memory_total as u64);
                if device.device_type == Kind::Cpu {
                    // ggml calls all of the machine's memory free (ggml-cpu.cpp).
                    let machine = MachineMemory::read();
                    (free, total) = (machine.available, machine.total);
                }
                DeviceInfo {
                    name: device.name,
                    description: device.description,
                    kind: match device.device_type {
                        Kind::Cpu => "cpu",
                        Kind::Gpu => "gpu",
                        Kind::IntegratedGpu => "igpu",
                        Kind::Accelerator | Kind::Unknown => "accel",
                    }
                    .into(),
                    memory_total: total,
                    memory_free: free,
                }
            })
            .collect(),
    }
}

fn system_info() -> String {
    // The call fills one static string that the next call overwrites: callers take turns and copy it at once.
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = LOCK.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // SAFETY: never null, NUL-terminated, and not overwritten while the lock is held.
    unsafe { CStr::from_ptr(sys::llama_print_system_info()) }.to_string_lossy().into_owned()
}

/// `CPU : SSE3 = 1 | AVX = 0 | LLAMAFILE = 1 | CUDA : ...` to the names that are on.
fn features(info: &str) -> Vec<String> {
    let mut names = Vec::new();
    for field in info.split('|') {
        // A new backend's name stands before its first feature.
        let field = field.rsplit(" : ").next().unwrap_or(field);
        if let Some((name, value)) = field.split_once('=')
            && !matches!(value.trim(), "0" | "")
        {
            names.push(name.trim().to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_features_that_are_on_are_listed() {
        let info = "CPU : SSE3 = 1 | AVX = 0 | AVX2 = 1 | AMX_INT8 = 1 | OPENMP = 1 | CUDA : ARCHS = 860 | ";
        assert_eq!(features(info), ["SSE3", "AVX2", "AMX_INT8", "OPENMP", "ARCHS"]);
        assert!(features("").is_empty());
    }
}
