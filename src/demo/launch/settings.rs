//! Configuration, users and passwords of the demo's servers. Main type: [`Settings`].

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hedgerow_catalog::ServerConfig;
use hedgerow_flight::hash_password;

use super::{ANALYST, COORDINATOR, LaunchError};
use crate::demo::contracts::CONTRACTS;
use crate::demo::node_tables::node_tables_toml;
use crate::demo::organisations::{DemoBoard, DemoOrganisation};
use crate::files::{random_name, write_private, write_public};

/// What is written beside the data. What is there already is kept: it may have been edited.
pub(super) struct Settings {
    pub(super) organisations: Vec<DemoOrganisation>,
    /// Coordinators between them and the last one.
    pub(super) boards: Vec<DemoBoard>,
    /// Where the organisations' data folders are.
    pub(super) data: PathBuf,
    /// Where everything else goes; may be the same folder.
    pub(super) folder: PathBuf,
    /// The `[policy]` of every organisation, as TOML; empty where it is the preset alone.
    pub(super) policy: String,
}

/// The keys of `[policy]` as a section of a configuration.
pub(super) fn policy_toml(keys: &toml::Table) -> String {
    let lines = keys.iter().map(|(key, value)| format!("{key} = {value}\n"));
    format!("[policy]\n{}\n", lines.collect::<String>())
}

/// File of the analyst's password.
pub(super) fn analyst_password_file(folder: &Path) -> PathBuf {
    folder.join(COORDINATOR).join("analyst.password")
}

impl Settings {
    /// All servers by folder, the coordinator last.
    pub(super) fn servers(&self) -> Vec<String> {
        let nodes = self.organisations.iter().map(|organisation| organisation.id.clone());
        let boards = self.boards.iter().map(|board| board.id.to_owned());
        nodes.chain(boards).chain([COORDINATOR.to_owned()]).collect()
    }

    /// The servers that the coordinator asks.
    fn top(&self) -> Vec<String> {
        match self.boards.as_slice() {
            [] => self.organisations.iter().map(|organisation| organisation.id.clone()).collect(),
            boards => boards.iter().map(|board| board.id.to_owned()).collect(),
        }
    }

    /// Checks that a configuration that is kept is one with the same boards.
    pub(super) fn check_kept(&self) -> Result<(), LaunchError> {
        let path = self.folder.join(COORDINATOR).join("serve.toml");
        if !path.exists() {
            return Ok(());
        }
        let nodes = ServerConfig::load(&path)?.federation.map(|federation| federation.nodes);
        let kept: Vec<String> =
            nodes.unwrap_or_default().into_iter().map(|node| node.organisation).collect();
        let boards = kept.iter().all(|name| self.organisations.iter().all(|one| one.id != *name));
        if boards == self.boards.is_empty() || (boards && kept != self.top()) {
            let found = format!("boards = {}", if boards { kept.len() } else { 0 });
            return Err(LaunchError::OtherDemo { path: self.folder.clone(), found });
        }
        self.check_policy()
    }

    /// Checks that a policy that is asked for is the one that is kept.
    fn check_policy(&self) -> Result<(), LaunchError> {
        for organisation in self.organisations.iter().filter(|_| !self.policy.is_empty()) {
            let path = self.folder.join(&organisation.id).join("serve.toml");
            let kept = fs::read_to_string(&path);
            if !kept.map_err(|source| LaunchError::File { path, source })?.contains(&self.policy) {
                let found = format!("with another policy of `{}`", organisation.id);
                return Err(LaunchError::OtherDemo { path: self.folder.clone(), found });
            }
        }
        Ok(())
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
        let servers = self.servers();
        let of = |name: &str| {
            let place = servers.iter().position(|known| known == name)?;
            addresses.get(place).copied()
        };
        for board in &self.boards {
            let Some(address) = of(board.id) else { continue };
            let mut text = common_config(board.name, address);
            text.push_str(&format!(
                "\n[federation]\norganisation = \"{}\"\ncoordinators = [\"{COORDINATOR}\"]\n",
                board.id
            ));
            text.push_str(&nodes_config("../coordinator/node.password", &board.organisations, &of));
            self.write_missing(&format!("{}/serve.toml", board.id), &text)?;
        }
        if let Some(address) = addresses.last() {
            let mut config = common_config("Hedgerow demo", *address);
            config.push_str("\n[federation]\n");
            config.push_str(&nodes_config("node.password", &self.top(), &of));
            config.push_str(&views_config());
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
        let policy = &self.policy;
        format!(
            "organisation = \"{id}\"\n{common}\n{policy}[ledger]\nfile = \"ledger.ndjson\"\n\n{tables}"
        )
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
}

/// The rest of the `[federation]` section of a coordinator, and its nodes.
fn nodes_config(
    password_file: &str,
    names: &[String],
    of: &dyn Fn(&str) -> Option<SocketAddr>,
) -> String {
    let mut text = format!("user = \"{COORDINATOR}\"\npassword_file = \"{password_file}\"\n");
    for name in names {
        let Some(address) = of(name) else { continue };
        text.push_str(&format!(
            "\n[[federation.nodes]]\norganisation = \"{name}\"\nurl = \"https://{address}\"\n"
        ));
    }
    text
}

fn views_config() -> String {
    let view = |(name, description, sql): &(&str, &str, &str)| {
        format!("\n[views.{name}]\ndescription = \"{description}\"\nsql = \"\"\"\n{sql}\n\"\"\"\n")
    };
    VIEWS.iter().map(view).collect()
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

    use hedgerow_catalog::Contracts;

    use super::*;
    use crate::demo::organisations::{boards, organisations};

    #[test]
    fn what_is_written_can_be_served_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            organisations: organisations(5),
            boards: vec![],
            data: folder.path().join("data"),
            folder: folder.path().to_owned(),
            policy: String::new(),
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
        settings.check_kept().unwrap();
        let boards = boards(2, &settings.organisations);
        let other = Settings { boards, ..settings };
        let error = other.check_kept().unwrap_err().to_string();
        assert!(error.contains("boards = 0"), "{error}");
    }

    #[test]
    fn boards_stand_between() {
        let folder = tempfile::tempdir().unwrap();
        let organisations = organisations(5);
        let boards = boards(2, &organisations);
        let settings = Settings {
            organisations,
            boards,
            data: folder.path().join("data"),
            folder: folder.path().to_owned(),
            policy: String::new(),
        };
        let addresses: Vec<SocketAddr> =
            (4001..4009).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).collect();
        settings.write(&addresses).unwrap();
        let nodes = |server: &str| {
            let path = folder.path().join(server).join("serve.toml");
            let federation = ServerConfig::load(&path).unwrap().federation.unwrap();
            assert!(federation.password_file.exists());
            let names = federation.nodes.into_iter().map(|node| node.organisation);
            (federation.organisation, names.collect::<Vec<_>>())
        };
        assert_eq!(nodes(COORDINATOR), (None, vec!["midshire".into(), "eastshire".into()]));
        let (id, names) = nodes("eastshire");
        assert_eq!(id.as_deref(), Some("eastshire"));
        assert_eq!(names, ["westlea", "fenmarsh"]);
        assert_eq!(nodes("midshire").1.len(), 3);
        settings.check_kept().unwrap();
    }
}
