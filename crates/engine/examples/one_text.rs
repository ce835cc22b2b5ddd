//! How long one text takes in the tokenizer and the backend alone, on one thread that does nothing else:
//! `cargo run --release -p engine --example one_text -- FOLDER TEXT CALLS`. Prints the median in milliseconds.
//!
//! What a call from JavaScript takes beyond that is the price of the way: `bench/calls.mjs` pairs them. For folders whose weights and
//! tokenizer lie beside config.json, and which pool by the mean.

use std::env::args;
use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use backend::{Backend, Batch, Pooling, PoolingMode, Text};
use backend_native::Native;
use kernels::Dtype;
use nn::{Config, HeadSource};
use text::{Limit, Reading, Tokenizer};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = args().skip(1).collect();
    let [folder, words, calls] = arguments.as_slice() else {
        return Err("three arguments are expected: a model folder, a text and a number of calls".into());
    };
    let folder = PathBuf::from(folder);
    let (tokenizer, native) = (tokenizer(&folder)?, native(&folder)?);
    let mut times = Vec::new();
    for _ in 0..calls.parse()? {
        let start = Instant::now();
        black_box(embed(&tokenizer, &native, words)?);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("{}", times[times.len() / 2]);
    Ok(())
}

fn embed(tokenizer: &Tokenizer, native: &Native, words: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    let encoded = tokenizer.encode(words, &Limit::new(512))?;
    let mut batch = Batch::default();
    batch.push(Text { ids: &encoded.ids, types: &encoded.types, prompt_tokens: 0 });
    let mut vector = vec![0.0; native.dims()];
    native.embed(&batch, &mut vector)?;
    Ok(vector)
}

fn tokenizer(folder: &Path) -> Result<Tokenizer, Box<dyn Error>> {
    let tokenizer = std::fs::read(folder.join("tokenizer.json"))?;
    let source = text::Source {
        tokenizer: &tokenizer,
        settings: None,
        lowercase: false,
        reading: Reading::Framed,
        markers: Default::default(),
    };
    Ok(Tokenizer::parse(&source)?)
}

fn native(folder: &Path) -> Result<Native, Box<dyn Error>> {
    let pooling = Pooling::of(PoolingMode::Mean);
    let head = HeadSource::Embedding { pooling, layers: Vec::new() };
    let config = Config::open(&folder.join("config.json"))?;
    let source = nn::Source { folder: folder.into(), config, adapter: None, head };
    Ok(Native::load(&source, Some(Dtype::F32))?)
}
