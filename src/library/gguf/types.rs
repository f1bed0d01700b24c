//! The tensor types a GGUF can hold (`enum ggml_type` of `ggml.h`, block sizes of `ggml-common.h`).

/// How weights are stored.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// `enum ggml_type`
    pub id: u32,
    /// ggml's name in upper case (`Q4_K`)
    pub name: &'static str,
    /// Weights in a block; a row holds whole blocks
    pub block: u64,
    /// Bytes of a block
    pub bytes: u64,
}

macro_rules! types {
    ($($id:literal $name:ident $block:literal $bytes:literal)*) => {
        $(#[doc = concat!("`GGML_TYPE_", stringify!($name), "`")] pub static $name: TensorType =
            TensorType { id: $id, name: stringify!($name), block: $block, bytes: $bytes };)*
        static ALL: &[&TensorType] = &[$(&$name,)*];
    };
}

types! {
    0 F32 1 4        1 F16 1 2         2 Q4_0 32 18      3 Q4_1 32 20      6 Q5_0 32 22      7 Q5_1 32 24
    8 Q8_0 32 34     9 Q8_1 32 36      10 Q2_K 256 84    11 Q3_K 256 110   12 Q4_K 256 144   13 Q5_K 256 176
    14 Q6_K 256 210  15 Q8_K 256 292   16 IQ2_XXS 256 66 17 IQ2_XS 256 74  18 IQ3_XXS 256 98 19 IQ1_S 256 50
    20 IQ4_NL 32 18  21 IQ3_S 256 110  22 IQ2_S 256 82   23 IQ4_XS 256 136 24 I8 1 1         25 I16 1 2
    26 I32 1 4       27 I64 1 8        28 F64 1 8        29 IQ1_M 256 56   30 BF16 1 2       34 TQ1_0 256 54
    35 TQ2_0 256 66  39 MXFP4 32 17    40 NVFP4 64 36    41 Q1_0 128 18    42 Q2_0 64 18
}

impl TensorType {
    /// The type of that number; the numbers of removed types are unknown.
    pub fn by_id(id: u32) -> Option<&'static Self> {
        ALL.iter().copied().find(|t| t.id == id)
    }

    /// Whether weights are stored in blocks that share a scale.
    pub fn is_quantized(&self) -> bool {
        self.block > 1
    }

    /// Bits per weight.
    pub fn bpw(&self) -> f64 {
        8.0 * self.bytes as f64 / self.block as f64
    }

    /// Bytes of `rows` rows of `columns` weights; `None` when a row is not whole blocks or the number is too large.
    pub fn size_of(&self, columns: u64, rows: u64) -> Option<u64> {
        if !columns.is_multiple_of(self.block) {
            return None;
        }
        (columns / self.block).checked_mul(self.bytes)?.checked_mul(rows)
    }
}
