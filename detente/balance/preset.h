// SPDX-License-Identifier: Apache-2.0
// Where the published code of a method deviates from its paper, one word chooses between them.
#pragma once

#include <detente/core/fields.h>

namespace detente::balance {

enum class Preset { kPaper, kOfficialCode };

// The option `preset`, for the first line of a method's describe(). True when this visit changed
// it: the caller then gives the options that differ their values of that preset, before visiting
// them, so that options set explicitly beside it win.
inline bool visit_preset(FieldVisitor& visitor, Preset& preset, const char* doc) {
  const Preset before = preset;
  visitor.choice(
      "preset", preset, {{"paper", Preset::kPaper}, {"official_code", Preset::kOfficialCode}}, doc);
  return preset != before;
}

}  // namespace detente::balance
