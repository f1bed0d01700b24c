//! Writes GGUF files byte by byte: tiny models that really load in llama.cpp, and files that are wrong in exactly one way.
//!
//! ```ignore
//! let path = dir.path().join("tiny.gguf");
//! Tiny { n_embd: 256, ..Tiny::default() }.write(&path);  // loads, chats, replies with printable ASCII; rows that K-quants accept
//! let mut file = Tiny::default().gguf();                 // inject a fault, then write it
//! file.set("llama.block_count", Kv::U32(513));
//! std::fs::write(&path, file.bytes()).unwrap();
//! ```
#![allow(dead_code, missing_docs, clippy::expect_used)] // every test crate uses a part of it

use std::collections::HashMap;
use std::path::Path;

/// Tensor types the writer can encode; the number is `enum ggml_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    F32 = 0,
    F16 = 1,
    Q8_0 = 8,
}

impl Ty {
    /// `enum llama_ftype` of a file made mostly of this type.
    pub fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
        }
    }

    fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::F16 => values.iter().flat_map(|v| f16_bits(*v).to_le_bytes()).collect(),
            Self::Q8_0 => {
                assert_eq!(values.len() % 32, 0, "Q8_0 rows are multiples of 32");
                let mut out = Vec::with_capacity(values.len() / 32 * 34);
                for block in values.chunks_exact(32) {
                    let scale = block.iter().fold(0f32, |m, v| m.max(v.abs())) / 127.0;
                    out.extend(f16_bits(scale).to_le_bytes());
                    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                    out.extend(block.iter().map(|v| (v * inverse).round().clamp(-127.0, 127.0) as i8 as u8));
                }
                out
            }
        }
    }
}

/// Round-to-nearest half precision of a normal, not huge number (all a random weight can be).
fn f16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let exponent = ((bits >> 23) & 0xff) as i32 - 127 + 15;
    if exponent <= 0 {
        return sign; // below the smallest normal half: zero is near enough here
    }
    if exponent >= 31 {
        return sign | 0x7bff;
    }
    let half = ((exponent as u32) << 10) | ((bits >> 13) & 0x3ff);
    let round = (bits >> 12) & 1;
    sign | (half + round) as u16
}

/// A metadata value.
#[derive(Clone, Debug)]
pub enum Kv {
    U8(u8),
    U32(u32),
    I32(i32),
    U64(u64),
    F32(f32),
    Bool(bool),
    Str(String),
    ArrU32(Vec<u32>),
    ArrI32(Vec<i32>),
    ArrBool(Vec<bool>),
    ArrStr(Vec<String>),
    /// Type number and the bytes after it, as they are
    Raw(u32, Vec<u8>),
}

impl Kv {
    fn bytes(&self) -> Vec<u8> {
        let array = |ty: u32, n: usize, items: Vec<u8>| {
            let mut out = 9u32.to_le_bytes().to_vec();
            out.extend(ty.to_le_bytes());
            out.extend((n as u64).to_le_bytes());
            out.extend(items);
            out
        };
        let one = |ty: u32, value: &[u8]| [&ty.to_le_bytes()[..], value].concat();
        match self {
            Self::U8(v) => one(0, &[*v]),
            Self::U32(v) => one(4, &v.to_le_bytes()),
            Self::I32(v) => one(5, &v.to_le_bytes()),
            Self::F32(v) => one(6, &v.to_le_bytes()),
            Self::Bool(v) => one(7, &[u8::from(*v)]),
            Self::Str(v) => one(8, &string(v.as_bytes())),
            Self::U64(v) => one(10, &v.to_le_bytes()),
            Self::ArrU32(v) => array(4, v.len(), v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Self::ArrI32(v) => array(5, v.len(), v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Self::ArrBool(v) => array(7, v.len(), v.iter().map(|x| u8::from(*x)).collect()),
            Self::ArrStr(v) => array(8, v.len(), v.iter().flat_map(|x| string(x.as_bytes())).collect()),
            Self::Raw(ty, bytes) => one(*ty, bytes),
        }
    }
}

/// A GGUF string: length, then bytes.
pub fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes()[..], bytes].concat()
}

/// A tensor as it will be written. `offset: None` puts it where it belongs.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: Vec<u8>,
    pub dims: Vec<u64>,
    pub ty: u32,
    pub offset: Option<u64>,
    pub data: Vec<u8>,
}

/// A GGUF file in the making; every field may be wrong on purpose.
#[derive(Clone, Debug)]
pub struct Gguf {
    pub magic: [u8; 4],
    pub version: u32,
    /// Declared instead of the true number
    pub n_kv: Option<u64>,
    /// Declared instead of the true number
    pub n_tensors: Option<u64>,
    /// What the writer pads to (`general.alignment` is only written when set as a key)
    pub alignment: u64,
    pub kv: Vec<(Vec<u8>, Kv)>,
    pub tensors: Vec<Tensor>,
}

impl Default for Gguf {
    fn default() -> Self {
        Self { magic: *b"GGUF", version: 3, n_kv: None, n_tensors: None, alignment: 32, kv: Vec::new(), tensors: Vec::new() }
    }
}

/// Where the sections of a written file begin, in bytes.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Of every key/value pair
    pub kv: Vec<usize>,
    /// Of every tensor's description
    pub infos: Vec<usize>,
    /// Of the data section
    pub data: usize,
    /// Of every tensor's data, from the start of the file
    pub tensors: Vec<usize>,
    /// Of the whole file
    pub end: usize,
}

impl Gguf {
    /// Sets or replaces a key.
    pub fn set(&mut self, key: &str, value: Kv) -> &mut Self {
        match self.kv.iter_mut().find(|(k, _)| k == key.as_bytes()) {
            Some(slot) => slot.1 = value,
            None => self.kv.push((key.as_bytes().to_vec(), value)),
        }
        self
    }

    /// Removes a key.
    pub fn unset(&mut self, key: &str) -> &mut Self {
        self.kv.retain(|(k, _)| k != key.as_bytes());
        self
    }

    /// Adds a tensor of encoded values.
    pub fn tensor(&mut self, name: &str, dims: &[u64], ty: Ty, values: &[f32]) -> &mut Self {
        assert_eq!(values.len() as u64, dims.iter().product::<u64>(), "{name}");
        let data = ty.encode(values);
        self.tensors.push(Tensor { name: name.into(), dims: dims.to_vec(), ty: ty as u32, offset: None, data });
        self
    }

    /// Removes a tensor.
    pub fn without(&mut self, name: &str) -> &mut Self {
        self.tensors.retain(|t| t.name != name.as_bytes());
        self
    }

    /// The tensor of that name, to damage it.
    pub fn tensor_mut(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|t| t.name == name.as_bytes()).expect("no such tensor")
    }

    /// The whole file.
    pub fn bytes(&self) -> Vec<u8> {
        self.layout_and_bytes().1
    }

    /// The whole file, and where its sections begin.
    pub fn layout_and_bytes(&self) -> (Layout, Vec<u8>) {
        let mut layout = Layout::default();
        let mut out = self.magic.to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.n_tensors.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.extend(self.n_kv.unwrap_or(self.kv.len() as u64).to_le_bytes());
        for (key, value) in &self.kv {
            layout.kv.push(out.len());
            out.extend(string(key));
            out.extend(value.bytes());
        }
        let mut at = 0u64;
        for tensor in &self.tensors {
            layout.infos.push(out.len());
            out.extend(string(&tensor.name));
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            out.extend(tensor.dims.iter().flat_map(|d| d.to_le_bytes()));
            out.extend(tensor.ty.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(at).to_le_bytes());
            at += (tensor.data.len() as u64).next_multiple_of(self.alignment);
        }
        let pad = |out: &mut Vec<u8>| out.resize(out.len().next_multiple_of(self.alignment as usize), 0);
        if !self.tensors.is_empty() {
            pad(&mut out);
        }
        layout.data = out.len();
        for tensor in &self.tensors {
            layout.tensors.push(out.len());
            out.extend(&tensor.data);
            pad(&mut out);
        }
        layout.end = out.len();
        (layout, out)
    }

    /// Writes the file.
    pub fn write(&self, path: impl AsRef<Path>) {
        std::fs::write(path, self.bytes()).expect("cannot write the test model");
    }
}

/// SplitMix64: the same weights on every machine.
pub struct Rng(pub u64);

impl Rng {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Even over -1..1.
    pub fn symmetric(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// A random-weight llama with a complete byte-level BPE tokenizer. Deterministic: equal options write equal bytes.
#[derive(Clone, Debug)]
pub struct Tiny {
    /// `general.name`
    pub name: String,
    /// Blocks
    pub n_layer: u32,
    /// Width; a multiple of `head` (and of 32 for Q8_0, of 256 for real K-quants)
    pub n_embd: u32,
    /// Size of one attention head; 32 lets every KV cache type work
    pub head: u32,
    /// Key/value heads
    pub n_head_kv: u32,
    /// Width of the feed-forward part
    pub n_ff: u32,
    /// Context the header claims
    pub n_ctx_train: u32,
    /// Type of the matrices (vectors are F32)
    pub ty: Ty,
    /// Seed of the weights
    pub seed: u64,
    /// No `output.weight` of its own: the token embedding serves
    pub tied: bool,
    /// Greedy and sampled text is printable ASCII; otherwise any byte may come, also halves of characters. Needs `!tied`
    pub printable: bool,
    /// Whether the model may end its reply; otherwise it runs to the token limit
    pub ends: bool,
    /// `tokenizer.chat_template`; `None` leaves it out
    pub chat_template: Option<String>,
    /// Write `general.file_type`
    pub file_type: bool,
}

/// ChatML, as SmolLM2 and Qwen write it.
pub const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

impl Default for Tiny {
    fn default() -> Self {
        Self {
            name: "Tiny Test".into(),
            n_layer: 2,
            n_embd: 64,
            head: 32,
            n_head_kv: 1,
            n_ff: 128,
            n_ctx_train: 2048,
            ty: Ty::F16,
            seed: 1,
            tied: false,
            printable: true,
            ends: false,
            chat_template: Some(CHATML.into()),
            file_type: true,
        }
    }
}

/// Writes a tiny model that llama.cpp loads.
pub fn tiny_llama(path: impl AsRef<Path>, options: &Tiny) {
    options.write(path);
}

impl Tiny {
    /// Writes the model.
    pub fn write(&self, path: impl AsRef<Path>) {
        self.gguf().write(path);
    }

    /// The model, to damage it before writing.
    pub fn gguf(&self) -> Gguf {
        let vocab = Vocab::get();
        let mut file = Gguf::default();
        self.metadata(&mut file, vocab);
        self.weights(&mut file, vocab);
        file
    }

    fn metadata(&self, file: &mut Gguf, vocab: &Vocab) {
        file.set("general.architecture", Kv::Str("llama".into()));
        file.set("general.type", Kv::Str("model".into()));
        file.set("general.name", Kv::Str(self.name.clone()));
        if self.file_type {
            file.set("general.file_type", Kv::U32(self.ty.file_type()));
        }
        file.set("general.quantization_version", Kv::U32(2));
        file.set("llama.block_count", Kv::U32(self.n_layer));
        file.set("llama.context_length", Kv::U32(self.n_ctx_train));
        file.set("llama.embedding_length", Kv::U32(self.n_embd));
        file.set("llama.feed_forward_length", Kv::U32(self.n_ff));
        file.set("llama.attention.head_count", Kv::U32(self.n_embd / self.head));
        file.set("llama.attention.head_count_kv", Kv::U32(self.n_head_kv));
        file.set("llama.attention.layer_norm_rms_epsilon", Kv::F32(1e-5));
        file.set("llama.rope.dimension_count", Kv::U32(self.head));
        file.set("llama.vocab_size", Kv::U32(vocab.tokens.len() as u32));
        file.set("tokenizer.ggml.model", Kv::Str("gpt2".into()));
        file.set("tokenizer.ggml.pre", Kv::Str("default".into()));
        file.set("tokenizer.ggml.tokens", Kv::ArrStr(vocab.tokens.clone()));
        file.set("tokenizer.ggml.token_type", Kv::ArrI32(vocab.types.clone()));
        file.set("tokenizer.ggml.merges", Kv::ArrStr(vocab.merges.clone()));
        file.set("tokenizer.ggml.bos_token_id", Kv::U32(vocab.id("<|endoftext|>")));
        file.set("tokenizer.ggml.eos_token_id", Kv::U32(vocab.id("<|im_end|>")));
        file.set("tokenizer.ggml.padding_token_id", Kv::U32(vocab.id("<|endoftext|>")));
        file.set("tokenizer.ggml.add_bos_token", Kv::Bool(false));
        if let Some(template) = &self.chat_template {
            file.set("tokenizer.chat_template", Kv::Str(template.clone()));
        }
    }

    fn weights(&self, file: &mut Gguf, vocab: &Vocab) {
        let (embd, ff) = (u64::from(self.n_embd), u64::from(self.n_ff));
        let kv = u64::from(self.n_head_kv * self.head);
        let n_vocab = vocab.tokens.len() as u64;
        let mut rng = Rng(self.seed);
        // variance 1/columns keeps the signal's size from layer to layer
        let mut matrix = |file: &mut Gguf, name: &str, columns: u64, rows: u64| {
            let scale = (3.0 / columns as f32).sqrt();
            let values: Vec<f32> = (0..columns * rows).map(|_| rng.symmetric() * scale).collect();
            file.tensor(name, &[columns, rows], self.ty, &values);
        };
        let ones = |file: &mut Gguf, name: &str| {
            file.tensor(name, &[embd], Ty::F32, &vec![1.0; embd as usize]);
        };
        matrix(file, "token_embd.weight", embd, n_vocab);
        for layer in 0..self.n_layer {
            let name = |part: &str| format!("blk.{layer}.{part}.weight");
            ones(file, &name("attn_norm"));
            matrix(file, &name("attn_q"), embd, embd);
            matrix(file, &name("attn_k"), embd, kv);
            matrix(file, &name("attn_v"), embd, kv);
            matrix(file, &name("attn_output"), embd, embd);
            ones(file, &name("ffn_norm"));
            matrix(file, &name("ffn_gate"), embd, ff);
            matrix(file, &name("ffn_up"), embd, ff);
            matrix(file, &name("ffn_down"), ff, embd);
        }
        ones(file, "output_norm.weight");
        if !self.tied {
            // a row of zeros gives its token the logit 0, which hundreds of random logits always beat
            let scale = 4.0 * (3.0 / embd as f32).sqrt();
            let mut values = Vec::with_capacity((embd * n_vocab) as usize);
            for token in &vocab.tokens {
                let can_come = match token.as_str() {
                    "<|im_end|>" => self.ends,
                    control if control.starts_with("<|") => false,
                    text => !self.printable || text.chars().all(|c| c == 'Ġ' || c.is_ascii()),
                };
                values.extend((0..embd).map(|_| rng.symmetric() * scale * f32::from(u8::from(can_come))));
            }
            file.tensor("output.weight", &[embd, n_vocab], self.ty, &values);
        }
    }
}

/// A byte-level BPE vocabulary, trained on a few sentences: 256 bytes, their merges, then the control tokens.
pub struct Vocab {
    pub tokens: Vec<String>,
    /// `LLAMA_TOKEN_TYPE_*`: 1 normal, 3 control
    pub types: Vec<i32>,
    pub merges: Vec<String>,
}

const CORPUS: &str = "the quick brown fox jumps over the lazy dog and then the other dog answers hello world how are you today what is the \
time in the town where they make these things for people who like to read and write with one another every day this is a test of the \
model and of the tokenizer that it needs tell me a story about a small house on the hill where the wind never stops and the light is \
always on the user asks the assistant answers the system says be brief and true";

impl Vocab {
    /// The one vocabulary all tiny models share.
    pub fn get() -> &'static Self {
        static ONE: std::sync::OnceLock<Vocab> = std::sync::OnceLock::new();
        ONE.get_or_init(|| Self::train(150))
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> u32 {
        self.tokens.iter().position(|t| t == token).expect("no such token") as u32
    }

    /// GPT-2's printable stand-ins for the 256 bytes.
    fn byte_letters() -> Vec<char> {
        let printable = |b: u32| (33..=126).contains(&b) || (161..=172).contains(&b) || (174..=255).contains(&b);
        let mut next = 256;
        (0..256u32)
            .map(|b| {
                next += u32::from(!printable(b));
                char::from_u32(if printable(b) { b } else { next - 1 }).expect("a letter")
            })
            .collect()
    }

    fn train(n_merges: usize) -> Self {
        let letters = Self::byte_letters();
        let mut words: Vec<Vec<String>> =
            CORPUS.split_whitespace().map(|w| format!(" {w}").bytes().map(|b| letters[usize::from(b)].to_string()).collect()).collect();
        let mut tokens: Vec<String> = letters.iter().map(char::to_string).collect();
        let mut merges = Vec::new();
        while merges.len() < n_merges {
            let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
            for word in &words {
                for pair in word.windows(2) {
                    *counts.entry((&pair[0], &pair[1])).or_default() += 1;
                }
            }
            // ties go to the pair that sorts first, so that every machine trains the same vocabulary
            let Some((a, b)) =
                counts.into_iter().max_by(|x, y| x.1.cmp(&y.1).then(y.0.cmp(&x.0))).map(|(p, _)| (p.0.to_owned(), p.1.to_owned()))
            else {
                break;
            };
            let joined = format!("{a}{b}");
            for word in &mut words {
                let mut i = 0;
                while i + 1 < word.len() {
                    if word[i] == a && word[i + 1] == b {
                        word[i] = joined.clone();
                        word.remove(i + 1);
                    }
                    i += 1;
                }
            }
            merges.push(format!("{a} {b}"));
            if !tokens.contains(&joined) {
                tokens.push(joined);
            }
        }
        let mut types = vec![1; tokens.len()];
        for control in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] {
            tokens.push(control.into());
            types.push(3);
        }
        Self { tokens, types, merges }
    }
}
