//! Texts that tokenizers stumble over.

/// What a text may be made of. Pieces join without a space unless they bring one.
const FRAGMENTS: [&str; 50] = [
    "dog ",
    " barks",
    "it's ",
    "don't",
    " 3.14 ",
    "1234567",
    "  ",
    "   \n\n\t ",
    "\r\n",
    "!\n",
    "...",
    " . ",
    ", and ",
    "x,y",
    "今日は天気がいいですね。",
    "北京是中国的首都，",
    "上海",
    "東",
    "한국어 ",
    "Ünïcödé ",
    "e\u{301}",
    " \u{301}",
    "\u{200b}",
    "\u{a0}",
    "\u{3000}",
    "👩‍👩‍👧‍👦 ",
    "🇩🇪🇩🇪",
    "مرحبا ",
    "हिन्दी ",
    "ไทย",
    "\0",
    "\u{fffd} ",
    "\u{2581}",
    "[SEP]",
    " <mask> ",
    "<mask>",
    "</s>",
    "<|endoftext|>",
    "    <mask>",
    "fn main() { ",
    "``''\"\" ",
    "ﬁne Ａ１ ",
    "<div class=\"a\">",
    "</p>",
    "well-known",
    "--x",
    "file://a.b/c?d=e+f",
    "aGVsbG8+d29/bGQ=",
    "=\u{338}<\u{338}",
    "1/2-3+4=5",
];

/// xorshift: the same texts everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    /// Any character; half of them of the first two planes' scripts and marks.
    fn character(&mut self) -> char {
        let most = if self.below(2) == 0 { 0x3100 } else { 0x11_0000 };
        char::from_u32(self.below(most) as u32).unwrap_or('\u{fffd}')
    }

    /// A text that favours a few fragments, so that odd runs happen.
    pub(crate) fn text(&mut self, length: usize) -> String {
        let favourites: Vec<&str> =
            (0..1 + self.below(8)).map(|_| FRAGMENTS[self.below(FRAGMENTS.len())]).collect();
        // Removed by most normalizers, which shifts offsets.
        let mut text = "\0".repeat(if self.below(4) == 0 { self.below(3000) } else { 0 });
        while text.len() < length {
            let any = self.below(10) == 0;
            let fragment = if any {
                FRAGMENTS[self.below(FRAGMENTS.len())]
            } else {
                favourites[self.below(favourites.len())]
            };
            text.push_str(fragment);
            if self.below(40) == 0 {
                text.push(self.character());
            }
        }
        text
    }
}
