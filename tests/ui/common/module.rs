// SPDX-License-Identifier: GPL-2.0

// `#[vtable]` wants to know the module that an implementation belongs to.
module! {
    type: Ui,
    name: "ui",
    authors: ["The nonblock authors"],
    description: "A program that must not compile",
    license: "GPL",
}

struct Ui;

impl kernel::Module for Ui {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
