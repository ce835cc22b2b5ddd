//! Embedding models: one vector a text.

use std::borrow::Cow;

use crate::Error;
use crate::finish::{Finish, normalize};
use crate::model::Model;
use crate::request::CallSettings;
use crate::work::{Call, Made, Piece, Plan, Width, Work};

/// What turns texts into vectors.
pub(crate) struct Embedder;

impl Work for Embedder {
    fn plan(&self, model: &Model, settings: &CallSettings) -> Result<Plan, Error> {
        let most = model.info().dims;
        match settings.dimensions {
            Some(value) if value == 0 || value > most => {
                Err(Error::OutOfRange { name: "dimensions", value, least: 1, most })
            }
            _ => Plan::prompted(model, settings),
        }
    }

    fn width(&self, call: &Call) -> Width {
        Width::Fixed(dimensions(call))
    }

    fn finish(&self, call: &Call, windows: &[Made]) -> Result<Piece, Error> {
        let (model, dimensions) = (&call.model, dimensions(call));
        let normalize = call.settings.normalize.unwrap_or(model.spec.normalizes);
        let mut values = vec![0.0; dimensions];
        let mean = mean(windows, model.backend.dims(), model.spec.normalizes);
        Finish { dimensions, normalize }.apply(&mean, &mut values)?;
        Ok(values.into())
    }
}

fn dimensions(call: &Call) -> usize {
    call.settings.dimensions.unwrap_or(call.model.info().dims)
}

/// The vector of one window; of several their mean, each counted by its tokens. Where the model's own pipeline brings vectors
/// to length 1, they have it first, whatever length the call asks for: it changes no direction. In the order of the windows,
/// so that the same text gives the same bits.
pub(crate) fn mean<'a>(windows: &'a [Made], dims: usize, unit: bool) -> Cow<'a, [f32]> {
    let vector = |window: &'a Made| &window.values[..dims];
    if let [one] = windows {
        return Cow::Borrowed(vector(one));
    }
    let mut sum = vec![0.0_f64; dims];
    for window in windows {
        let mut values = vector(window).to_vec();
        if unit {
            normalize(&mut values);
        }
        let tokens = window.text.ids.len() as f64;
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += tokens * f64::from(value));
    }
    let total: usize = windows.iter().map(|window| window.text.ids.len()).sum();
    Cow::Owned(sum.into_iter().map(|value| (value / total.max(1) as f64) as f32).collect())
}
