//! What AWS sends to EventBridge.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ACCOUNT, REGION, World};

impl World {
    pub(super) fn emit(&mut self, source: &str, detail_type: &str, resource: Option<String>, detail: &Value) {
        if self.unheard {
            return;
        }
        let id = self.next();
        let event = json!({
            "version": "0",
            "id": format!("event-{id}"),
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT,
            "region": REGION,
            "time": seconds(self.now).to_string(),
            "resources": resource.into_iter().collect::<Vec<_>>(),
            "detail": detail,
        });
        self.emitted.push(event);
    }
}

/// EventBridge writes whole seconds.
pub(super) fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// CloudWatch's own form of a time.
pub(super) fn cloudwatch(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}
