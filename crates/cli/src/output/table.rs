//! Tables that fit the terminal: columns shrink as far as they can be read, and below that each row becomes a block.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Color, Style};
use comfy_table::{Attribute, CellAlignment, ColumnConstraint, ContentArrangement, Width, presets::NOTHING};

use super::{BOLD, DIM, harmless};

/// Narrower than this a column of prose is no joy to read.
const NARROWEST_PROSE: u16 = 16;
const GAP: u16 = 2;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// Words that are not broken.
    Word(&'static str),
    /// Numbers, flush right.
    Number(&'static str),
    /// Text that may wrap.
    Prose(&'static str),
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Word(title) | Self::Number(title) | Self::Prose(title) => title,
        }
    }
}

/// One value and its style.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A value in a style.
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        let text: String = text.into();
        Self { text: harmless(&text).into_owned(), style }
    }

    /// A count, which is dim if it is 0.
    pub(crate) fn count(number: u64, style: Style) -> Self {
        Self::styled(super::grouped(number), if number == 0 { DIM } else { style })
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// Rows under titles.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether it fits the terminal with every word whole.
    pub(crate) fn fits(&self) -> bool {
        comfy_table::Table::new().width().is_none_or(|width| self.narrowest() <= width)
    }

    /// The table as wide as the terminal allows; as wide as it needs where there is none.
    pub(crate) fn render(&self) -> String {
        let width = comfy_table::Table::new().width();
        self.render_within(width)
    }

    fn render_within(&self, width: Option<u16>) -> String {
        match width {
            Some(width) if self.narrowest() > width => {
                self.below(width).unwrap_or_else(|| self.blocks(width))
            }
            width => self.grid(width),
        }
    }

    /// The width below which words would be broken.
    fn narrowest(&self) -> u16 {
        let widths = self.columns.iter().enumerate().map(|(place, column)| {
            let longest = self.rows.iter().map(|row| row[place].text.chars().count()).max().unwrap_or(0);
            let natural = u16::try_from(longest.max(column.title().len())).unwrap_or(u16::MAX);
            let needed =
                if matches!(column, Column::Prose(_)) { natural.min(NARROWEST_PROSE) } else { natural };
            needed.saturating_add(GAP)
        });
        widths.fold(0_u16, u16::saturating_add).saturating_sub(GAP)
    }

    fn grid(&self, width: Option<u16>) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).enforce_styling().set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = width {
            table.set_width(width);
        }
        table.set_header(
            self.columns
                .iter()
                .map(|column| comfy_table::Cell::new(column.title()).add_attribute(Attribute::Dim)),
        );
        for row in &self.rows {
            table.add_row(row.iter().map(drawn));
        }
        let last = self.columns.len().saturating_sub(1);
        for (place, column) in self.columns.iter().enumerate() {
            let Some(drawn) = table.column_mut(place) else { continue };
            drawn.set_padding((0, if place == last { 0 } else { GAP }));
            match column {
                Column::Word(_) => _ = drawn.set_constraint(ColumnConstraint::ContentWidth),
                Column::Number(_) => {
                    drawn.set_constraint(ColumnConstraint::ContentWidth);
                    drawn.set_cell_alignment(CellAlignment::Right);
                }
                Column::Prose(_) => {
                    let longest =
                        self.rows.iter().map(|row| row[place].text.chars().count()).max().unwrap_or(0);
                    let least = u16::try_from(longest).unwrap_or(u16::MAX).min(NARROWEST_PROSE) + GAP;
                    drawn.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
                }
            }
        }
        table.trim_fmt()
    }

    /// The last column, if it is prose, in lines of its own below each row; `None` if the rest does not fit either, or may wrap so
    /// that its lines are no rows.
    fn below(&self, width: u16) -> Option<String> {
        /// How far in it stands.
        const INDENT: usize = 4;
        let Some((Column::Prose(_), columns)) = self.columns.split_last() else { return None };
        let rest = Self {
            columns: columns.to_vec(),
            rows: self.rows.iter().map(|row| row[..columns.len()].to_vec()).collect(),
        };
        if rest.narrowest() > width || columns.iter().any(|column| matches!(column, Column::Prose(_))) {
            return None;
        }
        let grid = rest.grid(None);
        let mut lines = grid.lines();
        let mut text = lines.next().unwrap_or_default().to_owned();
        for (line, row) in lines.zip(&self.rows) {
            let _ = write!(text, "\n{line}");
            if let Some(Cell { text: prose, style }) = row.last().filter(|cell| !cell.text.is_empty()) {
                for line in super::wrapped(prose, usize::from(width).saturating_sub(INDENT)) {
                    let _ = write!(text, "\n{:INDENT$}{style}{line}{style:#}", "");
                }
            }
        }
        Some(text)
    }

    /// Each row as lines of title and value.
    fn blocks(&self, width: u16) -> String {
        let longest = self.columns.iter().map(|column| column.title().len()).max().unwrap_or(0);
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            if number > 0 {
                text.push('\n');
            }
            for (place, (column, cell)) in self.columns.iter().zip(row).enumerate() {
                if cell.text.is_empty() {
                    continue;
                }
                let style = if place == 0 { BOLD } else { cell.style };
                let before = format!("{DIM}{:longest$}{DIM:#}  {style}", column.title());
                let indent = longest + usize::from(GAP);
                let lines = super::wrapped(
                    &cell.text,
                    usize::from(width).saturating_sub(indent).max(NARROWEST_PROSE.into()),
                );
                let _ = writeln!(text, "{before}{}{style:#}", lines.join(&format!("\n{:indent$}", "")));
            }
        }
        text.trim_end().to_owned()
    }
}

fn drawn(cell: &Cell) -> comfy_table::Cell {
    let mut drawn = comfy_table::Cell::new(&cell.text);
    if let Some(Color::Ansi(color)) = cell.style.get_fg_color() {
        drawn = drawn.fg(match color {
            AnsiColor::Red => comfy_table::Color::DarkRed,
            AnsiColor::Green => comfy_table::Color::DarkGreen,
            AnsiColor::Yellow => comfy_table::Color::DarkYellow,
            AnsiColor::Blue => comfy_table::Color::DarkBlue,
            AnsiColor::Cyan => comfy_table::Color::DarkCyan,
            _ => comfy_table::Color::Reset,
        });
    }
    let effects = cell.style.get_effects();
    if effects.contains(anstyle::Effects::BOLD) {
        drawn = drawn.add_attribute(Attribute::Bold);
    }
    if effects.contains(anstyle::Effects::DIMMED) {
        drawn = drawn.add_attribute(Attribute::Dim);
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Table {
        let mut table =
            Table::new([Column::Word("queue"), Column::Number("ready"), Column::Prose("message")]);
        table.row(["mail".into(), "12".into(), "the server said that it was too busy for now".into()]);
        table.row(["http".into(), "1,000".into(), "".into()]);
        table
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn numbers_are_flush_right_under_their_title() {
        let text = plain(&example().render_within(None));

        assert!(text.starts_with("queue  ready  message"), "{text}");
        assert!(text.contains("mail      12  the server"), "{text}");
    }

    #[test]
    fn prose_wraps_and_words_do_not() {
        let text = plain(&example().render_within(Some(40)));

        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.contains("1,000"), "{text}");
    }

    #[test]
    fn prose_that_finds_no_room_beside_the_rest_stands_below() {
        let text = plain(&example().render_within(Some(25)));

        assert!(text.starts_with("queue  ready\nmail      12\n    the server said that\n"), "{text}");
        assert!(text.ends_with("http   1,000"), "{text}");
    }

    #[test]
    fn with_more_columns_of_prose_than_find_room_each_row_is_a_block() {
        let mut table = Table::new([Column::Word("kind"), Column::Prose("jobs"), Column::Prose("message")]);
        table.row(["timeout".into(), "send-welcome, send-goodbye".into(), "it took far too long".into()]);
        table.row(["panic".into(), "render".into(), "boom".into()]);

        let text = plain(&table.render_within(Some(30)));

        assert!(
            text.starts_with("kind     timeout\njobs     send-welcome,\n         send-goodbye\n"),
            "{text}"
        );
        assert!(text.ends_with("kind     panic\njobs     render\nmessage  boom"), "{text}");
    }

    #[test]
    fn in_a_very_narrow_terminal_each_row_is_a_block() {
        let text = plain(&example().render_within(Some(10)));

        assert!(text.contains("queue    mail\nready    12\n"), "{text}");
    }
}
