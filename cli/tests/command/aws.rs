//! An AWS on this machine that answers what it is told to, and keeps what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::folder::{Folder, Ran};

/// Answers by operation; one without an answer is refused.
type Answers = BTreeMap<String, (&'static str, String)>;

pub(crate) struct Aws {
    endpoint: String,
    answers: Arc<Mutex<Answers>>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Aws {
    /// With a stack of these functions, and tables that are empty and take everything.
    pub(crate) fn start(outputs: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let aws = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            answers: Arc::default(),
            asked: Arc::default(),
        };
        let (answers, asked) = (Arc::clone(&aws.answers), Arc::clone(&aws.asked));
        // It ends with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &answers, &asked);
            }
        });
        let member = |(key, value): &(&str, &str)| {
            format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
        };
        let outputs = outputs.iter().map(member).collect::<Vec<_>>().concat();
        aws.says_text(
            "DescribeStacks",
            format!(
                "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><Outputs>{outputs}</Outputs></member>\
                 </Stacks></DescribeStacksResult></DescribeStacksResponse>"
            ),
        );
        aws.says("GetItem", &json!({}));
        aws.says("Query", &json!({ "Items": [], "Count": 0 }));
        aws.says("TransactWriteItems", &json!({}));
        aws.says("DescribeServices", &json!({ "services": [], "failures": [] }));
        aws
    }

    pub(crate) fn says(&self, operation: &str, answer: &Value) {
        self.says_text(operation, answer.to_string());
    }

    /// A function fails.
    pub(crate) fn fails(&self, function: &str, answer: &Value) {
        let answer = ("x-amz-function-error: Unhandled\r\n", answer.to_string());
        self.answers
            .lock()
            .unwrap()
            .insert(format!("Invoke {function}"), answer);
    }

    pub(crate) fn says_text(&self, operation: &str, answer: String) {
        self.answers.lock().unwrap().insert(operation.to_owned(), ("", answer));
    }

    /// The operations that were asked for since the last time.
    pub(crate) fn asked(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    pub(crate) fn run(&self, folder: &Folder, args: &[&str]) -> Ran {
        folder.run_in(
            args,
            &[
                ("AWS_ENDPOINT_URL", &self.endpoint),
                ("AWS_REGION", "eu-west-1"),
                ("AWS_ACCESS_KEY_ID", "id"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
                ("WHARFINGER_CONFIG_TABLE", "config"),
                ("WHARFINGER_STATE_TABLE", "state"),
            ],
        )
    }
}

fn answer(mut stream: TcpStream, answers: &Mutex<Answers>, asked: &Mutex<Vec<(String, String)>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or_default() == 0 || line == "\r\n" {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let found = lines.iter().filter_map(|line| line.split_once(": "));
        found
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    };
    let length = header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or_default();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let path = lines
        .first()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or_default();
    let operation = if let Some(function) = path.strip_prefix("/2015-03-31/functions/") {
        assert_eq!(header("x-amz-invocation-type"), Some("RequestResponse"));
        format!("Invoke {}", function.trim_end_matches("/invocations"))
    } else if let Some(target) = header("x-amz-target") {
        target.rsplit('.').next().unwrap_or_default().to_owned()
    } else {
        let action = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
        action.unwrap_or(path).to_owned()
    };
    asked.lock().unwrap().push((operation.clone(), body));
    let known = answers.lock().unwrap().get(&operation).cloned();
    let (status, (headers, text)) = match known {
        Some(known) => ("200 OK", known),
        None => (
            "400 Bad Request",
            (
                "",
                r#"{"__type":"AccessDeniedException","message":"nobody may"}"#.to_owned(),
            ),
        ),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    // Whoever asked may be gone.
    drop(stream.write_all(format!("{head}{text}").as_bytes()));
}
