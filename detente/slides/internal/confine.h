// SPDX-License-Identifier: Apache-2.0
// What a process needs no more that only decodes: it gives it up, for good.
#pragma once

namespace detente::slides::internal {

// From here on the system refuses (EPERM) all threads of this process to start programs or processes, to make
// sockets, to open files for writing, to change, make, rename or remove files and folders, to look into or
// signal other processes, and what has been a way around such rules (io_uring, eBPF, namespaces, keys, ...).
// What is open stays open; reading files and threads go on. A seccomp filter: a list of what is forbidden,
// since what decoders call differs with their versions, so it makes an attack harder and is no wall.
// Expects PR_SET_NO_NEW_PRIVS. False, with nothing changed, where the kernel or the processor has no such
// filter (x86-64 and 64-bit ARM have).
bool confine_process();

}  // namespace detente::slides::internal
