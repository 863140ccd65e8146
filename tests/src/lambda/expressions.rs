//! The expressions of DynamoDB that the functions send, held to its rules: whatever else comes is refused, as is a name or
//! a value that no expression uses (DynamoDB developer guide, "Expressions").

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// An item, or what is left of it.
pub type Item = Map<String, Value>;

/// The names and values of one request, and which of them were used.
pub struct Expressions<'a> {
    names: Option<&'a Map<String, Value>>,
    values: Option<&'a Map<String, Value>>,
    used: RefCell<BTreeSet<String>>,
}

type Tokens<'t> = std::iter::Peekable<std::vec::IntoIter<&'t str>>;

impl<'a> Expressions<'a> {
    /// The names and values that a request carries.
    #[must_use]
    pub fn of(request: &'a Value) -> Self {
        let part = |name| request.get(name).and_then(Value::as_object);
        Self {
            names: part("ExpressionAttributeNames"),
            values: part("ExpressionAttributeValues"),
            used: RefCell::default(),
        }
    }

    /// Whether a condition holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn holds(&self, condition: &str, item: &Item) -> Result<bool, String> {
        let mut tokens = tokens(condition).into_iter().peekable();
        let held = self.any(&mut tokens, item)?;
        match tokens.next() {
            None => Ok(held),
            Some(more) => Err(format!("`{condition}`: `{more}` is left over")),
        }
    }

    fn any(&self, tokens: &mut Tokens<'_>, item: &Item) -> Result<bool, String> {
        let mut held = self.all(tokens, item)?;
        while tokens.next_if_eq(&"OR").is_some() {
            held |= self.all(tokens, item)?;
        }
        Ok(held)
    }

    fn all(&self, tokens: &mut Tokens<'_>, item: &Item) -> Result<bool, String> {
        let mut held = self.one(tokens, item)?;
        while tokens.next_if_eq(&"AND").is_some() {
            held &= self.one(tokens, item)?;
        }
        Ok(held)
    }

    fn one(&self, tokens: &mut Tokens<'_>, item: &Item) -> Result<bool, String> {
        match next(tokens)? {
            "(" => {
                let held = self.any(tokens, item)?;
                expect(tokens, ")")?;
                Ok(held)
            }
            "NOT" => Ok(!self.one(tokens, item)?),
            function @ ("attribute_exists" | "attribute_not_exists") => {
                expect(tokens, "(")?;
                let there = item.contains_key(&self.name(next(tokens)?)?);
                expect(tokens, ")")?;
                Ok(there == (function == "attribute_exists"))
            }
            name => {
                let found = item.get(&self.name(name)?);
                let operator = next(tokens)?;
                let wanted = self.value(next(tokens)?)?;
                // Values of two types are never less or greater, and are equal under no circumstances.
                let order = found.and_then(|found| compare(found, wanted));
                Ok(match operator {
                    "=" => order == Some(Ordering::Equal),
                    "<" => order == Some(Ordering::Less),
                    "<=" => order.is_some_and(Ordering::is_le),
                    ">" => order == Some(Ordering::Greater),
                    ">=" => order.is_some_and(Ordering::is_ge),
                    other => return Err(format!("the comparison `{other}` is not known here")),
                })
            }
        }
    }

    /// Applies `SET`, `REMOVE` and `ADD`.
    ///
    /// # Errors
    /// When the expression cannot be read, or adds to what is no number.
    pub fn update(&self, expression: &str, item: &mut Item) -> Result<(), String> {
        let mut tokens = tokens(expression).into_iter().peekable();
        let mut clause = "";
        while let Some(token) = tokens.next() {
            match token {
                "SET" | "REMOVE" | "ADD" | "DELETE" => clause = token,
                "," => {}
                token => {
                    let name = self.name(token)?;
                    match clause {
                        "SET" => {
                            expect(&mut tokens, "=")?;
                            item.insert(name, self.value(next(&mut tokens)?)?.clone());
                        }
                        "ADD" | "DELETE"
                            if texts(self.values.and_then(|v| v.get(*tokens.peek().unwrap_or(&"")))).is_some() =>
                        {
                            let changed = texts(Some(self.value(next(&mut tokens)?)?)).unwrap_or_default();
                            let mut set = texts(item.get(&name)).unwrap_or_default();
                            if clause == "ADD" {
                                set.extend(changed);
                            } else {
                                set.retain(|text| !changed.contains(text));
                            }
                            // A set that is empty is not there.
                            drop(item.shift_remove(&name));
                            if !set.is_empty() {
                                item.insert(name, json!({ "SS": set }));
                            }
                        }
                        "ADD" => {
                            let by = number(self.value(next(&mut tokens)?)?).ok_or("ADD takes a number")?;
                            let sum = match item.get(&name) {
                                None => by,
                                Some(known) => number(known).ok_or("ADD to what is no number")? + by,
                            };
                            item.insert(name, json!({ "N": sum.to_string() }));
                        }
                        "REMOVE" => drop(item.shift_remove(&name)),
                        _ => return Err(format!("`{expression}` begins with no clause")),
                    }
                }
            }
        }
        Ok(())
    }

    /// The name or the value that no expression used, if there is one.
    #[must_use]
    pub fn unused(&self) -> Option<String> {
        let used = self.used.borrow();
        let all = self.names.iter().chain(self.values.iter()).flat_map(|part| part.keys());
        all.into_iter().find(|alias| !used.contains(*alias)).cloned()
    }

    fn name(&self, token: &str) -> Result<String, String> {
        if !token.starts_with('#') {
            return Ok(token.to_owned());
        }
        self.used.borrow_mut().insert(token.to_owned());
        let name = self.names.and_then(|names| names.get(token)).and_then(Value::as_str);
        name.map(str::to_owned)
            .ok_or_else(|| format!("the name `{token}` is not given"))
    }

    /// What a token of an expression stands for.
    ///
    /// # Errors
    /// When the request does not say it.
    pub fn value(&self, token: &str) -> Result<&'a Value, String> {
        self.used.borrow_mut().insert(token.to_owned());
        self.values
            .and_then(|values| values.get(token))
            .ok_or_else(|| format!("the value `{token}` is not given"))
    }
}

fn next<'t>(tokens: &mut Tokens<'t>) -> Result<&'t str, String> {
    tokens.next().ok_or_else(|| "the expression ends too early".to_owned())
}

fn expect(tokens: &mut Tokens<'_>, wanted: &str) -> Result<(), String> {
    let found = next(tokens)?;
    if found == wanted {
        Ok(())
    } else {
        Err(format!("`{found}` stands where `{wanted}` is expected"))
    }
}

fn tokens(expression: &str) -> Vec<&str> {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '#' | ':' | '_' | '-');
    let mut found = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = if word(first) {
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("<=") || rest.starts_with(">=") || rest.starts_with("<>") {
            2
        } else {
            first.len_utf8()
        };
        found.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    found
}

/// The whole number of an `N`; ours all are whole.
fn number(attribute: &Value) -> Option<i128> {
    attribute.get("N")?.as_str()?.parse().ok()
}

/// The texts of an `SS`.
fn texts(attribute: Option<&Value>) -> Option<BTreeSet<String>> {
    let texts = attribute?.get("SS")?.as_array()?;
    Some(texts.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return Some(left.cmp(&right));
    }
    if let (Some(left), Some(right)) = (left.get("S"), right.get("S")) {
        return left.as_str()?.partial_cmp(right.as_str()?);
    }
    (left == right).then_some(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let request = json!({
            "ExpressionAttributeNames": { "#order": "order" },
            "ExpressionAttributeValues": { ":v0": { "N": "10" }, ":v1": { "S": "x" } },
        });
        let check = |condition: &str, item: Value, expected: Result<bool, ()>| {
            let Value::Object(item) = item else { panic!("no item") };
            let expressions = Expressions::of(&request);
            assert_eq!(
                expressions.holds(condition, &item).map_err(drop),
                expected,
                "{condition} {item:?}"
            );
        };
        let newer = "(attribute_not_exists(#order) OR #order < :v0)";
        check(newer, json!({}), Ok(true));
        check(newer, json!({ "order": { "N": "9" } }), Ok(true));
        check(newer, json!({ "order": { "N": "10" } }), Ok(false));
        check(newer, json!({ "order": { "S": "9" } }), Ok(false));
        check("#order = :v0", json!({ "order": { "N": "10" } }), Ok(true));
        check(
            "#order = :v1 AND attribute_exists(#order)",
            json!({ "order": { "S": "x" } }),
            Ok(true),
        );
        check("begins_with(#order, :v1)", json!({}), Err(()));
        check("#order < :v9", json!({}), Err(()));
        check("#order", json!({}), Err(()));
    }

    #[test]
    fn updates() {
        let request = json!({
            "ExpressionAttributeNames": { "#a": "a", "#b": "b", "#n": "n", "#idle": "idle" },
            "ExpressionAttributeValues": { ":v0": { "S": "new" }, ":v1": { "N": "2" } },
        });
        let expressions = Expressions::of(&request);
        let mut item = json!({ "b": { "S": "old" }, "n": { "N": "1" } })
            .as_object()
            .cloned()
            .unwrap();
        expressions
            .update("SET #a = :v0 REMOVE #b ADD #n :v1", &mut item)
            .unwrap();
        assert_eq!(Value::Object(item), json!({ "n": { "N": "3" }, "a": { "S": "new" } }));
        assert_eq!(expressions.unused().as_deref(), Some("#idle"));
    }
}
