//! The operations of one pass, on the calling thread.

use backend::{Batch, Error, Pooling, PoolingMode};
use kernels::{CHUNK, Epilogue, HeadColumns, Kernels, Matrix, MatrixMut, RopeArgs};
use nn::{
    Activation, Attention, FeedForward, Linear, Lookup, Mask, Norm, NormKind, NormSpan, Pass, Rope,
    RopeStyle, RopeTable,
};

use crate::NativeDevice;
use crate::buffers::{Buffer, Buffers};

/// One pass over one ragged batch.
pub struct NativePass<'a> {
    device: &'a NativeDevice,
    batch: &'a Batch,
    buffers: Buffers,
}

impl<'a> NativePass<'a> {
    pub(crate) fn new(device: &'a NativeDevice, batch: &'a Batch, buffers: Buffers) -> Self {
        Self { device, batch, buffers }
    }

    fn kernels(&self) -> &'static Kernels {
        self.device.kernels()
    }

    /// Brings in rows that were computed elsewhere, row-major, `columns` values each.
    ///
    /// # Errors
    /// Working memory that cannot be had.
    ///
    /// # Panics
    /// `values` is not whole rows.
    pub fn upload(&self, columns: usize, values: &[f32]) -> Result<Buffer, Error> {
        assert_eq!(values.len() % columns.max(1), 0, "whole rows");
        let mut rows = self.buffers.take(values.len() / columns.max(1), columns)?;
        rows.values_mut().copy_from_slice(values);
        Ok(rows)
    }

    fn multiply(&self, x: &Buffer, linear: &Linear<NativeDevice>, out: &mut Buffer, accumulate: bool) {
        let epilogue = Epilogue {
            bias: linear.bias().map(Vec::as_slice),
            activation: linear.activation.map(kernel_activation),
            accumulate,
        };
        let mut scratch = self.buffers.scratch();
        self.kernels().gemm(x.matrix(), linear.weight(), out.matrix_mut(), epilogue, &mut scratch);
    }

    fn add_rows(&self, lookup: &Lookup<'_, NativeDevice>, sum: &mut Buffer) -> Result<(), Error> {
        let table = lookup.table.values();
        for (token, id) in lookup.index.rows(self.batch).into_iter().enumerate() {
            let row = id as usize;
            if row >= table.count {
                return Err(Error::TokenId { id, rows: table.count });
            }
            let target = &mut sum.values_mut()[token * table.columns..][..table.columns];
            table.add_row(self.kernels(), row, target);
        }
        Ok(())
    }

    /// Normalises and rotates the query and key heads of one text, in place.
    fn place(&self, mut x: MatrixMut<'_>, attention: &Attention<NativeDevice>) -> Result<(), Error> {
        let (heads, kv_heads, head_dim) = (attention.heads, attention.kv_heads, attention.head_dim);
        let queries = HeadColumns { first: 0, heads, head_dim };
        let keys = HeadColumns { first: heads * head_dim, heads: kv_heads, head_dim };
        if let Some((query, key)) = &attention.query_key_norm {
            for (columns, norm) in [(&queries, query), (&keys, key)] {
                match attention.norm_span {
                    NormSpan::Head => {
                        self.kernels().rms_norm_heads(x.reborrow(), columns, &kernel_norm(norm))
                    }
                    NormSpan::All => self.norm_columns(x.reborrow(), columns, norm)?,
                }
            }
        }
        if let Some(rope) = &attention.rope {
            let table = rope.table(x.rows);
            for columns in [queries, keys] {
                self.kernels().rope(x.reborrow(), &kernel_rope(rope, &table, columns));
            }
        }
        Ok(())
    }

    /// A layer norm over some columns, in place.
    fn norm_columns(
        &self,
        x: MatrixMut<'_>,
        columns: &HeadColumns,
        norm: &Norm<NativeDevice>,
    ) -> Result<(), Error> {
        let place = columns.first..columns.first + columns.heads * columns.head_dim;
        let mut copy = self.buffers.take(x.rows, place.len())?;
        for (r, row) in copy.values_mut().chunks_exact_mut(place.len()).enumerate() {
            row.copy_from_slice(&x.row(r)[place.clone()]);
        }
        let (rows, stride) = (x.rows, x.stride);
        let out = MatrixMut::strided(&mut x.data[place.start..], rows, place.len(), stride);
        self.kernels().layer_norm(copy.matrix(), &kernel_norm(norm), out);
        Ok(())
    }

    /// Pools the tokens of one text that count; `skipped` ones stand before them.
    fn pool_text(&self, mode: PoolingMode, skipped: usize, x: Matrix<'_>, out: &mut [f32]) {
        let tokens = x.rows as f32;
        match mode {
            PoolingMode::Cls => out.copy_from_slice(x.row(0)),
            PoolingMode::LastToken => out.copy_from_slice(x.row(x.rows - 1)),
            PoolingMode::Max => self.kernels().max_rows(x, out),
            PoolingMode::Mean => self.scaled_sum(x, None, tokens, out),
            PoolingMode::MeanSqrtLen => self.scaled_sum(x, None, tokens.sqrt(), out),
            PoolingMode::WeightedMean => {
                let weights: Vec<f32> = (1..=x.rows).map(|place| (skipped + place) as f32).collect();
                self.scaled_sum(x, Some(&weights), weights.iter().sum(), out);
            }
        }
    }

    fn scaled_sum(&self, x: Matrix<'_>, weights: Option<&[f32]>, divisor: f32, out: &mut [f32]) {
        self.kernels().sum_rows(x, weights, out);
        out.iter_mut().for_each(|value| *value /= divisor);
    }
}

impl Drop for NativePass<'_> {
    fn drop(&mut self) {
        self.buffers.shrink();
    }
}

impl Pass<NativeDevice> for NativePass<'_> {
    fn embed(&mut self, lookups: &[Lookup<'_, NativeDevice>]) -> Result<Buffer, Error> {
        let columns = lookups.first().map_or(0, |lookup| lookup.table.values().columns);
        let mut sum = self.buffers.take(self.batch.tokens(), columns)?;
        sum.values_mut().fill(0.0);
        for lookup in lookups {
            self.add_rows(lookup, &mut sum)?;
        }
        Ok(sum)
    }

    fn norm(&mut self, x: &Buffer, norm: &Norm<NativeDevice>) -> Result<Buffer, Error> {
        let mut out = self.buffers.take(x.rows(), x.columns())?;
        match norm.kind {
            NormKind::Layer => self.kernels().layer_norm(x.matrix(), &kernel_norm(norm), out.matrix_mut()),
            NormKind::Rms { .. } => self.kernels().rms_norm(x.matrix(), &kernel_norm(norm), out.matrix_mut()),
        }
        Ok(out)
    }

    fn linear(&mut self, x: &Buffer, linear: &Linear<NativeDevice>) -> Result<Buffer, Error> {
        let mut out = self.buffers.take(x.rows(), linear.outputs)?;
        self.multiply(x, linear, &mut out, false);
        Ok(out)
    }

    fn linear_add(
        &mut self,
        x: &Buffer,
        linear: &Linear<NativeDevice>,
        mut residual: Buffer,
    ) -> Result<Buffer, Error> {
        self.multiply(x, linear, &mut residual, true);
        Ok(residual)
    }

    fn add(&mut self, x: &Buffer, mut residual: Buffer) -> Result<Buffer, Error> {
        self.kernels().add(residual.values_mut(), x.values());
        Ok(residual)
    }

    fn scale(&mut self, mut x: Buffer, factor: f32) -> Result<Buffer, Error> {
        x.values_mut().iter_mut().for_each(|value| *value *= factor);
        Ok(x)
    }

    fn gate(&mut self, x: &Buffer, activation: Activation) -> Result<Buffer, Error> {
        let mut out = self.buffers.take(x.rows(), x.columns() / 2)?;
        self.kernels().gate(x.matrix(), kernel_activation(activation), out.matrix_mut());
        Ok(out)
    }

    /// Some rows at a time, so that what is wide stays small and in the second cache, however long a text is.
    fn feed_forward(&mut self, mut x: Buffer, block: &FeedForward<NativeDevice>) -> Result<Buffer, Error> {
        let (rows, columns) = (x.rows(), x.columns());
        let chunks = rows.div_ceil(CHUNK);
        if chunks < 2 {
            return block.run(self, x);
        }
        for i in 0..chunks {
            let some = i * rows / chunks..(i + 1) * rows / chunks;
            let mut part = self.buffers.take(some.len(), columns)?;
            part.values_mut().copy_from_slice(x.rows_of(&some).data);
            let sum = block.run(self, part)?;
            x.rows_of_mut(&some).data.copy_from_slice(sum.values());
        }
        Ok(x)
    }

    fn neighbours(&mut self, x: &Buffer, reach: usize) -> Result<Buffer, Error> {
        let columns = x.columns();
        let mut out = self.buffers.take(x.rows(), columns.saturating_mul(2 * reach + 1))?;
        out.values_mut().fill(0.0);
        for text in self.batch.texts() {
            let rows = x.rows_of(&text);
            let wide = out.rows_of_mut(&text);
            for (token, row) in wide.data.chunks_exact_mut(wide.columns).enumerate() {
                for (place, part) in row.chunks_exact_mut(columns).enumerate() {
                    let neighbour = (token + place).checked_sub(reach).filter(|&other| other < rows.rows);
                    neighbour.into_iter().for_each(|other| part.copy_from_slice(rows.row(other)));
                }
            }
        }
        Ok(out)
    }

    fn attention(
        &mut self,
        mut projected: Buffer,
        attention: &Attention<NativeDevice>,
    ) -> Result<Buffer, Error> {
        let mut out = self.buffers.take(projected.rows(), attention.output_width())?;
        let longest = self.batch.texts().map(|text| text.len()).max().unwrap_or(0);
        let distances = attention.positions.as_ref().map(|positions| positions.distances.rows(longest));
        let rows = distances.as_ref().map_or(&[][..], |rows| rows.as_slice());
        for (text, &seen) in self.batch.texts().zip(self.batch.seen()) {
            let shape = kernels::Attention { seen, ..kernel_attention(attention, rows) };
            self.place(projected.rows_of_mut(&text), attention)?;
            let mut scratch = self.buffers.scratch();
            let (qkv, out) = (projected.rows_of(&text), out.rows_of_mut(&text));
            self.kernels().attention(self.device.dtype(), qkv, &shape, out, &mut scratch);
        }
        Ok(out)
    }

    fn pool(&mut self, x: &Buffer, pooling: &Pooling) -> Result<Buffer, Error> {
        let (width, modes) = (x.columns(), pooling.modes.len());
        let mut out = self.buffers.take(self.batch.len(), width * modes)?;
        let texts = self.batch.texts().zip(self.batch.prompt_tokens());
        for ((text, &prompt), row) in texts.zip(out.values_mut().chunks_exact_mut(width * modes)) {
            let counted = pooling.counted(&self.batch.ids()[text.clone()], prompt);
            let skipped = counted.start;
            let counted = text.start + counted.start..text.start + counted.end;
            for (&mode, vector) in pooling.modes.iter().zip(row.chunks_exact_mut(width)) {
                self.pool_text(mode, skipped, x.rows_of(&counted), vector);
            }
        }
        Ok(out)
    }

    fn read(&mut self, x: &Buffer, out: &mut [f32]) -> Result<(), Error> {
        out.copy_from_slice(x.values());
        Ok(())
    }
}

fn kernel_rope<'a>(rope: &Rope, table: &'a RopeTable, columns: HeadColumns) -> RopeArgs<'a> {
    let style = match rope.style {
        RopeStyle::Half => kernels::RopeStyle::Half,
        RopeStyle::Interleaved => kernels::RopeStyle::Interleaved,
    };
    RopeArgs { columns, dim: rope.dim, style, cos: &table.cos, sin: &table.sin }
}

fn kernel_norm<'a>(norm: &'a Norm<NativeDevice>) -> kernels::Norm<'a> {
    let offset = match norm.kind {
        NormKind::Layer => 0.0,
        NormKind::Rms { offset } => offset,
    };
    let bias = norm.bias().map(Vec::as_slice);
    kernels::Norm { weight: Some(norm.weight().as_slice()), bias, epsilon: norm.epsilon, offset }
}

fn kernel_attention<'a>(
    attention: &'a Attention<NativeDevice>,
    distances: &'a [u32],
) -> kernels::Attention<'a> {
    let columns = attention.heads * attention.head_dim;
    let rows = |values: &'a Vec<f32>| Matrix::new(values, values.len() / columns.max(1), columns);
    kernels::Attention {
        heads: attention.heads,
        kv_heads: attention.kv_heads,
        head_dim: attention.head_dim,
        scale: attention.scale,
        mask: match attention.mask {
            Mask::Full => kernels::Mask::Full,
            Mask::Causal => kernels::Mask::Causal,
            Mask::Window { left, right } => kernels::Mask::Window { left, right },
        },
        seen: usize::MAX,
        bias: attention
            .bias
            .as_ref()
            .map(|bias| kernels::DistanceBias { reach: bias.reach, values: &bias.values }),
        positions: attention.positions.as_ref().map(|positions| kernels::Positions {
            keys: positions.keys.as_deref().map(rows),
            queries: positions.queries.as_deref().map(rows),
            rows: distances,
        }),
    }
}

fn kernel_activation(activation: Activation) -> kernels::Activation {
    match activation {
        Activation::Gelu => kernels::Activation::Gelu,
        Activation::GeluTanh => kernels::Activation::GeluTanh,
        Activation::Silu => kernels::Activation::Silu,
        Activation::Relu => kernels::Activation::Relu,
        Activation::Tanh => kernels::Activation::Tanh,
        Activation::Sigmoid => kernels::Activation::Sigmoid,
        Activation::QuickGelu => kernels::Activation::QuickGelu,
    }
}
