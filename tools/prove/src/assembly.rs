// SPDX-License-Identifier: GPL-2.0
//! Which functions assembly calls: inline assembly by its text, and objects by their relocations.

use crate::ir::*;

/// The possible callees of a piece of inline assembly.
#[derive(Debug, PartialEq, Eq)]
pub enum Calls {
    /// These functions, perhaps none.
    Functions(Vec<SymId>),
    /// A call not named in its text.
    Unknown,
}

/// Returns the functions named in the text or the arguments of inline assembly.
pub fn inline_calls(program: &Program, text: &str, args: &[Value]) -> Calls {
    let mut functions = vec![];
    for arg in args {
        if let Value::Address(symbol, 0) = arg {
            let symbol = program.resolve(*symbol);
            if may_run(program, symbol) {
                functions.push(symbol);
            }
        }
    }
    let mut calls = false;
    for word in words(text) {
        calls |= matches!(word, "call" | "callq");
        if let Some(symbol) = program
            .names
            .get(word)
            .map(|symbol| program.resolve(*symbol))
        {
            if may_run(program, symbol) {
                functions.push(symbol);
            }
        } else if word.ends_with('_') && word.len() > 4 {
            // A name completed by an operand, such as `__get_user_${4:c}`: each number is possible.
            let complete = |name: &str| {
                name.strip_prefix(word).is_some_and(|rest| {
                    !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
                })
            };
            functions.extend(
                program
                    .names
                    .iter()
                    .filter(|(name, _)| complete(name))
                    .map(|(_, symbol)| *symbol),
            );
        }
    }
    functions.sort_unstable();
    functions.dedup();
    if calls && functions.is_empty() {
        Calls::Unknown
    } else {
        Calls::Functions(functions)
    }
}

/// Returns the fields through which inline assembly calls, such as those of `pv_ops`, if it calls through memory.
pub fn inline_fields(program: &Program, text: &str, args: &[Value]) -> Vec<KeyId> {
    if !text.contains("call *") && !text.contains("call\t*") {
        return vec![];
    }
    let mut keys = vec![];
    for arg in args {
        if let Value::Address(symbol, offset) = arg {
            if let Definition::Data(data) =
                &program.symbols[program.resolve(*symbol) as usize].definition
            {
                keys.extend(
                    data.addresses
                        .iter()
                        .filter(|address| address.0 as i64 == *offset)
                        .map(|address| address.1),
                );
            }
        }
    }
    keys
}

fn may_run(program: &Program, symbol: SymId) -> bool {
    let symbol = &program.symbols[symbol as usize];
    match symbol.definition {
        Definition::Function(_) | Definition::Assembly(_) => true,
        // A declaration of a function: variables have no such type.
        Definition::None => symbol.kcfi.is_some(),
        _ => false,
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
        .filter(|word| !word.is_empty())
}

/// Reads an object of the assembler. A function calls each symbol to which its code has a relocation.
pub fn object(path: &str, bytes: &[u8]) -> Result<Object, String> {
    Elf { bytes }
        .object(path)
        .ok_or_else(|| format!("{path}: this is no object that can be read"))
}

struct Elf<'a> {
    bytes: &'a [u8],
}

struct Section {
    kind: u64,
    executable: bool,
    offset: usize,
    size: usize,
    link: usize,
    info: usize,
}

struct ElfSymbol {
    name: String,
    info: u64,
    section: usize,
    value: u64,
    size: u64,
}

/// Numbers of the ELF format.
const SHT_SYMTAB: u64 = 2;
const SHT_RELA: u64 = 4;
const SHF_EXECINSTR: u64 = 4;
const STB_LOCAL: u64 = 0;
const STB_WEAK: u64 = 2;
const STT_SECTION: u64 = 3;

impl Elf<'_> {
    fn int(&self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at + length)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |all, byte| (all << 8) | u64::from(*byte)),
        )
    }

    fn text(&self, at: usize) -> Option<String> {
        let rest = self.bytes.get(at..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    fn sections(&self) -> Option<Vec<Section>> {
        let (start, size, count) = (
            self.int(0x28, 8)? as usize,
            self.int(0x3a, 2)? as usize,
            self.int(0x3c, 2)?,
        );
        (0..count as usize)
            .map(|index| {
                let at = start + index * size;
                Some(Section {
                    kind: self.int(at + 4, 4)?,
                    executable: self.int(at + 8, 8)? & SHF_EXECINSTR != 0,
                    offset: self.int(at + 0x18, 8)? as usize,
                    size: self.int(at + 0x20, 8)? as usize,
                    link: self.int(at + 0x28, 4)? as usize,
                    info: self.int(at + 0x2c, 4)? as usize,
                })
            })
            .collect()
    }

    fn symbols(&self, sections: &[Section]) -> Option<Vec<ElfSymbol>> {
        let Some(table) = sections.iter().find(|section| section.kind == SHT_SYMTAB) else {
            return Some(vec![]);
        };
        let names = sections.get(table.link)?.offset;
        (0..table.size / 24)
            .map(|index| {
                let at = table.offset + index * 24;
                Some(ElfSymbol {
                    name: self.text(names + self.int(at, 4)? as usize)?,
                    info: self.int(at + 4, 1)?,
                    section: self.int(at + 6, 2)? as usize,
                    value: self.int(at + 8, 8)?,
                    size: self.int(at + 16, 8)?,
                })
            })
            .collect()
    }

    fn object(&self, path: &str) -> Option<Object> {
        if self.bytes.get(..5)? != b"\x7fELF\x02" {
            return None;
        }
        let sections = self.sections()?;
        let symbols = self.symbols(&sections)?;
        let executable = |section: usize| {
            sections
                .get(section)
                .is_some_and(|section| section.executable)
        };
        let mut calls: Vec<Vec<SymId>> = symbols.iter().map(|_| vec![]).collect();
        for relocations in sections
            .iter()
            .filter(|section| section.kind == SHT_RELA && executable(section.info))
        {
            for at in (relocations.offset..relocations.offset + relocations.size).step_by(24) {
                let (place, target) = (self.int(at, 8)?, self.int(at + 12, 4)? as usize);
                let to = symbols.get(target)?;
                let targets: Vec<SymId> = if to.info & 0xf == STT_SECTION {
                    // Somewhere in this section: any function of it.
                    let within =
                        |symbol: &ElfSymbol| executable(to.section) && symbol.section == to.section;
                    (0..symbols.len())
                        .filter(|index| within(&symbols[*index]))
                        .map(|index| index as SymId)
                        .collect()
                } else {
                    vec![target as SymId]
                };
                for (index, symbol) in symbols.iter().enumerate() {
                    let inside = symbol.size == 0
                        || (symbol.value..symbol.value + symbol.size).contains(&place);
                    if symbol.section == relocations.info && inside {
                        calls[index].extend(&targets);
                    }
                }
            }
        }
        // Functions whose addresses are in data may be called from anywhere.
        let mut data = Data::default();
        for relocations in sections
            .iter()
            .filter(|section| section.kind == SHT_RELA && !executable(section.info))
        {
            for at in (relocations.offset..relocations.offset + relocations.size).step_by(24) {
                let target = self.int(at + 12, 4)? as usize;
                if symbols.get(target)?.info & 0xf != STT_SECTION {
                    data.addresses.push((u64::MAX, NO_KEY, target as SymId, 0));
                }
            }
        }
        let mut object = Object {
            path: path.into(),
            keys: vec![String::new()],
            ..Default::default()
        };
        for (symbol, mut calls) in symbols.into_iter().zip(calls) {
            calls.sort_unstable();
            calls.dedup();
            object.symbols.push(Symbol {
                local: symbol.info >> 4 == STB_LOCAL,
                weak: symbol.info >> 4 == STB_WEAK,
                kcfi: None,
                noreturn: false,
                guarded: false,
                intrinsic: false,
                definition: match symbol.section {
                    0 => Definition::None,
                    section if executable(section) => Definition::Assembly(calls),
                    _ => Definition::Data(Box::default()),
                },
                name: symbol.name,
            });
        }
        object.symbols.push(Symbol {
            name: "data of an object of the assembler".into(),
            local: true,
            weak: false,
            kcfi: None,
            noreturn: false,
            guarded: false,
            intrinsic: false,
            definition: Definition::Data(Box::new(data)),
        });
        Some(object)
    }
}
