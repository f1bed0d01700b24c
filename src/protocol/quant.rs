//! The file types llama.cpp can write and read, and what is known about each.
//!
//! Numbers are `enum llama_ftype` of llama.cpp's `include/llama.h`; bits per weight of the dominant block type are the block sizes
//! of `ggml-common.h` (for example Q4_K: 144 bytes for 256 weights = 4.5).

/// One quantization level as llama.cpp names it (`Q4_K_M`), in its canonical upper-case spelling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FileType {
    /// `Q4_K_M`
    pub name: &'static str,
    /// `enum llama_ftype`
    pub id: u32,
    /// Bits per weight of the block type that most of the tensors get; an estimate of the file's own figure.
    pub nominal_bpw: f32,
    /// Offered first in a ladder.
    pub usual: bool,
    /// llama.cpp refuses to make it without an importance matrix.
    pub needs_imatrix: bool,
    /// One sentence for a tooltip.
    pub about: &'static str,
}

macro_rules! file_types {
    ($($name:literal $id:literal $bpw:literal $usual:literal $imatrix:literal $about:literal;)*) => {
        /// Every file type that can be offered, best first (by nominal bits per weight).
        pub const FILE_TYPES: &[FileType] = &[$(FileType { name: $name, id: $id, nominal_bpw: $bpw, usual: $usual, needs_imatrix: $imatrix, about: $about },)*];
    };
}

file_types! {
    "F32"     0  32.0   false false "Full precision, 32 bits";
    "F16"     1  16.0   true  false "Half precision: the usual reference";
    "BF16"    32 16.0   false false "Brain float: the range of 32 bits with 8 bits of mantissa";
    "Q8_0"    7  8.5    true  false "8 bits in blocks of 32: hardly any measurable loss";
    "Q6_K"    18 6.5625 true  false "6 bits in super-blocks of 256";
    "Q5_1"    9  6.0    false false "5 bits in blocks of 32, with an offset";
    "Q5_K_M"  17 5.69   true  false "5 bits in super-blocks, more for the sensitive tensors";
    "Q5_K_S"  16 5.52   false false "5 bits in super-blocks";
    "Q5_0"    8  5.5    false false "5 bits in blocks of 32";
    "Q4_1"    3  5.0    false false "4 bits in blocks of 32, with an offset";
    "Q4_K_M"  15 4.85   true  false "4 bits in super-blocks, more for the sensitive tensors: the usual choice";
    "Q4_K_S"  14 4.58   false false "4 bits in super-blocks";
    "Q4_0"    2  4.55   false false "4 bits in blocks of 32: fast on many CPUs";
    "IQ4_NL"  25 4.5    true  false "4 bits on a non-linear grid, blocks of 32";
    "IQ4_XS"  30 4.25   false false "4 bits on a non-linear grid, super-blocks";
    "Q3_K_L"  13 4.2    false false "3 bits in super-blocks, much more for the sensitive tensors";
    "Q3_K_M"  12 3.9    true  false "3 bits in super-blocks, more for the sensitive tensors";
    "IQ3_M"   27 3.66   false false "3 bits on a lattice, mixed";
    "Q3_K_S"  11 3.44   false false "3 bits in super-blocks";
    "IQ3_S"   26 3.44   false false "3 bits on a lattice";
    "IQ3_XS"  22 3.3    false false "3 bits on a lattice, small";
    "IQ3_XXS" 23 3.06   false true  "3 bits on a lattice, smallest";
    "Q2_K"    10 2.96   true  false "2 bits in super-blocks: a clear loss";
    "IQ2_M"   29 2.7    false true  "2 bits on a lattice, mixed";
    "IQ2_S"   28 2.5    false true  "2 bits on a lattice";
    "Q2_K_S"  21 2.6    false true  "2 bits in super-blocks, small";
    "IQ2_XS"  20 2.31   false true  "2 bits on a lattice, small";
    "IQ2_XXS" 19 2.06   false true  "2 bits on a lattice, smallest";
    "TQ2_0"   37 2.06   false false "Ternary weights, 2 bits: only for models trained ternary";
    "IQ1_M"   31 1.75   false true  "Under 2 bits, mixed";
    "TQ1_0"   36 1.69   false false "Ternary weights, packed: only for models trained ternary";
    "IQ1_S"   24 1.56   false true  "Under 2 bits";
}

impl FileType {
    /// Looks a name up, in any case.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        FILE_TYPES.iter().find(|t| t.name.eq_ignore_ascii_case(name))
    }

    /// Looks a `general.file_type` value up.
    pub fn by_id(id: u32) -> Option<&'static Self> {
        FILE_TYPES.iter().find(|t| t.id == id)
    }

    /// Whether weights of this type have lost nothing that a requantization could miss (F32, F16, BF16).
    pub fn is_lossless(&self) -> bool {
        self.nominal_bpw >= 16.0
    }
}
