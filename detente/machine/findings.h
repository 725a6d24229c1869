// SPDX-License-Identifier: Apache-2.0
// What is slow or broken here and how to cure it: a pure function of the facts, so that every case
// met on a real machine is a test. docs/engines.md tells the story of each.
#pragma once

#include <detente/core/json.h>
#include <detente/machine/facts.h>

#include <string>
#include <vector>

namespace detente::machine {

enum class Severity {
  kNote,     // worth knowing
  kWarning,  // slow or broken; `detente doctor --strict` fails
};
const char* name_of(Severity severity);  // "note", "warning"

struct Finding {
  std::string name;  // "reference_blas": stable, for programs
  Severity severity = Severity::kWarning;
  std::string message;
  std::string cure;  // what to type or set; may be empty for a note
};

std::vector<Finding> judge(const Facts& facts);
Json to_json(const std::vector<Finding>& findings);

// The kernels OpenBLAS should be told to run when it took this processor for an old one, else "".
std::string openblas_core_cure(const Facts& facts);

}  // namespace detente::machine
