; SPDX-License-Identifier: GPL-2.0
; Addresses, and what constants hold.
; PROVED null
; PROVED not_null
; ALARM weak: __might_sleep
; PROVED constant
; PROVED constant_pointer
; ALARM variable: __might_sleep
; PROVED alias
; ALARM two_constants: __might_sleep
; ALARM unknown_offset: __might_sleep
; ALARM variable_pointer: __might_sleep

target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

define void @__might_sleep() {
  ret void
}

@present = global i32 0
@missing = extern_weak global i32
@constant_table = constant { i32, i32, ptr } { i32 5, i32 0, ptr @quiet }
@variable_table = global { i32, i32 } { i32 5, i32 0 }
@other_name = alias void (), ptr @quiet

define internal void @quiet() {
  ret void
}

define internal void @if_null(ptr %p) {
  %null = icmp eq ptr %p, null
  br i1 %null, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define internal void @if_set(i32 %x) {
  %set = icmp ne i32 %x, 0
  br i1 %set, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @null() {
  %null = icmp eq ptr null, null
  br i1 %null, label %out, label %sleeps
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @not_null() {
  call void @if_null(ptr @present)
  ret void
}

; A symbol that may be missing has the address 0 then.
define void @weak() {
  call void @if_null(ptr @missing)
  ret void
}

define void @constant() {
  %p = getelementptr { i32, i32, ptr }, ptr @constant_table, i64 0, i32 1
  %x = load i32, ptr %p
  call void @if_set(i32 %x)
  ret void
}

define void @constant_pointer() {
  %p = getelementptr { i32, i32, ptr }, ptr @constant_table, i64 0, i32 2
  %f = load ptr, ptr %p
  call void %f()
  ret void
}

define void @variable() {
  %p = getelementptr { i32, i32 }, ptr @variable_table, i64 0, i32 1
  %x = load i32, ptr %p
  call void @if_set(i32 %x)
  ret void
}

define void @alias() {
  call void @other_name()
  ret void
}

@two = constant { i32, i32 } { i32 0, i32 1 }
@hook = global ptr @quiet

; Two numbers that are read as one.
define void @two_constants() {
  %x = load i64, ptr @two
  %set = icmp ne i64 %x, 0
  br i1 %set, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define internal void @sleepy() {
  call void @__might_sleep()
  ret void
}

define void @hooks() {
  store ptr @sleepy, ptr @hook
  ret void
}

define void @variable_pointer() {
  %f = load ptr, ptr @hook
  call void %f()
  ret void
}

; Far enough from an object the address may be 0.
define void @unknown_offset(i64 %i) {
  %p = getelementptr i8, ptr @present, i64 %i
  call void @if_null(ptr %p)
  ret void
}
