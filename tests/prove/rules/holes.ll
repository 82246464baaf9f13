; SPDX-License-Identifier: GPL-2.0
; What cannot be followed, and axioms about it.
; UNPROVEN no_body: nobody has no body
; UNPROVEN no_target: an indirect call
; UNPROVEN unknown_assembly: inline assembly
; ALARM static_call_of_table: __might_sleep
; PROVED static_call_of_table_only
; ALARM static_call_of_assembly: __might_sleep
; UNPROVEN static_call_picked: the targets of the static call
; UNPROVEN static_call_of_argument: the targets of the static call
; PROVED static_call_of_nothing
; UNPROVEN static_call_unknown: the targets of the static call
; PROVED static_call_known
; PROVED after_dead_hole
; PROVED forgiven_edge
; UNPROVEN not_forgiven: nobody
; PROVED forgiven_end
; ALARM alarm_before_hole: __might_sleep
; PROVED oops
; axiom edge forgiven_edge nobody # for this test
; axiom end stop # for this test

target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

define void @__might_sleep() {
  ret void
}

@__SCK__known = global { ptr } { ptr @quiet }

declare void @nobody()
declare void @stop()
declare void @__SCT__known()
declare void @__SCT__unknown()

define internal void @quiet() {
  ret void
}

define void @no_body() {
  call void @nobody()
  ret void
}

define void @no_target(ptr %f) {
  call void %f(i32 1, i64 2, i8 3) [ "kcfi"(i32 77) ]
  ret void
}

define void @unknown_assembly(ptr %f) {
  call void asm sideeffect "call *$0", "r"(ptr %f)
  ret void
}

define void @static_call_unknown() {
  call void @__SCT__unknown()
  ret void
}

define void @static_call_known() {
  call void @__SCT__known()
  ret void
}

define void @after_dead_hole() {
  br i1 false, label %hole, label %out
hole:
  call void @nobody()
  br label %out
out:
  ret void
}

define void @forgiven_edge() {
  call void @nobody()
  ret void
}

define void @not_forgiven() {
  call void @nobody()
  ret void
}

define void @forgiven_end() {
  call void @stop()
  ret void
}

; An alarm counts for more than what is not known.
define void @alarm_before_hole() {
  call void @nobody()
  call void @__might_sleep()
  ret void
}

; A call of the null pointer calls nothing.
define void @oops() {
  call void null()
  ret void
}

@__SCK__picked = global { ptr } { ptr @quiet }
declare void @__SCT__picked()
declare void @__static_call_update(ptr, ptr, ptr)

; One of its functions is known, and there is another.
define void @picks(ptr %f) {
  call void @__static_call_update(ptr @__SCK__picked, ptr @__SCT__picked, ptr %f)
  ret void
}

define void @static_call_picked() {
  call void @__SCT__picked()
  ret void
}

; The function comes from a table. The type of the call is that of the trampoline.
%struct.table = type { i64, ptr, ptr }
@table = global %struct.table zeroinitializer
@__SCK__of_table = global { ptr } zeroinitializer
@__SCK__of_table_only = global { ptr } zeroinitializer
declare !kcfi_type !0 void @__SCT__of_table(i64)
declare !kcfi_type !0 void @__SCT__of_table_only(i64)

; No function is stored in it.
%struct.optional = type { i64, ptr }
@optional = global %struct.optional zeroinitializer
@__SCK__of_nothing = global { ptr } zeroinitializer
declare !kcfi_type !0 void @__SCT__of_nothing(i64)

@__SCK__of_argument = global { ptr } zeroinitializer
declare !kcfi_type !0 void @__SCT__of_argument(i64)

define void @picks_argument(ptr %f) {
  call void @__static_call_update(ptr @__SCK__of_argument, ptr @__SCT__of_argument, ptr %f)
  ret void
}

define void @static_call_of_argument() {
  call void @__SCT__of_argument(i64 0)
  ret void
}

define void @static_call_of_nothing() {
  call void @__SCT__of_nothing(i64 0)
  ret void
}

define internal void @sleeps(i64 %x) !kcfi_type !0 {
  call void @__might_sleep()
  ret void
}

define internal void @quiet_too(i64 %x) !kcfi_type !0 {
  ret void
}

define void @picks_of_table() {
  store ptr @sleeps, ptr getelementptr (%struct.table, ptr @table, i64 0, i32 1)
  store ptr @quiet_too, ptr getelementptr (%struct.table, ptr @table, i64 0, i32 2)
  %f = load ptr, ptr getelementptr (%struct.table, ptr @table, i64 0, i32 1)
  call void @__static_call_update(ptr @__SCK__of_table, ptr @__SCT__of_table, ptr %f)
  %h = load ptr, ptr getelementptr (%struct.optional, ptr @optional, i64 0, i32 1)
  call void @__static_call_update(ptr @__SCK__of_nothing, ptr @__SCT__of_nothing, ptr %h)
  %g = load ptr, ptr getelementptr (%struct.table, ptr @table, i64 0, i32 2)
  call void @__static_call_update(ptr @__SCK__of_table_only, ptr @__SCT__of_table_only, ptr %g)
  ret void
}

define void @static_call_of_table() {
  call void @__SCT__of_table(i64 0)
  ret void
}

define void @static_call_of_assembly() {
  call void asm sideeffect "call __SCT__of_table", ""()
  ret void
}

define void @static_call_of_table_only() {
  call void @__SCT__of_table_only(i64 0)
  ret void
}

!0 = !{i32 21}
