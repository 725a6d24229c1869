// SPDX-License-Identifier: Apache-2.0
// Asks LibTorch about itself and measures it; the judgement is machine/findings.h.
#pragma once

#include <detente/machine/facts.h>

#include <span>
#include <string>

namespace detente::doctor {

// Takes under two seconds, most of it two matrix products on one thread and on `cores`, repeated.
// `libraries` are those of machine::look_at_process(). Leaves the number of threads as it was.
machine::Engine look_at_engine(std::span<const std::string> libraries, int cores);

}  // namespace detente::doctor
