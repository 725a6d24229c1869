// SPDX-License-Identifier: Apache-2.0
// What SciPy and scikit-learn say (tests/golden/metrics).
#pragma once

#include <detente/core/file.h>
#include <detente/core/json.h>

namespace detente::metrics {

inline const Json& golden() {
  static const Json json =
      Json::parse(read_file(DETENTE_SOURCE_DIR "/tests/golden/metrics/metrics.json"));
  return json;
}

}  // namespace detente::metrics
