//! Every operation against our own kernels, on sizes drawn by chance.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::Arc;

use backend::{Batch, Error, Pooling, PoolingMode};
use backend_candle::CandleDevice;
use backend_native::NativeDevice;
use common::{Chance, checkpoint, texts};
use kernels::{Dtype, Kernels};
use nn::{
    Activation, Attention, Checkpoint, Device, DistanceBias, Distances, Index, Linear, Loader, Lookup, Mask,
    Norm, NormKind, Pass, Positions, Rope, RopeStyle, Store, Weights,
};

/// Both add in f32, in orders of their own; outputs are of the size of 1.
const FAR: f32 = 1e-5;

fn native() -> NativeDevice {
    NativeDevice::new(Kernels::best().unwrap(), Dtype::F32)
}

/// The CPU's own loops, and the operations of all other devices.
fn ways() -> [(&'static str, CandleDevice); 2] {
    [("here", CandleDevice::cpu()), ("as elsewhere", CandleDevice::as_elsewhere())]
}

fn far(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().chain(b).all(|value| value.is_finite()));
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The rows `x` of a checkpoint, one a token, as a pass embeds them.
fn embedded<'p, D: Device>(
    weights: &Weights<'_, D>,
    pass: &mut D::Pass<'p>,
    (tokens, width): (usize, usize),
) -> D::Tensor {
    let table = weights.table("x", tokens, width).unwrap();
    pass.embed(&[Lookup { table: &table, index: Index::Token }]).unwrap()
}

fn read<D: Device>(pass: &mut D::Pass<'_>, x: &D::Tensor, length: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; length];
    pass.read(x, &mut out).unwrap();
    out
}

#[derive(Debug)]
struct Case {
    lengths: Vec<usize>,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    mask: Mask,
    bias: Option<Arc<DistanceBias>>,
    rope: Option<(usize, RopeStyle)>,
    norm: bool,
    positions: [bool; 2],
}

impl Case {
    fn drawn(chance: &mut Chance) -> Self {
        let kv_heads = chance.of(1, 4);
        let heads = kv_heads * chance.of(1, 4);
        let head_dim = 2 * chance.of(2, 20);
        let mask = match chance.of(0, 3) {
            0 => Mask::Full,
            1 => Mask::Causal,
            _ => Mask::Window { left: chance.of(0, 9), right: chance.of(0, 9) },
        };
        let reach = chance.of(0, 12);
        let bias = (chance.of(0, 2) == 0)
            .then(|| Arc::new(DistanceBias { reach, values: chance.values(heads * (2 * reach + 1)) }));
        let style = if chance.of(0, 2) == 0 { RopeStyle::Half } else { RopeStyle::Interleaved };
        let rope = (chance.of(0, 3) > 0).then(|| (2 * chance.of(1, head_dim / 2 + 1), style));
        let lengths = (0..chance.of(1, 4)).map(|_| chance.of(1, 50)).collect();
        let positions = [0, 1].map(|_| heads == kv_heads && chance.of(0, 2) == 0);
        Self { lengths, heads, kv_heads, head_dim, mask, bias, rope, norm: chance.of(0, 2) == 0, positions }
    }

    /// Rows for distances that end within longer texts.
    fn positions<D: Device>(&self, device: &D) -> Option<Positions<D>> {
        let (span, width) = (14, self.heads * self.head_dim);
        let rows = |seed: usize| {
            let values = Chance::new(seed as u64).values(2 * span * width);
            self.positions[seed].then(|| Arc::new(device.vector(values).unwrap()))
        };
        let distances = Arc::new(Distances::logarithmic(span, 40));
        let positions = Positions { keys: rows(0), queries: rows(1), distances };
        self.positions.contains(&true).then_some(positions)
    }

    fn attention<D: Device>(&self, device: &D, weights: &Weights<'_, D>) -> Attention<D> {
        let norm = |name| Norm::rms(weights.at(name), self.head_dim, 1e-6, 0.0).unwrap();
        Attention {
            kv_heads: self.kv_heads,
            mask: self.mask,
            bias: self.bias.clone(),
            positions: self.positions(device),
            rope: self.rope.map(|(dim, style)| Arc::new(Rope::new(10_000.0, dim, style))),
            query_key_norm: self.norm.then(|| (norm("query"), norm("key"))),
            ..Attention::bidirectional(self.heads, self.head_dim)
        }
    }

    fn run<D: Device>(&self, device: &D, checkpoint: &Checkpoint, batch: &Batch) -> Vec<f32> {
        let store = Store::default();
        let loader = Loader::new(checkpoint, device, &store);
        let attention = self.attention(device, &loader.weights());
        let mut pass = device.pass(batch);
        let x = embedded(&loader.weights(), &mut pass, (batch.tokens(), attention.input_width()));
        let attended = pass.attention(x, &attention).unwrap();
        read::<D>(&mut pass, &attended, batch.tokens() * attention.output_width())
    }
}

#[test]
fn attention() {
    let mut chance = Chance::new(1);
    for number in 0..200 {
        let case = Case::drawn(&mut chance);
        let batch = texts(&case.lengths, &[]);
        let width = (case.heads + 2 * case.kv_heads) * case.head_dim;
        let tensors = [
            ("x", vec![batch.tokens(), width]),
            ("query.weight", vec![case.head_dim]),
            ("key.weight", vec![case.head_dim]),
        ];
        let checkpoint = checkpoint("attention", &tensors, &mut chance);
        let want = case.run(&native(), &checkpoint, &batch);
        for (way, device) in ways() {
            let got = case.run(&device, &checkpoint, &batch);
            let far = far(&got, &want);
            assert!(far < FAR, "{number} {way}: {far:e} {case:?}");
        }
    }
}

const ACTIVATIONS: [Option<Activation>; 8] = [
    None,
    Some(Activation::Gelu),
    Some(Activation::GeluTanh),
    Some(Activation::Silu),
    Some(Activation::Relu),
    Some(Activation::Tanh),
    Some(Activation::Sigmoid),
    Some(Activation::QuickGelu),
];

/// Each operation but attention, by name.
fn operations<D: Device>(
    device: &D,
    checkpoint: &Checkpoint,
    batch: &Batch,
    width: usize,
) -> Vec<(String, Vec<f32>)> {
    let store = Store::default();
    let loader = Loader::new(checkpoint, device, &store);
    let weights = loader.weights();
    let mut pass = device.pass(batch);
    let size = (batch.tokens(), width);
    let whole = batch.tokens() * width;
    let mut made = Vec::new();
    for (name, bias) in [("joined", true), ("joined", false)] {
        for activation in ACTIVATIONS {
            let linear =
                Linear::load(weights.at(name), width, 2 * width, bias).unwrap().activated(activation);
            let x = embedded(&weights, &mut pass, size);
            let wide = pass.linear(&x, &linear).unwrap();
            made.push((format!("linear {bias} {activation:?}"), read::<D>(&mut pass, &wide, 2 * whole)));
            let gated = pass.gate(&wide, activation.unwrap_or(Activation::Silu)).unwrap();
            made.push((format!("gate {activation:?}"), read::<D>(&mut pass, &gated, whole)));
            made.push(("what was gated".into(), read::<D>(&mut pass, &wide, 2 * whole)));
        }
    }
    let square = Linear::load(weights.at("square"), width, width, true).unwrap();
    let (x, residual) = (embedded(&weights, &mut pass, size), embedded(&weights, &mut pass, size));
    let sum = pass.linear_add(&x, &square, residual).unwrap();
    let sum = pass.add(&x, sum).unwrap();
    let sum = pass.scale(sum, 0.75).unwrap();
    made.push(("residual".into(), read::<D>(&mut pass, &sum, whole)));
    for norm in norms(&weights, width) {
        let out = pass.norm(&sum, &norm).unwrap();
        made.push((format!("{:?}", norm.kind), read::<D>(&mut pass, &out, whole)));
    }
    for reach in [0, 1, 4] {
        let out = pass.neighbours(&x, reach).unwrap();
        let length = whole * (2 * reach + 1);
        made.push((format!("{reach} neighbours"), read::<D>(&mut pass, &out, length)));
    }
    for pooling in poolings() {
        let out = pass.pool(&x, &pooling).unwrap();
        let length = batch.len() * width * pooling.modes.len();
        let twice = pass.pool(&x, &pooling).unwrap();
        let twice = pass.add(&out, twice).unwrap();
        made.push((format!("{pooling:?}"), read::<D>(&mut pass, &twice, length)));
    }
    made.push(("what was pooled".into(), read::<D>(&mut pass, &x, whole)));
    made
}

fn norms<D: Device>(weights: &Weights<'_, D>, width: usize) -> [Norm<D>; 4] {
    let place = || weights.at("norm");
    [
        Norm::layer(place(), width, 1e-12, true).unwrap(),
        Norm::layer(place(), width, 1e-5, false).unwrap(),
        Norm::rms(place(), width, 1e-6, 0.0).unwrap(),
        Norm::rms(place(), width, 1e-6, 1.0).unwrap(),
    ]
}

fn poolings() -> Vec<Pooling> {
    let mut poolings: Vec<_> = PoolingMode::ALL.iter().map(|&(_, mode)| Pooling::of(mode)).collect();
    let all = PoolingMode::ALL.iter().map(|&(_, mode)| mode).collect();
    poolings.push(Pooling { modes: all, include_prompt: false, padding: Some(7) });
    poolings
}

/// Sizes on both sides of the 65,536 elements from which candle's own operations would take other threads.
#[test]
fn the_other_operations() {
    let mut chance = Chance::new(2);
    for (lengths, prompts, width) in
        [(vec![1], vec![3], 2), (vec![5, 1, 17], vec![2, 1, 0], 24), (vec![30, 300, 2], vec![0, 17, 2], 250)]
    {
        let batch = texts(&lengths, &prompts);
        let tensors = [
            ("x", vec![batch.tokens(), width]),
            ("joined.weight", vec![2 * width, width]),
            ("joined.bias", vec![2 * width]),
            ("square.weight", vec![width, width]),
            ("square.bias", vec![width]),
            ("norm.weight", vec![width]),
            ("norm.bias", vec![width]),
        ];
        let checkpoint = checkpoint("operations", &tensors, &mut chance);
        let want = operations(&native(), &checkpoint, &batch, width);
        for (way, device) in ways() {
            let got = operations(&device, &checkpoint, &batch, width);
            for ((name, got), (_, want)) in got.iter().zip(&want) {
                let size = want.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
                let far = far(got, want);
                assert!(far < FAR * size, "{way} {name} of {lengths:?} × {width}: {far:e} of {size}");
            }
        }
    }
}

/// candle's own layer norm loses a row of large mean: (E[x²] - E[x]²) in f32 has no digits left.
#[test]
fn a_row_of_large_mean_is_normalised() {
    let (store, device, width) = (Store::default(), CandleDevice::cpu(), 64);
    let mut chance = Chance::new(3);
    let rows: Vec<f32> = chance.values(width).iter().map(|value| 3_000.0 + value).collect();
    let checkpoint =
        common::checkpoint_of("mean", &[("x", &[1, width], &rows), ("norm.weight", &[width], &[1.0; 64])]);
    let loader = Loader::new(&checkpoint, &device, &store);
    let norm = Norm::layer(loader.weights().at("norm"), width, 1e-12, false).unwrap();
    assert_eq!(norm.kind, NormKind::Layer);
    let batch = texts(&[1], &[]);
    let mut pass = device.pass(&batch);
    let x = embedded(&loader.weights(), &mut pass, (1, width));
    let out = pass.norm(&x, &norm).unwrap();
    let got = read::<CandleDevice>(&mut pass, &out, width);
    let mean = rows.iter().copied().map(f64::from).sum::<f64>() / width as f64;
    let variance = rows.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / width as f64;
    let want: Vec<f32> = rows.iter().map(|&x| ((f64::from(x) - mean) / variance.sqrt()) as f32).collect();
    assert!(far(&got, &want) < FAR, "{:e}", far(&got, &want));
}

#[test]
fn an_index_outside_its_table_is_named() {
    let (store, device, mut chance) = (Store::default(), CandleDevice::cpu(), Chance::new(4));
    let checkpoint = checkpoint("outside", &[("x", vec![3, 4])], &mut chance);
    let loader = Loader::new(&checkpoint, &device, &store);
    let table = loader.weights().table("x", 3, 4).unwrap();
    let fault = |batch: &Batch, index| {
        let mut pass = device.pass(batch);
        pass.embed(&[Lookup { table: &table, index }]).err()
    };
    let batch = texts(&[3, 4], &[]);
    assert!(matches!(fault(&batch, Index::Token), Some(Error::TokenId { id: 3, rows: 3 })));
    assert!(matches!(fault(&batch, Index::Position { offset: 0 }), Some(Error::TokenId { id: 3, rows: 3 })));
    let mut batch = Batch::default();
    batch.push(backend::Text { ids: &[0, 1], types: &[0, u32::MAX], prompt_tokens: 0 });
    assert!(matches!(fault(&batch, Index::Segment), Some(Error::TokenId { id: u32::MAX, rows: 3 })));
    assert!(fault(&batch, Index::Token).is_none());
}

#[test]
fn weights_are_shared() {
    let (store, device, mut chance) = (Store::default(), CandleDevice::cpu(), Chance::new(5));
    let checkpoint = checkpoint("shared", &[("a.weight", vec![3, 4]), ("a.bias", vec![3])], &mut chance);
    let load = || {
        let loader = Loader::new(&checkpoint, &device, &store);
        Linear::load(loader.weights().at("a"), 4, 3, true).unwrap()
    };
    let (first, second) = (load(), load());
    assert_eq!(first.weight().id(), second.weight().id());
    assert_eq!(store.living(), 2);
    drop((first, second));
    assert_eq!(store.living(), 0);
}
