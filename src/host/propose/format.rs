//! The format of counted numbers, learned from those there are: `R2019-000123` is the letter R, a
//! year, a dash and a number of six digits.

/// A piece of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// The same in every value.
    Fixed(String),
    /// A year of four digits.
    Year,
    /// The number that is counted: its width if it is filled up with zeros.
    Number(Option<usize>),
}

/// A format and the numbers that the values hold, in the values' order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format {
    /// Its pieces, exactly one of them a number.
    pub(super) pieces: Vec<Piece>,
    /// The counted numbers.
    pub(super) numbers: Vec<u64>,
    /// The years, if the format has one.
    pub(super) years: Vec<String>,
}

/// Cuts a value into runs of digits and of everything else.
fn runs(value: &str) -> Vec<&str> {
    let mut runs = Vec::new();
    let mut start = 0;
    let mut digits = None;
    for (i, c) in value.char_indices() {
        let d = c.is_ascii_digit();
        if digits.is_some_and(|was| was != d) {
            runs.push(&value[start..i]);
            start = i;
        }
        digits = Some(d);
    }
    if start < value.len() {
        runs.push(&value[start..]);
    }
    runs
}

fn is_year(run: &str) -> bool {
    run.len() == 4 && (run.starts_with("19") || run.starts_with("20"))
}

impl Format {
    /// Learns the format that all values share; `None` if they share none.
    pub(super) fn learn(values: &[String]) -> Option<Format> {
        let cut: Vec<Vec<&str>> = values.iter().map(|v| runs(v)).collect();
        let first = cut.first()?;
        if first.is_empty() || cut.iter().any(|c| c.len() != first.len()) {
            return None;
        }
        let column = |i: usize| cut.iter().filter_map(move |c| c.get(i).copied());
        let digits = |i: usize| column(i).all(|r| r.bytes().all(|b| b.is_ascii_digit()) && r.len() <= 15);
        let fixed = |i: usize| column(i).all(|r| r == first[i]);
        // The counted run is the last that changes and is no year; with one value, the last one.
        let changing = |i: &usize| digits(*i) && !fixed(*i) && !column(*i).all(is_year);
        let counted = (0..first.len()).rev().find(changing);
        let counted = counted.or_else(|| (0..first.len()).rev().find(|i| digits(*i) && (values.len() == 1 || !fixed(*i))))?;
        let mut pieces = Vec::new();
        let mut years = Vec::new();
        for (i, run) in first.iter().enumerate() {
            if i == counted {
                let width = run.len();
                let filled = column(i).all(|r| r.len() >= width.min(run.len())) && column(i).any(|r| r.len() > 1 && r.starts_with('0'));
                let narrowest = column(i).map(str::len).min().unwrap_or(width);
                pieces.push(Piece::Number(filled.then_some(narrowest)));
            } else if digits(i) && column(i).all(is_year) {
                years = column(i).map(str::to_owned).collect();
                pieces.push(Piece::Year);
            } else if fixed(i) {
                pieces.push(Piece::Fixed((*run).to_owned()));
            } else {
                return None;
            }
        }
        let numbers = column(counted).map(|r| r.parse().ok()).collect::<Option<Vec<u64>>>()?;
        Some(Format { pieces, numbers, years })
    }

    /// Whether the numbers start anew with what stands before them.
    pub(super) fn restarts(&self) -> bool {
        let mut seen = self.numbers.clone();
        seen.sort_unstable();
        !self.years.is_empty() && seen.windows(2).any(|w| w[0] == w[1])
    }

    /// Where in a value the number starts, from 1, in characters.
    pub(super) fn number_at(&self) -> usize {
        let before = self.pieces.iter().take_while(|p| !matches!(p, Piece::Number(_)));
        1 + before.map(|p| if let Piece::Fixed(s) = p { s.chars().count() } else { 4 }).sum::<usize>()
    }

    /// How many digits the number has at least.
    pub(super) fn width(&self) -> Option<usize> {
        self.pieces.iter().find_map(|p| if let Piece::Number(w) = p { *w } else { None })
    }

    /// The format for people: `R<year>-<number>`.
    pub(super) fn shown(&self) -> String {
        let piece = |p: &Piece| match p {
            Piece::Fixed(s) => s.clone(),
            Piece::Year => "<year>".to_owned(),
            Piece::Number(Some(w)) => format!("<number of {w} digits>"),
            Piece::Number(None) => "<number>".to_owned(),
        };
        self.pieces.iter().map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(values: &[&str]) -> Option<Format> {
        Format::learn(&values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn formats_are_learned() {
        let f = learn(&["R2018-000001", "R2019-000002", "R2019-000003"]).unwrap();
        assert_eq!(f.shown(), "R<year>-<number of 6 digits>");
        assert_eq!((f.number_at(), f.numbers.as_slice(), f.restarts()), (7, [1, 2, 3].as_slice(), false));
        assert!(learn(&["2018/01", "2018/02", "2019/01"]).unwrap().restarts());
        assert_eq!(learn(&["2019/000001", "2019/000002"]).unwrap().pieces, [Piece::Year, Piece::Fixed("/".into()), Piece::Number(Some(6))]);
        assert_eq!(learn(&["1", "2", "10"]).unwrap().pieces, [Piece::Number(None)]);
        assert_eq!(learn(&["7/2019", "8/2020"]).unwrap().pieces, [Piece::Number(None), Piece::Fixed("/".into()), Piece::Year]);
        assert_eq!(learn(&["P-0017", "P-0018"]).unwrap().shown(), "P-<number of 4 digits>");
        assert_eq!(learn(&["P-0017"]).unwrap().shown(), "P-<number of 4 digits>");
        assert!(learn(&["999-22-1962", "999-11-8522"]).is_none());
        assert!(learn(&["abc"]).is_none() && learn(&[]).is_none() && learn(&["a1", "1a"]).is_none());
    }
}
