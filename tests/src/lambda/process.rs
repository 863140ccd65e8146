//! A function's process: its environment, what it prints, and what it costs.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{CONFIG_TABLE, Lambda, OWNER, PATIENCE, REGION, STATE_TABLE};

/// What a process has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The time of a processor, of all its threads.
    pub cpu: Duration,
    /// The most memory that it had at once, in bytes.
    pub peak_memory: u64,
}

/// The lines that a process has printed.
#[derive(Debug, Default)]
struct Printed {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Printed {
    fn gather(self: &Arc<Self>, from: impl Read + Send + 'static) -> JoinHandle<()> {
        let printed = Arc::clone(self);
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                printed.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                printed.more.notify_all();
            }
        })
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A function that runs. It ends with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// When it was started.
    pub began: Instant,
    stdout: Arc<Printed>,
    stderr: Arc<Printed>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a binary as Lambda does, with these surroundings and, besides or instead, these variables; an empty one is
    /// taken away.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(binary: &Path, lambda: &Lambda, variables: &[(&str, &OsStr)]) -> io::Result<Self> {
        let mut command = Command::new(binary);
        command.env_clear();
        command.envs(environment(binary, lambda));
        for (name, value) in variables {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = command.spawn()?;
        let (stdout, stderr) = (Arc::new(Printed::default()), Arc::new(Printed::default()));
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|pipe| stdout.gather(pipe)));
        readers.extend(child.stderr.take().map(|pipe| stderr.gather(pipe)));
        Ok(Self {
            child,
            began,
            stdout,
            stderr,
            readers,
        })
    }

    /// What it has printed to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.lines()
    }

    /// What it has printed to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.lines()
    }

    /// Waits for a line of standard output.
    ///
    /// # Errors
    /// When it does not come; what came instead is in the error.
    pub fn line(&self, wanted: impl Fn(&str) -> bool) -> io::Result<String> {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.stdout.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(line) = lines.iter().find(|line| wanted(line)) {
                return Ok(line.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let printed = lines.join("\n");
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("the line was not printed:\n{printed}"),
                ));
            }
            lines = match self.stdout.more.wait_timeout(lines, left) {
                Ok((lines, _)) => lines,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Waits until it ends by itself, and until all that it printed was read.
    ///
    /// # Errors
    /// When it does not end.
    pub fn ended(&mut self) -> io::Result<ExitStatus> {
        // Its pipes close when it ends, and not before.
        let until = Instant::now() + PATIENCE;
        while !self.readers.iter().all(JoinHandle::is_finished) {
            if Instant::now() > until {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the process does not end"));
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        self.child.wait()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn runs(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits until it sleeps, and says what it has cost up to there. On Linux only.
    ///
    /// # Errors
    /// When it does not come to rest, or the system does not say.
    pub fn usage_at_rest(&self) -> io::Result<Usage> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let until = Instant::now() + PATIENCE;
        loop {
            let before = cpu(&folder)?;
            // What was counted last is counted when a thread goes to sleep.
            if asleep(&folder)? && cpu(&folder)? == before {
                return Ok(Usage {
                    cpu: before,
                    peak_memory: peak_memory(&folder)?,
                });
            }
            if Instant::now() > until {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the process does not come to rest",
                ));
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left of it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn environment(binary: &Path, lambda: &Lambda) -> Vec<(&'static str, String)> {
    let folder = binary.parent().unwrap_or(Path::new("/")).display().to_string();
    let name = binary.file_name().and_then(OsStr::to_str).unwrap_or_default();
    vec![
        ("AWS_LAMBDA_RUNTIME_API", lambda.runtime_api().to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", format!("{OWNER}-{name}")),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".into()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{OWNER}-{name}")),
        (
            "AWS_LAMBDA_LOG_STREAM_NAME",
            "2026/01/01/[$LATEST]00000000000000000000000000000000".into(),
        ),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into()),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023".into()),
        ("_HANDLER", "bootstrap".into()),
        ("LAMBDA_TASK_ROOT", folder.clone()),
        ("LAMBDA_RUNTIME_DIR", folder),
        ("AWS_REGION", REGION.into()),
        ("AWS_DEFAULT_REGION", REGION.into()),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".into()),
        (
            "AWS_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        ),
        ("AWS_SESSION_TOKEN", "token".into()),
        ("AWS_ENDPOINT_URL", lambda.endpoint()),
        ("LANG", "en_US.UTF-8".into()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin".into()),
        ("TZ", ":UTC".into()),
        ("WHARFINGER_CONFIG_TABLE", CONFIG_TABLE.into()),
        ("WHARFINGER_STATE_TABLE", STATE_TABLE.into()),
        ("WHARFINGER_OWNER", OWNER.into()),
    ]
}

/// The nanoseconds that the threads spent on a processor (Linux, Documentation/scheduler/sched-stats).
fn cpu(folder: &Path) -> io::Result<Duration> {
    let mut sum = 0;
    for task in threads(folder)? {
        let text = std::fs::read_to_string(task.join("schedstat"))?;
        let first = text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
        sum += first.ok_or_else(|| io::Error::other(format!("schedstat says `{text}`")))?;
    }
    Ok(Duration::from_nanos(sum))
}

fn asleep(folder: &Path) -> io::Result<bool> {
    for task in threads(folder)? {
        let text = std::fs::read_to_string(task.join("stat"))?;
        // The name, in brackets, may hold anything.
        if !text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S')) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn threads(folder: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::read_dir(folder.join("task"))?
        .map(|entry| Ok(entry?.path()))
        .collect()
}

fn peak_memory(folder: &Path) -> io::Result<u64> {
    let text = std::fs::read_to_string(folder.join("status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kilobytes
        .map(|kb| kb * 1_024)
        .ok_or_else(|| io::Error::other("the system does not say the peak of the memory"))
}
