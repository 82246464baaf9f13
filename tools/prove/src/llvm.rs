// SPDX-License-Identifier: GPL-2.0
//! The part of LLVM's C interface that is needed to read bitcode, behind types that are safe to use.
//!
//! All `unsafe` code of the tool is here. The types borrow the [`Module`] that they are from, and LLVM never frees a
//! value of a module before the module, which nothing here changes after [`Module::read`].

use std::{
    ffi::{c_char, c_int, c_longlong, c_uint, c_ulonglong, c_void, CStr, CString},
    marker::PhantomData,
    ptr::{null_mut, NonNull},
};

type Raw = *mut c_void;

extern "C" {
    fn LLVMContextCreate() -> Raw;
    fn LLVMContextDispose(context: Raw);
    fn LLVMContextSetDiagnosticHandler(
        context: Raw,
        handler: Option<extern "C" fn(Raw, Raw)>,
        data: Raw,
    );
    fn LLVMCreateMemoryBufferWithContentsOfFile(
        path: *const c_char,
        out: *mut Raw,
        message: *mut *mut c_char,
    ) -> c_int;
    fn LLVMParseIRInContext(
        context: Raw,
        buffer: Raw,
        out: *mut Raw,
        message: *mut *mut c_char,
    ) -> c_int;
    fn LLVMDisposeMessage(message: *mut c_char);
    fn LLVMDisposeModule(module: Raw);
    fn LLVMCreatePassBuilderOptions() -> Raw;
    fn LLVMDisposePassBuilderOptions(options: Raw);
    fn LLVMRunPasses(module: Raw, passes: *const c_char, machine: Raw, options: Raw) -> Raw;
    fn LLVMGetErrorMessage(error: Raw) -> *mut c_char;
    fn LLVMDisposeErrorMessage(message: *mut c_char);
    fn LLVMGetModuleDataLayout(module: Raw) -> Raw;
    fn LLVMGetModuleInlineAsm(module: Raw, length: *mut usize) -> *const c_char;
    fn LLVMGetFirstFunction(module: Raw) -> Raw;
    fn LLVMGetNextFunction(value: Raw) -> Raw;
    fn LLVMGetFirstGlobal(module: Raw) -> Raw;
    fn LLVMGetNextGlobal(value: Raw) -> Raw;
    fn LLVMGetFirstGlobalAlias(module: Raw) -> Raw;
    fn LLVMGetNextGlobalAlias(value: Raw) -> Raw;
    fn LLVMAliasGetAliasee(value: Raw) -> Raw;
    fn LLVMGetValueName2(value: Raw, length: *mut usize) -> *const c_char;
    fn LLVMGetLinkage(value: Raw) -> c_int;
    fn LLVMIsDeclaration(value: Raw) -> c_int;
    fn LLVMGetIntrinsicID(value: Raw) -> c_uint;
    fn LLVMGetInitializer(value: Raw) -> Raw;
    fn LLVMIsGlobalConstant(value: Raw) -> c_int;
    fn LLVMGlobalGetValueType(value: Raw) -> Raw;
    fn LLVMGlobalCopyAllMetadata(value: Raw, count: *mut usize) -> Raw;
    fn LLVMValueMetadataEntriesGetKind(entries: Raw, index: c_uint) -> c_uint;
    fn LLVMValueMetadataEntriesGetMetadata(entries: Raw, index: c_uint) -> Raw;
    fn LLVMDisposeValueMetadataEntries(entries: Raw);
    fn LLVMGetMDKindIDInContext(context: Raw, name: *const c_char, length: c_uint) -> c_uint;
    fn LLVMMetadataAsValue(context: Raw, metadata: Raw) -> Raw;
    fn LLVMGetMDNodeNumOperands(value: Raw) -> c_uint;
    fn LLVMGetMDNodeOperands(value: Raw, out: *mut Raw);
    fn LLVMSetMetadata(inst: Raw, kind: c_uint, node: Raw);
    fn LLVMGetMetadata(inst: Raw, kind: c_uint) -> Raw;
    fn LLVMMDNodeInContext2(context: Raw, operands: *mut Raw, count: usize) -> Raw;
    fn LLVMValueAsMetadata(value: Raw) -> Raw;
    fn LLVMInt32TypeInContext(context: Raw) -> Raw;
    fn LLVMConstInt(kind: Raw, value: c_ulonglong, sign_extend: c_int) -> Raw;
    fn LLVMGetEnumAttributeKindForName(name: *const c_char, length: usize) -> c_uint;
    fn LLVMCreateEnumAttribute(context: Raw, kind: c_uint, value: u64) -> Raw;
    fn LLVMAddAttributeAtIndex(function: Raw, index: c_uint, attribute: Raw);
    fn LLVMGetEnumAttributeAtIndex(function: Raw, index: c_uint, kind: c_uint) -> Raw;
    fn LLVMCountParams(function: Raw) -> c_uint;
    fn LLVMGetParam(function: Raw, index: c_uint) -> Raw;
    fn LLVMGetFirstBasicBlock(function: Raw) -> Raw;
    fn LLVMGetNextBasicBlock(block: Raw) -> Raw;
    fn LLVMGetFirstInstruction(block: Raw) -> Raw;
    fn LLVMGetNextInstruction(value: Raw) -> Raw;
    fn LLVMGetInstructionOpcode(value: Raw) -> c_int;
    fn LLVMGetConstOpcode(value: Raw) -> c_int;
    fn LLVMGetValueKind(value: Raw) -> c_int;
    fn LLVMGetNumOperands(value: Raw) -> c_int;
    fn LLVMGetOperand(value: Raw, index: c_uint) -> Raw;
    fn LLVMTypeOf(value: Raw) -> Raw;
    fn LLVMConstIntGetZExtValue(value: Raw) -> c_ulonglong;
    fn LLVMConstIntGetSExtValue(value: Raw) -> c_longlong;
    fn LLVMIsNull(value: Raw) -> c_int;
    fn LLVMGetAggregateElement(value: Raw, index: c_uint) -> Raw;
    fn LLVMGetICmpPredicate(value: Raw) -> c_int;
    fn LLVMCountIncoming(value: Raw) -> c_uint;
    fn LLVMGetIncomingValue(value: Raw, index: c_uint) -> Raw;
    fn LLVMGetIncomingBlock(value: Raw, index: c_uint) -> Raw;
    fn LLVMGetNumSuccessors(value: Raw) -> c_uint;
    fn LLVMGetSuccessor(value: Raw, index: c_uint) -> Raw;
    fn LLVMGetCalledValue(value: Raw) -> Raw;
    fn LLVMGetNumArgOperands(value: Raw) -> c_uint;
    fn LLVMGetNumOperandBundles(value: Raw) -> c_uint;
    fn LLVMGetOperandBundleAtIndex(value: Raw, index: c_uint) -> Raw;
    fn LLVMDisposeOperandBundle(bundle: Raw);
    fn LLVMGetOperandBundleTag(bundle: Raw, length: *mut usize) -> *const c_char;
    fn LLVMGetNumOperandBundleArgs(bundle: Raw) -> c_uint;
    fn LLVMGetOperandBundleArgAtIndex(bundle: Raw, index: c_uint) -> Raw;
    fn LLVMGetInlineAsmAsmString(value: Raw, length: *mut usize) -> *const c_char;
    fn LLVMGetGEPSourceElementType(value: Raw) -> Raw;
    fn LLVMIsInBounds(value: Raw) -> c_int;
    fn LLVMGetAllocatedType(value: Raw) -> Raw;
    fn LLVMGetSubprogram(function: Raw) -> Raw;
    fn LLVMGetMetadataKind(metadata: Raw) -> c_uint;
    fn LLVMDITypeGetName(metadata: Raw, length: *mut usize) -> *const c_char;
    fn LLVMGetDebugLocLine(value: Raw) -> c_uint;
    fn LLVMGetDebugLocFilename(value: Raw, length: *mut c_uint) -> *const c_char;
    fn LLVMGetTypeKind(kind: Raw) -> c_int;
    fn LLVMGetIntTypeWidth(kind: Raw) -> c_uint;
    fn LLVMTypeIsSized(kind: Raw) -> c_int;
    fn LLVMGetStructName(kind: Raw) -> *const c_char;
    fn LLVMCountStructElementTypes(kind: Raw) -> c_uint;
    fn LLVMStructGetTypeAtIndex(kind: Raw, index: c_uint) -> Raw;
    fn LLVMGetElementType(kind: Raw) -> Raw;
    fn LLVMGetArrayLength2(kind: Raw) -> u64;
    fn LLVMOffsetOfElement(layout: Raw, kind: Raw, index: c_uint) -> c_ulonglong;
    fn LLVMElementAtOffset(layout: Raw, kind: Raw, offset: c_ulonglong) -> c_uint;
    fn LLVMABISizeOfType(layout: Raw, kind: Raw) -> c_ulonglong;
}

/// The numbers of LLVM-C's enumerations, from llvm-c/Core.h.
pub mod opcode {
    pub const RET: i32 = 1;
    pub const BR: i32 = 2;
    pub const SWITCH: i32 = 3;
    pub const INVOKE: i32 = 5;
    pub const UNREACHABLE: i32 = 7;
    pub const ADD: i32 = 8;
    pub const SUB: i32 = 10;
    pub const MUL: i32 = 12;
    pub const UDIV: i32 = 14;
    pub const UREM: i32 = 17;
    pub const SHL: i32 = 20;
    pub const LSHR: i32 = 21;
    pub const ASHR: i32 = 22;
    pub const AND: i32 = 23;
    pub const OR: i32 = 24;
    pub const XOR: i32 = 25;
    pub const ALLOCA: i32 = 26;
    pub const LOAD: i32 = 27;
    pub const STORE: i32 = 28;
    pub const GEP: i32 = 29;
    pub const TRUNC: i32 = 30;
    pub const ZEXT: i32 = 31;
    pub const SEXT: i32 = 32;
    pub const PTR_TO_INT: i32 = 39;
    pub const INT_TO_PTR: i32 = 40;
    pub const BITCAST: i32 = 41;
    pub const ICMP: i32 = 42;
    pub const PHI: i32 = 44;
    pub const CALL: i32 = 45;
    pub const SELECT: i32 = 46;
    pub const CALLBR: i32 = 67;
    pub const FREEZE: i32 = 68;
}

/// Kinds of values: see `LLVMValueKind`.
pub mod kind {
    pub const ARGUMENT: i32 = 0;
    pub const FUNCTION: i32 = 5;
    pub const ALIAS: i32 = 6;
    pub const GLOBAL: i32 = 8;
    pub const CONST_EXPR: i32 = 10;
    pub const CONST_ARRAY: i32 = 11;
    pub const CONST_STRUCT: i32 = 12;
    pub const CONST_DATA_ARRAY: i32 = 16;
    pub const CONST_INT: i32 = 18;
    pub const CONST_NULL: i32 = 20;
    pub const INLINE_ASM: i32 = 23;
    pub const INSTRUCTION: i32 = 24;
}

/// Kinds of debug information, from llvm-c/DebugInfo.h, and the operands that are used of each.
mod debug {
    pub const TUPLE: u32 = 4;
    pub const DERIVED_TYPE: u32 = 12;
    pub const SUBROUTINE_TYPE: u32 = 14;
    pub const SUBPROGRAM: u32 = 17;
    /// The type of a function, and the types of its result and parameters.
    pub const TYPE_OF_SUBPROGRAM: usize = 4;
    pub const TYPES_OF_SUBROUTINE: usize = 3;
}

/// Kinds of types: see `LLVMTypeKind`.
mod type_kind {
    pub const INTEGER: i32 = 8;
    pub const STRUCT: i32 = 10;
    pub const ARRAY: i32 = 11;
    pub const POINTER: i32 = 12;
}

/// Linkage: see `LLVMLinkage`.
pub mod linkage {
    pub const AVAILABLE_EXTERNALLY: i32 = 1;
    pub const LINK_ONCE_ANY: i32 = 2;
    pub const LINK_ONCE_ODR: i32 = 3;
    pub const WEAK_ANY: i32 = 5;
    pub const WEAK_ODR: i32 = 6;
    pub const INTERNAL: i32 = 8;
    pub const PRIVATE: i32 = 9;
    pub const EXTERNAL_WEAK: i32 = 12;
    pub const COMMON: i32 = 14;
}

/// A file of bitcode, or of IR as text, in a context of its own.
///
/// # Invariants
///
/// The context, the module and its layout are live until the `Module` is dropped. Only [`Module::run`] takes values away.
pub struct Module {
    context: Raw,
    module: Raw,
    layout: Raw,
    kcfi: u32,
    note: u32,
    noreturn: u32,
}

/// The index of the attributes of a function itself.
const FUNCTION: c_uint = c_uint::MAX;

extern "C" fn ignore(_diagnostic: Raw, _data: Raw) {}

/// Takes a message that LLVM allocated.
///
/// # Safety
///
/// `message` is null or a string that no other code frees.
unsafe fn take(message: *mut c_char, dispose: unsafe extern "C" fn(*mut c_char)) -> String {
    if message.is_null() {
        return "no reason given".into();
    }
    // SAFETY: By the requirements of this function.
    let text = unsafe { CStr::from_ptr(message) }
        .to_string_lossy()
        .into_owned();
    // SAFETY: As above.
    unsafe { dispose(message) };
    text
}

impl Module {
    /// Reads the file at `path`.
    pub fn read(path: &str) -> Result<Module, String> {
        let c_path = CString::new(path).map_err(|error| error.to_string())?;
        let mut message = null_mut();
        let mut buffer = null_mut();
        // SAFETY: The strings end with a NUL, and the pointers are those of live variables.
        if unsafe {
            LLVMCreateMemoryBufferWithContentsOfFile(c_path.as_ptr(), &mut buffer, &mut message)
        } != 0
        {
            // SAFETY: LLVM set the message, and gave it to us.
            return Err(unsafe { take(message, LLVMDisposeMessage) });
        }
        // SAFETY: Has no requirements.
        let context = unsafe { LLVMContextCreate() };
        // SAFETY: The context was just made. Diagnostics would go to stderr.
        unsafe { LLVMContextSetDiagnosticHandler(context, Some(ignore), null_mut()) };
        let mut module = null_mut();
        // SAFETY: As above; the parser owns the buffer from here on.
        if unsafe { LLVMParseIRInContext(context, buffer, &mut module, &mut message) } != 0 {
            // SAFETY: LLVM set the message; nothing of the context is used any more.
            unsafe {
                let reason = take(message, LLVMDisposeMessage);
                LLVMContextDispose(context);
                return Err(reason);
            }
        }
        let kcfi = "kcfi_type";
        let note = "prove";
        let noreturn = "noreturn";
        // SAFETY: The module and its context are live, and the strings are given with their length.
        let module = unsafe {
            Module {
                context,
                module,
                layout: LLVMGetModuleDataLayout(module),
                kcfi: LLVMGetMDKindIDInContext(context, kcfi.as_ptr().cast(), kcfi.len() as c_uint),
                note: LLVMGetMDKindIDInContext(context, note.as_ptr().cast(), note.len() as c_uint),
                noreturn: LLVMGetEnumAttributeKindForName(noreturn.as_ptr().cast(), noreturn.len()),
            }
        };
        Ok(module)
    }

    /// Runs `passes`, in the syntax of `opt -passes`. There are no values of the module, which might go away.
    pub fn run(&mut self, passes: &str) -> Result<(), String> {
        let passes = CString::new(passes).map_err(|error| error.to_string())?;
        // SAFETY: The module is live, and there are no values of it. Our passes need no target.
        unsafe {
            let options = LLVMCreatePassBuilderOptions();
            let error = LLVMRunPasses(self.module, passes.as_ptr(), null_mut(), options);
            LLVMDisposePassBuilderOptions(options);
            if error.is_null() {
                Ok(())
            } else {
                Err(take(LLVMGetErrorMessage(error), LLVMDisposeErrorMessage))
            }
        }
    }

    /// Returns the assembly that is outside of functions.
    pub fn asm(&self) -> String {
        let mut length = 0;
        // SAFETY: The module is live, and so is the string that it returns.
        unsafe { text(LLVMGetModuleInlineAsm(self.module, &mut length), length) }
    }

    pub fn functions(&self) -> impl Iterator<Item = Val<'_>> {
        // SAFETY: The module is live.
        list(
            Val::new(self, unsafe { LLVMGetFirstFunction(self.module) }),
            LLVMGetNextFunction,
        )
    }

    pub fn globals(&self) -> impl Iterator<Item = Val<'_>> {
        // SAFETY: The module is live.
        list(
            Val::new(self, unsafe { LLVMGetFirstGlobal(self.module) }),
            LLVMGetNextGlobal,
        )
    }

    pub fn aliases(&self) -> impl Iterator<Item = Val<'_>> {
        // SAFETY: The module is live.
        list(
            Val::new(self, unsafe { LLVMGetFirstGlobalAlias(self.module) }),
            LLVMGetNextGlobalAlias,
        )
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: Every value borrows the module, so there is none left.
        unsafe {
            LLVMDisposeModule(self.module);
            LLVMContextDispose(self.context);
        }
    }
}

/// Copies a string of LLVM.
///
/// # Safety
///
/// `start` is null, or that of `length` bytes.
unsafe fn text(start: *const c_char, length: usize) -> String {
    if start.is_null() {
        return String::new();
    }
    // SAFETY: By the requirements of this function.
    let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) };
    String::from_utf8_lossy(bytes).into_owned()
}

/// Walks a list of LLVM.
fn list(
    first: Option<Val<'_>>,
    next: unsafe extern "C" fn(Raw) -> Raw,
) -> impl Iterator<Item = Val<'_>> {
    std::iter::successors(first, move |value| {
        // SAFETY: `next` is that of the list in which the value is.
        Val::new(value.module, unsafe { next(value.raw.as_ptr()) })
    })
}

/// A value of a module: a function, a variable, an instruction, a constant, a block.
///
/// # Invariants
///
/// `raw` is a live value of `module`: the borrow keeps the module, and [`Module::run`] from being called.
#[derive(Clone, Copy)]
pub struct Val<'m> {
    module: &'m Module,
    raw: NonNull<c_void>,
}

impl<'m> Val<'m> {
    fn new(module: &'m Module, raw: Raw) -> Option<Self> {
        Some(Val {
            module,
            raw: NonNull::new(raw)?,
        })
    }

    fn must(module: &'m Module, raw: Raw) -> Self {
        Self::new(module, raw).expect("LLVM has this value")
    }

    /// Returns a number that identifies the value.
    pub fn id(self) -> usize {
        self.raw.as_ptr() as usize
    }

    fn ptr(self) -> Raw {
        self.raw.as_ptr()
    }

    pub fn kind(self) -> i32 {
        // SAFETY: By the invariant of `Val` the value is live, here and below.
        unsafe { LLVMGetValueKind(self.ptr()) }
    }

    pub fn ty(self) -> Type<'m> {
        // SAFETY: As above.
        Type::new(self.module, unsafe { LLVMTypeOf(self.ptr()) })
    }

    /// Returns the bits of an integer of at most 64 bits, 64 for a pointer, and else 0.
    pub fn width(self) -> u8 {
        self.ty().width()
    }

    pub fn operands(self) -> impl Iterator<Item = Val<'m>> {
        // SAFETY: As above.
        let count = unsafe { LLVMGetNumOperands(self.ptr()) } as u32;
        (0..count).filter_map(move |index| {
            // SAFETY: The index is less than the number.
            Val::new(self.module, unsafe { LLVMGetOperand(self.ptr(), index) })
        })
    }

    /// Returns the operand `index`, which every value of the kind has.
    pub fn operand(self, index: u32) -> Val<'m> {
        // SAFETY: By the invariant of `Val` the value is live.
        let count = unsafe { LLVMGetNumOperands(self.ptr()) } as u32;
        assert!(index < count, "a value without operand {index}");
        // SAFETY: As above, and the index is less than the number.
        Val::must(self.module, unsafe { LLVMGetOperand(self.ptr(), index) })
    }
}

/// Methods of functions, variables and aliases.
impl<'m> Val<'m> {
    pub fn name(self) -> String {
        let mut length = 0;
        // SAFETY: Every value has a name, maybe an empty one.
        unsafe { text(LLVMGetValueName2(self.ptr(), &mut length), length) }
    }

    pub fn linkage(self) -> i32 {
        debug_assert!(matches!(
            self.kind(),
            kind::FUNCTION | kind::GLOBAL | kind::ALIAS
        ));
        // SAFETY: It is a global value.
        unsafe { LLVMGetLinkage(self.ptr()) }
    }

    pub fn is_declaration(self) -> bool {
        // SAFETY: As above.
        unsafe { LLVMIsDeclaration(self.ptr()) != 0 }
    }

    pub fn aliasee(self) -> Val<'m> {
        debug_assert_eq!(self.kind(), kind::ALIAS);
        // SAFETY: It is an alias.
        Val::must(self.module, unsafe { LLVMAliasGetAliasee(self.ptr()) })
    }

    pub fn initializer(self) -> Option<Val<'m>> {
        debug_assert_eq!(self.kind(), kind::GLOBAL);
        // SAFETY: It is a variable.
        Val::new(self.module, unsafe { LLVMGetInitializer(self.ptr()) })
    }

    pub fn is_constant(self) -> bool {
        debug_assert_eq!(self.kind(), kind::GLOBAL);
        // SAFETY: It is a variable.
        unsafe { LLVMIsGlobalConstant(self.ptr()) != 0 }
    }

    /// Returns the type of the contents of a variable.
    pub fn value_type(self) -> Type<'m> {
        // SAFETY: It is a global value.
        Type::new(self.module, unsafe { LLVMGlobalGetValueType(self.ptr()) })
    }

    pub fn is_intrinsic(self) -> bool {
        // SAFETY: It is a function.
        unsafe { LLVMGetIntrinsicID(self.ptr()) != 0 }
    }

    pub fn is_noreturn(self) -> bool {
        // SAFETY: It is a function, and the kind is one of this LLVM.
        unsafe {
            !LLVMGetEnumAttributeAtIndex(self.ptr(), FUNCTION, self.module.noreturn).is_null()
        }
    }

    /// Has no pass inline the function.
    pub fn keep_out_of_line(self) {
        debug_assert_eq!(self.kind(), kind::FUNCTION);
        let noinline = "noinline";
        // SAFETY: It is a function, and an attribute changes no value in use.
        unsafe {
            let kind = LLVMGetEnumAttributeKindForName(noinline.as_ptr().cast(), noinline.len());
            let attribute = LLVMCreateEnumAttribute(self.module.context, kind, 0);
            LLVMAddAttributeAtIndex(self.ptr(), FUNCTION, attribute);
        }
    }

    /// Returns the type of a function as kCFI checks it.
    pub fn kcfi_type(self) -> Option<u32> {
        let mut count = 0;
        let mut found = None;
        // SAFETY: It is a function. The entries are freed after their last use, and only operands that the node has
        // are read.
        unsafe {
            let entries = LLVMGlobalCopyAllMetadata(self.ptr(), &mut count);
            for index in 0..count as c_uint {
                if LLVMValueMetadataEntriesGetKind(entries, index) != self.module.kcfi {
                    continue;
                }
                let node = LLVMValueMetadataEntriesGetMetadata(entries, index);
                let node = LLVMMetadataAsValue(self.module.context, node);
                if LLVMGetMDNodeNumOperands(node) == 1 {
                    let mut value = null_mut();
                    LLVMGetMDNodeOperands(node, &mut value);
                    let value = Val::new(self.module, value);
                    found = value.and_then(Val::int).map(|value| value as u32);
                }
            }
            LLVMDisposeValueMetadataEntries(entries);
        }
        found
    }

    /// Returns the names of the types of a function's parameters that are pointers or references, as far as the debug
    /// information has them.
    pub fn reference_types(self) -> Vec<String> {
        debug_assert_eq!(self.kind(), kind::FUNCTION);
        // SAFETY: It is a function. A function without debug information has none of the kind that is looked for.
        let subprogram = unsafe { LLVMGetSubprogram(self.ptr()) };
        let operand = |node, kind, index| self.node(node, kind)?.get(index).copied();
        let types = operand(subprogram, debug::SUBPROGRAM, debug::TYPE_OF_SUBPROGRAM)
            .and_then(|of| operand(of, debug::SUBROUTINE_TYPE, debug::TYPES_OF_SUBROUTINE))
            .and_then(|types| self.node(types, debug::TUPLE))
            .unwrap_or_default();
        let name = |of: Raw| {
            self.node(of, debug::DERIVED_TYPE)?;
            let mut length = 0;
            // SAFETY: It is a type, and its name lives as long as the module.
            Some(unsafe { text(LLVMDITypeGetName(of, &mut length), length) })
        };
        // The first is the type of the result.
        types.into_iter().skip(1).filter_map(name).collect()
    }

    /// Returns the operands of a node of metadata, if it is of this kind. A missing operand is null, and so may be `node`.
    fn node(self, node: Raw, kind: u32) -> Option<Vec<Raw>> {
        // SAFETY: The node is null, or one of the module.
        if node.is_null() || unsafe { LLVMGetMetadataKind(node) } != kind {
            return None;
        }
        // SAFETY: It is a node with operands, as all of the kinds in `debug` are, and there is room for each.
        unsafe {
            let node = LLVMMetadataAsValue(self.module.context, node);
            let mut operands = vec![null_mut(); LLVMGetMDNodeNumOperands(node) as usize];
            LLVMGetMDNodeOperands(node, operands.as_mut_ptr());
            let metadata = |operand: Raw| {
                if operand.is_null() {
                    operand
                } else {
                    LLVMValueAsMetadata(operand)
                }
            };
            Some(operands.into_iter().map(metadata).collect())
        }
    }

    pub fn params(self) -> impl Iterator<Item = Val<'m>> {
        // SAFETY: It is a function.
        let count = unsafe { LLVMCountParams(self.ptr()) };
        // SAFETY: The index is less than the number.
        (0..count)
            .map(move |index| Val::must(self.module, unsafe { LLVMGetParam(self.ptr(), index) }))
    }

    pub fn blocks(self) -> impl Iterator<Item = Val<'m>> {
        // SAFETY: It is a function.
        list(
            Val::new(self.module, unsafe { LLVMGetFirstBasicBlock(self.ptr()) }),
            LLVMGetNextBasicBlock,
        )
    }

    /// Returns the instructions of a block.
    pub fn instructions(self) -> impl Iterator<Item = Val<'m>> {
        // SAFETY: It is a block.
        list(
            Val::new(self.module, unsafe { LLVMGetFirstInstruction(self.ptr()) }),
            LLVMGetNextInstruction,
        )
    }
}

/// Methods of constants.
impl<'m> Val<'m> {
    /// Returns the value of an integer of at most 64 bits.
    pub fn int(self) -> Option<u64> {
        if self.kind() != kind::CONST_INT || self.width() == 0 {
            return None;
        }
        // SAFETY: It is an integer that fits.
        Some(unsafe { LLVMConstIntGetZExtValue(self.ptr()) })
    }

    pub fn signed(self) -> Option<i64> {
        self.int()?;
        // SAFETY: It is an integer that fits.
        Some(unsafe { LLVMConstIntGetSExtValue(self.ptr()) })
    }

    pub fn is_null(self) -> bool {
        // SAFETY: The module of the value is live.
        unsafe { LLVMIsNull(self.ptr()) != 0 }
    }

    pub fn element(self, index: u32) -> Option<Val<'m>> {
        // SAFETY: It is a constant aggregate; LLVM returns null for an element that it has not.
        Val::new(self.module, unsafe {
            LLVMGetAggregateElement(self.ptr(), index)
        })
    }
}

/// Methods of instructions, and of constant expressions.
impl<'m> Val<'m> {
    pub fn opcode(self) -> i32 {
        if self.kind() == kind::CONST_EXPR {
            // SAFETY: It is a constant expression.
            unsafe { LLVMGetConstOpcode(self.ptr()) }
        } else {
            debug_assert_eq!(self.kind(), kind::INSTRUCTION);
            // SAFETY: It is an instruction.
            unsafe { LLVMGetInstructionOpcode(self.ptr()) }
        }
    }

    /// Returns the predicate of a comparison of integers, in LLVM's numbers.
    pub fn predicate(self) -> i32 {
        debug_assert_eq!(self.opcode(), opcode::ICMP);
        // SAFETY: It is a comparison.
        unsafe { LLVMGetICmpPredicate(self.ptr()) }
    }

    /// Returns the values of a phi, and the blocks that they come from.
    pub fn incoming(self) -> impl Iterator<Item = (Val<'m>, Val<'m>)> {
        debug_assert_eq!(self.opcode(), opcode::PHI);
        // SAFETY: It is a phi.
        let count = unsafe { LLVMCountIncoming(self.ptr()) };
        (0..count).map(move |index| {
            // SAFETY: The index is less than the number.
            unsafe {
                let value = Val::must(self.module, LLVMGetIncomingValue(self.ptr(), index));
                (
                    value,
                    Val::must(self.module, LLVMGetIncomingBlock(self.ptr(), index)),
                )
            }
        })
    }

    /// Returns the blocks that follow a terminator.
    pub fn successors(self) -> impl Iterator<Item = Val<'m>> {
        // SAFETY: It is a terminator.
        let count = unsafe { LLVMGetNumSuccessors(self.ptr()) };
        // SAFETY: The index is less than the number.
        (0..count).map(move |index| {
            Val::must(self.module, unsafe { LLVMGetSuccessor(self.ptr(), index) })
        })
    }

    pub fn called(self) -> Val<'m> {
        debug_assert!(matches!(
            self.opcode(),
            opcode::CALL | opcode::INVOKE | opcode::CALLBR
        ));
        // SAFETY: It is a call.
        Val::must(self.module, unsafe { LLVMGetCalledValue(self.ptr()) })
    }

    pub fn args(self) -> impl Iterator<Item = Val<'m>> {
        // SAFETY: It is a call.
        let count = unsafe { LLVMGetNumArgOperands(self.ptr()) } as usize;
        self.operands().take(count)
    }

    /// Returns the type of function that an indirect call expects, as kCFI checks it.
    pub fn kcfi_bundle(self) -> Option<u32> {
        let mut found = None;
        // SAFETY: It is a call. Each bundle is freed after its last use.
        unsafe {
            for index in 0..LLVMGetNumOperandBundles(self.ptr()) {
                let bundle = LLVMGetOperandBundleAtIndex(self.ptr(), index);
                let mut length = 0;
                let tag = LLVMGetOperandBundleTag(bundle, &mut length);
                if text(tag, length) == "kcfi" && LLVMGetNumOperandBundleArgs(bundle) == 1 {
                    let value = Val::new(self.module, LLVMGetOperandBundleArgAtIndex(bundle, 0));
                    found = value.and_then(Val::int).map(|value| value as u32);
                }
                LLVMDisposeOperandBundle(bundle);
            }
        }
        found
    }

    pub fn asm_text(self) -> String {
        debug_assert_eq!(self.kind(), kind::INLINE_ASM);
        let mut length = 0;
        // SAFETY: It is inline assembly.
        unsafe { text(LLVMGetInlineAsmAsmString(self.ptr(), &mut length), length) }
    }

    /// Writes a number on an instruction, which its copies in other functions keep.
    pub fn set_note(self, note: u32) {
        debug_assert_eq!(self.kind(), kind::INSTRUCTION);
        // SAFETY: It is an instruction, and a note changes no value in use.
        unsafe {
            let context = self.module.context;
            let int = LLVMConstInt(LLVMInt32TypeInContext(context), note.into(), 0);
            let mut operand = LLVMValueAsMetadata(int);
            let node = LLVMMDNodeInContext2(context, &mut operand, 1);
            LLVMSetMetadata(
                self.ptr(),
                self.module.note,
                LLVMMetadataAsValue(context, node),
            );
        }
    }

    /// Returns the number that was written on an instruction.
    pub fn note(self) -> Option<u32> {
        debug_assert_eq!(self.kind(), kind::INSTRUCTION);
        // SAFETY: It is an instruction, and a note has one operand.
        unsafe {
            let node = LLVMGetMetadata(self.ptr(), self.module.note);
            if node.is_null() || LLVMGetMDNodeNumOperands(node) != 1 {
                return None;
            }
            let mut value = null_mut();
            LLVMGetMDNodeOperands(node, &mut value);
            Val::new(self.module, value)?.int().map(|note| note as u32)
        }
    }

    pub fn gep_type(self) -> Type<'m> {
        debug_assert_eq!(self.opcode(), opcode::GEP);
        // SAFETY: It is a GEP.
        Type::new(self.module, unsafe {
            LLVMGetGEPSourceElementType(self.ptr())
        })
    }

    pub fn is_inbounds(self) -> bool {
        debug_assert_eq!(self.opcode(), opcode::GEP);
        // SAFETY: It is a GEP.
        unsafe { LLVMIsInBounds(self.ptr()) != 0 }
    }

    pub fn allocated_type(self) -> Type<'m> {
        debug_assert_eq!(self.opcode(), opcode::ALLOCA);
        // SAFETY: It is an alloca.
        Type::new(self.module, unsafe { LLVMGetAllocatedType(self.ptr()) })
    }

    /// Returns the file and line that an instruction is from.
    pub fn place(self) -> Option<(String, u32)> {
        let mut length = 0;
        // SAFETY: It is an instruction.
        unsafe {
            let file = LLVMGetDebugLocFilename(self.ptr(), &mut length);
            if file.is_null() {
                return None;
            }
            Some((text(file, length as usize), LLVMGetDebugLocLine(self.ptr())))
        }
    }
}

/// A type of a module.
#[derive(Clone, Copy)]
pub struct Type<'m> {
    module: &'m Module,
    raw: Raw,
    _of: PhantomData<&'m Module>,
}

impl<'m> Type<'m> {
    fn new(module: &'m Module, raw: Raw) -> Self {
        Type {
            module,
            raw,
            _of: PhantomData,
        }
    }

    fn kind(self) -> i32 {
        // SAFETY: The module of the type is live, here and below.
        unsafe { LLVMGetTypeKind(self.raw) }
    }

    pub fn is_pointer(self) -> bool {
        self.kind() == type_kind::POINTER
    }

    pub fn is_struct(self) -> bool {
        self.kind() == type_kind::STRUCT
    }

    pub fn is_array(self) -> bool {
        self.kind() == type_kind::ARRAY
    }

    pub fn width(self) -> u8 {
        match self.kind() {
            type_kind::POINTER => 64,
            type_kind::INTEGER => {
                // SAFETY: It is an integer.
                let width = unsafe { LLVMGetIntTypeWidth(self.raw) };
                if width <= 64 {
                    width as u8
                } else {
                    0
                }
            }
            _ => 0,
        }
    }

    /// Returns the name of a struct, or nothing for one that has none.
    pub fn struct_name(self) -> Option<String> {
        debug_assert!(self.is_struct());
        // SAFETY: It is a struct.
        let name = unsafe { LLVMGetStructName(self.raw) };
        // SAFETY: A name ends with a NUL, and lives as long as the type.
        (!name.is_null()).then(|| {
            unsafe { CStr::from_ptr(name) }
                .to_string_lossy()
                .into_owned()
        })
    }

    pub fn fields(self) -> u32 {
        debug_assert!(self.is_struct());
        // SAFETY: It is a struct.
        unsafe { LLVMCountStructElementTypes(self.raw) }
    }

    pub fn field(self, index: u32) -> Type<'m> {
        assert!(index < self.fields());
        // SAFETY: The struct has the field.
        Type::new(self.module, unsafe {
            LLVMStructGetTypeAtIndex(self.raw, index)
        })
    }

    pub fn field_offset(self, index: u32) -> u64 {
        assert!(index < self.fields());
        // SAFETY: The struct has the field, and has a size as it is in memory.
        unsafe { LLVMOffsetOfElement(self.module.layout, self.raw, index) }
    }

    /// Returns the field at an offset in a struct, if there is one.
    pub fn field_at(self, offset: u64) -> Option<u32> {
        if !self.is_struct() || self.fields() == 0 || offset >= self.size() {
            return None;
        }
        // SAFETY: The struct has a field, and the offset is within the struct.
        Some(unsafe { LLVMElementAtOffset(self.module.layout, self.raw, offset) })
    }

    /// Returns the type of an array's elements.
    pub fn element(self) -> Type<'m> {
        debug_assert!(self.is_array());
        // SAFETY: It is an array.
        Type::new(self.module, unsafe { LLVMGetElementType(self.raw) })
    }

    pub fn length(self) -> u64 {
        debug_assert!(self.is_array());
        // SAFETY: It is an array.
        unsafe { LLVMGetArrayLength2(self.raw) }
    }

    /// Returns the size in bytes, 0 for a type that has none.
    pub fn size(self) -> u64 {
        // SAFETY: The size is read only if there is one.
        unsafe {
            if LLVMTypeIsSized(self.raw) == 0 {
                0
            } else {
                LLVMABISizeOfType(self.module.layout, self.raw)
            }
        }
    }
}
