//! The operations of one pass, on the calling thread.

use backend::{Batch, Error, Pooling};
use candle_core::{DType, Tensor};
use nn::{Activation, Attention, Linear, Lookup, Norm, Pass};

use crate::attention::{BLOCK_SCORES, attend};
use crate::elementwise::add;
use crate::fault::{check_room, failed};
use crate::layer::{gate, neighbours, normalise, project};
use crate::padded::{self, Shared};
use crate::pooling::{pool, weighs};
use crate::{CandleDevice, thread};

/// One pass over one ragged batch.
pub struct CandlePass<'a> {
    device: &'a CandleDevice,
    batch: &'a Batch,
    shared: Shared,
}

impl<'a> CandlePass<'a> {
    pub(crate) fn new(device: &'a CandleDevice, batch: &'a Batch) -> Self {
        Self { device, batch, shared: Shared::default() }
    }

    /// `[tokens, columns]` of one table. candle's fault for an index outside would not say which.
    fn rows_of(&self, lookup: &Lookup<'_, CandleDevice>) -> Result<Tensor, Error> {
        let table = lookup.table.values();
        let ids = lookup.index.rows(self.batch);
        match ids.iter().find(|&&id| id as usize >= lookup.table.rows) {
            Some(&id) => Err(Error::TokenId { id, rows: lookup.table.rows }),
            None => Tensor::from_vec(ids, self.batch.tokens(), self.device.device())
                .and_then(|ids| table.index_select(&ids, 0))
                .map_err(failed),
        }
    }
}

impl Pass<CandleDevice> for CandlePass<'_> {
    fn embed(&mut self, lookups: &[Lookup<'_, CandleDevice>]) -> Result<Tensor, Error> {
        // Every pass begins here.
        thread::stay()?;
        let columns = lookups.first().map_or(Ok(0), |lookup| lookup.table.values().dim(1)).map_err(failed)?;
        check_room(self.batch.tokens(), columns)?;
        let sum = Tensor::zeros((self.batch.tokens(), columns), self.device.dtype(), self.device.device());
        lookups.iter().try_fold(sum.map_err(failed)?, |sum, lookup| {
            let rows = self.rows_of(lookup)?;
            add(sum, &rows).map_err(failed)
        })
    }

    fn norm(&mut self, x: &Tensor, norm: &Norm<CandleDevice>) -> Result<Tensor, Error> {
        normalise(x, norm).map_err(failed)
    }

    fn linear(&mut self, x: &Tensor, linear: &Linear<CandleDevice>) -> Result<Tensor, Error> {
        check_room(x.dim(0).map_err(failed)?, linear.outputs)?;
        project(x, linear).map_err(failed)
    }

    fn linear_add(
        &mut self,
        x: &Tensor,
        linear: &Linear<CandleDevice>,
        residual: Tensor,
    ) -> Result<Tensor, Error> {
        let projected = self.linear(x, linear)?;
        add(residual, &projected).map_err(failed)
    }

    fn add(&mut self, x: &Tensor, residual: Tensor) -> Result<Tensor, Error> {
        add(residual, x).map_err(failed)
    }

    fn scale(&mut self, x: Tensor, factor: f32) -> Result<Tensor, Error> {
        x.affine(factor.into(), 0.0).map_err(failed)
    }

    fn gate(&mut self, x: &Tensor, activation: Activation) -> Result<Tensor, Error> {
        gate(x, activation).map_err(failed)
    }

    fn neighbours(&mut self, x: &Tensor, reach: usize) -> Result<Tensor, Error> {
        let columns = x.dim(1).map_err(failed)?;
        check_room(self.batch.tokens(), columns.saturating_mul(2 * reach + 1))?;
        neighbours(x, reach, self.batch).map_err(failed)
    }

    fn attention(&mut self, projected: Tensor, attention: &Attention<CandleDevice>) -> Result<Tensor, Error> {
        let attended = match self.device.pads() && padded::fits(attention, self.batch) {
            true => padded::attend(&projected, attention, self.batch, &mut self.shared),
            false => attend(&projected, attention, self.batch, BLOCK_SCORES),
        };
        attended.map_err(failed)
    }

    fn pool(&mut self, x: &Tensor, pooling: &Pooling) -> Result<Tensor, Error> {
        let pooled = match self.device.pads() && weighs(pooling) {
            true => padded::pool(x, pooling, self.batch, &mut self.shared),
            false => pool(x, pooling, self.batch),
        };
        pooled.map_err(failed)
    }

    fn read(&mut self, x: &Tensor, out: &mut [f32]) -> Result<(), Error> {
        let values =
            x.to_dtype(DType::F32).and_then(|x| x.flatten_all()?.to_vec1::<f32>()).map_err(failed)?;
        out.copy_from_slice(&values);
        Ok(())
    }
}
