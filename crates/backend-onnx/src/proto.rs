//! As much of the ONNX format as is needed to find every tensor, and what lies in other files.
//!
//! Field numbers are those of
//! <https://github.com/onnx/onnx/blob/v1.19.0/onnx/onnx.proto3>. Fields that are not named are skipped without
//! being copied, weights among them. Nesting is bounded by prost at 100 levels, as by ONNX Runtime itself.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelProto {
    #[prost(message, optional, tag = "7")]
    pub(crate) graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "25")]
    pub(crate) functions: Vec<FunctionProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub(crate) nodes: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) initializers: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) inputs: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) outputs: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "15")]
    pub(crate) sparse_initializers: Vec<SparseTensorProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct FunctionProto {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NodeProto {
    #[prost(string, tag = "4")]
    pub(crate) op_type: String,
    #[prost(string, tag = "7")]
    pub(crate) domain: String,
    #[prost(message, repeated, tag = "5")]
    pub(crate) attributes: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AttributeProto {
    #[prost(message, optional, tag = "5")]
    pub(crate) tensor: Option<TensorProto>,
    #[prost(message, optional, tag = "6")]
    pub(crate) graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "10")]
    pub(crate) tensors: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) graphs: Vec<GraphProto>,
    #[prost(message, optional, tag = "22")]
    pub(crate) sparse_tensor: Option<SparseTensorProto>,
    #[prost(message, repeated, tag = "23")]
    pub(crate) sparse_tensors: Vec<SparseTensorProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SparseTensorProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) values: Option<TensorProto>,
    #[prost(message, optional, tag = "2")]
    pub(crate) indices: Option<TensorProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub(crate) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(crate) data_type: i32,
    #[prost(string, tag = "8")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "13")]
    pub(crate) external_data: Vec<StringStringEntryProto>,
    #[prost(int32, tag = "14")]
    pub(crate) data_location: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) kind: Option<TypeProto>,
}

/// Only which kind it is.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub(crate) tensor: Option<Anything>,
}

/// A message whose fields do not matter here.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Anything {}

impl ModelProto {
    /// Every node, those of inner graphs included.
    pub(crate) fn nodes(&self) -> Vec<&NodeProto> {
        let mut found = Vec::new();
        let mut waiting: Vec<_> = self.graph.iter().flat_map(|graph| &graph.nodes).collect();
        while let Some(node) = waiting.pop() {
            found.push(node);
            let inner =
                node.attributes.iter().flat_map(|attribute| attribute.graph.iter().chain(&attribute.graphs));
            waiting.extend(inner.flat_map(|graph| &graph.nodes));
        }
        found
    }
}

impl TensorProto {
    /// Whether its values lie elsewhere. Anything but the default counts: a reader of proto2, as ONNX Runtime's
    /// is, drops an unknown location and keeps the one before it.
    pub(crate) fn is_external(&self) -> bool {
        self.data_location != 0
    }

    /// Bytes of its values, `None` for what cannot lie in another file or has no size.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let bits: u64 = match self.data_type {
            21..=23 => 4,
            2 | 3 | 9 | 17..=20 | 24 => 8,
            4 | 5 | 10 | 16 => 16,
            1 | 6 | 12 => 32,
            7 | 11 | 13 | 14 => 64,
            15 => 128,
            _ => return None,
        };
        let elements = self.dims.iter().try_fold(1_u64, |product, &dim| {
            u64::try_from(dim).ok().and_then(|dim| product.checked_mul(dim))
        });
        Some(elements?.checked_mul(bits)?.div_ceil(8))
    }
}

impl GraphProto {
    /// The first tensor, other than an initializer of this graph itself, whose values lie elsewhere.
    pub(crate) fn external_inside(&self) -> Option<&TensorProto> {
        let sparse = self.sparse_initializers.iter().find_map(SparseTensorProto::external);
        sparse.or_else(|| self.nodes.iter().find_map(NodeProto::external))
    }

    fn external(&self) -> Option<&TensorProto> {
        self.initializers.iter().find(|tensor| tensor.is_external()).or_else(|| self.external_inside())
    }
}

impl NodeProto {
    fn external(&self) -> Option<&TensorProto> {
        self.attributes.iter().find_map(AttributeProto::external)
    }
}

impl AttributeProto {
    fn external(&self) -> Option<&TensorProto> {
        let tensors = self.tensor.iter().chain(&self.tensors);
        let sparse = self.sparse_tensor.iter().chain(&self.sparse_tensors);
        let graphs = self.graph.iter().chain(&self.graphs);
        tensors
            .into_iter()
            .find(|tensor| tensor.is_external())
            .or_else(|| sparse.into_iter().find_map(SparseTensorProto::external))
            .or_else(|| graphs.into_iter().find_map(GraphProto::external))
    }
}

impl SparseTensorProto {
    fn external(&self) -> Option<&TensorProto> {
        self.values.iter().chain(&self.indices).find(|tensor| tensor.is_external())
    }
}
