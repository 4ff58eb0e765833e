//! Many rows in one statement.

use qpq_storage::Stored;

use crate::transaction::{Statement, Transaction, generated_sql};

/// How many rows one statement may insert. Powers of two, so that any number of rows needs few statements, and few
/// different ones, which stay prepared. The largest stays far below SQLite's 32,766 variables.
const SIZES: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];

impl Transaction {
    /// Inserts all rows: `head` is the statement up to and including `VALUES`, `columns` how many values a row
    /// has, and `bind` binds those of one row.
    pub(crate) async fn insert_all<T: Sync>(
        &mut self,
        what: &'static str,
        head: &'static str,
        columns: usize,
        rows: &[T],
        bind: impl Fn(Statement, &T) -> Statement + Send + Sync,
    ) -> Stored<()> {
        let mut rest = rows;
        for size in SIZES {
            while let Some((now, later)) = rest.split_at_checked(size) {
                rest = later;
                let statement = now.iter().fold(generated_sql(with_rows(head, columns, size)), &bind);
                self.run(what, statement).await?;
            }
        }
        Ok(())
    }
}

fn with_rows(head: &str, columns: usize, rows: usize) -> String {
    let mut text = String::with_capacity(head.len() + rows * (2 * columns + 3));
    text.push_str(head);
    for row in 0..rows {
        text.push_str(if row == 0 { " (" } else { ", (" });
        for column in 0..columns {
            text.push_str(if column == 0 { "?" } else { ",?" });
        }
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::with_rows;

    #[test]
    fn placeholders_are_listed_row_by_row() {
        assert_eq!(with_rows("INSERT INTO t VALUES", 2, 3), "INSERT INTO t VALUES (?,?), (?,?), (?,?)");
    }
}
