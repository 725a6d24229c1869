// SPDX-License-Identifier: Apache-2.0
// Tables of values for tests.
#pragma once

#include <detente/core/rng.h>
#include <detente/valuation/value_table.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

// So that `test::` in this folder means both.
namespace detente::test {}

namespace detente::valuation::test {

using namespace detente::test;

inline ValueTable table_of(std::vector<double> values, std::vector<double> errors = {}) {
  ValueTable table;
  table.method = "knn_shapley";
  for (std::size_t i = 0; i < values.size(); ++i) table.ids.push_back(static_cast<int>(i));
  ValueSeries series;
  series.task_judged = "sort";
  series.values = std::move(values);
  series.standard_errors = std::move(errors);
  table.series.push_back(std::move(series));
  return table;
}

// Two tasks, trained and judged, by two modalities, values about 1e-6 in size.
inline ValueTable two_task_table(std::size_t rows) {
  ValueTable table;
  table.method = "in_run";
  for (std::size_t i = 0; i < rows; ++i) table.ids.push_back(static_cast<int>(i));
  Rng rng(7);
  for (const char* trained : {"image_digit", "spoken_digit"}) {
    for (const char* judged : {"image_digit", "spoken_digit"}) {
      for (const char* modality : {"image", "audio"}) {
        const bool same = std::string(trained) == judged;
        const bool sound = std::string(modality) == "audio";
        ValueSeries series{trained, judged, modality, {}};
        for (std::size_t i = 0; i < rows; ++i) {
          const double centre = (same ? 1.2 : -0.3) - (sound && i % 5 == 0 ? 2.0 : 0.0);
          series.values.push_back((centre + rng.normal()) * (sound ? 4e-7 : 1e-6));
        }
        table.series.push_back(std::move(series));
      }
    }
  }
  return table;
}

inline void expect_near(const std::vector<double>& a,
                        const std::vector<double>& b,
                        double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], tolerance) << i;
}

}  // namespace detente::valuation::test
