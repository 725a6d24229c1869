// SPDX-License-Identifier: Apache-2.0
// What a file says of itself. Inside detente/deploy only.
#pragma once

#include <detente/core/json.h>
#include <detente/deploy/portable_model.h>

#include <string>

namespace detente::deploy {

inline constexpr const char* kDescription = "detente.json";

// One entry per task: name, meaning of the answer, names of classes.
Json describe_outputs(const nn::Model& model, const AnswerNames& answer_names);
// The text of kDescription.
std::string describe(Json inputs, Json outputs);

}  // namespace detente::deploy
