//! What all answers of EC2 have in common (EC2 API reference, 2016-11-15).

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Aws, form};
use crate::error::CloudError;

/// How many values one filter is given; EC2 takes 200 (EC2 user guide, "Filtering considerations").
const VALUES: usize = 100;

/// The host's first label.
pub(super) const HOST: &str = "ec2";
/// The version of the API.
pub(super) const VERSION: &str = "2016-11-15";

/// A list of EC2's.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Items<T> {
    #[serde(default = "Vec::new")]
    pub item: Vec<T>,
}

/// EC2 writes what is not there as an empty element.
pub(super) fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

impl Aws {
    /// Every page of what EC2 lists, for these parameters.
    pub(super) async fn ec2_pages<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        parameters: &[(String, String)],
        next: fn(&mut T) -> Option<String>,
    ) -> Result<Vec<T>, CloudError> {
        let (mut pages, mut token) = (Vec::new(), None);
        loop {
            let mut parameters = parameters.to_vec();
            parameters.push(form::pair("MaxResults", "1000"));
            parameters.extend(token.map(|token| form::pair("NextToken", token)));
            let mut page: T = self.raw.query(HOST, VERSION, operation, &parameters).await?;
            token = said(next(&mut page));
            pages.push(page);
            if token.is_none() {
                return Ok(pages);
            }
        }
    }

    /// The same by the values of one filter, which is given besides the parameters.
    pub(super) async fn ec2_filtered<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        (filter, values): (&str, &[String]),
        parameters: &[(String, String)],
        next: fn(&mut T) -> Option<String>,
    ) -> Result<Vec<T>, CloudError> {
        let mut pages = Vec::new();
        for batch in values.chunks(VALUES) {
            let mut all = vec![form::pair("Filter.1.Name", filter)];
            all.extend(form::list("Filter.1.Value", batch));
            all.extend_from_slice(parameters);
            pages.extend(self.ec2_pages(operation, &all, next).await?);
        }
        Ok(pages)
    }
}
