// SPDX-License-Identifier: Apache-2.0
// Keys that every recipe has, whatever it trains.
#pragma once

#include <detente/core/fields.h>

#include <cstdint>
#include <string>

namespace detente::train {

// `threads`, `device`.
void describe_machine(FieldVisitor& visitor, std::int64_t& threads, std::string& device);

// The section `output`: `dir`, `tensorboard`.
void describe_output(FieldVisitor& visitor, std::string& dir, bool& tensorboard);

}  // namespace detente::train
