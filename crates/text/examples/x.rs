//! x
use tokenizers::*;
fn main() {
    let mut t = Tokenizer::from_file("tests/data/xlmr-cls/tokenizer.json").unwrap();
    t.with_padding(None);
    for s in [
        "\0\0\0\0\0\0abc def",
        "abc\0 def",
        "مرحبا 1234567",
        "\0مرحبا 1234567",
        "，مرحبا 1234567 a b c",
        "，\0مرحبا 1234567 a b c",
        "ﬁﬁﬁﬁ abc def",
        "abc \0\0\0 def ghi",
        "\u{200b}x y z",
        "한국어 \0x y z ",
        "1234567\0 1234 ab",
    ] {
        let mut p = t.get_added_vocabulary().extract_and_normalize(t.get_normalizer(), s);
        t.get_pre_tokenizer().unwrap().pre_tokenize(&mut p).unwrap();
        println!(
            "{s:?} {:?}",
            p.get_splits(OffsetReferential::Original, OffsetType::Byte)
                .iter()
                .map(|x| (x.0.to_string(), x.1, &s.as_bytes()[x.1.0..x.1.1].escape_ascii().to_string().len())
                    .clone())
                .map(|x| (x.0, x.1))
                .collect::<Vec<_>>()
        );
    }
}
