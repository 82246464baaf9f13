// SPDX-License-Identifier: GPL-2.0
//! Proves that a function of the kernel cannot sleep, on its bitcode.
//!
//! Documentation/mm/rust-nonblock-prove.rst explains the claims, and their limits.
//!
//! ```text
//! load, llvm   a file of bitcode    -> an object
//! cache        objects read before
//! assembly     a file of assembly   -> an object
//! link         objects              -> a program
//! targets      which functions an indirect call may call
//! value        facts about a value
//! stack, readonly  facts about variables whose address is passed
//! interpret    which blocks of a function can run, given its arguments
//! scopes       where no allocation waits for memory
//! static_calls the targets of a static call
//! relevance    which arguments matter
//! sections     which calls are made in a non-blocking section
//! search       from a root to a sleep, or to a call it cannot follow
//! roots, axioms, names, output
//! execute, mutate  whether sleeps on executed paths are found
//! ```

#![deny(unsafe_code)]

pub mod assembly;
pub mod axioms;
pub mod cache;
pub mod execute;
pub mod interpret;
pub mod ir;
pub mod link;
#[allow(unsafe_code)]
mod llvm;
pub mod load;
pub mod mutate;
pub mod names;
pub mod output;
mod readonly;
mod relevance;
pub mod roots;
mod scopes;
pub mod search;
pub mod sections;
mod stack;
mod static_calls;
pub mod targets;
pub mod value;
