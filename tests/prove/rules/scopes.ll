; SPDX-License-Identifier: GPL-2.0
; Functions with more than one return. The front end of C makes none.
; PROVED kept_at_both
; ALARM ended_at_one: __might_sleep

target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

%struct.task_struct = type { i64, i32 }
@current_task = global ptr null

define void @__might_sleep() {
  ret void
}

define i32 @rust_helper_memalloc_noreclaim_save() {
  %task = call ptr asm "movq %gs:${1:a}, $0", "=r,i"(ptr @current_task)
  %place = getelementptr inbounds %struct.task_struct, ptr %task, i32 0, i32 1
  %flags = load i32, ptr %place
  %more = or i32 %flags, 2048
  store i32 %more, ptr %place
  ret i32 %flags
}

define internal void @allocates() noinline {
  %task = call ptr asm "movq %gs:${1:a}, $0", "=r,i"(ptr @current_task)
  %place = getelementptr inbounds %struct.task_struct, ptr %task, i32 0, i32 1
  %flags = load i32, ptr %place
  %bit = and i32 %flags, 2048
  %set = icmp ne i32 %bit, 0
  br i1 %set, label %out, label %sleeps
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define internal i32 @keeps(i1 %c) noinline {
  br i1 %c, label %a, label %b
a:
  ret i32 1
b:
  ret i32 2
}

define internal i32 @ends(i1 %c) noinline {
  br i1 %c, label %a, label %b
a:
  %task = call ptr asm "movq %gs:${1:a}, $0", "=r,i"(ptr @current_task)
  %place = getelementptr inbounds %struct.task_struct, ptr %task, i32 0, i32 1
  store i32 0, ptr %place
  ret i32 1
b:
  ret i32 2
}

define void @kept_at_both(i1 %c) {
  %old = call i32 @rust_helper_memalloc_noreclaim_save()
  %x = call i32 @keeps(i1 %c)
  call void @allocates()
  ret void
}

define void @ended_at_one(i1 %c) {
  %old = call i32 @rust_helper_memalloc_noreclaim_save()
  %x = call i32 @ends(i1 %c)
  call void @allocates()
  ret void
}
