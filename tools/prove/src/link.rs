// SPDX-License-Identifier: GPL-2.0
//! Makes one [`Program`] of many objects.
//!
//! An object belongs to a unit: unit 0 is the kernel image, and each module is one of its own. A name means the definition
//! in the own unit, else that in the image, else that in any module.

use std::collections::HashMap;

use crate::ir::*;

/// Links the objects, each given with its unit.
pub fn link(objects: Vec<(Object, u32)>) -> Program {
    let mut program = Program {
        keys: vec![String::new()],
        ..Default::default()
    };
    let mut keys: HashMap<String, KeyId> = HashMap::from([(String::new(), NO_KEY)]);
    let definitions = definitions(&objects);
    let mut ids: HashMap<(usize, usize), SymId> = HashMap::new();
    let mut undefined: HashMap<String, SymId> = HashMap::new();
    let mut next = 0;
    let mut maps = vec![];
    for (index, (object, unit)) in objects.iter().enumerate() {
        let map: Vec<SymId> = (object.symbols.iter().enumerate())
            .map(|(position, symbol)| {
                let found = if symbol.local {
                    Some((index, position))
                } else {
                    definitions.find(*unit, &symbol.name)
                };
                let id = match found {
                    Some(place) => ids.entry(place).or_insert(next),
                    None => undefined.entry(symbol.name.clone()).or_insert(next),
                };
                if *id == next {
                    next += 1;
                }
                *id
            })
            .collect();
        maps.push(map);
    }
    let mut symbols: Vec<Option<(Symbol, u32)>> = (0..next).map(|_| None).collect();
    for (index, (object, _)) in objects.into_iter().enumerate() {
        let mut renamer = Renamer {
            symbols: &maps[index],
            keys: vec![],
            asm: program.asm.len() as u32,
        };
        for name in object.keys {
            let id = *keys.entry(name).or_insert_with_key(|name| {
                program.keys.push(name.clone());
                program.keys.len() as KeyId - 1
            });
            renamer.keys.push(id);
        }
        program.asm.extend(object.asm);
        program.files.push(object.path);
        for (position, mut symbol) in object.symbols.into_iter().enumerate() {
            let id = renamer.symbols[position];
            let defines = symbol.local || ids.get(&(index, position)) == Some(&id);
            let slot = &mut symbols[id as usize];
            // A declaration in another file may have facts that the definition lacks.
            let kcfi = symbol.kcfi.or(slot.as_ref().and_then(|slot| slot.0.kcfi));
            let noreturn = symbol.noreturn || slot.as_ref().is_some_and(|slot| slot.0.noreturn);
            if defines || slot.is_none() {
                if defines {
                    renamer.definition(&mut symbol.definition);
                } else {
                    symbol.definition = Definition::None;
                }
                *slot = Some((symbol, index as u32));
            }
            let slot = &mut slot.as_mut().expect("was just set").0;
            slot.noreturn = noreturn;
            slot.kcfi = slot.kcfi.or(kcfi);
        }
    }
    for (symbol, file) in symbols.into_iter().flatten() {
        if !symbol.local {
            program
                .names
                .entry(symbol.name.clone())
                .or_insert(program.symbols.len() as SymId);
        }
        program.symbols.push(symbol);
        program.file.push(file);
    }
    assert_eq!(program.symbols.len(), next as usize);
    program
}

/// The definition of each name: the object, and the symbol in it.
struct Definitions {
    by_unit: HashMap<u32, HashMap<String, (usize, usize)>>,
    modules: HashMap<String, (usize, usize)>,
}

fn definitions(objects: &[(Object, u32)]) -> Definitions {
    let mut all = Definitions {
        by_unit: HashMap::new(),
        modules: HashMap::new(),
    };
    for (index, (object, unit)) in objects.iter().enumerate() {
        let names = all.by_unit.entry(*unit).or_default();
        for (position, symbol) in object.symbols.iter().enumerate() {
            if symbol.local || symbol.definition == Definition::None {
                continue;
            }
            let place = (index, position);
            let first = *names.entry(symbol.name.clone()).or_insert(place);
            if objects[first.0].0.symbols[first.1].weak && !symbol.weak {
                names.insert(symbol.name.clone(), place);
            }
            if *unit != 0 {
                all.modules.entry(symbol.name.clone()).or_insert(place);
            }
        }
    }
    all
}

impl Definitions {
    fn find(&self, unit: u32, name: &str) -> Option<(usize, usize)> {
        let within = |unit| self.by_unit.get(&unit).and_then(|names| names.get(name));
        within(unit)
            .or_else(|| within(0))
            .or_else(|| self.modules.get(name))
            .copied()
    }
}

/// Replaces the numbers of an object by those of the program.
struct Renamer<'a> {
    symbols: &'a [SymId],
    keys: Vec<KeyId>,
    asm: u32,
}

impl Renamer<'_> {
    fn definition(&self, definition: &mut Definition) {
        match definition {
            Definition::None => {}
            Definition::Function(function) => {
                function.for_each_value_mut(|value| self.value(value));
                for inst in &mut function.insts {
                    self.op(&mut inst.op);
                }
            }
            Definition::Data(data) => {
                for (_, key, symbol, _) in &mut data.addresses {
                    *key = self.keys[*key as usize];
                    *symbol = self.symbols[*symbol as usize];
                }
                data.own_key = self.keys[data.own_key as usize];
            }
            Definition::Alias(symbol) => *symbol = self.symbols[*symbol as usize],
            Definition::Assembly(symbols) => {
                for symbol in symbols {
                    *symbol = self.symbols[*symbol as usize];
                }
            }
        }
    }

    fn value(&self, value: &mut Value) {
        if let Value::Address(symbol, _) = value {
            *symbol = self.symbols[*symbol as usize];
        }
    }

    /// Replaces the numbers that are no values.
    fn op(&self, op: &mut Op) {
        match op {
            Op::Load(_, key) | Op::Store(_, _, key) | Op::Offset { key, .. } => {
                *key = self.keys[*key as usize];
            }
            Op::Call(call) => match &mut call.callee {
                Callee::Direct(symbol) => *symbol = self.symbols[*symbol as usize],
                Callee::Asm(text) => *text += self.asm,
                Callee::Indirect(_) => {}
            },
            _ => {}
        }
    }
}
