//! What a graph may do: an operator that no text encoder needs is refused by name, whatever ONNX Runtime would make of it.

use crate::proto::ModelProto;

/// Operators of encoders as torch.onnx, optimum and sentence-transformers export them, quantised ones included
/// (<https://github.com/onnx/onnx/blob/v1.19.0/docs/Operators.md>). Not among them: those that may run without end (Loop,
/// Scan), that choose by chance, and that work on texts, sequences, images or trees.
const STANDARD: &str = "Abs Add And ArgMax Attention BatchNormalization BitShift BitwiseAnd Cast CastLike Ceil Clip Concat \
    Compress Constant ConstantOfShape Conv Cos CumSum DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand \
    Flatten Floor Gather GatherElements GatherND Gelu Gemm Greater GreaterOrEqual HardSigmoid Identity If IsInf IsNaN \
    LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul MatMulInteger Max Mean Min Mish Mod Mul Neg NonZero Not \
    OneHot Or Pad Pow QLinearMatMul QuantizeLinear RMSNormalization Range Reciprocal ReduceL2 ReduceLogSumExp ReduceMax \
    ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape RotaryEmbedding Round ScatterElements ScatterND \
    Selu Shape Sigmoid Sign SimplifiedLayerNormalization Sin Size Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Swish Tanh \
    Tile TopK Transpose Trilu Unsqueeze Where Xor";

/// What ONNX Runtime's optimiser and quantiser put in their place, in its own domain
/// (<https://github.com/microsoft/onnxruntime/blob/v1.24.1/docs/ContribOperators.md>).
const MICROSOFT: &str = "Attention BiasAdd BiasGelu BiasSoftmax DequantizeLinear DynamicQuantizeMatMul EmbedLayerNormalization \
    FastGelu FusedGemm FusedMatMul Gelu GroupQueryAttention MatMulInteger16 MatMulIntegerToFloat MatMulNBits \
    MultiHeadAttention PackedAttention PackedMultiHeadAttention QAttention QEmbedLayerNormalization QGemm QLinearAdd \
    QLinearMul QLinearSigmoid QLinearSoftmax QuantizeLinear QuickGelu RelativePositionBias RemovePadding RestorePadding \
    RotaryEmbedding SimplifiedLayerNormalization SkipLayerNormalization SkipSimplifiedLayerNormalization";

const OWN: &str = "com.microsoft";

/// Says which operator is not one of those.
pub(crate) fn check(model: &ModelProto) -> Result<(), String> {
    // One may have the name of an operator, and stand in its place.
    if let Some(function) = model.functions.first() {
        return Err(format!(
            "it brings a function of its own, {:?}, where only known operators are run; export it with functions inlined",
            function.name
        ));
    }
    match model.nodes().into_iter().find(|node| !is_known(&node.domain, &node.op_type)) {
        Some(node) => {
            let domain = if node.domain.is_empty() { String::new() } else { format!("{}.", node.domain) };
            Err(format!(
                "operator {domain}{} is not one that text encoders are made of, and is not run; export the encoder alone",
                node.op_type
            ))
        }
        None => Ok(()),
    }
}

fn is_known(domain: &str, operator: &str) -> bool {
    let known = match domain {
        "" | "ai.onnx" => STANDARD,
        OWN => MICROSOFT,
        _ => return false,
    };
    known.split_whitespace().any(|known| known == operator)
}

/// The number format in which a graph multiplies: by its operators, else by its largest tensors.
pub(crate) fn dtype(model: &ModelProto) -> &'static str {
    /// Of the format's own numbering: `FLOAT16`.
    const F16: i32 = 10;
    let nodes = model.nodes();
    let has = |end: &str| nodes.iter().any(|node| node.op_type.contains(end));
    let tensors = || model.graph.iter().flat_map(|graph| &graph.initializers);
    let bytes_in = |kind: fn(i32) -> bool| -> u64 {
        let of_kind = tensors().filter(|tensor| kind(tensor.data_type));
        of_kind.fold(0, |sum, tensor| sum.saturating_add(tensor.bytes().unwrap_or(0)))
    };
    match () {
        () if has("NBits") => "int4",
        () if has("QuantizeLinear") || has("QuantizeMatMul") || has("QAttention") || has("QGemm") => "int8",
        () if has("DequantizeLinear") || has("MatMulInteger") || has("QEmbed") => "int8",
        () if bytes_in(|kind| kind == F16) > bytes_in(|kind| kind != F16) => "f16",
        () => "f32",
    }
}
