//! SET, and the values of `@x` and `@@x` in other statements.

use std::collections::HashMap;

use datafusion::scalar::ScalarValue;
use sqlparser::ast::Expr;

use super::{Answer, Running, Session, done};
use crate::dialect::rewrite;
use crate::dialect::statement::{Assignment, Scope, SessionFunction, SetValue, Variable};
use crate::error::{Error, Result};
use crate::planner::literal;

impl Session {
    /// SET: the assignments in order; one that fails undoes those before it, as in MySQL.
    pub(super) async fn set(&mut self, assignments: Vec<Assignment>, running: &Running) -> Result<Answer> {
        let before: (_, HashMap<_, _>) = (self.variables.clone(), self.user_variables.clone());
        for assignment in assignments {
            if let Err(error) = self.assign(assignment, running).await {
                (self.variables, self.user_variables) = before;
                return Err(error);
            }
        }
        Ok(done())
    }

    async fn assign(&mut self, assignment: Assignment, running: &Running) -> Result<()> {
        match assignment {
            Assignment::User { name, value } => {
                let value = self.setting_value(value, running).await?;
                self.user_variables.insert(name, value);
                Ok(())
            }
            Assignment::System { scope: Scope::Session, name, value: SetValue::Default } => self.variables.reset(&name),
            Assignment::System { scope: Scope::Session, name, value: SetValue::Expr(value) } => {
                let value = self.setting_value(value, running).await?;
                self.variables.set(&name, &value)
            }
            Assignment::System { name, .. } => {
                self.variables.get(&name)?;
                Err(Error::unsupported(format!("SET GLOBAL {name}: put it into desirepath.toml and restart")))
            }
            Assignment::Names { charset, collation } => {
                let charset = charset.unwrap_or_else(|| "utf8mb4".into());
                self.set_character_sets(&charset)?;
                self.variables.set("character_set_connection", &text(&charset))?;
                match collation {
                    Some(collation) => self.variables.set("collation_connection", &text(&collation)),
                    None => self.variables.reset("collation_connection"),
                }
            }
            Assignment::CharacterSet(charset) => self.set_character_sets(&charset.unwrap_or_else(|| "utf8mb4".into())),
            Assignment::Transaction { scope: Some(Scope::Global | Scope::Persist), .. } => {
                Err(Error::unsupported("SET GLOBAL TRANSACTION"))
            }
            Assignment::Transaction { isolation, read_only, .. } => {
                if let Some(level) = isolation {
                    self.variables.set("transaction_isolation", &text(&level.replace(' ', "-")))?;
                }
                if let Some(read_only) = read_only {
                    self.variables.set("transaction_read_only", &ScalarValue::Int64(Some(i64::from(read_only))))?;
                }
                Ok(())
            }
        }
    }

    fn set_character_sets(&mut self, charset: &str) -> Result<()> {
        self.variables.set("character_set_client", &text(charset))?;
        self.variables.set("character_set_results", &text(charset))
    }

    async fn setting_value(&mut self, mut value: Expr, running: &Running) -> Result<ScalarValue> {
        rewrite::substitute_variables(&mut value, &mut |variable| self.variable(variable))?;
        Ok(self.constants(vec![value], running).await?.pop().unwrap_or(ScalarValue::Null))
    }

    /// The value of a variable as a literal; a user variable that was never set is NULL.
    pub(super) fn variable(&self, variable: &Variable) -> Result<Expr> {
        match variable {
            Variable::User(name) => literal::expression(self.user_variables.get(name).unwrap_or(&ScalarValue::Null)),
            Variable::System { name, .. } => literal::expression(&self.variables.get(name)?),
            Variable::Function(SessionFunction::FoundRows) => Err(Error::unsupported("FOUND_ROWS()")),
            Variable::Function(function) => literal::expression(&self.session_function(*function)),
        }
    }
    /// DATABASE(), USER() and their like.
    fn session_function(&self, function: SessionFunction) -> ScalarValue {
        let integer = |value: u64| ScalarValue::UInt64(Some(value));
        match function {
            SessionFunction::Database => ScalarValue::Utf8(self.database.clone()),
            SessionFunction::User => text(&format!("{}@{}", self.client.user, host(&self.client.address))),
            SessionFunction::CurrentUser => text(&format!("{}@{}", self.client.user, self.client.host)),
            SessionFunction::CurrentRole => text("NONE"),
            SessionFunction::ConnectionId => integer(u64::from(self.client.id)),
            SessionFunction::LastInsertId => integer(0),
            SessionFunction::FoundRows | SessionFunction::RowCount => ScalarValue::Int64(Some(self.row_count)),
        }
    }
}

/// The host of a peer address, without its port.
fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

fn text(value: &str) -> ScalarValue {
    ScalarValue::Utf8(Some(value.to_owned()))
}
