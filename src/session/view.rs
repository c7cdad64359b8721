//! What information_schema shows of this session: variables, status, warnings, processes.

use super::Session;
use crate::catalog::information_schema::{ProcessView, SessionView, WarningView};

impl Session {
    pub(super) fn view(&self) -> SessionView {
        let variables = self.variables.list();
        let status = self.status_list();
        SessionView {
            global_variables: variables.clone(),
            session_variables: variables,
            global_status: status.clone(),
            session_status: status,
            warnings: self.warnings.iter().map(warning).collect(),
            processes: self.engine.processes().list().into_iter().map(process).collect(),
        }
    }

    fn status_list(&self) -> Vec<(String, String)> {
        let engine = &self.engine;
        let connected = engine.processes().list();
        let running = connected.iter().filter(|process| process.statement.is_some()).count();
        let values: [(&str, String); 6] = [
            ("Memory_reserved_bytes", engine.memory_reserved_bytes().to_string()),
            ("Questions", engine.questions().to_string()),
            ("Ssl_cipher", String::new()),
            ("Threads_connected", connected.len().to_string()),
            ("Threads_running", running.to_string()),
            ("Uptime", engine.uptime_seconds().to_string()),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn warning(warning: &super::Warning) -> WarningView {
    WarningView { level: warning.level, code: warning.code, message: warning.message.clone() }
}

fn process(process: crate::engine::processes::Process) -> ProcessView {
    ProcessView {
        seconds: process.since.elapsed().as_secs(),
        id: process.id,
        user: process.user,
        host: process.host,
        database: process.database,
        statement: process.statement.map(|text| text.to_string()),
    }
}
