//! The closed vocabularies of training, by the names of PEFT and the Hugging Face Trainer.

use crate::words::words;

words! {
    /// What is learned from.
    pub enum Loss {
        /// Supervised fine-tuning: cross-entropy of the answers' tokens.
        Sft = "sft",
        /// Direct preference optimisation (Rafailov et al. 2023), the reference being the model without its adapter.
        Dpo = "dpo",
    }
}

words! {
    /// How the learning rate goes on after the warmup.
    pub enum Scheduler {
        /// Half a cosine down to 0.
        Cosine = "cosine",
        /// A straight line down to 0.
        Linear = "linear",
        /// As it is.
        Constant = "constant",
        /// As it is, after a warmup.
        ConstantWithWarmup = "constant_with_warmup",
    }
}

words! {
    /// The linear modules of a decoder layer, in the order in which they are computed.
    pub enum Module {
        /// Queries.
        Q = "q_proj",
        /// Keys.
        K = "k_proj",
        /// Values.
        V = "v_proj",
        /// Attention's output.
        O = "o_proj",
        /// The gate of the feed-forward block.
        Gate = "gate_proj",
        /// Its way up.
        Up = "up_proj",
        /// Its way down.
        Down = "down_proj",
    }
}

impl Module {
    /// `self_attn` or `mlp`: what the module's tensors are named under.
    pub fn block(self) -> &'static str {
        match self {
            Module::Q | Module::K | Module::V | Module::O => "self_attn",
            Module::Gate | Module::Up | Module::Down => "mlp",
        }
    }
}

words! {
    /// Where is computed.
    pub enum Device {
        /// The processor, in f32.
        Cpu = "cpu",
        /// A GPU.
        Cuda = "cuda",
        /// A GPU where there is one that this program can use, else the processor.
        Auto = "auto",
    }
}

words! {
    /// What a later stage of a run starts from.
    pub enum Start {
        /// The adapter of the stage before, which is trained on.
        Adapter = "adapter",
        /// The merged model of the stage before, with a fresh adapter.
        Merged = "merged",
    }
}
