// SPDX-License-Identifier: GPL-2.0
//! Links with the shared library of LLVM 19, which clang 19 itself depends on: no -dev package is needed.

use std::path::Path;

const FOLDERS: [&str; 2] = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/llvm-19/lib"];
const NAMES: [&str; 2] = ["libLLVM.so.19.1", "libLLVM-19.so.1"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for folder in FOLDERS {
        for name in NAMES {
            let path = Path::new(folder).join(name);
            if path.exists() {
                println!("cargo:rustc-link-arg={}", path.display());
                return;
            }
        }
    }
    panic!("the library of LLVM 19 is not installed: run tools/setup");
}
