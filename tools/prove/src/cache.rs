// SPDX-License-Identifier: GPL-2.0
//! Keeps the objects it has read, because the passes of LLVM take most of the time.
//!
//! There is one file for each path of an object. It begins with a digest of all inputs of the object: the prover
//! itself, the functions that are kept out of line, and the contents of the object. A file with another digest, or one that
//! cannot be read, is as good as none.

use std::{
    collections::{hash_map::DefaultHasher, HashMap},
    fs,
    hash::{Hash, Hasher},
    path::PathBuf,
    sync::Arc,
};

use crate::ir::*;

pub struct Cache {
    folder: PathBuf,
    /// A digest of the inputs that all objects have in common.
    common: u64,
}

impl Cache {
    /// Opens the cache in a folder. `settings` is all that the result of reading an object depends on, but the object and
    /// this program.
    pub fn new(folder: &str, settings: impl Hash) -> Result<Self, String> {
        let wrong = |error: std::io::Error| format!("{folder}: {error}");
        fs::create_dir_all(folder).map_err(wrong)?;
        let program = fs::read(std::env::current_exe().map_err(wrong)?).map_err(wrong)?;
        Ok(Cache {
            folder: folder.into(),
            common: digest((program, settings)),
        })
    }

    fn file(&self, path: &str) -> PathBuf {
        self.folder.join(format!("{:016x}", digest(path)))
    }

    /// Returns the object with these contents, from the cache or else from `read`, which then is kept.
    pub fn object(
        &self,
        path: &str,
        contents: &[u8],
        read: impl FnOnce() -> Result<Object, String>,
    ) -> Result<Object, String> {
        let file = self.file(path);
        // Two digests of 64 bits, so that no two objects have the same by chance.
        let digests = [0u8, 1].map(|number| digest((number, self.common, path, contents)));
        if let Some(object) = fs::read(&file).ok().and_then(|kept| decode(&kept, digests)) {
            return Ok(object);
        }
        let object = read()?;
        let mut out = Writer::default();
        digests.put(&mut out);
        object.put(&mut out);
        // Another run may read the file, so it is there as a whole or not at all.
        let new = file.with_extension(format!("{}", std::process::id()));
        fs::write(&new, out.bytes)
            .and_then(|()| fs::rename(&new, &file))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(object)
    }
}

fn digest(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn decode(kept: &[u8], digests: [u64; 2]) -> Option<Object> {
    let mut from = Reader {
        bytes: kept,
        texts: vec![],
    };
    if <[u64; 2]>::get(&mut from)? != digests {
        return None;
    }
    let object = Object::get(&mut from)?;
    from.bytes.is_empty().then_some(object)
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    /// The numbers of the texts, which are written but once.
    texts: HashMap<Arc<str>, u64>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    texts: Vec<Arc<str>>,
}

/// A value that can be written and read again.
trait Code: Sized {
    fn put(&self, out: &mut Writer);
    fn get(from: &mut Reader<'_>) -> Option<Self>;
}

/// Seven bits in each byte, of which the last has the highest bit clear.
impl Code for u64 {
    fn put(&self, out: &mut Writer) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.bytes.push(rest as u8);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = from.bytes.split_first()?;
            from.bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

macro_rules! code_as {
    ($($ty:ty: $put:expr, $get:expr;)*) => {
        $(impl Code for $ty {
            fn put(&self, out: &mut Writer) {
                let put: fn(&$ty) -> u64 = $put;
                put(self).put(out);
            }

            fn get(from: &mut Reader<'_>) -> Option<Self> {
                let get: fn(u64) -> Option<$ty> = $get;
                get(u64::get(from)?)
            }
        })*
    };
}

code_as! {
    u8: |int| (*int).into(), |int| int.try_into().ok();
    u32: |int| (*int).into(), |int| int.try_into().ok();
    bool: |is| (*is).into(), |is| Some(is != 0);
    // A small number of either sign is written as a small one.
    i64: |int| ((*int << 1) ^ (*int >> 63)) as u64, |int| Some((int >> 1) as i64 ^ -((int & 1) as i64));
}

impl Code for String {
    fn put(&self, out: &mut Writer) {
        (self.len() as u64).put(out);
        out.bytes.extend(self.as_bytes());
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        let length = usize::try_from(u64::get(from)?).ok()?;
        let (text, rest) = from.bytes.split_at_checked(length)?;
        from.bytes = rest;
        Some(std::str::from_utf8(text).ok()?.into())
    }
}

/// A frequent text: written once, and from then on by its number.
impl Code for Arc<str> {
    fn put(&self, out: &mut Writer) {
        let next = out.texts.len() as u64;
        let number = *out.texts.entry(self.clone()).or_insert(next);
        number.put(out);
        if number == next {
            self.to_string().put(out);
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        let number = usize::try_from(u64::get(from)?).ok()?;
        if number == from.texts.len() {
            let text = String::get(from)?;
            from.texts.push(text.into());
        }
        from.texts.get(number).cloned()
    }
}

impl<T: Code> Code for Vec<T> {
    fn put(&self, out: &mut Writer) {
        (self.len() as u64).put(out);
        self.iter().for_each(|item| item.put(out));
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        let length = usize::try_from(u64::get(from)?).ok()?;
        // Each item takes a byte or more.
        if length > from.bytes.len() {
            return None;
        }
        (0..length).map(|_| T::get(from)).collect()
    }
}

impl<T: Code> Code for Option<T> {
    fn put(&self, out: &mut Writer) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some(if bool::get(from)? {
            Some(T::get(from)?)
        } else {
            None
        })
    }
}

impl<T: Code> Code for Box<T> {
    fn put(&self, out: &mut Writer) {
        (**self).put(out);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        T::get(from).map(Box::new)
    }
}

impl<T: Code> Code for [T; 2] {
    fn put(&self, out: &mut Writer) {
        self.iter().for_each(|item| item.put(out));
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some([T::get(from)?, T::get(from)?])
    }
}

macro_rules! code_tuple {
    ($($name:ident)*) => {
        impl<$($name: Code),*> Code for ($($name,)*) {
            #[allow(non_snake_case)]
            fn put(&self, out: &mut Writer) {
                let ($($name,)*) = self;
                $($name.put(out);)*
            }

            fn get(from: &mut Reader<'_>) -> Option<Self> {
                Some(($($name::get(from)?,)*))
            }
        }
    };
}

code_tuple!(A B);
code_tuple!(A B C);
code_tuple!(A B C D);

macro_rules! code_struct {
    ($($ty:ident { $($field:ident),* })*) => {
        $(impl Code for $ty {
            fn put(&self, out: &mut Writer) {
                let $ty { $($field),* } = self;
                $($field.put(out);)*
            }

            fn get(from: &mut Reader<'_>) -> Option<Self> {
                Some($ty { $($field: Code::get(from)?),* })
            }
        })*
    };
}

macro_rules! code_enum {
    ($($ty:ident { $($number:literal $name:ident $(($($field:ident),*))? $({$($named:ident),*})?,)* })*) => {
        $(impl Code for $ty {
            fn put(&self, out: &mut Writer) {
                match self {
                    $($ty::$name $(($($field),*))? $({$($named),*})? => {
                        out.bytes.push($number);
                        $($($field.put(out);)*)?
                        $($($named.put(out);)*)?
                    })*
                }
            }

            fn get(from: &mut Reader<'_>) -> Option<Self> {
                Some(match u8::get(from)? {
                    $($number => {
                        $($(let $field = Code::get(from)?;)*)?
                        $($(let $named = Code::get(from)?;)*)?
                        $ty::$name $(($($field),*))? $({$($named),*})?
                    })*
                    _ => return None,
                })
            }
        })*
    };
}

code_struct! {
    Object { path, symbols, keys, asm, module_asm }
    Symbol { name, local, weak, kcfi, noreturn, guarded, intrinsic, definition }
    Data { constant, own_key, addresses, ints }
    Function { params, insts, blocks, places }
    Block { insts, end }
    Place { file, line }
    Inst { op, width, place }
    Call { callee, args, kcfi }
}

code_enum! {
    Definition { 0 None, 1 Function(body), 2 Data(data), 3 Alias(of), 4 Assembly(calls), }
    End { 0 Jump(to), 1 Branch(condition, yes, no), 2 Switch(value, default, cases), 3 Return(value), 4 Unreachable,
        5 Any(all), }
    Op { 0 Binary(op, a, b), 1 Compare(predicate, a, b), 2 Select(condition, a, b), 3 Cast(cast, value, width),
        4 Phi(values), 5 Load(pointer, key), 6 Store(value, pointer, key), 7 Offset { base, by, inbounds, key },
        8 Alloca(size), 9 Freeze(value), 10 Call(call), 11 Other(values), }
    Callee { 0 Direct(symbol), 1 Indirect(value), 2 Asm(text), }
    Value { 0 Inst(inst), 1 Arg(arg), 2 Int(width, int), 3 Address(symbol, offset), 4 Unknown, }
    Cast { 0 Trunc, 1 ZExt, 2 SExt, 3 Same, }
    Binary { 0 Add, 1 Sub, 2 Mul, 3 UDiv, 4 URem, 5 Shl, 6 LShr, 7 AShr, 8 And, 9 Or, 10 Xor, }
    Predicate { 0 Eq, 1 Ne, 2 Ugt, 3 Uge, 4 Ult, 5 Ule, 6 Sgt, 7 Sge, 8 Slt, 9 Sle, }
}
