// SPDX-License-Identifier: Apache-2.0
#include <detente/report/chart.h>
#include <detente/valuation/internal/removal_charts.h>
#include <detente/valuation/value_table.h>

#include <algorithm>
#include <string>
#include <utility>

namespace detente::valuation::internal {

void add_removal(report::HtmlPage& page, const std::vector<RemovalCurve>& curves) {
  const auto has_points = [](const RemovalCurve& curve) {
    return std::any_of(curve.lines.begin(), curve.lines.end(), [](const RemovalLine& line) {
      return !line.shares.empty();
    });
  };
  if (std::none_of(curves.begin(), curves.end(), has_points)) return;
  page.heading("What is lost when examples are removed");
  page.begin_grid();
  for (const RemovalCurve& curve : curves) {
    if (!has_points(curve)) continue;
    report::Chart chart;
    chart.title = (curve.task == kAll ? std::string("all tasks") : curve.task) +
                  (curve.metric.empty() ? "" : ": " + curve.metric);
    chart.x_label = "share removed";
    chart.y_label = curve.metric;
    for (const RemovalLine& line : curve.lines) {
      report::Series series;
      series.name = line.name;
      series.x = line.shares;
      series.y = line.scores;
      series.low = line.low;
      series.high = line.high;
      series.color = report::line_color(chart.series.size());
      series.markers = true;
      chart.series.push_back(std::move(series));
    }
    page.chart(std::move(chart),
               "Trained anew without the examples that each order removes first. A band holds the "
               "orders at random.");
  }
  page.end_grid();
}

}  // namespace detente::valuation::internal
