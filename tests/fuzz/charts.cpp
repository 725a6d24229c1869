// SPDX-License-Identifier: Apache-2.0
// Curves of any eight-byte numbers: constant, huge, denormal, NaN. Time is the promise: libFuzzer's
// limit for one input ends what loops.
#include <detente/report/chart.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "fuzz.h"

using namespace detente;

FUZZ(data, size) {
  if (size < 1 + sizeof(double)) return;
  report::Chart chart;
  std::vector<double> values((size - 1) / sizeof(double));
  std::memcpy(values.data(), data + 1, values.size() * sizeof(double));
  report::Series series;
  for (std::size_t i = 0; i < values.size(); ++i) {
    series.x.push_back(data[0] % 2 == 0 ? static_cast<double>(i) : values[values.size() - 1 - i]);
    series.y.push_back(values[i]);
  }
  chart.series.push_back(series);
  report::Canvas canvas(640, 360);
  const report::ChartFrame frame = draw_chart(canvas, {0, 0, 640, 360}, chart);
  for (const double bound : {frame.x_min, frame.x_max, frame.y_min, frame.y_max}) {
    fuzz::expect(std::isfinite(bound), "axes are finite");
  }
  fuzz::expect(frame.x_min < frame.x_max && frame.y_min < frame.y_max, "axes have a length");
}
