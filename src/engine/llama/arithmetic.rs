//! How fast this machine multiplies matrices: the bound on reading a prompt, which goes through every weight once for each token of a batch
//! that is read together, so that arithmetic and not memory holds it up.
#![expect(unsafe_code, reason = "builds and computes a ggml graph")]

use std::ptr::NonNull;
use std::time::Instant;

use llama_cpp_sys_2 as sys;

use super::load;
use crate::engine::backend::Job;
use crate::library::MachineMemory;

/// Sizes of the product: as many columns as a physical batch has tokens, and matrices of the width of a model of some billion weights.
const ROWS: i64 = 2048;
/// Length of a row
const COLUMNS: i64 = 2048;
/// Tokens
const BATCH: i64 = 512;
/// Fewest and most products of each kind; the best counts.
const PASSES: (u32, u32) = (4, 16);
/// A kind ends when so many products in a row were no better.
const PATIENCE: u32 = 4;
/// Kinds of weights: what is fastest differs between processors.
const KINDS: [sys::ggml_type; 3] = [sys::GGML_TYPE_F16, sys::GGML_TYPE_Q8_0, sys::GGML_TYPE_Q4_0];

/// 10^9 multiplications and additions per second of the fastest matrix product of ggml's CPU kernels, over F16, Q8_0 and Q4_0 weights and F32
/// activations of a batch of 512, with `threads` threads (0 = as for decode). It bounds prefill as long as the weights are not repacked for
/// wider kernels when they are loaded; where they are, prefill can exceed it. `None` when it cannot be measured: no memory, cancelled.
pub(super) fn probe(threads: u32, job: &Job) -> Option<f64> {
    let threads = if threads == 0 { load::usable_cores() } else { threads.min(512) };
    let operations = 2.0 * (ROWS * COLUMNS * BATCH) as f64;
    let mut best = f64::INFINITY;
    for kind in KINDS {
        let mut product = Product::new(kind, threads)?;
        let (mut of_kind, mut last_gain) = (f64::INFINITY, 0);
        for pass in 1..=PASSES.1 {
            if job.is_cancelled() {
                return None;
            }
            let started = Instant::now();
            if !product.compute() {
                break;
            }
            let seconds = started.elapsed().as_secs_f64();
            if seconds < of_kind * 0.995 {
                last_gain = pass;
            }
            of_kind = of_kind.min(seconds);
            if pass >= PASSES.0 && pass - last_gain >= PATIENCE {
                break;
            }
        }
        best = best.min(of_kind);
    }
    best.is_finite().then(|| operations / best / 1e9)
}

/// A ggml context with one matrix product in it.
struct Product {
    context: NonNull<sys::ggml_context>,
    graph: NonNull<sys::ggml_cgraph>,
    plan: sys::ggml_cplan,
    /// What `plan` points at
    _work: Vec<u8>,
}

impl Product {
    fn new(kind: sys::ggml_type, threads: u32) -> Option<Self> {
        let values: Vec<f32> = (0..ROWS * COLUMNS).map(|i| ((i * 37 % 101) as f32 - 50.0) / 100.0).collect();
        // SAFETY: plain getters; the type is one of ggml's and the columns are whole blocks of it.
        let (weights, overhead) = unsafe {
            let row = sys::ggml_row_size(kind, COLUMNS);
            (row * ROWS as usize, sys::ggml_graph_overhead() + 8 * sys::ggml_tensor_overhead())
        };
        let size = weights + ((COLUMNS + ROWS) * BATCH) as usize * 4 + overhead + (1 << 16);
        if MachineMemory::read().available < 2 * size as u64 + (64 << 20) {
            return None;
        }
        let params = sys::ggml_init_params { mem_size: size, mem_buffer: std::ptr::null_mut(), no_alloc: false };
        // SAFETY: plain data; ggml allocates the buffer itself.
        let context = NonNull::new(unsafe { sys::ggml_init(params) })?;
        let threads = i32::try_from(threads).unwrap_or(1);
        // SAFETY: the context is alive and large enough for the three tensors and the graph (see `size`); `values` has as many floats as the
        // weights have elements and the target as many bytes as rows of that type take; the activations have `COLUMNS * BATCH` floats.
        unsafe {
            let a = sys::ggml_new_tensor_2d(context.as_ptr(), kind, COLUMNS, ROWS);
            let b = sys::ggml_new_tensor_2d(context.as_ptr(), sys::GGML_TYPE_F32, COLUMNS, BATCH);
            sys::ggml_quantize_chunk(kind, values.as_ptr(), sys::ggml_get_data(a), 0, ROWS, COLUMNS, std::ptr::null());
            let activations = std::slice::from_raw_parts_mut(sys::ggml_get_data_f32(b), (COLUMNS * BATCH) as usize);
            activations.copy_from_slice(values.get(..activations.len()).unwrap_or_default());
            let product = sys::ggml_mul_mat(context.as_ptr(), a, b);
            let graph = sys::ggml_new_graph(context.as_ptr());
            sys::ggml_build_forward_expand(graph, product);
            let mut plan = sys::ggml_graph_plan(graph, threads, std::ptr::null_mut());
            let mut work = vec![0u8; plan.work_size.max(1)];
            plan.work_data = work.as_mut_ptr();
            let Some(graph) = NonNull::new(graph) else {
                sys::ggml_free(context.as_ptr());
                return None;
            };
            Some(Self { context, graph, plan, _work: work })
        }
    }

    /// Computes it once; false when ggml says that it did not.
    fn compute(&mut self) -> bool {
        // SAFETY: graph and plan belong together; the work buffer has the size that the plan asked for and lives as long as `self`.
        unsafe { sys::ggml_graph_compute(self.graph.as_ptr(), &raw mut self.plan) == sys::GGML_STATUS_SUCCESS }
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // SAFETY: owned, freed once; the graph lies in the context.
        unsafe { sys::ggml_free(self.context.as_ptr()) };
    }
}
