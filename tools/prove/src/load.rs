// SPDX-License-Identifier: GPL-2.0
//! Reads a file of bitcode into an [`Object`].
//!
//! The bitcode is that of the compiler's front end, before any pass: later passes turn accesses to fields of structs into
//! accesses at byte offsets, and the names of the fields are lost. Only variables on the stack are made values first.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    ir::*,
    llvm::{kind, linkage, opcode, Module, Type, Val},
};

/// Drops the debug information except lines, and makes variables on the stack values. That leaves the types of field
/// accesses as they are.
const FIRST_PASSES: &str = "strip-nonlinetable-debuginfo,function(sroa)";

/// The type of a parameter whose caller is in a non-blocking section. It is in the debug information of Rust.
const GUARD: (&str, &str) = ("&", "::nonblock::NonBlockGuard");

/// Inlines, so that less is passed by address. It drops types, which are noted before.
const PASSES: &str = "cgscc(inline),function(sroa)";

/// Constants of more bytes are not looked into.
const LARGEST_CONSTANT: u64 = 1 << 16;

/// Reads the file at `path`. The functions for which `named` returns `true` are still there after
/// inlining: functions that sleep, and functions of axioms. So are functions with a `&NonBlockGuard`.
pub fn load(path: &str, named: &dyn Fn(&str) -> bool) -> Result<Object, String> {
    let mut module = Module::read(path).map_err(|reason| format!("{path}: {reason}"))?;
    let guarded: HashSet<String> = (module.functions())
        .filter(|function| is_guarded(*function))
        .map(Val::name)
        .collect();
    module.run(FIRST_PASSES)?;
    let mut loader = Loader {
        object: Object {
            path: path.into(),
            module_asm: module.asm(),
            keys: vec![String::new()],
            ..Default::default()
        },
        symbols: HashMap::new(),
        keys: HashMap::from([(String::new(), NO_KEY)]),
        files: Files::new(),
    };
    loader.note_keys(&module);
    for function in module
        .functions()
        .filter(|function| named(&function.name()) || guarded.contains(&function.name()))
    {
        function.keep_out_of_line();
    }
    module.run(PASSES)?;
    let types = types_by_copy(&module);
    for value in module
        .functions()
        .chain(module.globals())
        .chain(module.aliases())
    {
        loader.declare(value, guarded.contains(&value.name()));
    }
    for function in module.functions().filter(|function| defines(*function)) {
        let body = loader.function(function);
        let symbol = loader.symbols[&function.id()] as usize;
        loader.object.symbols[symbol].definition = Definition::Function(Box::new(body));
    }
    for global in module.globals().filter(|global| defines(*global)) {
        let data = loader.data(global, types.get(&global.id()).copied());
        let symbol = loader.symbols[&global.id()] as usize;
        loader.object.symbols[symbol].definition = Definition::Data(Box::new(data));
    }
    for alias in module.aliases() {
        if let Value::Address(target, 0) = loader.constant(alias.aliasee()) {
            let symbol = loader.symbols[&alias.id()] as usize;
            loader.object.symbols[symbol].definition = Definition::Alias(target);
        }
    }
    Ok(loader.object)
}

/// Returns whether a parameter of a function is a `&NonBlockGuard`.
fn is_guarded(function: Val<'_>) -> bool {
    let types = function.reference_types();
    (types.iter()).any(|name| name.starts_with(GUARD.0) && name.ends_with(GUARD.1))
}

fn defines(value: Val<'_>) -> bool {
    !value.is_declaration() && value.linkage() != linkage::AVAILABLE_EXTERNALLY
}

/// Returns the name of a struct without the number that LLVM adds if another struct has the name.
fn plain_name(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((plain, number))
            if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            plain
        }
        _ => name,
    }
}

/// Returns the name of a struct whose fields have keys of their own: one with a name, and no union.
fn keyed_name(ty: Type<'_>) -> Option<String> {
    let name = ty.struct_name()?;
    let plain = plain_name(&name);
    let anonymous = plain == "struct.anon" || plain.contains('{');
    (plain.starts_with("struct.") && !anonymous).then(|| plain.to_string())
}

struct Loader {
    object: Object,
    symbols: HashMap<usize, SymId>,
    keys: HashMap<String, KeyId>,
    files: Files,
}

/// The names of source files, each of them once.
type Files = HashSet<Arc<str>>;

/// Returns the declared types of variables with a type made up by LLVM, as far as they are
/// copied to or from a variable with a declared type.
fn types_by_copy(module: &Module) -> HashMap<usize, Type<'_>> {
    let mut types = HashMap::new();
    for inst in module
        .functions()
        .flat_map(Val::blocks)
        .flat_map(Val::instructions)
    {
        if inst.opcode() != opcode::CALL || inst.called().kind() != kind::FUNCTION {
            continue;
        }
        if !inst.called().name().starts_with("llvm.memcpy.") {
            continue;
        }
        let (a, b) = (inst.operand(0), inst.operand(1));
        if a.kind() != kind::GLOBAL || b.kind() != kind::GLOBAL {
            continue;
        }
        for (one, other) in [(a, b), (b, a)] {
            let (from, to) = (one.value_type(), other.value_type());
            let whole = inst.operand(2).int() == Some(from.size()) && from.size() == to.size();
            if whole && from.is_struct() && keyed_name(from).is_some() {
                types.insert(other.id(), from);
            }
        }
    }
    types
}

impl Loader {
    /// Writes its key on each access, and on each address of a field.
    fn note_keys(&mut self, module: &Module) {
        for inst in module
            .functions()
            .flat_map(Val::blocks)
            .flat_map(Val::instructions)
        {
            let key = match inst.opcode() {
                opcode::LOAD => self.key(inst.operand(0)),
                opcode::STORE => self.key(inst.operand(1)),
                opcode::GEP => self.address_key(inst),
                _ => NO_KEY,
            };
            if key != NO_KEY {
                inst.set_note(key);
            }
        }
    }

    fn declare(&mut self, value: Val<'_>, guarded: bool) {
        let linkage = value.linkage();
        let function = value.kind() == kind::FUNCTION;
        self.symbols
            .insert(value.id(), self.object.symbols.len() as SymId);
        self.object.symbols.push(Symbol {
            name: value.name(),
            local: matches!(linkage, linkage::INTERNAL | linkage::PRIVATE),
            weak: matches!(
                linkage,
                linkage::LINK_ONCE_ANY
                    | linkage::LINK_ONCE_ODR
                    | linkage::WEAK_ANY
                    | linkage::WEAK_ODR
                    | linkage::EXTERNAL_WEAK
                    | linkage::COMMON
            ),
            kcfi: if function { value.kcfi_type() } else { None },
            noreturn: function && value.is_noreturn(),
            guarded,
            intrinsic: function && value.is_intrinsic(),
            definition: Definition::None,
        });
    }

    fn intern(&mut self, name: String) -> KeyId {
        if let Some(key) = self.keys.get(&name) {
            return *key;
        }
        let key = self.object.keys.len() as KeyId;
        self.object.keys.push(name.clone());
        self.keys.insert(name, key);
        key
    }

    /// Returns the value of a constant, or `Unknown`.
    fn constant(&self, value: Val<'_>) -> Value {
        match value.kind() {
            kind::CONST_INT => value
                .int()
                .map_or(Value::Unknown, |int| Value::Int(value.width(), int)),
            kind::CONST_NULL => Value::Int(64, 0),
            kind::FUNCTION | kind::GLOBAL | kind::ALIAS => {
                Value::Address(self.symbols[&value.id()], 0)
            }
            kind::CONST_EXPR => match value.opcode() {
                opcode::GEP => match (self.constant(value.operand(0)), gep_offset(value)) {
                    (Value::Address(symbol, offset), Some(by)) => {
                        Value::Address(symbol, offset.wrapping_add(by))
                    }
                    (Value::Int(64, base), Some(by)) => {
                        Value::Int(64, base.wrapping_add(by as u64))
                    }
                    _ => Value::Unknown,
                },
                opcode::PTR_TO_INT | opcode::INT_TO_PTR | opcode::BITCAST
                    if value.width() == 64 =>
                {
                    self.constant(value.operand(0))
                }
                _ => Value::Unknown,
            },
            _ => Value::Unknown,
        }
    }

    /// Returns the key of the place at `offset` in an object of type `ty`, inside a place with key `outer`.
    fn key_at(&mut self, mut ty: Type<'_>, mut offset: u64, outer: KeyId) -> KeyId {
        let mut key = outer;
        loop {
            if ty.is_array() {
                let size = ty.element().size();
                if size == 0 {
                    return key;
                }
                ty = ty.element();
                offset %= size;
            } else if let Some(index) = ty.field_at(offset) {
                if let Some(name) = keyed_name(ty) {
                    key = self.intern(format!("{name}#{index}"));
                }
                offset -= ty.field_offset(index);
                ty = ty.field(index);
            } else {
                return key;
            }
        }
    }

    /// Returns the key of a variable itself, which has one if it is a pointer or an array of them.
    fn own_key(&mut self, global: Val<'_>) -> KeyId {
        let mut ty = global.value_type();
        while ty.is_array() {
            ty = ty.element();
        }
        if !ty.is_pointer() || global.name().is_empty() {
            return NO_KEY;
        }
        let local = matches!(global.linkage(), linkage::INTERNAL | linkage::PRIVATE);
        let of = if local {
            format!(" in {}", self.object.path)
        } else {
            String::new()
        };
        self.intern(format!("@{}{of}", global.name()))
    }

    /// Returns the key of the field behind a pointer.
    fn key(&mut self, pointer: Val<'_>) -> KeyId {
        match pointer.kind() {
            kind::GLOBAL => {
                let own = self.own_key(pointer);
                self.key_at(pointer.value_type(), 0, own)
            }
            kind::CONST_EXPR if pointer.opcode() == opcode::GEP => self.gep_key(pointer),
            kind::INSTRUCTION => match pointer.opcode() {
                opcode::GEP => self.gep_key(pointer),
                opcode::ALLOCA => self.key_at(pointer.allocated_type(), 0, NO_KEY),
                _ => NO_KEY,
            },
            _ => NO_KEY,
        }
    }

    fn gep_key(&mut self, gep: Val<'_>) -> KeyId {
        // Constant folding leaves byte offsets into a variable, whose type is known.
        let base = gep.operand(0);
        if base.kind() == kind::GLOBAL {
            if let Some(offset) = gep_offset(gep).and_then(|offset| u64::try_from(offset).ok()) {
                let own = self.own_key(base);
                return self.key_at(base.value_type(), offset, own);
            }
        }
        let mut ty = gep.gep_type();
        let mut key = NO_KEY;
        let mut named = false;
        for index in gep.operands().skip(2) {
            if ty.is_struct() {
                let Some(field) = index
                    .int()
                    .map(|field| field as u32)
                    .filter(|field| *field < ty.fields())
                else {
                    return NO_KEY;
                };
                if let Some(name) = keyed_name(ty) {
                    key = self.intern(format!("{name}#{field}"));
                    named = true;
                }
                ty = ty.field(field);
            } else if ty.is_array() {
                ty = ty.element();
            } else {
                return NO_KEY;
            }
        }
        // An element of an array in a struct, or a member of an anonymous struct: the key is that of the outer field.
        let bytes =
            !ty.is_pointer() && !ty.is_struct() && !ty.is_array() && gep.operands().count() == 2;
        if !named && !bytes {
            key = self.key(base);
        }
        self.key_at(ty, 0, key)
    }

    /// Returns the key of a GEP that points at one pointer, or at a union that may hold one. If such an address is passed
    /// on, the place is accessed without its type.
    fn address_key(&mut self, gep: Val<'_>) -> KeyId {
        let mut ty = gep.gep_type();
        for index in gep.operands().skip(2) {
            ty = if ty.is_struct() {
                match index
                    .int()
                    .map(|field| field as u32)
                    .filter(|field| *field < ty.fields())
                {
                    Some(field) => ty.field(field),
                    None => return NO_KEY,
                }
            } else if ty.is_array() {
                ty.element()
            } else {
                return NO_KEY;
            };
        }
        while ty.is_array() {
            ty = ty.element();
        }
        let holds_pointer =
            ty.is_pointer() || ty.width() == 64 || ty.is_struct() && keyed_name(ty).is_none();
        if holds_pointer {
            self.gep_key(gep)
        } else {
            NO_KEY
        }
    }

    fn data(&mut self, global: Val<'_>, declared: Option<Type<'_>>) -> Data {
        let mut data = Data {
            constant: global.is_constant(),
            ..Default::default()
        };
        let own = self.own_key(global);
        data.own_key = own;
        let Some(initializer) = global.initializer() else {
            return data;
        };
        self.initializer(&mut data, initializer, global.value_type(), 0, own);
        if let Some(declared) = declared {
            for (offset, key, ..) in &mut data.addresses {
                *key = self.key_at(declared, *offset, *key);
            }
        }
        data
    }

    fn initializer(
        &mut self,
        data: &mut Data,
        value: Val<'_>,
        ty: Type<'_>,
        offset: u64,
        key: KeyId,
    ) {
        if value.is_null() && value.kind() != kind::CONST_INT {
            if data.constant && ty.size() <= LARGEST_CONSTANT {
                zeroes(data, ty, offset);
            }
            return;
        }
        match value.kind() {
            kind::CONST_STRUCT => {
                // A literal type is made up for an initializer that does not fit the declared type, such as that of
                // another member of a union: keys from outside of it do not apply.
                let literal = ty.struct_name().is_none();
                for index in 0..ty.fields() {
                    let key = match keyed_name(ty) {
                        Some(name) => self.intern(format!("{name}#{index}")),
                        None if literal => NO_KEY,
                        None => key,
                    };
                    if let Some(element) = value.element(index) {
                        self.initializer(
                            data,
                            element,
                            ty.field(index),
                            offset + ty.field_offset(index),
                            key,
                        );
                    }
                }
            }
            kind::CONST_ARRAY => {
                let element_type = ty.element();
                for index in 0..ty.length() {
                    if let Some(element) = value.element(index as u32) {
                        self.initializer(
                            data,
                            element,
                            element_type,
                            offset + index * element_type.size(),
                            key,
                        );
                    }
                }
            }
            kind::CONST_DATA_ARRAY => {
                let element_type = ty.element();
                if data.constant && element_type.width() > 8 && ty.size() <= LARGEST_CONSTANT {
                    for index in 0..ty.length() {
                        if let Some(int) = value.element(index as u32).and_then(Val::int) {
                            data.ints.push((
                                offset + index * element_type.size(),
                                element_type.width(),
                                int,
                            ));
                        }
                    }
                }
            }
            _ => match self.constant(value) {
                Value::Int(width, int) if data.constant => data.ints.push((offset, width, int)),
                Value::Address(symbol, addend) => {
                    data.addresses.push((offset, key, symbol, addend))
                }
                Value::Unknown => {
                    for symbol in self.inside(value) {
                        data.addresses.push((u64::MAX, NO_KEY, symbol, 0));
                    }
                }
                _ => {}
            },
        }
    }

    /// Returns the symbols in a constant expression, which is not followed.
    fn inside(&self, value: Val<'_>) -> Vec<SymId> {
        match value.kind() {
            kind::FUNCTION | kind::GLOBAL | kind::ALIAS => vec![self.symbols[&value.id()]],
            kind::CONST_EXPR | kind::CONST_STRUCT | kind::CONST_ARRAY => value
                .operands()
                .flat_map(|operand| self.inside(operand))
                .collect(),
            _ => vec![],
        }
    }

    fn function(&mut self, function: Val<'_>) -> Function {
        let mut body = Body {
            files: std::mem::take(&mut self.files),
            ..Default::default()
        };
        for (index, param) in function.params().enumerate() {
            body.values.insert(param.id(), Value::Arg(index as u32));
        }
        let mut count = 0;
        for (index, block) in function.blocks().enumerate() {
            body.blocks.insert(block.id(), index as u32);
            for inst in block.instructions() {
                body.values.insert(inst.id(), Value::Inst(count));
                count += 1;
            }
        }
        let mut result = Function {
            params: function.params().map(Val::width).collect(),
            ..Default::default()
        };
        for block in function.blocks() {
            let first = result.insts.len() as u32;
            let mut end = End::Unreachable;
            for inst in block.instructions() {
                if let Some(found) = self.end(&body, inst) {
                    end = found;
                }
                let op = match end {
                    End::Unreachable => self.op(&body, inst),
                    _ if matches!(inst.opcode(), opcode::CALLBR | opcode::INVOKE) => {
                        self.call(&body, inst)
                    }
                    _ => Op::Other(vec![]),
                };
                let place = match op {
                    Op::Call(_) => body.place(&mut result.places, inst),
                    _ => u32::MAX,
                };
                result.insts.push(Inst {
                    op,
                    width: inst.width(),
                    place,
                });
            }
            result.blocks.push(Block {
                insts: (first, result.insts.len() as u32),
                end,
            });
        }
        self.files = body.files;
        result
    }

    fn value(&self, body: &Body, value: Val<'_>) -> Value {
        match value.kind() {
            kind::INSTRUCTION | kind::ARGUMENT => body
                .values
                .get(&value.id())
                .copied()
                .unwrap_or(Value::Unknown),
            _ => self.constant(value),
        }
    }

    fn end(&self, body: &Body, inst: Val<'_>) -> Option<End> {
        let to = |block: Val<'_>| body.blocks[&block.id()];
        Some(match inst.opcode() {
            opcode::RET => End::Return(inst.operands().next().map(|value| self.value(body, value))),
            opcode::UNREACHABLE => End::Unreachable,
            opcode::BR => {
                let targets: Vec<_> = inst.successors().map(to).collect();
                match targets[..] {
                    [target] => End::Jump(target),
                    [yes, no] => End::Branch(self.value(body, inst.operand(0)), yes, no),
                    _ => End::Any(targets),
                }
            }
            opcode::SWITCH => {
                // The operands are the condition, the default, and then a value and a block for each case.
                let values: Vec<_> = inst.operands().collect();
                let cases: Option<Vec<_>> = values[2..]
                    .chunks(2)
                    .map(|case| Some((case[0].int()?, to(case[1]))))
                    .collect();
                match cases {
                    Some(cases) => End::Switch(self.value(body, values[0]), to(values[1]), cases),
                    None => End::Any(inst.successors().map(to).collect()),
                }
            }
            opcode::CALLBR | opcode::INVOKE | 4 => End::Any(inst.successors().map(to).collect()),
            _ => return None,
        })
    }

    fn op(&mut self, body: &Body, inst: Val<'_>) -> Op {
        let code = inst.opcode();
        let operand = |index| self.value(body, inst.operand(index));
        match code {
            opcode::CALL | opcode::CALLBR | opcode::INVOKE => self.call(body, inst),
            opcode::PHI => Op::Phi(
                inst.incoming()
                    .map(|(value, from)| (self.value(body, value), body.blocks[&from.id()]))
                    .collect(),
            ),
            opcode::SELECT => Op::Select(operand(0), operand(1), operand(2)),
            opcode::FREEZE => Op::Freeze(operand(0)),
            opcode::LOAD => {
                let pointer = operand(0);
                Op::Load(pointer, inst.note().unwrap_or(NO_KEY))
            }
            opcode::STORE => {
                let (value, pointer) = (operand(0), operand(1));
                Op::Store(value, pointer, inst.note().unwrap_or(NO_KEY))
            }
            opcode::ALLOCA => Op::Alloca(inst.allocated_type().size()),
            opcode::GEP => {
                let base = operand(0);
                Op::Offset {
                    base,
                    by: gep_offset(inst),
                    inbounds: inst.is_inbounds(),
                    key: inst.note().unwrap_or(NO_KEY),
                }
            }
            opcode::ICMP => match predicate(inst.predicate()) {
                Some(predicate) => Op::Compare(predicate, operand(0), operand(1)),
                None => self.other(body, inst),
            },
            _ => {
                if let Some(binary) = binary(code) {
                    return Op::Binary(binary, operand(0), operand(1));
                }
                let from = inst.operands().next().map_or(0, Val::width);
                match code {
                    opcode::TRUNC if from > 0 => Op::Cast(Cast::Trunc, operand(0), from),
                    opcode::ZEXT if from > 0 => Op::Cast(Cast::ZExt, operand(0), from),
                    opcode::SEXT if from > 0 => Op::Cast(Cast::SExt, operand(0), from),
                    opcode::PTR_TO_INT | opcode::INT_TO_PTR | opcode::BITCAST
                        if from == inst.width() && from > 0 =>
                    {
                        Op::Cast(Cast::Same, operand(0), from)
                    }
                    _ => self.other(body, inst),
                }
            }
        }
    }

    fn other(&self, body: &Body, inst: Val<'_>) -> Op {
        let mut used = vec![];
        for operand in inst.operands() {
            match self.value(body, operand) {
                Value::Unknown => used.extend(
                    self.inside(operand)
                        .into_iter()
                        .map(|symbol| Value::Address(symbol, 0)),
                ),
                value => used.push(value),
            }
        }
        Op::Other(used)
    }

    fn call(&mut self, body: &Body, inst: Val<'_>) -> Op {
        let called = inst.called();
        let mut args: Vec<_> = inst.args().map(|arg| self.value(body, arg)).collect();
        let callee = if called.kind() == kind::INLINE_ASM {
            self.object.asm.push(called.asm_text());
            // A too involved constant may still hold the address of a function.
            args.extend(
                inst.args()
                    .flat_map(|arg| self.inside(arg))
                    .map(|symbol| Value::Address(symbol, 0)),
            );
            Callee::Asm(self.object.asm.len() as u32 - 1)
        } else {
            match self.value(body, called) {
                Value::Address(symbol, 0) => {
                    let name = &self.object.symbols[symbol as usize].name;
                    if name.starts_with("llvm.expect.") {
                        return Op::Freeze(args[0]);
                    }
                    Callee::Direct(symbol)
                }
                value => Callee::Indirect(value),
            }
        };
        Op::Call(Box::new(Call {
            callee,
            args,
            kcfi: inst.kcfi_bundle(),
        }))
    }
}

/// The numbers of the values and blocks of a function.
#[derive(Default)]
struct Body {
    values: HashMap<usize, Value>,
    blocks: HashMap<usize, u32>,
    files: Files,
}

impl Body {
    fn place(&mut self, places: &mut Vec<Place>, inst: Val<'_>) -> u32 {
        let Some((file, line)) = inst.place() else {
            return u32::MAX;
        };
        let file = match self.files.get(file.as_str()) {
            Some(known) => known.clone(),
            None => {
                let file: Arc<str> = file.into();
                self.files.insert(file.clone());
                file
            }
        };
        let place = Place { file, line };
        if places.last() != Some(&place) {
            places.push(place);
        }
        places.len() as u32 - 1
    }
}

/// Returns how far a GEP goes from its base, if that is constant.
fn gep_offset(gep: Val<'_>) -> Option<i64> {
    let mut ty = gep.gep_type();
    let mut offset = 0i64;
    for (position, index) in gep.operands().skip(1).enumerate() {
        if position == 0 {
            offset = index.signed()?.wrapping_mul(ty.size() as i64);
        } else if ty.is_struct() {
            let field = index.int()? as u32;
            offset = offset.wrapping_add(ty.field_offset(field) as i64);
            ty = ty.field(field);
        } else if ty.is_array() {
            ty = ty.element();
            offset = offset.wrapping_add(index.signed()?.wrapping_mul(ty.size() as i64));
        } else {
            return None;
        }
    }
    Some(offset)
}

fn binary(code: i32) -> Option<Binary> {
    Some(match code {
        opcode::ADD => Binary::Add,
        opcode::SUB => Binary::Sub,
        opcode::MUL => Binary::Mul,
        opcode::UDIV => Binary::UDiv,
        opcode::UREM => Binary::URem,
        opcode::SHL => Binary::Shl,
        opcode::LSHR => Binary::LShr,
        opcode::ASHR => Binary::AShr,
        opcode::AND => Binary::And,
        opcode::OR => Binary::Or,
        opcode::XOR => Binary::Xor,
        _ => return None,
    })
}

fn predicate(number: i32) -> Option<Predicate> {
    // As in LLVMIntPredicate.
    Some(match number {
        32 => Predicate::Eq,
        33 => Predicate::Ne,
        34 => Predicate::Ugt,
        35 => Predicate::Uge,
        36 => Predicate::Ult,
        37 => Predicate::Ule,
        38 => Predicate::Sgt,
        39 => Predicate::Sge,
        40 => Predicate::Slt,
        41 => Predicate::Sle,
        _ => return None,
    })
}

/// Adds the integers of a value that is all zeroes.
fn zeroes(data: &mut Data, ty: Type<'_>, offset: u64) {
    if ty.is_struct() {
        for index in 0..ty.fields() {
            zeroes(data, ty.field(index), offset + ty.field_offset(index));
        }
    } else if ty.is_array() {
        let element = ty.element();
        if element.is_struct() || element.width() > 8 {
            for index in 0..ty.length().min(1024) {
                zeroes(data, element, offset + index * element.size());
            }
        }
    } else if ty.width() > 0 {
        data.ints.push((offset, ty.width(), 0));
    }
}
