//! x
#![allow(missing_docs)]
use std::num::NonZeroU32;
use crate::config::Span;
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashLoops { pub after: NonZeroU32, pub within: Span }
impl Default for CrashLoops { fn default() -> Self { Self { after: NonZeroU32::new(3).unwrap(), within: Span::minutes(10) } } }
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement { pub auto_scaling_group: String, pub add: NonZeroU32, pub max: u32, pub cooldown: Span }
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpotFallback { pub fallback: Fallback, pub after: Span, pub return_after: Span }
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback { Twin(String), Strategy(Vec<StrategyItem>) }
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StrategyItem { pub capacity_provider: String, pub weight: Option<u32>, pub base: Option<u32> }
