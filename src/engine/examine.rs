//! What a header says of a design that is to be measured: sizes, bytes and operations a token, and whether it fits.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::library::{self, Header, MachineMemory};
use crate::measure::format;
use crate::measure::roofline::ops_per_token;
use crate::measure::sweep::{Candidate, Facts};
use crate::protocol::{Design, EngineError, ErrorKind};

/// Looks at candidates; each file is read once.
pub struct Examiner {
    machine: MachineMemory,
    seen: BTreeMap<PathBuf, Result<(Header, String), EngineError>>,
}

impl Examiner {
    /// For designs that are to run in the memory that is available now.
    pub fn new(machine: MachineMemory) -> Self {
        Self { machine, seen: BTreeMap::new() }
    }

    /// Reads the header of a candidate's file and fills in what is known of it, with the reason when it cannot be measured: the file cannot be
    /// read, or the design with a context of at least `n_ctx` tokens does not fit. Reads the disk.
    pub fn examine(&mut self, candidate: &mut Candidate, n_ctx: u32) {
        let model = &candidate.design.model;
        let read = || {
            let header = library::read_model(model).map_err(EngineError::from)?;
            // without it a run is told apart by its path only
            let hash = library::fingerprint(model).unwrap_or_default();
            Ok((header, hash))
        };
        let (header, hash) = match self.seen.entry(model.clone()).or_insert_with(read) {
            Ok(found) => found,
            Err(error) => {
                candidate.refusal = Some(error.clone());
                return;
            }
        };
        let info = header.info();
        let asked = if candidate.design.n_ctx > 0 { candidate.design.n_ctx } else { library::default_n_ctx(info.n_ctx_train) };
        let measured = Design { n_ctx: asked.max(n_ctx), ..candidate.design.clone() };
        let estimate = library::estimate(header, &measured, &self.machine, 0);
        let weights_read = library::bytes_read_per_token(header, 0, &candidate.design);
        candidate.facts = Facts {
            model: library::model_name(&info),
            quant: info.quant.clone(),
            file_size: info.size,
            model_hash: hash.clone(),
            memory: estimate.memory,
            weights_read,
            kv_read: library::bytes_read_per_token(header, 1, &candidate.design).saturating_sub(weights_read),
            ops_per_token: prompt_ops(header),
        };
        if !estimate.fits && self.machine.total > 0 {
            let (needs, has) = (format::bytes(estimate.total), format::bytes(estimate.available));
            candidate.refusal = Some(
                EngineError::new(ErrorKind::OutOfMemory, format!("It takes about {needs} of memory (estimate), and {has} are available"))
                    .hint("Choose a smaller context or quantization level, or close other programs"),
            );
        }
    }
}

/// Multiplications and additions of a prompt token of a model: see [`ops_per_token`].
pub fn prompt_ops(header: &Header) -> f64 {
    ops_per_token(matrix_weights(header))
}

/// Elements of the matrices that every token of a prompt goes through: neither the embedding nor the output, and of a mixture only the
/// experts that are used.
fn matrix_weights(header: &Header) -> f64 {
    let experts = header.arch_number("expert_count").unwrap_or(0);
    let used = header.per_layer("expert_used_count").and_then(|all| all.into_iter().max()).unwrap_or(0).min(experts);
    let through = |tensor: &&crate::library::gguf::TensorInfo| {
        tensor.n_dims() >= 2 && !matches!(tensor.name.as_str(), "token_embd.weight" | "per_layer_token_embd.weight" | "output.weight")
    };
    let counted = |tensor: &crate::library::gguf::TensorInfo| {
        let all = tensor.elements as f64;
        if tensor.name.contains("_exps.") && experts > 0 { all * used as f64 / experts as f64 } else { all }
    };
    header.tensors.iter().filter(through).map(counted).sum()
}
