//! A batch that does not fit a device's memory goes on in halves, down to one text.

use backend::{Batch, Error, Form};

/// Computes what `forms` say, one after the other, into `out`. `run` computes a batch or says that memory is full
/// ([`Error::DeviceMemory`]).
pub(crate) fn in_halves<Run>(
    batch: &Batch,
    out: &mut [f32],
    forms: &[Form],
    run: &mut Run,
) -> Result<(), Error>
where
    Run: FnMut(&Batch, &mut [f32]) -> Result<(), Error>,
{
    let texts = batch.len();
    match run(batch, out) {
        Err(Error::DeviceMemory { .. }) if texts > 1 => {
            let length = |batch: &Batch, form: &Form| form.length(batch.len(), batch.tokens());
            let halves = [batch.part(0..texts / 2), batch.part(texts / 2..texts)];
            let mut made = [Vec::new(), Vec::new()];
            for (half, made) in halves.iter().zip(&mut made) {
                made.resize(forms.iter().map(|form| length(half, form)).sum(), 0.0);
                in_halves(half, made, forms, run)?;
            }
            // Of each form the rows of the first half, then those of the second.
            let (mut at, mut taken) = (0, [0; 2]);
            for form in forms {
                for ((half, made), taken) in halves.iter().zip(&made).zip(&mut taken) {
                    let rows = length(half, form);
                    out[at..at + rows].copy_from_slice(&made[*taken..*taken + rows]);
                    (at, *taken) = (at + rows, *taken + rows);
                }
            }
            Ok(())
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

    /// A row of two numbers a text, and one of three a token: each holds an id.
    const FORMS: [Form; 2] = [Form { dims: 2, per_token: false }, Form { dims: 3, per_token: true }];

    /// A device that holds so many tokens, and what it was asked for.
    fn run(room: usize, lengths: &[usize]) -> (Result<Vec<f32>, Error>, Vec<usize>) {
        let batch = batch(lengths);
        let (mut out, mut asked) = (vec![f32::NAN; 2 * batch.len() + 3 * batch.tokens()], Vec::new());
        let ended = in_halves(&batch, &mut out, &FORMS, &mut |batch, out| {
            asked.push(batch.tokens());
            if batch.tokens() > room {
                return Err(full());
            }
            let (texts, tokens) = out.split_at_mut(2 * batch.len());
            let firsts = batch.texts().map(|text| batch.ids()[text.start]);
            texts.chunks_exact_mut(2).zip(firsts).for_each(|(row, id)| row.fill(id as f32));
            tokens.chunks_exact_mut(3).zip(batch.ids()).for_each(|(row, &id)| row.fill(id as f32));
            Ok(())
        });
        (ended.map(|()| out), asked)
    }

    #[test]
    fn every_row_is_where_it_would_have_been() {
        let lengths = [5, 1, 9, 3, 3, 8, 2];
        let (whole, asked) = run(usize::MAX, &lengths);
        assert_eq!(asked, [31]);
        for room in [9, 12, 20] {
            let (parts, asked) = run(room, &lengths);
            assert_eq!(parts.as_ref().unwrap(), whole.as_ref().unwrap(), "{room}");
            assert!(asked.len() > 1);
        }
    }

    #[test]
    fn one_text_that_does_not_fit_is_the_end() {
        let (ended, asked) = run(8, &[3, 9, 1]);
        assert!(matches!(ended, Err(Error::DeviceMemory { .. })));
        assert_eq!(asked, [13, 3, 10, 9]);
    }

    #[test]
    fn other_faults_are_not_tried_again() {
        let mut calls = 0;
        let ended = in_halves(&batch(&[1, 1]), &mut [0.0; 2], &FORMS[..1], &mut |_, _| {
            calls += 1;
            Err(Error::Empty)
        });
        assert!(matches!(ended, Err(Error::Empty)) && calls == 1);
    }
}
