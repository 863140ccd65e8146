//! Which containers the side container holds up: who stops before whom.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::container::{SIDE_CONTAINER, is_named};

/// Where an entry of discovery or balancing expects the app.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Serving {
    pub(super) container: Option<String>,
    pub(super) port: Option<u16>,
}

/// The containers of a task definition.
pub(super) struct Containers<'a> {
    /// Those with a name, besides the side container.
    others: Vec<Container<'a>>,
    /// The one with the name of the side container, whoever put it there.
    pub(super) side: Option<&'a Value>,
}

struct Container<'a> {
    name: &'a str,
    essential: bool,
    ports: BTreeSet<u64>,
    /// Those that must not stop before it. ECS keeps to this order for `dependsOn`, `links` and `volumesFrom`
    /// (aws/amazon-ecs-agent #1866).
    needs: BTreeSet<&'a str>,
}

impl<'a> Containers<'a> {
    pub(super) fn of(definition: &'a Map<String, Value>) -> Self {
        let list = definition
            .get("containerDefinitions")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        Self {
            others: list.iter().filter(|c| !is_named(c)).filter_map(container).collect(),
            side: list.iter().find(|c| is_named(c)),
        }
    }

    /// How many there are besides the side container.
    pub(super) fn len(&self) -> usize {
        self.others.len()
    }

    /// A container that needs this one.
    pub(super) fn dependant(&self, name: &str) -> Option<&'a str> {
        self.others.iter().find(|c| c.needs.contains(name)).map(|c| c.name)
    }

    /// The containers that the entries name, by their name or by the port; every essential one when an entry names none.
    /// An essential container that depends on one of them is held up too: it would get SIGTERM first, and the app behind
    /// it would serve nobody.
    pub(super) fn held_up(&self, serving: &[Serving]) -> Result<Vec<String>, String> {
        let mut held = BTreeSet::new();
        let mut all = serving.is_empty();
        for entry in serving {
            let named: Vec<_> = self.others.iter().filter(|c| c.serves(entry)).map(|c| c.name).collect();
            all |= named.is_empty();
            held.extend(named);
        }
        let essential = || self.others.iter().filter(|c| c.essential);
        if all {
            held.extend(essential().map(|c| c.name));
        }
        // Each round adds one container at least, or is the last.
        for _ in 0..self.others.len() {
            let dependants: Vec<_> = essential()
                .filter(|c| !c.needs.is_disjoint(&held))
                .map(|c| c.name)
                .collect();
            held.extend(dependants);
        }
        for name in &held {
            let needed = self.needed(name);
            if needed.contains(SIDE_CONTAINER) {
                return Err(format!("`{name}` depends on it, so it cannot depend on `{name}`"));
            }
            if needed.contains(name) {
                return Err(format!("`{name}` depends on itself through others"));
            }
        }
        if held.is_empty() {
            return Err("the task definition has no essential container".into());
        }
        let in_order = self.others.iter().filter(|c| held.contains(c.name));
        Ok(in_order.map(|c| c.name.to_owned()).collect())
    }

    /// All that a container needs, and what those need.
    fn needed(&self, name: &str) -> BTreeSet<&'a str> {
        let mut needed = BTreeSet::new();
        let mut left = vec![name];
        while let Some(next) = left.pop() {
            let needs = self.others.iter().find(|c| c.name == next).map(|c| &c.needs);
            for need in needs.into_iter().flatten() {
                if needed.insert(*need) {
                    left.push(need);
                }
            }
        }
        needed
    }
}

impl Container<'_> {
    fn serves(&self, entry: &Serving) -> bool {
        match (&entry.container, entry.port) {
            (Some(name), _) => self.name == name,
            (None, Some(port)) => self.ports.contains(&u64::from(port)),
            (None, None) => false,
        }
    }
}

fn container(value: &Value) -> Option<Container<'_>> {
    let list = |key| value.get(key).and_then(Value::as_array).into_iter().flatten();
    let depends_on = list("dependsOn").filter_map(|d| d.get("containerName")?.as_str());
    // `name` or `name:alias`.
    let links = list("links").filter_map(|l| l.as_str()?.split(':').next());
    let volumes = list("volumesFrom").filter_map(|v| v.get("sourceContainer")?.as_str());
    Some(Container {
        name: value.get("name")?.as_str()?,
        // Left out it is essential (ECS API reference, `ContainerDefinition.essential`).
        essential: value.get("essential").and_then(Value::as_bool).unwrap_or(true),
        ports: list("portMappings")
            .filter_map(|p| p.get("containerPort")?.as_u64())
            .collect(),
        needs: depends_on.chain(links).chain(volumes).collect(),
    })
}
