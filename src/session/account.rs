//! ALTER USER and SET PASSWORD: how an account proves who it is.

use super::{Answer, Session, done};
use crate::catalog::credentials::{Credential, Plugin};
use crate::dialect::statement::{Authentication, Secret, SecretKind, UserName, UserSpecification};
use crate::error::{Error, Kind, Result};

impl Session {
    pub(super) async fn alter_user(&mut self, users: Vec<UserSpecification>, if_exists: bool) -> Result<Answer> {
        for specification in users {
            let user = self.account(specification.user).await?;
            let Some(authentication) = specification.authentication else {
                return Err(Error::unsupported("ALTER USER without IDENTIFIED BY"));
            };
            let credential = credential(authentication)?;
            match self.engine.catalog().change(|all| all.alter_user(&user.name, &user.host, credential.clone())).await {
                Err(error) if if_exists && error.kind() == Kind::CannotUser => {
                    self.warn("Note", error.row().number, error.message());
                }
                result => result?,
            }
        }
        Ok(done())
    }

    pub(super) async fn set_password(&mut self, user: Option<UserName>, password: Secret) -> Result<Answer> {
        let user = self.account(user).await?;
        let credential = Credential::make(Plugin::CachingSha2Password, &password.0)?;
        self.engine.catalog().change(|all| all.alter_user(&user.name, &user.host, credential.clone())).await?;
        Ok(done())
    }

    /// The named account, or the one this session signed in as.
    async fn account(&self, user: Option<UserName>) -> Result<UserName> {
        if let Some(user) = user {
            return Ok(user);
        }
        let (name, host) = (self.client.user.clone(), self.client.host.clone());
        let manifest = self.engine.catalog().manifest().await?;
        let host = manifest.user(&name, &host).map_or(host, |account| account.host.clone());
        Ok(UserName { name, host })
    }
}

fn credential(authentication: Authentication) -> Result<Credential> {
    let plugin = match &authentication.plugin {
        None => Plugin::CachingSha2Password,
        Some(name) => Plugin::of_name(name)
            .ok_or_else(|| Error::new(Kind::UnknownPlugin, format!("Plugin '{name}' is not loaded")))?,
    };
    match authentication.secret {
        Some(SecretKind::Password(password)) => Credential::make(plugin, &password.0),
        Some(SecretKind::Hash(hash)) => Credential::of_authentication_string(plugin, &hash.0),
        None => Ok(Credential::None),
    }
}
