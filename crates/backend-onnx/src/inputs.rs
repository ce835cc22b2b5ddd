//! What a graph takes: ids, mask, segments and positions, filled up to the length of a group.

use backend::{Batch, Error, Group};
use ort::session::SessionInputValue;
use ort::value::Tensor;

use crate::session::failed;

/// What one input is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Ids,
    Mask,
    Types,
    Positions,
}

/// One input of a graph.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Whether its numbers have 64 bits rather than 32.
    pub(crate) wide: bool,
}

/// Ids that fill up, and positions, by the model's config.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filling {
    /// `pad_token_id`.
    pub(crate) pad: u32,
    /// Position of a text's first token.
    pub(crate) first_position: u32,
}

impl Role {
    /// By the name that exporters give.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "input_ids" => Some(Self::Ids),
            "attention_mask" => Some(Self::Mask),
            "token_type_ids" => Some(Self::Types),
            "position_ids" => Some(Self::Positions),
            _ => None,
        }
    }

    /// `[rows, length]`, row after row.
    fn values(self, batch: &Batch, group: &Group, filling: Filling) -> Result<Vec<u32>, Error> {
        let count = group.padded();
        let mut values = Vec::new();
        let room = values.try_reserve_exact(count);
        room.map_err(|_| Error::Memory { bytes: count.saturating_mul(size_of::<u32>()) })?;
        for (_, tokens) in &group.texts {
            let end = values.len() + group.length;
            match self {
                Self::Ids => values.extend(&batch.ids()[tokens.clone()]),
                Self::Mask => values.extend(tokens.clone().map(|_| 1)),
                Self::Types => values.extend(&batch.types()[tokens.clone()]),
                Self::Positions => {
                    values.extend((filling.first_position..).take(group.length));
                }
            }
            values.resize(end, if self == Self::Ids { filling.pad } else { 0 });
        }
        Ok(values)
    }
}

impl Input {
    /// The tensor of a group.
    pub(crate) fn value(
        &self,
        batch: &Batch,
        group: &Group,
        filling: Filling,
    ) -> Result<SessionInputValue<'static>, Error> {
        let values = self.role.values(batch, group, filling)?;
        let shape = [group.rows(), group.length];
        let tensor = if self.wide {
            let wide: Vec<i64> = values.into_iter().map(i64::from).collect();
            Tensor::from_array((shape, wide)).map(SessionInputValue::from)
        } else {
            let narrow: Vec<i32> = values.into_iter().map(narrow).collect::<Result<_, _>>()?;
            Tensor::from_array((shape, narrow)).map(SessionInputValue::from)
        };
        tensor.map_err(|error| failed(error.message()))
    }
}

fn narrow(id: u32) -> Result<i32, Error> {
    i32::try_from(id).map_err(|_| Error::TokenId { id, rows: i32::MAX as usize })
}

#[cfg(test)]
mod tests {
    use super::*;
    use backend::Text;

    #[test]
    fn short_rows_are_filled_up_at_their_end() {
        let mut batch = Batch::default();
        batch.push(Text { ids: &[5, 6], types: &[0, 1], prompt_tokens: 0 });
        batch.push(Text { ids: &[7, 8, 9], types: &[], prompt_tokens: 0 });
        let group = Group { length: 3, texts: vec![(1, 2..5), (0, 0..2)] };
        let filling = Filling { pad: 4, first_position: 2 };
        for (role, want) in [
            (Role::Ids, [7, 8, 9, 5, 6, 4]),
            (Role::Mask, [1, 1, 1, 1, 1, 0]),
            (Role::Types, [0, 0, 0, 0, 1, 0]),
            (Role::Positions, [2, 3, 4, 2, 3, 4]),
        ] {
            assert_eq!(role.values(&batch, &group, filling).unwrap(), want, "{role:?}");
        }
    }

    #[test]
    fn ids_of_64_bits_do_not_wrap() {
        assert!(matches!(narrow(1 << 31), Err(Error::TokenId { .. })));
        assert_eq!(narrow(7).unwrap(), 7);
    }
}
