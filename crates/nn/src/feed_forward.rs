//! The feed-forward block of a layer, said once for every executor.

use backend::Error;

use crate::{Activation, Device, Linear, Norm, Pass};

/// `x + narrow(gate(wide(x)))`, with norms before and behind where an architecture has them. Each row by itself, so that an
/// executor may take some rows at a time: what `wide` makes is the widest that a layer has.
pub struct FeedForward<D: Device> {
    /// Of what goes in; the sum is with what it was.
    pub norm: Option<Norm<D>>,
    /// With its activation, unless a gate has it.
    pub wide: Linear<D>,
    /// The activation of the first half of what `wide` makes, which is multiplied with the second.
    pub gate: Option<Activation>,
    /// Back to the width of `x`.
    pub narrow: Linear<D>,
    /// Of what `narrow` makes, before the sum.
    pub narrow_norm: Option<Norm<D>>,
}

impl<D: Device> FeedForward<D> {
    /// Without norms.
    pub fn new(wide: Linear<D>, gate: Option<Activation>, narrow: Linear<D>) -> Self {
        Self { norm: None, wide, gate, narrow, narrow_norm: None }
    }

    /// All rows at once, by the operations of a pass.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn run<P: Pass<D> + ?Sized>(&self, pass: &mut P, x: D::Tensor) -> Result<D::Tensor, Error> {
        let mut wide = match &self.norm {
            Some(norm) => {
                let normed = pass.norm(&x, norm)?;
                pass.linear(&normed, &self.wide)?
            }
            None => pass.linear(&x, &self.wide)?,
        }; // [rows, intermediate], twice that before a gate
        if let Some(activation) = self.gate {
            wide = pass.gate(&wide, activation)?; // [rows, intermediate]
        }
        let Some(norm) = &self.narrow_norm else { return pass.linear_add(&wide, &self.narrow, x) };
        let made = pass.linear(&wide, &self.narrow)?; // [rows, hidden]
        let normed = pass.norm(&made, norm)?;
        pass.add(&normed, x)
    }
}
