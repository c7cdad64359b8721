//! BEGIN, COMMIT and ROLLBACK. Every statement commits on its own; what is remembered is what a ROLLBACK has to admit.

use super::{Answer, Session, done};
use crate::dialect::statement::Statement;
use crate::error::{Error, Kind, Result};

/// BEGIN … COMMIT: every statement commits on its own; what is remembered is what ROLLBACK has to admit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Transaction {
    pub(super) open: bool,
    pub(super) read_only: bool,
    pub(super) wrote: bool,
}

impl Session {
    /// Notes that a statement has written: ROLLBACK cannot take it back. Without autocommit every statement is in a
    /// transaction.
    pub(super) fn note_write(&mut self) {
        self.transaction.wrote |= self.transaction.open || !self.variables.autocommit();
    }

    pub(super) fn begin_transaction(&mut self, read_only: bool) -> Result<Answer> {
        self.transaction = Transaction { open: true, read_only, wrote: false };
        Ok(done())
    }

    pub(super) fn end_transaction(&mut self) -> Result<Answer> {
        self.transaction = Transaction::default();
        Ok(done())
    }

    pub(super) fn rollback(&mut self) -> Result<Answer> {
        self.admit_writes()?;
        self.end_transaction()
    }

    /// Writes are committed statement by statement; a ROLLBACK that cannot take them back says so, in MySQL's words for
    /// tables without transactions.
    pub(super) fn admit_writes(&mut self) -> Result<()> {
        if self.transaction.wrote {
            self.warn("Warning", 1196, "Some non-transactional changed tables couldn't be rolled back");
        }
        Ok(())
    }

    pub(super) fn refuse_write_in_read_only(&self, statement: &Statement) -> Result<()> {
        let writes = matches!(
            statement,
            Statement::Insert(_)
                | Statement::Delete(_)
                | Statement::Update(_)
                | Statement::Truncate { .. }
                | Statement::CreateTable(_)
                | Statement::DropTable { .. }
                | Statement::AlterTable { .. }
                | Statement::CreateDatabase { .. }
                | Statement::DropDatabase { .. }
                | Statement::Optimize { .. }
                | Statement::AlterUser { .. }
                | Statement::SetPassword { .. }
        );
        match writes && self.transaction.open && self.transaction.read_only {
            true => Err(Error::new(Kind::ReadOnlyTransaction, "Cannot execute statement in a READ ONLY transaction.")),
            false => Ok(()),
        }
    }
}
