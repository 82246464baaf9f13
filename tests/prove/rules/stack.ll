; SPDX-License-Identifier: GPL-2.0
; Variables on the stack whose address is passed on: in each but those that are PROVED, one more store is to be seen.
; axiom absent nobody # it has no body
; axiom absent _printk # for this test
; PROVED only_read
; ALARM written_twice: __might_sleep
; ALARM written_on_either_way: __might_sleep
; ALARM written_in_part: __might_sleep
; ALARM copied_from_unknown: __might_sleep
; ALARM copied_by_unknown_length: __might_sleep
; ALARM set_to_ones: __might_sleep
; PROVED set_to_zeroes
; ALARM stored_as_float: __might_sleep
; ALARM stored_under_mask: __might_sleep
; ALARM through_select: __might_sleep
; ALARM through_phi: __might_sleep
; ALARM through_number: __might_sleep
; ALARM through_freeze: __might_sleep
; ALARM at_unknown_offset: __might_sleep
; ALARM exchanged: __might_sleep
; ALARM by_assembly: __might_sleep
; ALARM by_pointer: __might_sleep
; ALARM by_no_body: __might_sleep
; ALARM by_callee: __might_sleep
; ALARM by_copy_of_callee: __might_sleep
; ALARM by_number_of_callee: __might_sleep
; ALARM by_exchange_of_callee: __might_sleep
; ALARM by_phi_of_callee: __might_sleep
; ALARM by_select_of_callee: __might_sleep
; ALARM by_freeze_of_callee: __might_sleep
; ALARM by_order_of_callee: __might_sleep
; ALARM by_result: __might_sleep
; ALARM kept_by_callee: __might_sleep
; ALARM by_recursion: __might_sleep
; ALARM narrow_load: __might_sleep

target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

define void @__might_sleep() {
  ret void
}

@hook = global ptr @only_reads
@kept = global ptr null

declare void @nobody(ptr)
declare void @_printk(ptr, ...)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.masked.store.v1i32.p0(<1 x i32>, ptr, i32, <1 x i1>)

define internal void @reads(ptr %p) noinline {
  %x = load i32, ptr %p
  %set = icmp ne i32 %x, 0
  br i1 %set, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define internal void @only_reads(ptr %p) noinline {
  %x = load i32, ptr %p
  %q = getelementptr i8, ptr %p, i64 0
  call void @reads(ptr %q)
  call void (ptr, ...) @_printk(ptr null, ptr %q)
  ret void
}

define internal void @stores(ptr %p) noinline {
  store i32 1, ptr %p
  ret void
}

define void @hooks() {
  store ptr @stores, ptr @hook
  ret void
}

define internal void @copies(ptr %p) noinline {
  %w = alloca i32
  call void @llvm.memcpy.p0.p0.i64(ptr %p, ptr %w, i64 4, i1 false)
  ret void
}

define internal void @stores_by_number(ptr %p) noinline {
  %i = ptrtoint ptr %p to i64
  %j = add i64 %i, 0
  %q = inttoptr i64 %j to ptr
  store i32 1, ptr %q
  ret void
}

define internal void @exchanges(ptr %p) noinline {
  %old = atomicrmw xchg ptr %p, i32 1 monotonic
  ret void
}

define internal void @stores_by_phi(ptr %p, i1 %c) noinline {
  br i1 %c, label %a, label %b
a:
  br label %b
b:
  %q = phi ptr [ %p, %0 ], [ @kept, %a ]
  store i32 1, ptr %q
  ret void
}

define internal void @stores_by_select(ptr %p, i1 %c) noinline {
  %q = select i1 %c, ptr %p, ptr @kept
  store i32 1, ptr %q
  ret void
}

define internal void @stores_by_freeze(ptr %p) noinline {
  %q = freeze ptr %p
  store i32 1, ptr %q
  ret void
}

; The pointer that is stored through stands before the one that it is made of.
define internal void @stores_before_base(ptr %p) noinline {
  br label %base
after:
  %r = getelementptr i8, ptr %q, i64 0
  store i32 1, ptr %r
  ret void
base:
  %q = getelementptr i8, ptr %p, i64 0
  br label %after
}

define internal ptr @same(ptr %p) noinline {
  ret ptr %p
}

define internal void @keeps(ptr %p) noinline {
  store ptr %p, ptr @kept
  ret void
}

define internal void @writes_kept() noinline {
  %p = load ptr, ptr @kept
  store i32 1, ptr %p
  ret void
}

; What is found of the second while the first is looked at is not final.
define internal void @first(ptr %p, i1 %c) noinline {
  br i1 %c, label %more, label %out
more:
  call void @second(ptr %p, i1 false)
  br label %out
out:
  store i32 1, ptr %p
  ret void
}

define internal void @second(ptr %p, i1 %c) noinline {
  call void @first(ptr %p, i1 %c)
  ret void
}

; The callee reads at an offset, prints, and passes it on to one that reads.
define void @only_read() {
  %v = alloca i32
  store i32 0, ptr %v
  call void @only_reads(ptr %v)
  call void @reads(ptr %v)
  ret void
}

define void @written_twice(i1 %c) {
  %v = alloca i32
  store i32 0, ptr %v
  br i1 %c, label %again, label %out
again:
  store i32 1, ptr %v
  br label %out
out:
  call void @reads(ptr %v)
  ret void
}

define void @written_on_either_way(i1 %c) {
  %v = alloca i32
  br i1 %c, label %a, label %b
a:
  store i32 1, ptr %v
  br label %out
b:
  store i32 0, ptr %v
  br label %out
out:
  call void @reads(ptr %v)
  ret void
}

define void @written_in_part() {
  %v = alloca i32
  store i32 0, ptr %v
  %b = getelementptr i8, ptr %v, i64 1
  store i8 1, ptr %b
  call void @reads(ptr %v)
  ret void
}

define void @copied_from_unknown(ptr %from) {
  %v = alloca i32
  store i32 0, ptr %v
  call void @llvm.memcpy.p0.p0.i64(ptr %v, ptr %from, i64 4, i1 false)
  call void @reads(ptr %v)
  ret void
}

define void @copied_by_unknown_length(ptr %from, i64 %n) {
  %v = alloca i32
  store i32 0, ptr %v
  call void @llvm.memcpy.p0.p0.i64(ptr %v, ptr %from, i64 %n, i1 false)
  call void @reads(ptr %v)
  ret void
}

define void @set_to_ones() {
  %v = alloca i32
  store i32 0, ptr %v
  call void @llvm.memset.p0.i64(ptr %v, i8 1, i64 4, i1 false)
  call void @reads(ptr %v)
  ret void
}

define void @set_to_zeroes() {
  %v = alloca i32
  store i32 0, ptr %v
  call void @llvm.memset.p0.i64(ptr %v, i8 0, i64 4, i1 false)
  call void @reads(ptr %v)
  ret void
}

define void @stored_as_float() {
  %v = alloca i32
  store i32 0, ptr %v
  store float 1.0, ptr %v
  call void @reads(ptr %v)
  ret void
}

define void @stored_under_mask() {
  %v = alloca i32
  store i32 0, ptr %v
  call void @llvm.masked.store.v1i32.p0(<1 x i32> <i32 1>, ptr %v, i32 4, <1 x i1> <i1 true>)
  call void @reads(ptr %v)
  ret void
}

define void @through_select(i1 %c) {
  %v = alloca i32
  store i32 0, ptr %v
  %w = alloca i32
  %q = select i1 %c, ptr %v, ptr %w
  call void @stores(ptr %q)
  call void @reads(ptr %v)
  ret void
}

define void @through_phi(i1 %c) {
  %v = alloca i32
  store i32 0, ptr %v
  %w = alloca i32
  store i32 0, ptr %w
  br i1 %c, label %a, label %b
a:
  br label %b
b:
  %q = phi ptr [ %v, %0 ], [ %w, %a ]
  store i32 1, ptr %q
  call void @reads(ptr %v)
  ret void
}

define void @through_number() {
  %v = alloca i32
  store i32 0, ptr %v
  %i = ptrtoint ptr %v to i64
  %j = add i64 %i, 0
  %q = inttoptr i64 %j to ptr
  store i32 1, ptr %q
  call void @reads(ptr %v)
  ret void
}

define void @through_freeze() {
  %v = alloca i32
  store i32 0, ptr %v
  %q = freeze ptr %v
  store i32 1, ptr %q
  call void @reads(ptr %v)
  ret void
}

define void @at_unknown_offset(i64 %i) {
  %v = alloca i32
  store i32 0, ptr %v
  %q = getelementptr i8, ptr %v, i64 %i
  store i8 1, ptr %q
  call void @reads(ptr %v)
  ret void
}

define void @exchanged() {
  %v = alloca i32
  store i32 0, ptr %v
  %old = atomicrmw xchg ptr %v, i32 1 monotonic
  call void @reads(ptr %v)
  ret void
}

define void @by_assembly() {
  %v = alloca i32
  store i32 0, ptr %v
  call void asm sideeffect "movl $$1, ($0)", "r,~{memory}"(ptr %v)
  call void @reads(ptr %v)
  ret void
}

define void @by_pointer() {
  %v = alloca i32
  store i32 0, ptr %v
  %f = load ptr, ptr @hook
  call void %f(ptr %v)
  call void @reads(ptr %v)
  ret void
}

define void @by_no_body() {
  %v = alloca i32
  store i32 0, ptr %v
  call void @nobody(ptr %v)
  call void @reads(ptr %v)
  ret void
}

define void @by_callee() {
  %v = alloca i32
  store i32 0, ptr %v
  call void @stores(ptr %v)
  call void @reads(ptr %v)
  ret void
}

define void @by_copy_of_callee() {
  %v = alloca i32
  store i32 0, ptr %v
  call void @copies(ptr %v)
  call void @reads(ptr %v)
  ret void
}

define void @by_number_of_callee() {
  %v = alloca i32
  store i32 0, ptr %v
  call void @stores_by_number(ptr %v)
  call void @reads(ptr %v)
  ret void
}

define void @by_exchange_of_callee() {
  %v = alloca i32
  store i32 0, ptr %v
  call void @exchanges(ptr %v)
  call void @reads(ptr %v)
  ret void
}

define void @by_phi_of_callee(i1 %c) {
  %v = alloca i32
  store i32 0, ptr %v
  call void @stores_by_phi(ptr %v, i1 %c)
  call void @reads(ptr %v)
  ret void
}

define void @by_select_of_callee(i1 %c) {
  %v = alloca i32
  store i32 0, ptr %v
  call void @stores_by_select(ptr %v, i1 %c)
  call void @reads(ptr %v)
  ret void
}

define void @by_freeze_of_callee() {
  %v = alloca i32
  store i32 0, ptr %v
  call void @stores_by_freeze(ptr %v)
  call void @reads(ptr %v)
  ret void
}

define void @by_order_of_callee() {
  %v = alloca i32
  store i32 0, ptr %v
  call void @stores_before_base(ptr %v)
  call void @reads(ptr %v)
  ret void
}

define void @by_result() {
  %v = alloca i32
  store i32 0, ptr %v
  %q = call ptr @same(ptr %v)
  store i32 1, ptr %q
  call void @reads(ptr %v)
  ret void
}

define void @kept_by_callee() {
  %v = alloca i32
  store i32 0, ptr %v
  call void @keeps(ptr %v)
  call void @writes_kept()
  call void @reads(ptr %v)
  ret void
}

define void @by_recursion(i1 %c) {
  %v = alloca i32
  store i32 0, ptr %v
  %w = alloca i32
  store i32 0, ptr %w
  call void @first(ptr %w, i1 %c)
  call void @second(ptr %v, i1 %c)
  call void @reads(ptr %v)
  ret void
}

; Half of a number.
define void @narrow_load() {
  %v = alloca i64
  store i64 4294967296, ptr %v
  call void @only_reads(ptr %v)
  %x = load i32, ptr %v
  %zero = icmp eq i32 %x, 0
  br i1 %zero, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}
