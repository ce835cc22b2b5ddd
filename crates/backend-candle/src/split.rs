//! A batch that does not fit a device's memory goes on in halves, down to one text.

use backend::{Batch, Error};

/// Computes `[batch.len(), dims]`, or one row a token, into `out`. `run` computes a batch or says that memory is full
/// ([`Error::DeviceMemory`]); `rows` counts the rows of a batch.
pub(crate) fn in_halves<Run>(
    batch: &Batch,
    out: &mut [f32],
    rows: impl Fn(&Batch) -> usize + Copy,
    run: &mut Run,
) -> Result<(), Error>
where
    Run: FnMut(&Batch, &mut [f32]) -> Result<(), Error>,
{
    let texts = batch.len();
    match run(batch, out) {
        Err(Error::DeviceMemory { .. }) if texts > 1 => {
            let (first, second) = (batch.part(0..texts / 2), batch.part(texts / 2..texts));
            let dims = out.len() / rows(batch).max(1);
            let (upper, lower) = out.split_at_mut(rows(&first) * dims);
            in_halves(&first, upper, rows, run)?;
            in_halves(&second, lower, rows, run)
        }
        ended => ended,
    }
}

#[cfg(test)]
mod tests {
    use backend::Text;

    use super::*;

    fn batch(lengths: &[usize]) -> Batch {
        let mut batch = Batch::default();
        let mut first = 0;
        for &length in lengths {
            let ids: Vec<u32> = (first..first + length as u32).collect();
            batch.push(Text { ids: &ids, types: &[], prompt_tokens: 0 });
            first += length as u32;
        }
        batch
    }

    fn full() -> Error {
        Error::DeviceMemory { device: "cuda:0".into(), what: "a batch".into(), free: 0 }
    }

    /// A device that holds so many tokens, and what it was asked for.
    fn run(room: usize, lengths: &[usize], per_token: bool) -> (Result<Vec<f32>, Error>, Vec<usize>) {
        let batch = batch(lengths);
        let rows = |batch: &Batch| if per_token { batch.tokens() } else { batch.len() };
        let (mut out, mut asked) = (vec![f32::NAN; 2 * rows(&batch)], Vec::new());
        let ended = in_halves(&batch, &mut out, rows, &mut |batch, out| {
            asked.push(batch.tokens());
            if batch.tokens() > room {
                return Err(full());
            }
            let firsts = batch.texts().map(|text| batch.ids()[text.start]);
            let ids: Vec<u32> = if per_token { batch.ids().to_vec() } else { firsts.collect() };
            assert_eq!(out.len(), 2 * ids.len());
            out.chunks_exact_mut(2).zip(ids).for_each(|(row, id)| row.fill(id as f32));
            Ok(())
        });
        (ended.map(|()| out), asked)
    }

    #[test]
    fn every_row_is_where_it_would_have_been() {
        let lengths = [5, 1, 9, 3, 3, 8, 2];
        for per_token in [false, true] {
            let (whole, asked) = run(usize::MAX, &lengths, per_token);
            assert_eq!(asked, [31]);
            for room in [9, 12, 20] {
                let (parts, asked) = run(room, &lengths, per_token);
                assert_eq!(parts.as_ref().unwrap(), whole.as_ref().unwrap(), "{room}");
                assert!(asked.len() > 1);
            }
        }
    }

    #[test]
    fn one_text_that_does_not_fit_is_the_end() {
        let (ended, asked) = run(8, &[3, 9, 1], false);
        assert!(matches!(ended, Err(Error::DeviceMemory { .. })));
        assert_eq!(asked, [13, 3, 10, 9]);
    }

    #[test]
    fn other_faults_are_not_tried_again() {
        let mut calls = 0;
        let ended = in_halves(&batch(&[1, 1]), &mut [0.0; 2], Batch::len, &mut |_, _| {
            calls += 1;
            Err(Error::Empty)
        });
        assert!(matches!(ended, Err(Error::Empty)) && calls == 1);
    }
}
