// SPDX-License-Identifier: Apache-2.0
// Safe cures that must be in the environment before the libraries are loaded: the program sets them
// for itself and starts itself again, once.
//
// execve keeps the process id, open files, ignored signals and the working folder, so exit codes
// and Ctrl-C behave as if nothing had happened. It costs one more loading of LibTorch (0.2 to 0.4
// s), which is why commands that do not compute with it are left alone. A variable that the user
// has set is never changed. DETENTE_REEXEC, set by the restart to what it changed, prevents
// another; set by hand (DETENTE_REEXEC=off) it prevents the first.
#pragma once

#include <detente/machine/facts.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace detente::machine {

// Name and value of each variable to set; pure.
//   OPENBLAS_CORETYPE  when OpenBLAS took the processor for an old one;
//   OMP_WAIT_POLICY    passive, and
//   GOMP_SPINCOUNT     kShortSpin, when an OpenMP runtime is loaded and more than one core is
//   there:
//                      threads that spin long at barriers are several times slower on a machine
//                      that has anything else to do, threads that sleep at once take up to twice as
//                      long on an idle one (docs/engines.md). GNU's runtime obeys the number, the
//                      others the word.
std::vector<std::pair<std::string, std::string>> startup_cures(const Facts& facts);

// Does this command line compute with LibTorch? args without the program's name.
bool computes(std::span<const std::string> args);

// Tells the C library to keep freed memory for the next step instead of giving large blocks back to
// the system, which must then fill them with zeros again: a training step frees and takes the same
// blocks over and over (5 to 10 % of a step's time). Does nothing where the user has set one of
// glibc's MALLOC_ variables, or without glibc. The process's memory stays at its peak.
void keep_freed_memory();

// A standard stream that is closed (`>&-`) would lend its number to the next file that is opened,
// which would then get what is meant for the stream: results in the middle of a model. Its number is
// taken by something that refuses every word, so that what is lost is an error. Call first in main.
void occupy_closed_streams();

// Call early in main. Returns when there is nothing to cure, or when the restart is not possible.
void cure_and_restart(int argc, char** argv);

}  // namespace detente::machine
