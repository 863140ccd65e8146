//! Access points of EFS: what a service or a tenant is given of a file system, and as which user.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// What EFS takes as an id of a file system (EFS API reference, `CreateAccessPoint`).
const FILE_SYSTEM_PATTERN: &str = "^fs-[0-9a-f]{8,40}$";

/// The access point through which a volume's file system is mounted. It cannot be changed, only another one made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AccessPoint {
    /// The file system, `fs-…`.
    #[schemars(extend("pattern" = FILE_SYSTEM_PATTERN))]
    pub file_system: String,
    /// The directory that tasks see as the root, from `/` on: four levels at most.
    #[schemars(extend("pattern" = "^/", "maxLength" = 100))]
    pub path: String,
    /// The user as which everything is read and written, whatever the task says.
    pub uid: u32,
    /// Their group.
    pub gid: u32,
    /// The permissions of the directory, which EFS makes for this user when it is missing.
    pub permissions: Permissions,
    /// Services that name the same tenant share one access point; without it each service has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

impl AccessPoint {
    /// Whether it names a file system as EFS does.
    #[must_use]
    pub fn has_id(&self) -> bool {
        let id = self.file_system.strip_prefix("fs-").unwrap_or_default();
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (8..=40).contains(&id.len()) && id.bytes().all(is_hex)
    }
}

/// Permissions were not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` are no permissions: write three or four octal digits in quotes, like \"0750\"")]
pub struct PermissionsError(String);

/// The permissions of a directory, written as three or four octal digits: `"0750"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Permissions(u16);

impl FromStr for Permissions {
    type Err = PermissionsError;

    fn from_str(text: &str) -> Result<Self, PermissionsError> {
        let is_octal = text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let number = u16::from_str_radix(text, 8).ok();
        number
            .filter(|_| is_octal && (3..=4).contains(&text.len()))
            .map(Self)
            .ok_or_else(|| PermissionsError(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Permissions {
    /// From a text alone: YAML may read `0750` as 750 or as 488.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl From<Permissions> for String {
    fn from(permissions: Permissions) -> Self {
        permissions.to_string()
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl JsonSchema for Permissions {
    fn schema_name() -> Cow<'static, str> {
        "Permissions".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-7]{3,4}$",
            "description": "Three or four octal digits, in quotes: \"0750\".",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn permissions_are_octal_digits_in_quotes() {
        for (text, written) in [("0750", "0750"), ("750", "0750"), ("000", "0000"), ("1777", "1777")] {
            let read: Permissions = serde_json::from_value(json!(text)).unwrap();
            assert_eq!(read.to_string(), written);
            assert_eq!(serde_json::to_value(read).unwrap(), written);
        }
        for odd in ["", "75", "07500", "0780", "rwx", "+75", " 750"] {
            let error = serde_json::from_value::<Permissions>(json!(odd)).unwrap_err();
            assert!(error.to_string().contains("octal digits in quotes"), "{odd}: {error}");
        }
        assert!(serde_json::from_value::<Permissions>(json!(750)).is_err());
    }

    #[test]
    fn a_file_system_is_named_by_its_id() {
        let check = |id: &str, expected| {
            let point = AccessPoint {
                file_system: id.to_owned(),
                path: "/".to_owned(),
                uid: 0,
                gid: 0,
                permissions: "750".parse().unwrap(),
                tenant: None,
            };
            assert_eq!(point.has_id(), expected, "{id}");
        };
        check("fs-01234567", true);
        check("fs-0123456789abcdef0", true);
        for odd in [
            "",
            "fs-",
            "fs-0123",
            "fs-0123456G",
            "fsap-0123456789abcdef0",
            "0123456789",
        ] {
            check(odd, false);
        }
    }
}
