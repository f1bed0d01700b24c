//! What draws the window.

use crate::protocol::{EngineError, ErrorKind};

/// What draws the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Painter {
    /// The processor, by itself (`ui/software/`)
    Cpu,
    /// OpenGL, which is a GPU's or is imitated
    Gpu,
}

impl Painter {
    /// What chooses it in the environment.
    pub const VARIABLE: &str = "INFERSCOPE_RENDERER";

    /// The processor where there is no GPU, or where `INFERSCOPE_RENDERER` says so (`cpu` or `gpu`).
    ///
    /// # Errors
    /// When that variable says something else.
    pub fn of_this_machine() -> Result<Self, EngineError> {
        let wish = std::env::var_os(Self::VARIABLE);
        Self::of(wish.as_ref().map(|wish| wish.to_string_lossy()).as_deref(), has_gpu())
    }

    fn of(wish: Option<&str>, has_gpu: bool) -> Result<Self, EngineError> {
        match wish {
            Some("cpu") => Ok(Self::Cpu),
            Some("gpu") => Ok(Self::Gpu),
            None | Some("") => Ok(if has_gpu { Self::Gpu } else { Self::Cpu }),
            Some(other) => {
                Err(EngineError::new(ErrorKind::InvalidRequest, format!("INFERSCOPE_RENDERER is \"{other}\", which draws no window"))
                    .hint("Set it to cpu or gpu, or leave it unset"))
            }
        }
    }

    /// For reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu if has_gpu() => "glow",
            Self::Gpu => "glow, software",
        }
    }
}

/// Whether something but the CPU can draw. Asked before any graphics library is loaded, so it goes by the devices.
fn has_gpu() -> bool {
    if std::env::var_os("LIBGL_ALWAYS_SOFTWARE").is_some_and(|value| value != "0") {
        return false;
    }
    !cfg!(target_os = "linux") || std::path::Path::new("/dev/dri").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_draws_where_there_is_no_gpu_or_where_it_is_told_to() {
        assert_eq!(Painter::of(None, false).unwrap(), Painter::Cpu);
        assert_eq!(Painter::of(Some(""), true).unwrap(), Painter::Gpu);
        assert_eq!(Painter::of(Some("cpu"), true).unwrap(), Painter::Cpu);
        assert_eq!(Painter::of(Some("gpu"), false).unwrap(), Painter::Gpu);
        assert!(Painter::of(Some("GL"), true).unwrap_err().to_string().contains("INFERSCOPE_RENDERER is \"GL\""));
    }
}
