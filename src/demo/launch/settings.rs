//! Configuration, users and passwords of the demo's servers. Main type: [`Settings`].

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hedgerow_flight::hash_password;

use super::{ANALYST, COORDINATOR, LaunchError};
use crate::demo::contracts::CONTRACTS;
use crate::demo::node_tables::node_tables_toml;
use crate::demo::organisations::DemoOrganisation;
use crate::files::{random_name, write_private, write_public};

/// What is written beside the data. What is there already is kept: it may have been edited.
pub(super) struct Settings {
    pub(super) organisations: Vec<DemoOrganisation>,
    /// Where the organisations' data folders are.
    pub(super) data: PathBuf,
    /// Where everything else goes; may be the same folder.
    pub(super) folder: PathBuf,
}

/// File of the analyst's password.
pub(super) fn analyst_password_file(folder: &Path) -> PathBuf {
    folder.join(COORDINATOR).join("analyst.password")
}

impl Settings {
    /// All servers by folder, the coordinator last.
    pub(super) fn servers(&self) -> Vec<String> {
        let nodes = self.organisations.iter().map(|organisation| organisation.id.clone());
        nodes.chain([COORDINATOR.to_owned()]).collect()
    }

    /// Writes what is missing; returns the analyst's password. `addresses` are those of
    /// [`Settings::servers`].
    pub(super) fn write(&self, addresses: &[SocketAddr]) -> Result<String, LaunchError> {
        for folder in self.servers().iter().map(String::as_str).chain(["contracts"]) {
            let path = self.folder.join(folder);
            fs::create_dir_all(&path).map_err(|source| LaunchError::File { path, source })?;
        }
        for (name, text) in CONTRACTS {
            self.write_missing(&format!("contracts/{name}.toml"), text)?;
        }
        for (organisation, address) in self.organisations.iter().zip(addresses) {
            self.write_missing(
                &format!("{}/serve.toml", organisation.id),
                &self.node_config(organisation, *address),
            )?;
        }
        if let Some(address) = addresses.last() {
            let config = self.coordinator_config(*address, addresses);
            self.write_missing(&format!("{COORDINATOR}/serve.toml"), &config)?;
        }
        self.write_users()
    }

    /// Users and passwords belong together, so they are kept or written together.
    fn write_users(&self) -> Result<String, LaunchError> {
        let node_file = self.folder.join(COORDINATOR).join("node.password");
        let analyst_file = analyst_password_file(&self.folder);
        let users_file = |server: &String| self.folder.join(server).join("users.toml");
        let servers = self.servers();
        if node_file.exists()
            && servers.iter().all(|server| users_file(server).exists())
            && let Ok(password) = fs::read_to_string(&analyst_file)
        {
            return Ok(password.trim_end().to_owned());
        }
        // Written last, it says that all of them belong together.
        remove(&analyst_file)?;
        let random = || {
            random_name().map_err(|source| LaunchError::File { path: self.folder.clone(), source })
        };
        let (node, analyst) = (random()?, random()?);
        let (node_hash, analyst_hash) = (hash_password(&node)?, hash_password(&analyst)?);
        for server in &servers {
            let mut users = format!("[users]\n{ANALYST} = \"{analyst_hash}\"\n");
            if server != COORDINATOR {
                users.push_str(&format!("{COORDINATOR} = \"{node_hash}\"\n"));
            }
            private(&users_file(server), &users)?;
        }
        private(&node_file, &format!("{node}\n"))?;
        private(&analyst_file, &format!("{analyst}\n"))?;
        Ok(analyst)
    }

    fn write_missing(&self, path: &str, text: &str) -> Result<(), LaunchError> {
        let path = self.folder.join(path);
        if path.exists() {
            return Ok(());
        }
        write_public(&path, text).map_err(|source| LaunchError::File { path, source })
    }

    fn node_config(&self, organisation: &DemoOrganisation, address: SocketAddr) -> String {
        let DemoOrganisation { id, name, .. } = organisation;
        let common = common_config(name, address);
        let tables = self.tables(organisation);
        format!("organisation = \"{id}\"\n{common}\n[ledger]\nfile = \"ledger.ndjson\"\n\n{tables}")
    }

    /// The tables, with absolute paths where the data are in another folder.
    fn tables(&self, organisation: &DemoOrganisation) -> String {
        let tables = node_tables_toml(organisation);
        if self.data == self.folder {
            return tables;
        }
        let folder = std::path::absolute(&self.data).unwrap_or_else(|_| self.data.clone());
        let folder = folder.join(&organisation.id);
        let absolute = |line: &str| match line.strip_prefix("path = \"") {
            Some(rest) => {
                let path = folder.join(rest.trim_end_matches('"'));
                let path = toml::Value::from(path.to_string_lossy().into_owned());
                format!("path = {path}\n")
            }
            None => format!("{line}\n"),
        };
        tables.lines().map(absolute).collect()
    }

    fn coordinator_config(&self, address: SocketAddr, addresses: &[SocketAddr]) -> String {
        let mut text = common_config("Hedgerow demo", address);
        text.push_str(&format!(
            "\n[federation]\nuser = \"{COORDINATOR}\"\npassword_file = \"node.password\"\n"
        ));
        for (organisation, address) in self.organisations.iter().zip(addresses) {
            text.push_str(&format!(
                "\n[[federation.nodes]]\norganisation = \"{}\"\nurl = \"https://{address}\"\n",
                organisation.id
            ));
        }
        for (name, description, sql) in VIEWS {
            text.push_str(&format!(
                "\n[views.{name}]\ndescription = \"{description}\"\nsql = \"\"\"\n{sql}\n\"\"\"\n"
            ));
        }
        text
    }
}

/// Views that the demo's coordinator offers: name, description, statement.
const VIEWS: [(&str, &str, &str); 2] = [
    (
        "waiting_list",
        "Pathways and people still waiting, by organisation and specialty",
        "SELECT r.organisation, t.name AS specialty, count(*) AS pathways,
  count(DISTINCT r.person_number) AS people, avg(r.weeks_waited) AS mean_weeks
FROM referral_pathway AS r
JOIN treatment_function AS t ON t.code = r.treatment_function_code
WHERE r.status = 'waiting'
GROUP BY r.organisation, t.name",
    ),
    (
        "emergency_admissions",
        "Emergency admissions by organisation and age band",
        "SELECT p.organisation, p.age_band, count(*) AS admissions
FROM admitted_care AS a
JOIN person AS p ON p.organisation = a.organisation AND p.person_number = a.person_number
WHERE a.admission_type = 'emergency'
GROUP BY p.organisation, p.age_band",
    ),
];

fn common_config(name: &str, address: SocketAddr) -> String {
    format!(
        "name = \"{name}\"\nlisten = \"{address}\"\ncontracts = \"../contracts\"\n\n\
         [tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\nauthority = \"../authority.pem\"\n\n\
         [users]\nfile = \"users.toml\"\n"
    )
}

fn remove(path: &Path) -> Result<(), LaunchError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(LaunchError::File { path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn private(path: &Path, text: &str) -> Result<(), LaunchError> {
    write_private(path, text).map_err(|source| LaunchError::File { path: path.to_owned(), source })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use std::net::Ipv4Addr;

    use hedgerow_catalog::{Contracts, ServerConfig};

    use super::*;
    use crate::demo::organisations::organisations;

    #[test]
    fn what_is_written_can_be_served_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            organisations: organisations(5),
            data: folder.path().join("data"),
            folder: folder.path().to_owned(),
        };
        let addresses: Vec<SocketAddr> =
            (4001..4007).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).collect();
        let password = settings.write(&addresses).unwrap();
        assert_eq!(password.len(), 32);
        for (server, address) in settings.servers().iter().zip(&addresses) {
            let config =
                ServerConfig::load(&folder.path().join(server).join("serve.toml")).unwrap();
            assert_eq!(config.listen, *address);
            assert_eq!(config.is_node(), server != COORDINATOR);
            Contracts::load(&config.contracts).unwrap();
            hedgerow_flight::Users::load(&config.users.file).unwrap();
        }
        assert_eq!(settings.write(&addresses).unwrap(), password);
    }
}
