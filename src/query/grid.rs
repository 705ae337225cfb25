//! The table that is drawn for people. Column widths come from the first rows; later rows keep to them.

use std::io::{self, Write};

/// How many rows decide the widths, and are held back for it.
const MEASURED_ROWS: usize = 1_000;

/// The narrowest a column is cut to on a terminal, where its contents are wider.
const LEAST_WIDTH: usize = 12;

/// What this wide a column is spared while others are cut: times, account numbers, Regions and most names.
const KEPT_WIDTH: usize = 24;

/// The widest a column is where the reader scrolls.
const SCROLLED_WIDTH: usize = 80;

/// A drawn table, row by row.
pub(super) struct Grid {
    header: Vec<String>,
    /// Whether a column is set to the right.
    numeric: Vec<bool>,
    terminal_width: Option<usize>,
    scrolls: bool,
    widths: Vec<usize>,
    held: Vec<Vec<String>>,
    drawing: bool,
    rows: u64,
    cut_cells: u64,
}

impl Grid {
    /// A table of these columns.
    pub(super) fn new<'a>(
        header: impl Iterator<Item = &'a str>,
        numeric: Vec<bool>,
        terminal_width: Option<usize>,
        scrolls: bool,
    ) -> Self {
        let header: Vec<String> = header.map(visible).collect();
        let widths = header.iter().map(|name| width(name)).collect();
        Grid {
            header,
            numeric,
            terminal_width,
            scrolls,
            widths,
            held: Vec::new(),
            drawing: false,
            rows: 0,
            cut_cells: 0,
        }
    }

    /// Takes one row, and draws it once widths are known.
    pub(super) fn row(&mut self, values: Vec<Option<String>>, out: &mut impl Write) -> io::Result<()> {
        self.rows += 1;
        let cells: Vec<String> =
            values.into_iter().map(|value| value.map_or("NULL".into(), |value| visible(&value))).collect();
        if self.drawing {
            return self.draw(&cells, out);
        }
        for (most, cell) in self.widths.iter_mut().zip(&cells) {
            *most = (*most).max(width(cell));
        }
        self.held.push(cells);
        if self.held.len() == MEASURED_ROWS { self.start(out) } else { Ok(()) }
    }

    /// Draws what is held back and the last line, and says how many rows there were, and whether there are more.
    pub(super) fn end(&mut self, more: bool, out: &mut impl Write) -> io::Result<()> {
        if !self.drawing {
            self.start(out)?;
        }
        self.rule(['└', '┴', '┘'], out)?;
        write!(out, "{} {}", self.rows, if self.rows == 1 { "row" } else { "rows" })?;
        if more {
            write!(out, ", and there are more")?;
        }
        match self.cut_cells {
            0 => writeln!(out),
            1 => writeln!(out, "; 1 value is cut to fit"),
            cut => writeln!(out, "; {cut} values are cut to fit"),
        }
    }

    fn start(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.drawing = true;
        if let Some(room) = self.terminal_width {
            let fitted = fitted(&self.widths, room);
            if self.scrolls && frame(&fitted) > room {
                self.widths.iter_mut().for_each(|width| *width = (*width).min(SCROLLED_WIDTH));
            } else {
                self.widths = fitted;
            }
        }
        self.rule(['┌', '┬', '┐'], out)?;
        let header = std::mem::take(&mut self.header);
        self.draw(&header, out)?;
        self.rule(['├', '┼', '┤'], out)?;
        for row in std::mem::take(&mut self.held) {
            self.draw(&row, out)?;
        }
        Ok(())
    }

    fn rule(&self, [left, between, right]: [char; 3], out: &mut impl Write) -> io::Result<()> {
        for (index, width) in self.widths.iter().enumerate() {
            write!(out, "{}{}", if index == 0 { left } else { between }, "─".repeat(width + 2))?;
        }
        writeln!(out, "{right}")
    }

    /// Draws one row, as high as its highest cell.
    fn draw(&mut self, cells: &[String], out: &mut impl Write) -> io::Result<()> {
        if self.terminal_width.is_some() {
            let cut = cells.iter().zip(&self.widths).filter(|(cell, room)| width(cell) > **room);
            self.cut_cells += cut.count() as u64;
        }
        let mut columns: Vec<_> = cells.iter().map(|cell| cell.split('\n')).collect();
        loop {
            let lines: Vec<Option<&str>> = columns.iter_mut().map(Iterator::next).collect();
            if lines.iter().all(Option::is_none) {
                return Ok(());
            }
            for ((line, room), numeric) in lines.iter().zip(&self.widths).zip(&self.numeric) {
                let line = line.unwrap_or_default();
                let line = if self.terminal_width.is_some() { cut(line, *room) } else { line.to_owned() };
                let pad = " ".repeat(room.saturating_sub(width(&line)));
                if *numeric { write!(out, "│ {pad}{line} ")? } else { write!(out, "│ {line}{pad} ")? }
            }
            writeln!(out, "│")?;
        }
    }
}

/// The widths with the widest cut such that all fit into `room`, but none below [`LEAST_WIDTH`]. Columns no wider than
/// [`KEPT_WIDTH`] are cut only where that is not enough.
fn fitted(widths: &[usize], room: usize) -> Vec<usize> {
    let widest = widths.iter().copied().max().unwrap_or(0);
    let mut fitted = widths.to_vec();
    for kept in [KEPT_WIDTH, 0] {
        let mut most = widest.min(room).max(LEAST_WIDTH);
        loop {
            let cut = |width: &usize| if *width <= kept { *width } else { (*width).min(most) };
            fitted = widths.iter().map(cut).collect();
            if frame(&fitted) <= room {
                return fitted;
            }
            if most == LEAST_WIDTH {
                break;
            }
            most -= 1;
        }
    }
    fitted
}

/// The width of a table of such columns.
fn frame(widths: &[usize]) -> usize {
    3 * widths.len() + 1 + widths.iter().sum::<usize>()
}

/// The text without what would move a terminal's cursor, but for the ends of lines, or turn its writing direction:
/// records hold what attackers sent.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        let turns =
            matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if (char.is_control() && char != '\n') || turns {
            shown.extend(char.escape_default())
        } else {
            shown.push(char)
        }
    }
    shown
}

/// The text, ended with `…` where it is wider than `room`.
fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for char in text.chars() {
        used += char_width(char);
        if used > room {
            break;
        }
        kept.push(char);
    }
    kept.push('…');
    kept
}

/// The columns a text takes on a terminal: those of its longest line.
pub(super) fn width(text: &str) -> usize {
    text.split('\n').map(|line| line.chars().map(char_width).sum()).max().unwrap_or(0)
}

/// After Unicode's East Asian Width (UAX #11), in blocks: wide characters take two columns, combining ones none.
fn char_width(char: char) -> usize {
    match char {
        '\u{300}'..='\u{36f}'
        | '\u{200b}'..='\u{200d}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(names: &[&str], terminal_width: Option<usize>, rows: &[&[Option<&str>]]) -> String {
        let mut grid = Grid::new(names.iter().copied(), vec![false; names.len()], terminal_width, false);
        let mut out = Vec::new();
        for row in rows {
            grid.row(row.iter().map(|cell| cell.map(str::to_owned)).collect(), &mut out).unwrap();
        }
        grid.end(false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn wide_characters_keep_the_frame_straight() {
        let text = drawn(&["who"], None, &[&[Some("日本")], &[Some("e\u{301}")], &[None]]);
        assert_eq!(
            text,
            "┌──────┐\n│ who  │\n├──────┤\n│ 日本 │\n│ e\u{301}    │\n│ NULL │\n└──────┘\n3 rows\n"
        );
    }

    #[test]
    fn a_cell_of_several_lines_stays_in_its_column() {
        let text = drawn(&["a", "b"], None, &[&[Some("1\n22\n"), Some("x")]]);
        assert_eq!(
            text,
            "┌────┬───┐\n│ a  │ b │\n├────┼───┤\n│ 1  │ x │\n│ 22 │   │\n│    │   │\n└────┴───┘\n1 row\n"
        );
    }

    #[test]
    fn only_a_terminal_cuts_cells() {
        let long = "a-user-agent-that-goes-on-and-on";
        let text = drawn(&["n", "agent"], Some(24), &[&[Some("1"), Some(long)]]);
        assert!(text.contains("│ 1 │ a-user-agent-th… │\n"), "{text}");
        assert!(text.ends_with("\n1 row; 1 value is cut to fit\n"), "{text}");
        assert!(text.lines().take(5).all(|line| width(line) <= 24), "{text}");
        assert!(drawn(&["n", "agent"], None, &[&[Some("1"), Some(long)]]).contains(long));
    }

    #[test]
    fn the_widest_columns_are_cut_first() {
        assert_eq!(fitted(&[20, 10, 17, 60, 500], 100), [20, 10, 17, 18, 18]);
        assert_eq!(fitted(&[20, 10, 200], 100), [20, 10, 60]);
        assert_eq!(fitted(&[20, 20, 20, 200], 60), [12, 12, 12, 12]);
        assert_eq!(fitted(&[20; 10], 60), [12; 10]);
        assert_eq!(fitted(&[5, 5], 100), [5, 5]);
        assert_eq!(fitted(&[], 100), [0; 0]);
    }

    #[test]
    fn a_reader_who_scrolls_sees_more_of_a_table_that_cannot_fit() {
        let long = "x".repeat(100);
        let row: Vec<Option<String>> = vec![Some(long); 10];
        for (scrolls, widest) in [(false, 10 * (LEAST_WIDTH + 3) + 1), (true, 10 * (SCROLLED_WIDTH + 3) + 1)]
        {
            let mut grid = Grid::new(["n"; 10].into_iter(), vec![false; 10], Some(80), scrolls);
            let mut out = Vec::new();
            grid.row(row.clone(), &mut out).unwrap();
            grid.end(false, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.lines().map(width).max(), Some(widest));
            assert!(text.ends_with("1 row; 10 values are cut to fit\n"), "{text}");
        }
    }

    #[test]
    fn a_terminal_is_never_sent_control_characters() {
        let text = drawn(&["agent"], None, &[&[Some("a\u{1b}[2Jb\rc\u{202e}d")]]);
        assert!(text.contains("│ a\\u{1b}[2Jb\\rc\\u{202e}d │"), "{text}");
    }

    #[test]
    fn later_rows_keep_the_widths_and_lose_nothing() {
        let mut grid = Grid::new(["n"].into_iter(), vec![true], None, false);
        let mut out = Vec::new();
        for _ in 0..MEASURED_ROWS {
            grid.row(vec![Some("7".into())], &mut out).unwrap();
        }
        assert!(!out.is_empty(), "rows are drawn as soon as the widths are known");
        assert!(grid.held.is_empty());
        grid.row(vec![Some("12345".into())], &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().ends_with("│ 7 │\n│ 12345 │\n"));
    }
}
